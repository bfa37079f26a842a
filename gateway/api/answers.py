"""`GET /v1/detections/{id}`: an answer again, without the picture. `POST …/feedback`: what the client thought of it."""

import json
from typing import Annotated, Any, ClassVar, Literal

from flask import Response, g, request
from pydantic import BaseModel, ConfigDict, Field

from cost.comparisons import Comparison, Found, Reply
from cost.money import Money
from gateway import errors
from gateway.answers import StoredAnswer
from gateway.api.resource import Description, GatewayResource, describes, json_response, read_body
from gateway.errors import InvalidParameter, NotFound
from gateway.keys import Role
from gateway.parts import Parts
from gateway.wire.answer import DetectionsOut

_BOXES_MAX = 300


class TrueBox(BaseModel):
    """One object that is really there: its label, and its corners as fractions of the upright picture."""

    model_config = ConfigDict(extra="forbid")

    label: Annotated[str, Field(min_length=1, max_length=128)]
    x_min: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    y_min: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    x_max: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    y_max: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class FeedbackIn(BaseModel):
    """What a client thought of an answer."""

    model_config = ConfigDict(extra="forbid")

    verdict: Annotated[Literal["correct", "wrong"], Field(description="Of the whole answer.")]
    boxes: Annotated[
        list[TrueBox] | None, Field(max_length=_BOXES_MAX, description="Every object that is really there; [] says that there is none.")
    ] = None


class FeedbackOut(BaseModel):
    """What was noted."""

    id: Annotated[str, Field(description="Of the answer.")]
    verdict: Annotated[Literal["correct", "wrong"], Field(description="As it was sent.")]
    records: Annotated[int, Field(description="Comparison records that it is part of now.")]


class AnswerOut(DetectionsOut):
    """An answer as it was given, and what its client thought of it."""

    feedback: Annotated[FeedbackIn | None, Field(description="The latest that its client sent, if any.")] = None


class AnswerOfId(GatewayResource):
    """One answer."""

    roles: ClassVar[frozenset[Role]] = frozenset({"app"})

    @describes(Description("An answer again, without the picture, for as long as it is kept", AnswerOut, errors=(errors.NotFound,)))
    def get(self, id: str) -> Response:  # noqa: A002 -- the contract's word
        """Show it."""
        answer = _of_caller(self.parts, id)
        body = answer.body
        if answer.feedback is not None:
            body = body[: body.rindex(b"}")] + b',"feedback":' + answer.feedback.encode() + b"}"
        return Response(body, mimetype="application/json")


class Feedback(GatewayResource):
    """What a client thought of an answer."""

    roles: ClassVar[frozenset[Role]] = frozenset({"app"})

    @describes(
        Description(
            "Say whether an answer was right, and what is really there: routing learns from it",
            FeedbackOut,
            body=FeedbackIn,
            errors=(errors.NotFound, errors.InvalidParameter),
        )
    )
    def post(self, id: str) -> Response:  # noqa: A002
        """Note it; a second time replaces the first."""
        answer = _of_caller(self.parts, id)
        feedback = read_body(FeedbackIn, request)
        for box in feedback.boxes or ():
            if box.x_min > box.x_max or box.y_min > box.y_max:
                raise InvalidParameter("boxes", "boxes: x_min and y_min are the corner at the top left.")
        records = _note(self.parts, answer, feedback)
        self.parts.answers.note_feedback(answer.id, feedback.model_dump_json(exclude_none=True))
        return json_response(FeedbackOut(id=answer.id, verdict=feedback.verdict, records=records))


def _of_caller(parts: Parts, id_: str) -> StoredAnswer:
    answer = parts.answers.find(id_, g.key.name)
    if answer is None:
        raise NotFound("There is no answer of yours with this id, or it is not kept any more.")
    return answer


def _note(parts: Parts, answer: StoredAnswer, feedback: FeedbackIn) -> int:
    """Tell the comparison records of this answer. Where nobody else was asked there is none yet: then one is made of the answer itself."""
    body = json.loads(answer.body)
    answered = _providers(body)
    truth = None if feedback.boxes is None else tuple(_found_box(box) for box in feedback.boxes)
    parts.comparisons.flush()
    known = {record.feature: record for record in parts.comparisons.of_request(answer.id)}
    noted = 0
    for feature, provider in answered.items():
        record = known.get(feature)
        if record is None or provider not in record.replies:
            record = _record(answer, body, feature, provider)
            parts.comparisons.write([record])
        parts.comparisons.judge(record.id, provider, feedback.verdict)
        if feature == "objects" and truth is not None:
            parts.comparisons.tell_truth(record.id, truth)
        noted += 1
    return noted


def _providers(body: dict[str, Any]) -> dict[str, str]:
    """Who answered each feature: of the attempts, where there were any; else of a kept answer's own detections."""
    answered = {feature: one["provider"] for one in body["attempts"] if one["outcome"] == "answered" for feature in one["features"]}
    if not answered:
        answered = {one["feature"]: one["provider"] for one in body["detections"]}
    return answered


def _record(answer: StoredAnswer, body: dict[str, Any], feature: str, provider: str) -> Comparison:
    found = tuple(_found(one) for one in body["detections"] if one["feature"] == feature)
    image = body["image"]
    return Comparison(
        digest=answer.digest,
        feature=feature,
        origin="feedback",
        replies={provider: Reply(found, Money.usd(body["cost_usd"]), body["latency_ms"], body.get("model", ""))},
        picture={"width": float(image["width"]), "height": float(image["height"])},
        request_id=answer.id,
    )


def _found(one: dict[str, Any]) -> Found:
    box = one.get("box")
    corners = None if box is None else (box["x_min"], box["y_min"], box["x_max"], box["y_max"])
    return Found(one["label"], one["confidence"], corners, one.get("text"))


def _found_box(box: TrueBox) -> Found:
    return Found(box.label, None, (box.x_min, box.y_min, box.x_max, box.y_max))
