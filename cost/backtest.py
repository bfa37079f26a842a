"""Replays recorded answers through the policy that routes live traffic: what would it have cost, and how good would it have been?

Half of the records teach (`train`), the rest come by one at a time under a hard budget. Online, nothing is known at the start and only what
was paid for is seen. Beside it stand the baselines anyone would ask for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cost.escalation.baselines import one_threshold, oracle
from cost.escalation.box_votes import State, shown
from cost.escalation.boxes import f1
from cost.escalation.evidence import Floats
from cost.escalation.learn import learn, with_beliefs
from cost.escalation.online import learn_online
from cost.escalation.policy import COMBINED, STOP, Policy, View, choose_labels
from cost.money import NANOS_PER_USD, Money
from cost.pacing import Pacer
from cost.record_files import read_prices, read_records, stem_of
from cost.records import BadRecords, Records, labels_of, reward_of

BLOCK = 32  # pictures that are decided with one multiplier
PICTURES = 10_000  # budgets are told for so many


def backtest(
    records: Path, prices: Path, budget_usd_per_10k: Decimal, *, train: float = 0.5, seed: int = 0, online: bool = False
) -> dict[str, Any]:
    """The report behind `vision-gateway backtest`, ready for JSON.

    Args:
        records: the CSV form or the gateway's own comparisons, see `cost.records`.
        prices: USD a call by records' stem and provider.
        budget_usd_per_10k: a hard budget, in dollars for ten thousand pictures.
        train: share of the records that are fitted on; with `online` none is, and all of them are replayed.
        seed: of the split, as `numpy.random.seed(seed); permutation; the first part fits`.
        online: start knowing nothing, and learn without a truth from what was paid for.

    Raises:
        BadRecords: nothing to read, to fit or to replay, or no prices for these records.
    """
    everything = read_records(records)
    usd = read_prices(prices, stem_of(records))
    missing = [p for p in everything.providers if p not in usd]
    if missing:
        raise BadRecords(f"{prices.name} has no price for {', '.join(missing)}")
    return replay(everything, usd, budget_usd_per_10k, train=train, seed=seed, online=online)


def replay(
    everything: Records,
    prices: Mapping[str, Money],
    budget_usd_per_10k: Decimal,
    *,
    train: float = 0.5,
    seed: int = 0,
    online: bool = False,
) -> dict[str, Any]:
    """`backtest` of records that are read already."""
    judged = with_beliefs(everything)
    order = np.random.RandomState(seed).permutation(len(everything))
    cut = 0 if online else int(len(everything) * train)
    taught, test = judged.take(order[:cut]), judged.take(order[cut:])
    if not len(test) or (not online and not len(taught)):
        raise BadRecords(f"{len(everything)} records leave none to {'replay' if not len(test) else 'fit on'} at train {train}")
    if not any(np.isfinite(rewards).any() for rewards in test.rewards.values()):
        raise BadRecords("nobody says how good any answer is: neither a truth, nor a reward, nor a reference")
    limit = Money(int(budget_usd_per_10k * NANOS_PER_USD * len(test) / PICTURES))
    run = Replay(test, prices, limit)
    if online:
        learn_online(run)
    else:
        policy = learn(everything.take(order[:cut]), run.usd)
        run.run(policy, Pacer(policy.multiplier_for), 0, len(test))
    return {
        "records": len(everything),
        "test_records": len(test),
        "budget_usd_per_10k": np.double(str(budget_usd_per_10k)).item(),
        "target": judged.target,
        "policy": {
            **_row(run.reward, run.spent.nanos / len(test) / NANOS_PER_USD),
            "overrun_pct": max(0.0, 100.0 * (run.spent.nanos - limit.nanos) / max(limit.nanos, 1)),
            "share": {p: run.asked[p].mean().item() for p in test.providers},
        },
        "baselines": _baselines(taught, test, run.usd, limit.nanos / NANOS_PER_USD / len(test)),
    }


class Replay:
    """Pictures in a row under one hard budget, and what has come of them so far.

    Attributes:
        spent: in all.
        reward: (n,) of the answers given; 0 where there was no money for any, NaN where nobody knows how good the answer was.
        asked: provider -> (n,) whether it was asked.
    """

    def __init__(self, test: Records, prices: Mapping[str, Money], limit: Money) -> None:
        """Nothing asked, nothing spent."""
        n = len(test)
        self.test, self.prices, self.limit = test, prices, limit
        self.usd = {p: prices[p].nanos / NANOS_PER_USD for p in test.providers}
        self.cheapest = min(prices[p] for p in test.providers)
        self.dearest = sum((prices[p] for p in test.providers), Money(0))
        self.spent = Money(0)
        self.reward: Floats = np.zeros(n)
        self.asked = {p: np.zeros(n, dtype=np.bool_) for p in test.providers}
        known = [np.array([a is not None for a in test.answers[p]]) | np.isfinite(test.rewards[p]) for p in test.providers]
        self.can_answer = np.column_stack(known)

    def run(self, policy: Policy, pacer: Pacer, start: int, stop: int) -> None:
        """Lead these pictures through one policy, block by block, money permitting."""
        n = len(self.test)
        while start < stop:
            # What is left beyond the cheapest answer to every picture that is still to come.
            spare = self.limit - self.spent - self.cheapest * (n - start)
            block = min(BLOCK, stop - start)
            if spare < self.dearest * block:
                block = 1
            before = self.spent
            multiplier = pacer.plan(self.limit - self.spent, n - start)
            self._lead(policy, start, start + block, multiplier, spare + self.cheapest * block)
            pacer.spent(self.spent - before, block)
            start += block

    def ask(self, rows: Sequence[int], providers: Sequence[str]) -> None:
        """Show these pictures to all these providers, while there is money; answer with what the most of them say.

        Where none of them can answer, the cheapest of the others who can does.
        """
        for i in rows:
            left = self.limit - self.spent
            able = [p for j, p in enumerate(self.test.providers) if p in providers and self.can_answer[i, j]]
            able = able or self._stand_in(i, left)
            price = sum((self.prices[p] for p in able), Money(0))
            if able and price <= left:
                self.spent += price
                for p in able:
                    self.asked[p][i] = True
                self.reward[i] = _majority(self.test, i, able)

    def _stand_in(self, row: int, purse: Money) -> list[str]:
        """The cheapest who can answer this picture for this money, if anybody can."""
        able = [p for j, p in enumerate(self.test.providers) if self.can_answer[row, j] and self.prices[p] <= purse]
        return [min(able, key=lambda p: self.prices[p])] if able else []

    def say(self, row: int, label: str) -> None:
        """Answer a picture that was asked about with this label."""
        self.reward[row] = reward_of(self.test.kind, frozenset([label]), self.test.truth[row])

    def seen(self, rows: Sequence[int]) -> Records:
        """What was paid for of these pictures: no truth, no rewards."""
        shown = {p: [self.test.answers[p][i] if self.asked[p][i] else None for i in rows] for p in self.test.providers}
        return Records(self.test.kind, self.test.providers, shown, [None] * len(rows), {}).without_truth()

    def _lead(self, policy: Policy, start: int, stop: int, multiplier: float, purse: Money) -> None:
        """Ask about these pictures until each is answered; all of them together never cost more than the purse."""
        evidence = policy.encoder.encode({p: given[start:stop] for p, given in self.test.answers.items() if p in policy.providers})
        can_answer = self.can_answer[start:stop]
        waiting: dict[State, NDArray[np.intp]] = {frozenset(): np.arange(stop - start)}
        while waiting:
            state = min(waiting, key=len)
            together = waiting.pop(state)
            for here in _alike(together, can_answer):
                left = [
                    p for j, p in enumerate(self.test.providers) if p not in state and can_answer[here[0], j] and self.prices[p] <= purse
                ]
                known = {p: evidence[p].take(here) for p in state}
                ask, view, _ = policy.judge_many(state, known, len(here), {p: self.usd[p] for p in left}, multiplier)
                if state:
                    self._answer(policy, state, view, here + start, np.flatnonzero(ask == STOP))
                else:
                    purse -= self._strangers(here[ask == STOP] + start, purse)
                for j, provider in enumerate(policy.providers):
                    going = here[ask == j]
                    if len(going):
                        self.asked[provider][going + start] = True
                        self.spent += self.prices[provider] * len(going)
                        purse -= self.prices[provider] * len(going)
                        after = state | {provider}
                        waiting[after] = np.concatenate([waiting.get(after, going[:0]), going])

    def _strangers(self, pictures: NDArray[np.intp], purse: Money) -> Money:
        """Whom the policy knows can't be paid or can't answer: then the cheapest of the others who can, unlooked at. What that cost."""
        before = self.spent
        for i in pictures:
            if able := self._stand_in(i, purse - (self.spent - before)):
                self.ask([i], able)
        return self.spent - before

    def _answer(self, policy: Policy, state: State, view: View, pictures: NDArray[np.intp], stopped: NDArray[np.intp]) -> None:
        """Write down how good the answers to those that stopped here are."""
        model = policy.states[state]
        for i in stopped:
            candidate = model.candidates[view.rewards[i].argmax()]
            if candidate == COMBINED and policy.boxes is not None:
                true = self.test.true_boxes[pictures[i]] if self.test.true_boxes else None
                if true is None:
                    self.reward[pictures[i]] = np.nan
                else:
                    fused = policy.boxes.combine({p: self.test.boxes[p][pictures[i]] or () for p in state})
                    self.reward[pictures[i]] = f1(shown(fused), true)
            elif candidate == COMBINED:
                assert model.votes is not None
                assert view.probabilities is not None
                chosen = choose_labels(policy.kind, policy.encoder.vocabulary, view.probabilities[i : i + 1], model.votes.silent)[0]
                answers = [self.test.answers[p][pictures[i]] for p in policy.providers if p in state]
                said = [label for k in np.flatnonzero(chosen) for label in policy.encoder.labels_at(int(k), answers)]
                said = said[:1] if policy.kind == "label" else said
                self.reward[pictures[i]] = reward_of(policy.kind, frozenset(said), self.test.truth[pictures[i]])
            else:
                self.reward[pictures[i]] = self.test.rewards[candidate][pictures[i]]


def _majority(test: Records, i: int, able: Sequence[str]) -> float:
    """Reward of what the most of these providers answer; the first's among equals, and where none lets its answer be seen."""
    said = {p: labels_of(a) for p in able if (a := test.answers[p][i]) is not None}
    most = max(said, key=lambda p: list(said.values()).count(said[p]), default=able[0])
    return test.rewards[most].item(i)


def _alike(pictures: NDArray[np.intp], can_answer: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """The pictures, parted by who can answer them: in comparison records not everybody was asked everywhere."""
    _, group = np.unique(can_answer[pictures], axis=0, return_inverse=True)
    return [pictures[group == g] for g in range(group.max() + 1)]


def _baselines(taught: Records, test: Records, usd: Mapping[str, float], usd_per_picture: float) -> dict[str, dict[str, float]]:
    rows = {p: (test.rewards[p], np.full(len(test), usd[p])) for p in test.providers}
    if len(taught):
        rows["one_threshold"] = one_threshold(taught, test, usd, usd_per_picture)
    rows["oracle"] = oracle(test, usd, usd_per_picture)
    return {name: _row(rewards, np.mean(spent).item()) for name, (rewards, spent) in rows.items()}


def _row(rewards: Floats, usd_per_picture: float) -> dict[str, float]:
    """Of the pictures whose answer's worth is known; who never answers is right about nothing."""
    known = np.isfinite(rewards)
    accuracy = np.mean(rewards[known]).item() if known.any() else 0.0
    return {"accuracy": accuracy, "known": known.mean().item(), "spend_usd_per_10k": usd_per_picture * PICTURES}
