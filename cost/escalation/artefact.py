"""A policy as JSON: written by `tune`, read by the running gateway. No code in it, a version before everything else, and a checksum."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any

import numpy as np

from cost.escalation.box_votes import BoxVotes, Count
from cost.escalation.evidence import Encoder, Floats
from cost.escalation.policy import Policy, StateModel
from cost.escalation.votes import VoteModel

VERSION = 7  # since then there is a checksum, and rare labels may share columns, which a release before would take for labels
READABLE = (3, 4, 5, 6, VERSION)  # in version 3 every label might be answered, also one that nobody named
BOXES_READABLE = (6, VERSION)  # before, nothing was known of boxes that a surer one covers


class BadArtefact(ValueError):
    """Not a policy of a version that can be read here."""


def to_json(policy: Policy) -> dict[str, Any]:
    """JSON types only."""
    artefact = {
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
        "boxes": None if policy.boxes is None else _boxes(policy.boxes),
        "states": [{"answered": sorted(state), **_state(model)} for state, model in policy.states.items()],
    }
    return {**artefact, "sha256": _sha256(artefact)}


def from_json(artefact: dict[str, Any]) -> Policy:
    """The policy that was written.

    Raises:
        BadArtefact: another version, or it is damaged: a number that is another one would be acted upon.
    """
    if artefact.get("version") not in READABLE:
        raise BadArtefact(f"version {artefact.get('version')!r}; this reads {READABLE}")
    if artefact.get("boxes") is not None and artefact["version"] not in BOXES_READABLE:
        raise BadArtefact(f"version {artefact['version']} of boxes; this reads {BOXES_READABLE}")
    if artefact["version"] == VERSION and artefact.get("sha256") != _sha256(artefact):
        raise BadArtefact("damaged: its checksum is another")
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
            None if boxes is None else _box_votes(boxes),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadArtefact(f"not a policy: {error!r}") from error


def _sha256(artefact: dict[str, Any]) -> str:
    """Of everything else, however it was written."""
    rest = {key: value for key, value in artefact.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


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
            "named_only": votes.named_only,
        },
    }


def _model(kind: Any, state: dict[str, Any]) -> StateModel:
    v = state["votes"]
    votes = None
    if v is not None:
        table, weights, named_only = _array(v["table"]), _array(v["votes"]), v.get("named_only", False)
        votes = VoteModel(kind, tuple(v["providers"]), v["shapes"], table, weights, v["silent"], named_only=named_only)
    return StateModel(votes, tuple(state["candidates"]), _array(state["worth"]), {p: _array(w) for p, w in state["onward"].items()})


def _boxes(votes: BoxVotes) -> dict[str, Any]:
    states = []
    for state, weights in votes.weights.items():
        states.append({"answered": sorted(state), "weights": _short(weights), "count": asdict(votes.counts[state])})
    return {"usual": votes.usual, "states": states}


def _box_votes(boxes: dict[str, Any]) -> BoxVotes:
    states = {frozenset(s["answered"]): s for s in boxes["states"]}
    weights = {state: _array(s["weights"]) for state, s in states.items()}
    return BoxVotes(weights, {state: Count(**s["count"]) for state, s in states.items()}, boxes["usual"])


def _short(values: Floats) -> dict[str, Any]:
    """Seven decimals: a thousandth of what decides anything, at half the size. The shape stands apart, since a list of nothing has none."""
    return {"shape": list(values.shape), "values": np.round(values, 7).ravel().tolist()}


def _array(short: dict[str, Any]) -> Floats:
    return np.array(short["values"], dtype=np.float64).reshape(short["shape"])
