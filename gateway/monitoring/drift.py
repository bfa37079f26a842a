"""Whether pictures, or a provider's answers, are not what they were: exact two-sample tests, at a level that keeps false alarms away.

A stream is one provider's answers to one feature. Its first pictures are the reference; the latest 100, and the latest 400, are held
against it. Numbers (brightness, how many boxes, …) by the two-sample Kolmogorov-Smirnov test, whose statistic, the largest gap between
the two distributions, is the distance that is told. Labels by Fisher's exact test of how many pictures bear each one, since boxes of one
picture are not independent of each other but pictures are.

The level. While nothing changes, reference and window are exchangeable, so each test's p-value is valid, however the windows overlap;
by the union bound the expected number of false alarms in a month is at most tests x LEVEL:

    tests a month = 15 streams (3 providers x 5 features) x 518,400 checks (one every 5 s at most) x 11 properties x 2 windows
    LEVEL         = 0.1 / tests a month = 5.8e-10: one false alarm in ten months, at the busiest possible

A window of 100 beside a reference of 500 is alarmed at a gap of 0.36 then, one of 400 at 0.22. KS is conservative where values are tied.
For labels the smallest p-value counts, times the number of labels that could reach the level at all (Tarone's correction): that number
depends on reference and window together, not on which is which, so nothing is lost by having looked.

Source: https://docs.scipy.org/doc/scipy/reference/generated/scipy.stats.ks_2samp.html, https://doi.org/10.2307/2531456 (Tarone 1990)
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

PICTURE_PROPERTIES = ("brightness", "contrast", "red", "green", "blue", "sharpness", "size", "aspect")
ANSWER_PROPERTIES = ("boxes", "confidence")
PROPERTIES = (*PICTURE_PROPERTIES, *ANSWER_PROPERTIES, "labels")

REFERENCE = 500
WINDOWS = (100, 400)
CHECKED_EVERY_S = 5.0

STREAMS_MAX = 15
FALSE_ALARMS_A_MONTH = 0.1
TESTS_A_MONTH = int(STREAMS_MAX * 30 * 86_400 / CHECKED_EVERY_S * len(PROPERTIES) * len(WINDOWS))
LEVEL = FALSE_ALARMS_A_MONTH / TESTS_A_MONTH

_VALUES_MIN = 50
"""Fewer say nothing at this level: confidences of pictures on which nothing was found are none."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One picture as a provider answered it.

    Attributes:
        digest: of the picture.
        values: its properties and its answer's, by name; see `gateway.monitoring.properties`. What there is no value of is left out.
        labels: the labels that it bears.
    """

    digest: str
    values: Mapping[str, float]
    labels: frozenset[str]


@dataclass(frozen=True, slots=True)
class Shift:
    """A property that is not what it was.

    Attributes:
        name: of the property.
        distance: in [0, 1]: the largest gap between the two distributions; of labels, between two shares of pictures.
        p_value: how likely such a gap is while nothing has changed.
        window: how many of the latest pictures show it.
        before, now: the median; of labels, the share of pictures with `label`.
        label: the one that moved most, where labels did.
        moved: digests of the window's pictures that moved most, those first.
    """

    name: str
    distance: float
    p_value: float
    window: int
    before: float
    now: float
    label: str = ""
    moved: tuple[str, ...] = ()


def shifts(reference: Sequence[Observation], latest: Sequence[Observation]) -> list[Shift]:
    """How far each property has moved, the most surprising of the windows for each; alarming or not (see `is_alarming`).

    Args:
        reference: the stream's first pictures.
        latest: those after them, oldest first; windows that it does not fill are left out.
    """
    found: dict[str, Shift] = {}
    for size in WINDOWS:
        if len(latest) < size:
            continue
        window = latest[-size:]
        for shift in _of_window(reference, window):
            known = found.get(shift.name)
            if known is None or shift.p_value < known.p_value:
                found[shift.name] = shift
    return list(found.values())


def is_alarming(shift: Shift) -> bool:
    """Whether it is too surprising to be chance, however often that is asked."""
    return shift.p_value < LEVEL


def _of_window(reference: Sequence[Observation], window: Sequence[Observation]) -> Iterator[Shift]:
    yield from number_shifts((*PICTURE_PROPERTIES, *ANSWER_PROPERTIES), reference, window)
    yield _label_shift(reference, window)


def number_shifts(names: Iterable[str], reference: Sequence[Observation], window: Sequence[Observation]) -> Iterator[Shift]:
    """How far each of these properties has moved; those that too few pictures have are left out."""
    for name in names:
        before, now = (_values(seen, name) for seen in (reference, window))
        if min(len(before), len(now)) >= _VALUES_MIN:
            yield _number_shift(name, before, now, window)


def _values(seen: Sequence[Observation], name: str) -> list[float]:
    return [one.values[name] for one in seen if name in one.values]


def _number_shift(name: str, before: list[float], now: list[float], window: Sequence[Observation]) -> Shift:
    from scipy.stats import ks_2samp  # noqa: PLC0415 -- slow to import, and requests have no need of it

    result = ks_2samp(before, now, method="exact")
    median_before, median_now = _median(before), _median(now)
    away = [one for one in window if name in one.values]
    away.sort(key=lambda one: _beyond(one.values[name], median_before, median_now))
    return Shift(
        name,
        float(result.statistic),
        float(result.pvalue),
        len(window),
        median_before,
        median_now,
        moved=tuple(dict.fromkeys(one.digest for one in away)),
    )


def _beyond(value: float, before: float, now: float) -> float:
    """Sorts the values that lie furthest in the direction of the move first."""
    return before - value if now >= before else value - before


def _label_shift(reference: Sequence[Observation], window: Sequence[Observation]) -> Shift:
    import numpy as np  # noqa: PLC0415 -- see above
    from scipy.stats import hypergeom  # noqa: PLC0415

    n, m = len(window), len(reference)
    before, now = _count(reference), _count(window)
    names = [name for name in sorted(before.keys() | now.keys()) if before[name] + now[name] < n + m]
    both = np.array([before[name] + now[name] for name in names], dtype=np.int64)
    least = np.minimum(hypergeom.pmf(np.maximum(0, both - m), n + m, both, n), hypergeom.pmf(np.minimum(n, both), n + m, both, n))
    tested = [name for name, p in zip(names, least, strict=True) if 2 * p < LEVEL]
    if not tested:
        return Shift("labels", 0.0, 1.0, n, 0.0, 0.0)
    both, there = np.array([before[name] + now[name] for name in tested]), np.array([now[name] for name in tested])
    p_values = 2 * np.minimum(hypergeom.cdf(there, n + m, both, n), hypergeom.sf(there - 1, n + m, both, n))
    label = tested[int(np.argmin(p_values))]
    share_before, share_now = before[label] / m, now[label] / n
    bears = share_now >= share_before
    moved = tuple(dict.fromkeys(one.digest for one in window if (label in one.labels) == bears))
    p_value = min(1.0, float(p_values.min()) * len(tested))
    return Shift("labels", abs(share_now - share_before), p_value, n, share_before, share_now, label, moved)


def _count(seen: Sequence[Observation]) -> Counter[str]:
    return Counter(label for one in seen for label in one.labels)


def _median(values: list[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else math.fsum(ordered[middle - 1 : middle + 1]) / 2
