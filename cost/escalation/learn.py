"""A policy by what is known of records, or, where nobody told anything, by what is believed: that is called agreement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from cost.escalation.belief import Belief, believe_one
from cost.escalation.consensus import believe, rightness
from cost.escalation.evidence import Encoder
from cost.escalation.fit import fit
from cost.escalation.policy import Policy
from cost.records import Records, rewards_of


def learn(records: Records, usd: Mapping[str, float]) -> Policy:
    """A policy by what is known of these records, or, where nobody told it, by what is believed."""
    if records.kind == "label" and untold(records) and any(not records.opaque(p) for p in records.providers):
        return fit(records.without_truth(), usd, _belief(records))
    return fit(with_beliefs(records), usd)


def with_beliefs(records: Records) -> Records:
    """Where nobody told the truth and nobody is the reference: what is believed stands for it, and it is called agreement.

    Where no provider named anything, nothing can be believed either.
    """
    if not untold(records):
        return records
    encoder = Encoder.fit(records.without_truth())
    if not encoder.vocabulary:
        return records
    if records.kind == "label":
        columns = [[k] for k in _belief(records).chances.argmax(axis=1).tolist()]
    else:
        columns = [np.flatnonzero(row > 0.5).tolist() for row in believe(records)]
    truth = [_labels(encoder, records, i, true) for i, true in enumerate(columns)]
    rewards = {p: rewards_of(records.kind, records.answers[p], truth) for p in records.providers}
    return replace(records, truth=truth, rewards=rewards, target="agreement")


def _labels(encoder: Encoder, records: Records, picture: int, columns: Sequence[int]) -> frozenset[str]:
    answers = [records.answers[p][picture] for p in records.providers]
    return frozenset(label for k in columns for label in encoder.labels_at(k, answers))


def untold(records: Records) -> bool:
    """Whether neither a truth, nor a verdict, nor a reference is known of any picture."""
    return all(t is None for t in records.truth) and not any(np.isfinite(r).any() for r in records.rewards.values())


def _belief(records: Records) -> Belief:
    """As online: whom the others bear out most is the anchor."""
    right = rightness(records)
    return believe_one(records, max(right, key=lambda p: right[p]))
