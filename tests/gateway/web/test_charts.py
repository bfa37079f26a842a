import pytest
from hypothesis import given
from hypothesis import strategies as st

from cost.money import Money
from gateway.web.charts import HEIGHT, WIDTH, burn_down, fold, stacked_bars

DAYS = [f"2026-11-{day:02}" for day in range(1, 31)]


@given(st.dictionaries(st.tuples(st.sampled_from(DAYS), st.sampled_from("abc")), st.integers(-(10**15), 10**15).map(Money)))
def test_bars_stand_on_each_other_and_inside_the_drawing_whatever_the_amounts(amounts):
    bars = stacked_bars(DAYS, "abc", amounts, lambda day, name: f"/{day}/{name}")
    base = {}
    for segment in bars.segments:
        assert 0 <= segment.x < segment.x + segment.width <= WIDTH
        assert 0 <= segment.y <= HEIGHT
        assert abs(base.get(segment.x, segment.y + segment.height) - segment.y - segment.height) < 0.02
        base[segment.x] = segment.y
    drawn = {segment.address for segment in bars.segments}
    assert drawn <= {f"/{day}/{name}" for (day, name), amount in amounts.items() if amount.nanos > 0}


def test_the_same_amount_has_the_same_height_and_no_money_draws_nothing():
    bars = stacked_bars(DAYS, ["a", "b"], {(DAYS[0], "a"): Money(5), (DAYS[1], "b"): Money(5)}, lambda *_: "")
    assert len({segment.height for segment in bars.segments}) == 1
    assert [segment.look for segment in bars.segments] == [0, 1]
    assert stacked_bars([], [], {}, lambda *_: "").segments == []


@given(st.integers(0, 10**13))
def test_the_axis_ends_above_the_greatest_amount_in_four_short_steps(nanos):
    bars = stacked_bars(DAYS[:1], ["a"], {(DAYS[0], "a"): Money(nanos)}, lambda *_: "")
    top = bars.ticks[-1].amount
    assert top.nanos >= nanos
    assert all(len(str(tick.amount.nanos).rstrip("0")) <= 2 for tick in bars.ticks)
    assert len({tick.amount for tick in bars.ticks}) == 5


@pytest.mark.parametrize(
    ("usd", "top"), [("1.98", "2"), ("2.01", "2.4"), ("0.36", "0.4"), ("1", "1"), ("0.81", "1"), ("5", "6"), ("0", "0.00000004")]
)
def test_the_axis_does_not_end_far_above_the_greatest_amount(usd, top):
    bars = stacked_bars(DAYS[:1], ["a"], {(DAYS[0], "a"): Money.usd(usd)}, lambda *_: "")
    assert bars.ticks[-1].amount == Money.usd(top)


def test_a_budget_burns_down_from_its_limit_and_never_below_the_drawing():
    lines = burn_down(DAYS, [Money(70), Money(-20)], Money(100))
    places = [tuple(map(float, point.split(","))) for point in lines.actual.split()]
    assert [x for x, _ in places] == sorted(x for x, _ in places)
    assert [y for _, y in places] == sorted(y for _, y in places)
    assert max(y for _, y in places) <= HEIGHT
    assert len(places) == 3


def test_more_series_than_can_be_told_apart_go_together():
    assert set(fold("abcdef").values()) == set("abcdef")
    folded = fold("abcdefgh")
    assert [folded[name] for name in "abcdefgh"] == ["a", "b", "c", "d", "e", "others", "others", "others"]
