"""What a report comes to, in one sentence for somebody who decides and does not compute. Pure."""

import math
from dataclasses import dataclass
from typing import Literal

from cost.money import Money
from gateway.experiments.metrics import PEOPLE
from gateway.experiments.report import ArmReport, PairReport, Report, ever_miss
from gateway.experiments.statistics import PICTURES_MIN, Difference, pictures_needed

_FEWEST_MORE = 10
"""Pictures without a thing on them tell nothing, so that a handful may not be enough."""

Kind = Literal["empty", "broken", "better", "equal", "undecided", "unknown"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do.

    Attributes:
        kind: no pictures yet; a broken split; one arm is better; no difference that matters; still open; nobody says who is right.
        winner: the arm to choose, or None.
        pictures_needed: how many more, if things go on as they did; None where more would not help, or nobody could send so many.
    """

    kind: Kind
    sentence: str
    winner: str | None = None
    pictures_needed: int | None = None

    @property
    def decided(self) -> bool:
        """Whether further pictures are for nothing."""
        return self.kind in {"better", "equal"}


def verdict_of(report: Report) -> Verdict:
    """The verdict of a report."""
    seen = sum(arm.pictures for arm in report.arms.values())
    if not seen:
        return Verdict("empty", "No picture has been compared yet.")
    if report.sample_ratio and report.sample_ratio.mismatch:
        parts = " and ".join(f"{count} for {arm}" for arm, count in report.sample_ratio.seen.items())
        wanted = " and ".join(f"{count:.0f}" for count in report.sample_ratio.expected.values())
        return Verdict("broken", f"Believe nothing here: the split is broken ({parts}, where {wanted} were to be expected).")
    if report.quality is None:
        return _unknown(report)
    return _decide(report)


def _decide(report: Report) -> Verdict:
    """The arm whose quality is highest, against each of the others."""
    assert report.quality is not None
    name = report.quality.name
    rivals = [arm for arm in report.arms if report.quality is PEOPLE or arm != report.judged.reference]
    leader = max(rivals, key=lambda arm: _or_less(report.arms[arm].metrics[name].value))
    beaten, level, open_ = [], [], []
    for arm in rivals:
        if arm != leader:
            lead, difference = _lead(report, leader, arm)
            margin = report.terms.stop.difference
            if difference.different and lead > 0:
                beaten.append(arm)
            elif difference.pictures >= PICTURES_MIN and -margin <= difference.always.low and difference.always.high <= margin:
                level.append(arm)
            else:
                open_.append(arm)
    if open_:
        return _undecided(report, leader, open_, beaten)
    if level:
        return _equal(report, [leader, *level], beaten)
    return _better(report, leader, beaten)


def _better(report: Report, leader: str, beaten: list[str]) -> Verdict:
    second = max(beaten, key=lambda arm: _quality(report, arm))
    lead, difference = _lead(report, leader, second)
    reach = (difference.always.high - difference.always.low) / 2
    said = f"{leader} is better than {_listed(beaten)}: {_what(report)} {_share(_quality(report, leader))}"
    between = f"{_points(lead)} points more than {second}, surely between {_points(lead - reach)} and {_points(lead + reach)}"
    return Verdict("better", f"{said} ({between}), {_money(report, leader, second)}.", leader)


def _equal(report: Report, level: list[str], beaten: list[str]) -> Verdict:
    cheapest = min(level, key=lambda arm: _price(report.arms[arm]))
    others = [arm for arm in level if arm != cheapest]
    points = _points(report.terms.stop.difference)
    less = f", and better than {_listed(beaten)}" if beaten else ""
    if all(_price(report.arms[arm]) == _price(report.arms[cheapest]) for arm in others):
        said = f"{_listed(level)} are equally good within {points} points{less}, and cost the same: choose by speed or by contract."
        return Verdict("equal", said)
    said = f"{_listed(level)} are equally good within {points} points{less}: take {cheapest}"
    return Verdict("equal", f"{said}, {_money(report, cheapest, max(others, key=lambda arm: _price(report.arms[arm])))}.", cheapest)


def _undecided(report: Report, leader: str, open_: list[str], beaten: list[str]) -> Verdict:
    needed = [_needed(report, leader, arm) for arm in open_]
    more = max((count for count in needed if count is not None), default=None) if None not in needed else None
    rival = max(open_, key=lambda arm: _quality(report, arm))
    lead, difference = _lead(report, leader, rival)
    so_far = f"after {_count(difference.pictures)}, {leader} is {_points(lead)} points ahead of {rival}, which may be chance"
    if not lead > 0:
        so_far = f"after {_count(difference.pictures)}, {leader} and {rival} are level"
    also = f"; {leader} is better than {_listed(beaten)}" if beaten else ""
    when = f"about {_count(more)} more should tell" if more else "more pictures than anybody would send are needed to tell"
    return Verdict("undecided", f"Still open: {so_far}{also}; {when}.", None, more)


def _unknown(report: Report) -> Verdict:
    """Nobody says who is right: what can be said is whether they agree, and what they cost."""
    known = [(pair.agreement.value, pair) for pair in report.pairs if pair.agreement and math.isfinite(pair.agreement.value)]
    one, *_, other = report.arms
    said = "Nothing says which answers are right"
    if known:
        share, pair = min(known, key=lambda found: found[0])
        one, other = pair.baseline, pair.arm
        said = f"{one} and {other} agree to {_share(share)}; who is right where they differ nobody has said"
    left = max(0, PICTURES_MIN - report.people)
    judge = f"judge {left} pictures more, or tell the truth about them" if left else "tell the truth about some pictures"
    return Verdict("unknown", f"{said} ({judge}); {one} answered {_money(report, one, other)}.")


def _needed(report: Report, leader: str, arm: str) -> int | None:
    """Pictures still to come until either the difference is told, or it is told that there is none that matters."""
    assert report.quality is not None
    lead, difference = _lead(report, leader, arm)
    reach = max(abs(lead), report.terms.stop.difference - abs(lead))
    total = pictures_needed(reach, difference.deviation, ever_miss(report.quality, report.metrics, report.quality, len(report.arms)))
    return None if total is None else max(total - difference.pictures, _FEWEST_MORE)


def _lead(report: Report, leader: str, arm: str) -> tuple[float, Difference]:
    """By how much the leader is ahead in quality, and the difference that says so (in either direction)."""
    assert report.quality is not None
    pair = _pair(report, leader, arm)
    difference = pair.differences[report.quality.name]
    return (difference.interval.value if pair.arm == leader else -difference.interval.value), difference


def _pair(report: Report, one: str, other: str) -> PairReport:
    return next(pair for pair in report.pairs if {pair.baseline, pair.arm} == {one, other})


def _quality(report: Report, arm: str) -> float:
    assert report.quality is not None
    return _or_less(report.arms[arm].metrics[report.quality.name].value)


def _or_less(value: float) -> float:
    """Nothing known is less than everything."""
    return value if math.isfinite(value) else -math.inf


def _what(report: Report) -> str:
    if report.quality is PEOPLE:
        return "people call it right for"
    return "it is right to" if report.judged.yardstick == "truth" else f"it agrees with {report.judged.reference} to"


def _money(report: Report, one: str, other: str) -> str:
    mine, theirs = report.arms[one], report.arms[other]
    prices = f"for {_usd(_price(mine))} USD a 1,000 pictures as billed, against {_usd(_price(theirs))} from {other}"
    more_right = _right(mine) - _right(theirs)
    more_cost = mine.cost - theirs.cost
    comparable = mine.pictures == theirs.pictures and report.judged.yardstick == "truth"
    if comparable and more_right > 0 and more_cost.nanos > 0:
        return f"{prices}, which is {_usd(Money(more_cost.nanos // more_right))} USD for each further correct detection"
    return prices


def _price(arm: ArmReport) -> Money:
    """Of 1,000 pictures, exact to the nano-dollar below."""
    return Money(arm.cost.nanos * 1_000 // arm.pictures) if arm.pictures else Money(0)


def _right(arm: ArmReport) -> int:
    return sum(right for right, _, _ in arm.labels.values())


def _usd(money: Money) -> str:
    """Four significant digits at most, at least cents."""
    text = str(money)
    whole, _, fraction = text.partition(".")
    digits = max(2, 4 - len(whole.strip("-0"))) if whole.strip("-0") else max(2, len(fraction) - len(fraction.lstrip("0")) + 3)
    return f"{whole}.{fraction[:digits]:0<2}"


def _share(value: float) -> str:
    return f"{100 * value:.1f} %" if math.isfinite(value) else "nothing known"


def _points(value: float) -> str:
    return f"{100 * value:.1f}".removesuffix(".0")


def _count(pictures: int) -> str:
    if pictures < 1_000:
        return f"{pictures} picture{'s' * (pictures != 1)}"
    digits = 10 ** (len(str(pictures)) - 2)
    return f"{round(pictures / digits) * digits:,} pictures"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
