"""Learning while answering: nothing is known at the start, nobody tells the truth, and only what was paid for is seen.

The first pictures are shown to all providers. Whom the others bear out, as far as its price allows to ask it, is the anchor: from then on
it is asked where the cheapest may be wrong. What such a pair of answers says of the truth is `belief`'s, and escalations that are paid
anyway teach where a second answer is worth its price. A third provider is left alone: those that err alike bear each other out.

Looking is dear, so it is done where it is not wasted: on pictures of which the cheapest provider is unsure, where another would be asked
anyway. But a wrong anchor costs more than all looks, and from a few dozen pictures it is a guess.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from cost.escalation.belief import believe_one
from cost.escalation.consensus import believe, rightness
from cost.escalation.evidence import Encoder
from cost.escalation.fit import TooFewRecords, fit
from cost.escalation.learning import ROWS_MIN
from cost.escalation.policy import Policy
from cost.money import Money
from cost.pacing import Pacer
from cost.records import NOBODYS, Records

LOOK_SHARE = 0.15  # of the budget, for showing pictures to all: who is right how often can't be known otherwise
LOOK_MAX = 80  # pictures shown to all; more teach little more
LOOK_MAX_TAGS = 400  # where answers are sets, there is no anchor, and more must be known
UNSURE = 0.3  # share of pictures of which the cheapest provider counts as unsure
RANKED_MIN = 4  # of fewer pictures than this nobody can say which are the unsure ones
REACH = 1 / 3  # power: twice as many pictures that can be paid gain a quarter more, since those most worth it come first
REACH_MAX = 0.5  # share of pictures beyond which another answer hardly ever gains
ANCHOR_MIN = 25  # fewer pictures than this that everybody could be shown, and no anchor is chosen
CHEAP = 0.05  # of the dearest price: so cheap a provider may be asked about every picture
WORTHLESS = 0.2  # of how often the best is right: who is borne out less often than that is not asked
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

    def say(self, row: int, label: str) -> None:
        """Answer this picture, that somebody was asked about, with this label."""

    def seen(self, rows: Sequence[int]) -> Records:
        """What was paid for of these pictures."""

    def run(self, policy: Policy, pacer: Pacer, start: int, stop: int) -> None:
        """Lead these pictures through one policy."""


def learn_online(run: Run) -> None:
    """Answer all pictures of a run, learning on the way."""
    n = len(run.test)
    affordable = _to_spare(run).nanos // run.dearest.nanos if run.dearest else n
    # Too little money to learn anything with, or nothing to be seen.
    if min(affordable // 2, n) < ROWS_MIN or all(run.test.opaque(p) for p in run.test.providers):
        run.ask(range(n), [_cheapest(run, run.test.providers)])
    # An anchor that was chosen from a handful of pictures is a guess; and among sets nobody's is the truth.
    elif run.test.kind == "label" and affordable * LOOK_SHARE >= ANCHOR_MIN:
        _learn_with_an_anchor(run)
    else:
        _learn_from_all(run, min(max(int(affordable * LOOK_SHARE), ROWS_MIN), affordable // 2, LOOK_MAX_TAGS, n))


def _learn_with_an_anchor(run: Run) -> None:
    """The cheapest provider that is any good, and another one that is asked where that is worth its price."""
    base, n, pacer = _cheapest(run, run.test.providers), len(run.test), Pacer(lambda _: 0.0)
    at, shown = _look(run, base, _is_cheap(run, base))
    if at == n:
        return
    base, anchor, good = choose_pair(run, shown)
    asked = {base, anchor} if anchor != base else set(good)
    while at < n:
        end, seen = _next_fit(at, n), run.seen(range(max(0, at - LATEST_MAX), at)).only(asked)
        try:
            policy = fit(seen, run.usd, believe_one(seen, anchor))
        except TooFewRecords:
            run.ask(range(at, end), [base])
        else:
            run.run(policy, pacer.follow(policy.multiplier_for), at, end)
        at = end


def _learn_from_all(run: Run, first: int) -> None:
    """Whoever is expected to be worth its price is asked, as it was learned from pictures that everybody was shown."""
    n, pacer = len(run.test), Pacer(lambda _: 0.0)
    for at in range(first):
        show_all(run, range(at + 1))
    at = first
    while at < n:
        end = _next_fit(at, n)
        seen = run.seen([*range(first), *range(max(first, at - LATEST_MAX + first), at)])
        try:
            policy = fit(seen, run.usd, believe(seen) if seen.kind == "tags" else believe_one(seen))
        except TooFewRecords:  # many pictures were not answered by everybody: see some more before deciding by them
            run.ask(range(at, end), [_cheapest(run, run.test.providers)])
        else:
            run.run(policy, pacer.follow(policy.multiplier_for), at, end)
        at = end


def _look(run: Run, base: str, cheap: bool) -> tuple[int, list[int]]:
    """Show pictures to everybody while there is money for it; where a cheap base is sure, it answers alone.

    Returns: the next picture, and those that were shown.
    """
    at, spent, purse = 0, 0, int(_to_spare(run).nanos * LOOK_SHARE)
    shown: list[int] = []
    sureness: list[float] = []
    while spent + run.dearest.nanos <= purse and len(shown) < LOOK_MAX and at < len(run.test):
        said = run.test.answers[base][at]
        unsure = not cheap
        if cheap and said is not None:  # it is asked about the picture anyway, so its answer may be looked at
            sureness.append(max((one.confidence or 0.0 for one in said), default=0.0))
            unsure = len(sureness) >= RANKED_MIN and np.mean(np.array(sureness) < sureness[-1]).item() < UNSURE
        if unsure:
            shown.append(at)
            show_all(run, shown)
            spent += run.dearest.nanos
        else:
            run.ask([at], [base])
        at += 1
    return at, shown


def show_all(run: Run, shown: Sequence[int]) -> None:
    """Ask everybody about the last of these pictures, and answer with the label that is believed by then; tags, with what the most say."""
    run.ask(shown[-1:], run.test.providers)
    seen = run.seen(shown)
    if seen.kind == "label" and any(answers[-1] for answers in seen.answers.values()):
        believed = int(believe_one(seen).chances[-1].argmax())
        label = Encoder.fit(seen).labels_at(believed, (answers[-1] for answers in seen.answers.values()))
        run.say(shown[-1], label[0] if label else NOBODYS)


def choose_pair(run: Run, shown: Sequence[int]) -> tuple[str, str, list[str]]:
    """The cheapest provider whose word is worth anything, who gains most over it where that is asked, and all that are worth anything.

    By what the others bear out; who gains most also by how many pictures it can be paid for.
    """
    right = rightness(run.seen(shown))
    good = [p for p in right if right[p] >= WORTHLESS * max(right.values())]
    base = min(good, key=lambda p: (run.prices[p], -right[p]))
    spare = max(run.limit.nanos / len(run.test) - run.prices[base].nanos, 0.0)
    worth = {base: 0.0}
    for p in good:
        if p != base:
            reach = min(spare / run.prices[p].nanos, REACH_MAX) if run.prices[p].nanos else REACH_MAX
            worth[p] = (right[p] - right[base]) * reach**REACH
    return base, max(worth, key=lambda p: worth[p]), good


def _next_fit(at: int, n: int) -> int:
    return min(int(at * GROWTH) + 20, n)


def _cheapest(run: Run, providers: Sequence[str]) -> str:
    return min(providers, key=lambda p: run.prices[p])


def _is_cheap(run: Run, base: str) -> bool:
    return run.prices[base].nanos <= CHEAP * max(m.nanos for m in run.prices.values())


def _to_spare(run: Run) -> Money:
    """What the cheapest answers to all pictures leave; all of it where somebody else costs no more, so that there is a choice."""
    prices = sorted(run.prices[p] for p in run.test.providers)
    return run.limit if prices[:1] == prices[1:2] else max(run.limit - prices[0] * len(run.test), Money(0))
