"""A comparison record in our own words, and as one JSON object: the form of the table's column and of a line in a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, get_args

import numpy as np

from cost.escalation.boxes import Corners
from cost.ledger.times import new_id, utc_now
from cost.money import FREE, Money
from cost.told import told

Origin = Literal["escalation", "exploration", "experiment", "compare", "canary", "feedback"]
"""Why there is a record: another answer was worth its price; a sample; an experiment; `compare`; the canary set; a client's verdict."""

Verdict = Literal["correct", "wrong"]


class BadComparison(ValueError):
    """Not a comparison record; says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Found:
    """One thing in an answer, or in the truth.

    Attributes:
        label: canonical name.
        confidence: the provider's own, in [0, 1]; None in a truth, or where it tells none. Not comparable across providers.
        box: x_min, y_min, x_max, y_max as fractions of the upright picture, or None.
        text: what was read, for the feature `text`.
    """

    label: str
    confidence: float | None = None
    box: Corners | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What one provider answered.

    Attributes:
        found: everything, unfiltered; None when it failed.
        price: of the calls that it took.
        latency_ms: until it had answered.
        model: what answered, with its version.
        verdict: a person's, on the whole answer.
        reward: how good it was, in [0, 1], where that was measured otherwise.
        error: how it failed, in the words of an attempt's outcome, or None.
    """

    found: tuple[Found, ...] | None
    price: Money = FREE
    latency_ms: float = 0.0
    model: str = ""
    verdict: Verdict | None = None
    reward: float | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One picture and what several providers answered to one question about it.

    Attributes:
        digest: SHA-256 (hex) of the picture's bytes; the picture itself is not kept here.
        feature: `objects`, `labels`, `faces`, `text` or `moderation`.
        origin: see `Origin`.
        replies: by provider.
        truth: what is really there; None when nobody has said. An empty truth says that nothing is.
        reference: the provider whose answer stands for the truth where there is none: agreement, never called accuracy.
        picture: facts of the picture, such as `width`, `height` (pixels), `brightness`.
        source: the experiment's, comparison's or canary set's name; "" for the router's own.
        request_id: the client request that it came of, or "".
        at: when, aware.
        id: sorts by time.
    """

    digest: str
    feature: str
    origin: Origin
    replies: Mapping[str, Reply]
    truth: tuple[Found, ...] | None = None
    reference: str | None = None
    picture: Mapping[str, float] = field(default_factory=dict)
    source: str = ""
    request_id: str = ""
    at: datetime = field(default_factory=utc_now)
    id: str = field(default_factory=new_id)

    def to_json(self) -> dict[str, Any]:
        """JSON types only; what is unknown is left out."""
        return {
            "id": self.id,
            "at": self.at.isoformat(),
            "digest": self.digest,
            "feature": self.feature,
            "origin": self.origin,
            "source": self.source,
            "request_id": self.request_id,
            "picture": dict(self.picture),
            "answers": {provider: _reply_json(reply) for provider, reply in self.replies.items()},
            "truth": None if self.truth is None else [_found_json(one) for one in self.truth],
            "reference": self.reference,
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Comparison:
        """A record that was written by `to_json`, perhaps by another gateway.

        Raises:
            BadComparison: something is missing or of the wrong kind.
        """
        try:
            origin = row["origin"]
            if origin not in get_args(Origin):
                raise BadComparison(f"origin {origin!r} is none of {', '.join(get_args(Origin))}")
            at = datetime.fromisoformat(row["at"])
            if at.tzinfo is None:
                raise BadComparison(f"at {row['at']!r} names no time zone")
            return cls(
                digest=_text(row["digest"], 64),
                feature=_text(row["feature"], 16),
                origin=origin,
                replies={_text(provider, 64): _reply(answer) for provider, answer in row["answers"].items()},
                truth=None if row.get("truth") is None else tuple(_found(one) for one in row["truth"]),
                reference=row.get("reference"),
                picture={str(name): _number(value) for name, value in row.get("picture", {}).items()},
                source=_text(row.get("source", ""), 64),
                request_id=_text(row.get("request_id", ""), 64),
                at=at,
                id=_text(row["id"], 32),
            )
        except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
            raise BadComparison(f"not a comparison record: {told(error)}") from error

    def to_line(self) -> str:
        """A line of a file."""
        return json.dumps(self.to_json(), separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_line(cls, line: str) -> Comparison:
        """A line of a file. Raises `BadComparison`."""
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise BadComparison(f"not JSON: {error}") from error
        return cls.from_json(row)


def _reply_json(reply: Reply) -> dict[str, Any]:
    known = {
        "found": None if reply.found is None else [_found_json(one) for one in reply.found],
        "price_usd": str(reply.price),
        "latency_ms": round(reply.latency_ms, 1),
        "model": reply.model,
        "verdict": reply.verdict,
        "reward": reply.reward,
        "error": reply.error,
    }
    return {name: value for name, value in known.items() if value is not None or name == "found"}


def _found_json(one: Found) -> dict[str, Any]:
    box = None if one.box is None else [round(side, 6) for side in one.box]
    known = {"label": one.label, "confidence": None if one.confidence is None else round(one.confidence, 6), "box": box, "text": one.text}
    return {name: value for name, value in known.items() if value is not None}


def _reply(answer: Mapping[str, Any]) -> Reply:
    verdict = answer.get("verdict")
    if verdict not in (None, *get_args(Verdict)):
        raise BadComparison(f"verdict {verdict!r} is neither correct nor wrong")
    return Reply(
        found=None if answer["found"] is None else tuple(_found(one) for one in answer["found"]),
        price=Money.usd(answer.get("price_usd", "0")),
        latency_ms=_number(answer.get("latency_ms", 0.0)),
        model=str(answer.get("model", "")),
        verdict=verdict,
        reward=None if answer.get("reward") is None else _number(answer["reward"]),
        error=answer.get("error"),
    )


def _found(one: Mapping[str, Any] | str) -> Found:
    if isinstance(one, str):
        return Found(one)
    confidence, box = one.get("confidence"), one.get("box")
    corners = None if box is None else (_number(box[0]), _number(box[1]), _number(box[2]), _number(box[3]))
    return Found(str(one["label"]), None if confidence is None else _number(confidence), corners, one.get("text"))


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise BadComparison(f"{value!r} is not a number")
    return np.double(value).item()


def _text(value: object, chars_max: int) -> str:
    if not isinstance(value, str) or len(value) > chars_max or "\0" in value:
        raise BadComparison(f"{value!r} is not a text of up to {chars_max} characters")
    return value
