from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cost.windows import PERIODS, UnknownTimeZone, window_of

ZONES = [
    "UTC",
    "America/Los_Angeles",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "America/Havana",
    "America/Sao_Paulo",
    "Pacific/Apia",
    "Africa/Cairo",
]


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def hours(window):
    return (window.ends_at - window.starts_at) / timedelta(hours=1)


@pytest.mark.parametrize(
    ("timezone", "instant", "length"),
    [
        ("America/Los_Angeles", "2026-03-08T20:00", 23),
        ("America/Los_Angeles", "2026-11-01T20:00", 25),
        ("Australia/Lord_Howe", "2026-04-04T20:00", 24.5),  # half an hour of daylight saving
        ("Australia/Lord_Howe", "2026-10-03T20:00", 23.5),
        ("Asia/Kolkata", "2026-03-08T20:00", 24),
        ("America/Havana", "2026-11-01T12:00", 25),  # 01:00 goes back to 00:00: midnight comes twice
        ("Africa/Cairo", "2026-04-24T12:00", 23),  # 00:00 goes ahead to 01:00: there is no midnight
    ],
)
def test_a_day_is_as_long_as_its_clocks_make_it(timezone, instant, length):
    assert hours(window_of("day", timezone, at(instant))) == length


def test_a_window_is_half_open_at_both_daylight_edges():
    day = window_of("day", "America/Los_Angeles", at("2026-03-08T20:00"))
    assert (day.starts_at, day.ends_at) == (at("2026-03-08T08:00"), at("2026-03-09T07:00"))
    assert day.starts_at in day
    assert day.ends_at not in day
    assert day.ends_at - timedelta(microseconds=1) in day


@pytest.mark.parametrize(
    ("instant", "first", "after"),
    [
        ("2028-02-29T23:59:59.999999", "2028-02-01", "2028-03-01"),
        ("2026-02-28T23:59:59.999999", "2026-02-01", "2026-03-01"),
        ("2026-12-31T23:59:59.999999", "2026-12-01", "2027-01-01"),
        ("2027-01-01T00:00:00", "2027-01-01", "2027-02-01"),
        ("2026-01-31T12:00:00", "2026-01-01", "2026-02-01"),
    ],
)
def test_months_end_where_the_calendar_says(instant, first, after):
    month = window_of("month", "UTC", at(instant))
    assert (month.starts_at, month.ends_at) == (at(first), at(after))


def test_a_leap_day_is_a_day_of_its_own():
    assert window_of("day", "UTC", at("2028-02-29T12:00")).ends_at == at("2028-03-01")


def test_a_week_starts_on_monday_also_over_new_year():
    week = window_of("week", "UTC", at("2027-01-02T12:00"))
    assert (week.starts_at, week.ends_at) == (at("2026-12-28"), at("2027-01-04"))


def test_a_day_that_a_zone_skipped_leaves_no_hole():
    """Samoa had no 30 December 2011."""
    before = window_of("day", "Pacific/Apia", at("2011-12-30T09:59:59"))
    after = window_of("day", "Pacific/Apia", at("2011-12-30T10:00:00"))
    assert before.ends_at == after.starts_at == at("2011-12-30T10:00:00")


@given(
    st.sampled_from(PERIODS),
    st.sampled_from(ZONES),
    st.datetimes(datetime(2005, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis takes naive bounds
)
def test_windows_hold_their_instant_and_tile_time(period, timezone, instant):
    window = window_of(period, timezone, instant)
    assert instant in window
    assert window_of(period, timezone, window.starts_at) == window
    assert window_of(period, timezone, window.ends_at).starts_at == window.ends_at
    assert window_of(period, timezone, window.starts_at - timedelta(microseconds=1)).ends_at == window.starts_at


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "/etc/localtime", "UTC\0", "Europe"])
def test_an_unknown_zone_says_so(name):
    with pytest.raises(UnknownTimeZone):
        window_of("day", name, at("2026-01-01"))


def test_a_lifetime_is_one_window_for_ever():
    assert window_of("lifetime", "UTC", at("1999-12-31T23:59:59")) == window_of("lifetime", "UTC", at("2999-01-01T00:00:00"))
    assert at("2026-11-27T12:00:00") in window_of("lifetime", "UTC", at("2026-11-27T12:00:00"))
