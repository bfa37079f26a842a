"""Drawings as geometry: where bars and lines stand. Templates make SVG of it, the style sheet makes it look good.

Drawn here and not by a script in the browser: they are there without one, they print, every bar is a link to its rows, and no library
has to be trusted, shipped and renewed. Amounts stay exact; only places on the drawing are fractions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cost.money import FREE, Money

WIDTH, HEIGHT = 720, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 8, 10, 26
_PLOT_HEIGHT = HEIGHT - _TOP - _BOTTOM
_LABELS_MAX = 10
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

SERIES_MAX = 6
"""So many looks there are; what is more goes together as the last."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One part of a bar. `look` is its series' number; `title` says it in words; `address` leads to its rows."""

    x: float
    y: float
    width: float
    height: float
    look: int
    title: str
    address: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis, and what is written there."""

    at: float
    amount: Money


@dataclass(frozen=True, slots=True)
class Bars:
    """Stacked bars: one a day, a segment a series."""

    segments: list[Segment]
    ticks: list[Tick]
    labels: list[tuple[float, str]]
    series: list[str]


@dataclass(frozen=True, slots=True)
class Lines:
    """Money over the days of a window: what is left, and what would be left at an even pace."""

    actual: str
    pace: str
    ticks: list[Tick]
    labels: list[tuple[float, str]]
    now_x: float


def stacked_bars(
    days: Sequence[str], series: Sequence[str], amounts: Mapping[tuple[str, str], Money], address: Callable[[str, str], str]
) -> Bars:
    """Bars for amounts by (day, series), the series in one order from below. What is negative (a credit) is left to the table."""
    daily = [sum((max(FREE, amounts.get((day, name), FREE)) for name in series), FREE) for day in days]
    top = _round_up(max(daily, default=FREE))
    step = (WIDTH - _LEFT - _RIGHT) / max(1, len(days))
    segments = []
    for place, day in enumerate(days):
        base = float(_TOP + _PLOT_HEIGHT)
        for look, name in enumerate(series):
            amount = amounts.get((day, name), FREE)
            height = round(_PLOT_HEIGHT * amount.nanos / top.nanos, 2)
            if height <= 0:
                continue
            base -= height
            title = f"{day}, {name}: ${amount}"
            segments.append(
                Segment(
                    round(_LEFT + step * (place + 0.14), 2), round(base, 2), round(step * 0.72, 2), height, look, title, address(day, name)
                )
            )
    return Bars(segments, _ticks(top), _labels(days, step, step / 2), list(series))


def burn_down(days: Sequence[str], left: Sequence[Money], limit: Money) -> Lines:
    """What is left of a limit at the end of each day so far, against an even pace.

    Args:
        days: of the whole window.
        left: after each of its first days; the last is today's, so far.
        limit: of the window.
    """
    top = _round_up(max([limit, *left]))
    step = (WIDTH - _LEFT - _RIGHT) / max(1, len(days))

    def place(number: int, amount: Money) -> str:
        return f"{_LEFT + step * number:.2f},{_y(max(FREE, amount), top):.2f}"

    actual = " ".join(place(number, amount) for number, amount in enumerate([limit, *left]))
    pace = f"{place(0, limit)} {place(len(days), FREE)}"
    return Lines(actual, pace, _ticks(top), _labels(days, step, step / 2), round(_LEFT + step * len(left), 2))


def fold(series: Sequence[str]) -> dict[str, str]:
    """What each series is drawn as: itself, or "others" where there are more than can be told apart. Give the greatest first."""
    if len(series) <= SERIES_MAX:
        return {name: name for name in series}
    return {name: name if place < SERIES_MAX - 1 else "others" for place, name in enumerate(series)}


def _y(amount: Money, top: Money) -> float:
    return _TOP + _PLOT_HEIGHT * (1 - amount.nanos / top.nanos)


def _ticks(top: Money) -> list[Tick]:
    return [Tick(round(_y(amount, top), 2), amount) for amount in (Money(top.nanos * part // 4) for part in range(5))]


def _labels(days: Sequence[str], step: float, offset: float) -> list[tuple[float, str]]:
    every = -(-len(days) // _LABELS_MAX) or 1
    return [(round(_LEFT + step * place + offset, 2), _label(day)) for place, day in enumerate(days) if place % every == 0]


def _label(day: str) -> str:
    """`22 Nov` for 2026-11-22, `Nov 2026` for 2026-11, `2026`."""
    year, month, number = (*day.split("-"), "", "")[:3]
    if not month:
        return year
    name = _MONTHS[int(month) - 1]
    return f"{int(number)} {name}" if number else f"{name} {year}"


def _round_up(amount: Money) -> Money:
    """The least that is not less and of which a quarter is a short number."""
    power = 1
    while True:
        for times in (10, 15, 20, 25, 30, 40, 50, 60, 80):
            if times * power * 4 >= amount.nanos:
                return Money(times * power * 4)
        power *= 10
