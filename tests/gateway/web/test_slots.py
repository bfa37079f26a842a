from datetime import date, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gateway.web.slots import BARS_MAX, slots_of

DAYS = st.dates()


@given(st.tuples(DAYS, DAYS).map(sorted), st.lists(DAYS, max_size=5))
def test_slots_are_few_and_cover_every_day_that_was_seen_once(period, days):
    first, last = period
    seen = [day for day in days if first <= day <= last]
    slots = slots_of(first, last, [day.isoformat() for day in seen])
    names = list(slots)
    assert len(names) <= max(BARS_MAX, last.year - first.year + 1 if slots.unit == "year" else 0)
    assert names == sorted(set(names))
    if seen:
        assert {slots.of(day.isoformat()) for day in seen} <= set(names)
    edges = [slots.days(name) for name in names]
    assert all(first <= begin <= end <= last for begin, end in edges)
    assert all(end + timedelta(days=1) == begin for (_, end), (begin, _) in pairwise(edges))


def test_a_period_is_cut_into_days_months_or_years():
    def ends(first, last):
        return [first.isoformat(), last.isoformat()]

    november = date(2026, 11, 1), date(2026, 11, 30)
    assert list(slots_of(*november, []))[::29] == ["2026-11-01", "2026-11-30"]
    year = date(2026, 1, 5), date(2026, 12, 31)
    assert list(slots_of(*year, ends(*year)))[::11] == ["2026-01", "2026-12"]
    assert slots_of(*year, ends(*year)).days("2026-01") == (date(2026, 1, 5), date(2026, 1, 31))
    ages = date(1990, 1, 1), date(2026, 12, 31)
    assert list(slots_of(*ages, ends(*ages)))[::36] == ["1990", "2026"]
