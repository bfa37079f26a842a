"""Learning while answering: nothing is known at the start, nobody tells the truth, and only what was paid for is seen.

The first pictures are shown to several providers. Who bears out the others most often is the anchor: what it says stands for the truth
from then on, and escalations that are paid anyway teach where the others differ from it. That is agreement, and no claim of accuracy: but a
truth that is believed anew from pairs of answers drifts towards whoever was asked most.

Looking is dear, so it is done where it is not wasted: on pictures of which the cheapest provider is unsure, where another would be asked
anyway; and a provider that is both dearer and worse than another is not looked at for long.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from cost.escalation.consensus import believe
from cost.escalation.evidence import Encoder, Floats
from cost.escalation.fit import ROWS_MIN, TooFewRecords, fit
from cost.escalation.policy import Policy
from cost.money import Money
from cost.pacing import Pacer
from cost.records import Records

LOOK_SHARE = 0.08  # of the budget, for showing pictures to several: who is right how often can't be known otherwise
LOOK_SHARE_TAGS = 0.15  # where answers are sets, there is no anchor, and more must be known
LOOK_FIRST = 30  # pictures that everybody is shown
LOOK_MAX = 400  # pictures shown to several; more teach little more
LOOK_UNTIL = 0.33  # share of all pictures by which looking ends
UNSURE = 0.3  # share of pictures of which the cheapest provider counts as unsure
ANYWAY_EVERY = 20  # one picture in so many is looked at however sure the cheapest is
ANCHOR_MIN = 25  # fewer pictures than this that everybody could be shown, and no anchor is chosen
CLEARLY = 0.15  # so much more often right is no chance, after so few pictures
JUDGES_MIN = 3  # two that differ say nothing about who is right
CHEAP = 0.05  # of the dearest price: so cheap a provider may be asked about every picture
LATEST_MAX = 8_000  # so many of the latest pictures teach, so that a fit stays quick
GROWTH = 1.5  # fitted again when so many times the pictures have been seen


class Run(Protocol):
    """The pictures, and the money for them; see `cost.backtest.Replay`."""

    test: Records
    limit: Money
    spent: Money
    dearest: Money
    usd: dict[str, float]

    @property
    def prices(self) -> Mapping[str, Money]:
        """Of a call."""

    def ask(self, rows: Sequence[int], providers: Sequence[str]) -> None:
        """Show these pictures to all these providers."""

    def seen(self, rows: Sequence[int]) -> Records:
        """What was paid for of these pictures."""

    def run(self, policy: Policy, pacer: Pacer, start: int, stop: int) -> None:
        """Lead these pictures through one policy."""


def learn_online(run: Run) -> None:
    """Answer all pictures of a run, learning on the way."""
    n = len(run.test)
    affordable = run.limit.nanos // max(run.dearest.nanos, 1)
    if min(affordable // 2, n) < ROWS_MIN:  # too little money to learn anything with
        run.ask(range(n), [min(run.test.providers, key=lambda p: run.prices[p])])
        return
    # An anchor that was chosen from a handful of pictures is a guess; and among sets nobody's is the truth.
    anchored = run.test.kind == "label" and affordable * LOOK_SHARE >= ANCHOR_MIN
    share = LOOK_SHARE if anchored else LOOK_SHARE_TAGS
    first = min(max(int(affordable * share), ROWS_MIN), affordable // 2, LOOK_FIRST if anchored else LOOK_MAX, n)
    run.ask(range(first), run.test.providers)
    at, looked = first, list(range(first))
    judges = list(run.test.providers)
    if anchored:
        judges = worth_a_look(run, looked)
        at, looked = _look_where_unsure(run, looked, judges, Money(int(run.limit.nanos * share)))
    anchor = _most_borne_out(run, looked, judges) if anchored else None
    shown, pacer = at, Pacer(lambda _: 0.0)
    while at < n:
        seen = run.seen([*range(shown), *range(max(shown, at - LATEST_MAX), at)])
        end = min(int(at * GROWTH) + 20, n)
        try:
            policy = fit(seen, run.usd, _taken_for_true(seen, anchor))
        except TooFewRecords:  # many pictures were not answered by everybody: see some more before deciding by them
            run.ask(range(at, end), [min(judges, key=lambda p: run.prices[p])])
        else:
            run.run(policy, pacer.follow(policy.multiplier_for), at, end)
        at = end


def worth_a_look(run: Run, looked: Sequence[int]) -> list[str]:
    """All but those that are both dearer and clearly more seldom right than another; three at least."""
    providers = run.test.providers
    right = rightness(run.seen(looked))
    kept = [p for p in providers if not any(right[o] >= right[p] + CLEARLY and run.prices[o] < run.prices[p] for o in providers)]
    for p in sorted(providers, key=lambda p: -right[p]):
        if len(kept) < JUDGES_MIN and p not in kept:
            kept.append(p)
    return kept


def rightness(seen: Records) -> dict[str, float]:
    """How often each provider's answer is believed to be right."""
    believed, place = believe(seen), {label: k for k, label in enumerate(Encoder.fit(seen.without_truth()).vocabulary)}
    right: dict[str, float] = {}
    for p in seen.providers:
        chances = [believed[i, place[one.label]] for i, answer in enumerate(seen.answers[p]) for one in answer or ()]
        right[p] = np.mean(chances).item() if chances else 0.0
    return right


def _look_where_unsure(run: Run, looked: list[int], judges: Sequence[str], money: Money) -> tuple[int, list[int]]:
    """Show pictures to the judges while there is money for it; where the cheapest is sure, it answers alone.

    Returns: the next picture, and those that were shown.
    """
    base = min(judges, key=lambda p: run.prices[p])
    cheap = run.prices[base].nanos <= CHEAP * max(run.prices[p].nanos for p in judges)
    cost = sum((run.prices[p] for p in judges), Money(0))
    started, at, n = run.spent, len(looked), len(run.test)
    sureness = [_surest(run.test, base, i) for i in range(at)]
    while run.spent - started + cost <= money and at < n * LOOK_UNTIL and len(looked) < LOOK_MAX:
        unsure = True
        if cheap:
            sureness.append(_surest(run.test, base, at))
            unsure = np.mean(np.array(sureness) <= sureness[-1]).item() <= UNSURE or at % ANYWAY_EVERY == 0
        run.ask([at], judges if unsure else [base])
        if unsure:
            looked.append(at)
        at += 1
    return at, looked


def _surest(records: Records, provider: str, i: int) -> float:
    """Only looked at where the provider is asked about the picture anyway."""
    return max((one.confidence or 0.0 for one in records.answers[provider][i] or ()), default=0.0)


def _most_borne_out(run: Run, looked: Sequence[int], judges: Sequence[str]) -> str:
    right = rightness(run.seen(looked))
    return max(judges, key=lambda p: right[p])


def _taken_for_true(seen: Records, anchor: str | None) -> Floats:
    """(n, labels) what the anchor says where it was asked, else what is believed."""
    believed = believe(seen)
    if anchor is not None:
        place = {label: k for k, label in enumerate(Encoder.fit(seen.without_truth()).vocabulary)}
        for i, answer in enumerate(seen.answers[anchor]):
            for one in answer or ():
                believed[i] = 0.0
                believed[i, place[one.label]] = 1.0
    return believed
