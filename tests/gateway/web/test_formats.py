from datetime import UTC, datetime

from cost.money import Money
from gateway.web import formats


def test_shares_are_rounded_to_the_nearest_percent():
    parts = [Money.usd(text) for text in ("2.289", "1.881", "0")]
    assert [formats.share(part, Money.usd("4.17")) for part in parts] == ["55 %", "45 %", "0 %"]
    assert formats.share(Money.usd("0.01"), Money.usd("0")) == "–"


def test_a_negative_number_has_the_sign_of_a_negative_amount():
    assert (formats.count(-1234), formats.usd(Money.usd("-12.34"), 2)) == ("−1,234", "−$12.34")


def test_a_moment_is_told_on_the_clocks_of_its_zone():
    instant = datetime(2026, 11, 30, 23, 0, tzinfo=UTC)
    assert formats.moment(instant) == "2026-11-30 23:00 UTC"
    assert formats.moment(instant, "Europe/Berlin") == "2026-12-01 00:00 Europe/Berlin"


def test_what_stands_between_backticks_is_code_and_nothing_is_markup():
    assert formats.prose("`a<b`: write `c`.") == "<code>a&lt;b</code>: write <code>c</code>."
