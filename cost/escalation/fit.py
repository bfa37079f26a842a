"""Learning a policy from records, without fooling itself.

Whatever is decided by what a model says of its own training records comes out too hopeful. So every record is judged by models that
have not seen it (cross-fitting), and values are carried back from there: from the state where everybody has answered to the one where
nobody has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from cost.escalation.belief import Belief
from cost.escalation.box_votes import FACTS, STAKE, BoxVotes, State, fused_rewards
from cost.escalation.evidence import Encoder, Evidence, Floats
from cost.escalation.policy import COMBINED, Policy, StateModel, choose_labels, common_features, expected_reward, features_of
from cost.escalation.votes import VoteModel, fit_votes, shapes_for
from cost.records import Kind, Records, labels_of, reward_of

FOLDS = 5
ROWS_MAX = 8_000  # more records than this teach little more, and a fit should take seconds
ROWS_MIN = 10  # a state seen on fewer records is never entered
PULLS = (2.0, 8.0, 32.0)  # pseudo-records that hold a confusion table back; chosen on records not fitted on
BELIEF_PULL = 1e5  # what providers confuse alike looks like the truth where nobody tells it: then only what somebody named is answered
RIDGE = 30.0  # on what one label says, of which there may be few records
RIDGE_COMMON = 20.0  # on what the answer as a whole says: while records are few, that is all that is learned
GRID = 20  # tabulated multipliers
DOUBT = 2.0  # standard errors by which it must be better not to begin with the cheapest provider
SURE = 4.0  # standard errors by which a provider's own boxes must be better than combined ones: with less, few records choose by chance


class TooFewRecords(ValueError):
    """Not enough is known of any provider to decide by it."""


@dataclass(frozen=True)
class Learning:
    """The records as arrays.

    Attributes:
        records: n pictures.
        encoder, evidence: their answers as numbers.
        truth: (n, labels) whether a label is true, or None where combined answers can't be scored.
        known: (n,) whether the truth is known.
        fold: (n,) the fold that a record is left out in.
        together: state -> (n,) reward of its boxes combined by votes that have not seen the record, NaN where unknown.
        facts: state -> (n, FACTS) what those votes say of the record.
        weight: (n,) how much each record counts, see `Records.stakes`.
        belief: whose votes combine the answers, where nobody tells the truth.
    """

    records: Records
    encoder: Encoder
    evidence: Evidence
    truth: Floats | None
    known: NDArray[np.bool_]
    fold: NDArray[np.intp]
    together: Mapping[State, Floats] = field(default_factory=dict)
    facts: Mapping[State, Floats] = field(default_factory=dict)
    weight: Floats = field(default_factory=lambda: np.ones(0))
    belief: Belief | None = None

    def usable(self, state: State) -> NDArray[np.bool_]:
        """(n,) where everybody in the state answered, and how good an answer would have been is known or believed."""
        usable = np.ones(len(self.fold), dtype=np.bool_) if self.truth is None or self.belief is not None else self.known.copy()
        for p in state:
            blind = self.truth is None or self.records.opaque(p)
            usable &= np.isfinite(self.records.rewards[p]) if blind else self.evidence[p].answered
        return usable

    def stake(self, state: State) -> Floats:
        """(n,) what is thought to be at stake in a picture, once this state's providers have answered."""
        return self.facts[state][:, STAKE] if state in self.facts else np.ones(len(self.fold))

    def mean(self, rewards: Floats) -> Floats:
        """Over the records, each as it counts, of (n, ...) rewards; those that are not known anywhere are left out."""
        known = np.flatnonzero(np.isfinite(rewards.reshape(len(rewards), -1).sum(axis=1)))
        mean: Floats = np.average(rewards[known], axis=0, weights=self.weight[known])
        return mean


@dataclass(frozen=True)
class Fitted:
    """One state's model, and what it says of the records when it has not seen them. All (n, ...) are NaN where not usable."""

    model: StateModel
    usable: NDArray[np.bool_]
    features: Floats
    leaf: Floats  # (n,) expected reward of answering here
    realised: Floats  # (n,) reward of doing so
    ridge: Floats  # (features,) how far each weight is held back


def fit(records: Records, prices_usd: Mapping[str, float], believed: Floats | Belief | None = None) -> Policy:
    """A policy for these records' providers at these prices.

    Args:
        records: pictures with a truth, verdicts or a reference; a few hundred say much, a few dozen little.
        prices_usd: provider -> dollars a call, for planning beyond the next call. Providers without one are left out.
        believed: what is thought true of records without a truth: one label by `belief.believe_one`, tags by `consensus.believe`;
            of these very records `without_truth`, whose vocabulary it is in.
    """
    providers = tuple(p for p in records.providers if p in prices_usd)
    learning = prepare(records.take(range(min(len(records), ROWS_MAX))), believed)
    pull = choose_pull(learning, providers) if believed is None else BELIEF_PULL
    known_states = states_of(learning, providers)
    boxes: BoxVotes | None = None
    if records.boxes:
        drawn = {p: learning.records.boxes[p] for p in providers}
        boxes, together, facts = fused_rewards(drawn, learning.records.true_boxes, known_states)
        learning = replace(learning, together=together, facts=facts)
    states = {s: fit_state(learning, providers, s, pull) for s in known_states}
    multipliers = multipliers_for([prices_usd[p] for p in providers])
    value: dict[State, Floats] = {}
    spend: dict[State, Floats] = {}
    reward: dict[State, Floats] = {}
    models = {}
    for state in sorted(states, key=len, reverse=True):
        here = states[state]
        best = np.where(len(state) > 0, here.leaf, -np.inf)[:, None] + np.zeros(len(multipliers))
        value[state], reward[state], spend[state] = best, here.realised[:, None] + np.zeros(len(multipliers)), np.zeros_like(best)
        onward, ridges = {}, Ridges(learning, here.features, here.usable, here.ridge)
        per_stake = multipliers / learning.stake(state)[:, None]
        for p in providers:
            after = state | {p}
            if p in state or after not in states:
                continue
            onward[p], gain = ridges.solve(value[after] - here.leaf[:, None], states[after].usable)
            doubt = np.zeros(len(multipliers)) if state else doubt_of_beginning(p, value, prices_usd)
            onward[p][0] -= doubt
            net = here.leaf[:, None] + gain - doubt - per_stake * prices_usd[p]
            better = (net > value[state]) & states[state].usable[:, None]
            value[state] = np.where(better, net, value[state])
            # Who wasn't asked about a picture would have been worth, and have led to, what is expected.
            asked = states[after].usable[:, None]
            reward[state] = np.where(better, np.where(asked, reward[after], here.leaf[:, None] + gain), reward[state])
            spend[state] = np.where(better, prices_usd[p] + np.where(asked, spend[after], np.nanmean(spend[after], axis=0)), spend[state])
        models[state] = StateModel(here.model.votes, here.model.candidates, here.model.worth, onward)
    rows: NDArray[np.bool_] = np.isfinite((spend[frozenset()] + reward[frozenset()]).sum(axis=1))
    if not rows.any():
        raise TooFewRecords(f"{len(records)} records, and none of the providers {', '.join(providers)} has {ROWS_MIN} of known worth")
    falling = np.minimum.accumulate(spend[frozenset()][rows].mean(axis=0))
    return Policy(
        records.kind,
        records.target,
        providers,
        learning.encoder,
        models,
        multipliers,
        falling,
        learning.mean(np.where(rows[:, None], reward[frozenset()], np.nan)),
        len(records),
        {p: learning.mean(states[frozenset([p])].realised).item() for p in providers if frozenset([p]) in states},
        boxes,
    )


def doubt_of_beginning(provider: str, value: Mapping[State, Floats], prices_usd: Mapping[str, float]) -> Floats:
    """(multipliers,) what chance may have added to the gain of asking this provider first and not the cheapest one.

    From few records it often looks as if a dear answer were worth more when no free one came before it, which can't be.
    """
    beginnings = [p for p in prices_usd if frozenset([p]) in value]
    cheapest = min(beginnings, key=lambda p: prices_usd[p])
    ahead = value[frozenset([provider])] - value[frozenset([cheapest])]
    compared = ahead[np.isfinite(ahead[:, 0])]
    doubt: Floats = DOUBT * compared.std(axis=0) / len(compared) ** 0.5 if len(compared) else np.zeros(ahead.shape[1])
    return doubt


def prepare(records: Records, believed: Floats | Belief | None = None) -> Learning:
    """The records as arrays."""
    encoder = Encoder.fit(records)
    known = np.array([t is not None for t in records.truth], dtype=np.bool_)
    truth, belief = None, None
    if isinstance(believed, Belief):
        truth, known, belief = believed.chances[: len(records)], believed.compared[: len(records)], believed
    elif believed is not None:
        truth, known = believed[: len(records)], np.ones(len(records), dtype=np.bool_)
    elif known.any() and not records.boxes and combinable(records):
        place = {label: k for k, label in enumerate(encoder.vocabulary)}
        truth = np.zeros((len(records), len(place)))
        for i, labels in enumerate(records.truth):
            for label in labels or ():
                if label in place:
                    truth[i, place[label]] = 1.0
    fold = np.arange(len(records)) % FOLDS
    evidence = encoder.encode(records.answers)
    return Learning(records, encoder, evidence, truth, known, fold, weight=records.stakes(), belief=belief)


def combinable(records: Records) -> bool:
    """Whether the known rewards are those that the labels alone would earn: only then is a combined answer's reward known too."""
    for p in records.providers:
        pairs = zip(records.answers[p], records.truth, records.rewards[p], strict=True)
        known = [(a, t, r) for a, t, r in pairs if a is not None and t is not None and np.isfinite(r)]
        if sum(abs(reward_of(records.kind, labels_of(a), t) - r) > 1e-3 for a, t, r in known) > 0.02 * len(known):
            return False
    return True


def states_of(learning: Learning, providers: Sequence[str]) -> list[State]:
    """The states that were seen often enough to know something of. With many providers, no more than three are asked about one picture."""
    most = len(providers) if len(providers) <= 5 else 3
    sets = (frozenset(s) for size in range(most + 1) for s in combinations(providers, size))
    return [s for s in sets if not s or learning.usable(s).sum() >= ROWS_MIN]


def multipliers_for(prices_usd: Sequence[float]) -> Floats:
    """0, then from where every price is worth a thousandth of a good answer to where the second cheapest is worth a whole one."""
    paid = sorted(p for p in prices_usd if p > 0.0) or [1.0]
    dear = 1.0 / (paid[1] if len(paid) > 1 else paid[0])
    return np.concatenate([[0.0], np.geomspace(0.001 / paid[-1], 2.0 * dear, GRID)])


def choose_pull(learning: Learning, providers: Sequence[str]) -> float:
    """How far confusion tables are held back: what predicts best on records left out, where most is known."""
    seeing = [p for p in providers if not learning.records.opaque(p)]
    rows = np.flatnonzero(learning.usable(frozenset(seeing)))
    if learning.truth is None or not seeing or len(rows) < ROWS_MIN:
        return PULLS[-1]
    out = learning.fold[rows] == 0
    kept, held = rows[~out], rows[out]
    shapes = shapes_for(learning.truth.shape[1], len(seeing))
    evidence = {p: learning.evidence[p].take(kept) for p in seeing}
    unseen = {p: learning.evidence[p].take(held) for p in seeing}
    losses, model = {}, None
    for pull in PULLS:
        model = fit_votes(learning.records.kind, seeing, evidence, learning.truth[kept], pull, shapes=shapes, start=model)
        losses[pull] = _log_loss(learning.records.kind, learning.truth[held], model.probabilities(unseen, len(held)))
    return min(losses, key=lambda pull: losses[pull])


def _log_loss(kind: Kind, truth: Floats, probabilities: Floats) -> float:
    p = np.clip(probabilities, 1e-6, 1 - 1e-6)
    of_true = truth * np.log(p)
    loss = of_true if kind == "label" else np.where(probabilities > 0, of_true + (1 - truth) * np.log(1 - p), 0.0)
    return -1.0 * np.sum(loss).item()


def _cross_fit(learning: Learning, seeing: Sequence[str], rows: NDArray[np.intp], pull: float) -> tuple[VoteModel, Floats]:
    """The vote fitted on all rows, and (rows, labels) what fits that left a record out say of it."""
    assert learning.truth is not None
    kind = learning.records.kind
    truth = learning.truth[rows]
    evidence = {p: learning.evidence[p].take(rows) for p in seeing}
    if learning.belief is not None:  # it was not fitted to be right about these, so there is nothing to leave out
        votes = learning.belief.votes(seeing)
        return votes, votes.probabilities(evidence, len(rows))
    shapes = shapes_for(truth.shape[1], len(seeing))
    whole = fit_votes(kind, seeing, evidence, truth, pull, shapes=shapes)
    left_out = np.zeros(truth.shape)
    for k in range(FOLDS):
        out = learning.fold[rows] == k
        kept, held = np.flatnonzero(~out), np.flatnonzero(out)
        model = fit_votes(kind, seeing, {p: e.take(kept) for p, e in evidence.items()}, truth[kept], pull, shapes=shapes, start=whole)
        left_out[held] = model.probabilities({p: e.take(held) for p, e in evidence.items()}, len(held))
    return whole, left_out


def fit_state(learning: Learning, providers: Sequence[str], state: State, pull: float) -> Fitted:
    """One state's answers: the vote that combines them, and what each candidate answer is expected to be worth."""
    records = learning.records
    usable = learning.usable(state)
    rows = np.flatnonzero(usable)
    here = [p for p in providers if p in state]
    seeing = [p for p in here if not records.opaque(p)]
    votes, probabilities, silent = None, None, 0.0
    if learning.truth is not None and seeing:
        votes, probabilities = _cross_fit(learning, seeing, rows, pull)
        silent = votes.silent
    labels = len(learning.encoder.vocabulary)
    evidence = {p: learning.evidence[p].take(rows) for p in here}
    facts = learning.facts[state][rows] if state in learning.facts else None
    features = features_of(records.kind, here, evidence, len(rows), probabilities, silent, labels, facts)
    common = common_features(len(here), labels, combined=probabilities is not None, facts=0 if facts is None else FACTS)
    ridge = np.where(common, RIDGE_COMMON, RIDGE)
    ridge[0] = 1.0
    rewards, base = {}, {}
    if probabilities is not None:
        assert learning.truth is not None
        rewards[COMBINED] = _combined_reward(learning, probabilities, silent, rows)
        base[COMBINED] = expected_reward(records.kind, probabilities, silent)
    in_own_words = [p for p in here if votes is None or p not in seeing]
    if state in learning.together and np.isfinite(learning.together[state][rows]).any():
        fused = learning.together[state][rows]
        # Combined boxes contain each provider's own: to choose between them picture by picture, from few records, loses more than it gains.
        in_own_words = [p for p in in_own_words if better_alone(records.rewards[p][rows] - fused, learning.weight[rows])]
        if not in_own_words:
            rewards[COMBINED] = np.where(np.isnan(fused), np.nanmean(fused), fused)
            base[COMBINED] = np.zeros(len(rows))
    for p in in_own_words:
        rewards[p] = records.rewards[p][rows]
        base[p] = np.zeros(len(rows))
    candidates = tuple(rewards)
    n = len(usable)
    leaf, realised, all_features = np.full(n, np.nan), np.full(n, np.nan), np.full((n, features.shape[1]), np.nan)
    all_features[rows] = features
    worth = np.zeros((features.shape[1], len(candidates)))
    if candidates:
        real = np.column_stack([rewards[c] for c in candidates])
        bases = np.column_stack([base[c] for c in candidates])
        beyond = np.full((n, len(candidates)), np.nan)
        beyond[rows] = real - bases
        telling = learning.known if learning.belief is not None else np.ones(n, dtype=np.bool_)
        worth, beyond = Ridges(learning, all_features, usable, ridge).solve(beyond, usable & telling)
        expected = np.clip(bases + beyond[rows], 0.0, 1.0)
        best = expected.argmax(axis=1)
        leaf[rows] = expected[np.arange(len(rows)), best]
        realised[rows] = np.where(telling[rows], real[np.arange(len(rows)), best], leaf[rows])
    else:
        leaf[rows] = 0.0
    return Fitted(StateModel(votes, candidates, worth, {}), usable, all_features, leaf, realised, ridge)


def better_alone(ahead: Floats, weight: Floats) -> bool:
    """Whether one provider's own answers are better than combined ones by more than chance explains.

    Args:
        ahead: (n,) by how much they are, where the combination has not seen the picture; NaN where unknown.
        weight: (n,) how much each picture counts.
    """
    compared = (ahead * weight)[np.isfinite(ahead)]
    return len(compared) >= ROWS_MIN and bool(compared.mean() > SURE * compared.std() / len(compared) ** 0.5)


def _combined_reward(learning: Learning, probabilities: Floats, silent: float, rows: NDArray[np.intp]) -> Floats:
    assert learning.truth is not None
    truth = learning.truth[rows]
    chosen = choose_labels(learning.records.kind, learning.encoder.vocabulary, probabilities, silent)
    hit: Floats = np.sum(truth * chosen, axis=1)
    if learning.records.kind == "label":
        return hit
    union = np.sum(np.maximum(truth, chosen), axis=1)
    return np.where(union > 0, hit / np.maximum(union, 1e-9), 1.0)


class Ridges:
    """Ridge regressions on one state's features, each record as it counts. Those observed on the same records share the costly part."""

    def __init__(self, learning: Learning, x: Floats, usable: NDArray[np.bool_], ridge: Floats) -> None:
        """Regress on x (n, d), of which only usable rows are numbers, each weight pulled to zero by its ridge (d,)."""
        self._ridge = np.diag(ridge)
        self._n, self._rows = len(usable), np.flatnonzero(usable)
        self._x, self._fold, self._weight = x[self._rows], learning.fold[self._rows], learning.weight[self._rows, None]
        self._parts: dict[bytes, list[tuple[NDArray[np.intp], Floats]]] = {}

    def solve(self, y: Floats, observed: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        """(d, g) weights that predict y (n, g), and (n, g) what weights that left a record out predict for it; NaN where not usable."""
        y, observed = y[self._rows], observed[self._rows]
        key = observed.tobytes()
        if key not in self._parts:
            self._parts[key] = [self._gram(np.flatnonzero(observed & (self._fold == k))) for k in range(FOLDS)]
        parts = self._parts[key]
        gram = sum(g for _, g in parts) + self._ridge
        moments = [self._x[rows].T @ (self._weight[rows] * y[rows]) for rows, _ in parts]
        moment = sum(moments)
        out = np.full((self._n, y.shape[1]), np.nan)
        for k, (_, part) in enumerate(parts):
            held = self._fold == k
            out[self._rows[held]] = self._x[held] @ linalg.solve(gram - part, moment - moments[k], assume_a="pos")
        return linalg.solve(gram, moment, assume_a="pos"), out

    def _gram(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], Floats]:
        return rows, self._x[rows].T @ (self._weight[rows] * self._x[rows])
