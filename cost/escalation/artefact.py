"""A policy as JSON: written by `tune`, read by the running gateway. No code in it, and a version before everything else."""

from __future__ import annotations

from typing import Any

import numpy as np

from cost.escalation.box_votes import BoxVotes
from cost.escalation.evidence import Encoder, Floats
from cost.escalation.policy import Policy, StateModel
from cost.escalation.votes import VoteModel

VERSION = 2


class BadArtefact(ValueError):
    """Not a policy of a version that can be read here."""


def to_json(policy: Policy) -> dict[str, Any]:
    """JSON types only."""
    return {
        "version": VERSION,
        "kind": policy.kind,
        "target": policy.target,
        "providers": list(policy.providers),
        "records": policy.records,
        "vocabulary": list(policy.encoder.vocabulary),
        "knots": [{"provider": p, "label": label, "at": knots.tolist()} for (p, label), knots in policy.encoder.knots.items()],
        "multipliers": policy.multipliers.tolist(),
        "spend": policy.spend.tolist(),
        "reward": policy.reward.tolist(),
        "alone": dict(policy.alone),
        "boxes": None
        if policy.boxes is None
        else [{"answered": sorted(state), "weights": _short(weights)} for state, weights in policy.boxes.weights.items()],
        "states": [{"answered": sorted(state), **_state(model)} for state, model in policy.states.items()],
    }


def from_json(artefact: dict[str, Any]) -> Policy:
    """The policy that was written.

    Raises:
        BadArtefact: another version, or something is missing.
    """
    if artefact.get("version") != VERSION:
        raise BadArtefact(f"version {artefact.get('version')!r}; this reads {VERSION}")
    try:
        kind, labels = artefact["kind"], tuple(artefact["vocabulary"])
        knots = {(k["provider"], k["label"]): np.array(k["at"], dtype=np.float64) for k in artefact["knots"]}
        states = {frozenset(s["answered"]): _model(kind, s) for s in artefact["states"]}
        boxes = artefact["boxes"]
        multipliers, spend, reward = (np.array(artefact[name], dtype=np.float64) for name in ("multipliers", "spend", "reward"))
        return Policy(
            kind,
            artefact["target"],
            tuple(artefact["providers"]),
            Encoder(labels, knots),
            states,
            multipliers,
            spend,
            reward,
            artefact["records"],
            artefact["alone"],
            None if boxes is None else BoxVotes({frozenset(b["answered"]): _array(b["weights"]) for b in boxes}),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadArtefact(f"not a policy: {error!r}") from error


def _state(model: StateModel) -> dict[str, Any]:
    votes = model.votes
    return {
        "candidates": list(model.candidates),
        "worth": _short(model.worth),
        "onward": {p: _short(weights) for p, weights in model.onward.items()},
        "votes": None
        if votes is None
        else {
            "providers": list(votes.providers),
            "shapes": votes.shapes,
            "table": _short(votes.table),
            "votes": _short(votes.votes),
            "silent": votes.silent,
        },
    }


def _model(kind: Any, state: dict[str, Any]) -> StateModel:
    v = state["votes"]
    votes = None if v is None else VoteModel(kind, tuple(v["providers"]), v["shapes"], _array(v["table"]), _array(v["votes"]), v["silent"])
    return StateModel(votes, tuple(state["candidates"]), _array(state["worth"]), {p: _array(w) for p, w in state["onward"].items()})


def _short(values: Floats) -> dict[str, Any]:
    """Seven decimals: a thousandth of what decides anything, at half the size. The shape stands apart, since a list of nothing has none."""
    return {"shape": list(values.shape), "values": np.round(values, 7).ravel().tolist()}


def _array(short: dict[str, Any]) -> Floats:
    return np.array(short["values"], dtype=np.float64).reshape(short["shape"])
