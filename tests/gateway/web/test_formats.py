from cost.money import Money
from gateway.web import formats


def test_shares_are_rounded_to_the_nearest_percent():
    parts = [Money.usd(text) for text in ("2.289", "1.881", "0")]
    assert [formats.share(part, Money.usd("4.17")) for part in parts] == ["55 %", "45 %", "0 %"]
    assert formats.share(Money.usd("0.01"), Money.usd("0")) == "–"
