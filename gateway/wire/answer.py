"""Writing an outcome as JSON: these schemas make the answer and the OpenAPI description."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from cost.router import Decision
from gateway.outcome import CacheUse, Outcome
from gateway.wire.options import NEAR_MAX, Strategy
from providers.contract import Detection, Feature

Usd = Annotated[str, Field(description="US dollars, exact.", pattern=r"^-?[0-9]+(\.[0-9]{1,9})?$", examples=["0.001"])]
Fraction = Annotated[float, Field(ge=0, le=1)]


class _Schema(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ImageOut(_Schema):
    """The picture as it was understood."""

    digest: Annotated[str, Field(description="SHA-256 of the bytes.", pattern="^[0-9a-f]{64}$")]
    width: Annotated[int, Field(ge=1, description="Pixels, of the upright picture.")]
    height: Annotated[int, Field(ge=1, description="Pixels, of the upright picture.")]
    format: Annotated[str, Field(description="What its bytes are, whatever was declared: jpeg, png, webp, …")]


class BoxOut(_Schema):
    """Corners as fractions of the upright picture, origin top left."""

    x_min: Fraction
    y_min: Fraction
    x_max: Fraction
    y_max: Fraction


class DetectionOut(_Schema):
    """One thing found."""

    feature: Annotated[Feature, Field(description="Which of the features asked for found it.")]
    label: Annotated[str, Field(description="The canonical name, COCO's where one exists.")]
    confidence: Annotated[float, Field(ge=0, le=1, description="The provider's own; not comparable across providers.")]
    box: Annotated[BoxOut | None, Field(description="Where it is; faces, objects and text have one, labels and moderation have none.")] = (
        None
    )
    provider: Annotated[str, Field(description="Who found it.")]
    provider_label: Annotated[str, Field(description="The provider's own name or names.")]
    text: Annotated[str | None, Field(description="What is written there, for the feature text.")] = None
    attributes: Annotated[
        dict[str, Any] | None, Field(description="What else the provider said, for the feature faces; its own names.")
    ] = None


class AttemptOut(_Schema):
    """One provider call."""

    provider: Annotated[str, Field(description="Who was asked.")]
    features: Annotated[list[Feature], Field(description="What it was asked for.")]
    outcome: Annotated[str, Field(description="answered, escalated, or how it failed.")]
    cost_usd: Annotated[Usd, Field(description="What this call cost, in US dollars.")]
    latency_ms: Annotated[float, Field(description="How long this call took, in milliseconds.")]


class ConsideredOut(_Schema):
    """One provider, and why it was or was not asked."""

    provider: Annotated[str, Field(description="A provider that the request allowed.")]
    price_usd: Annotated[Usd | None, Field(description="What its call would cost now; absent where it has no price.")] = None
    latency_ms_p95: Annotated[
        float | None, Field(description="Within this time 95 % of its latest answers came, in milliseconds; absent where nothing is known.")
    ] = None
    decision: Annotated[
        Decision,
        Field(
            description="first: asked first. also: beside it, for another feature. fallback: if that fails. escalation: if its "
            "answer is not good enough. skipped: not asked."
        ),
    ]
    reason: Annotated[str, Field(description="Why: a code, and sometimes more after a colon.")]


class RoutingOut(_Schema):
    """How the route was chosen."""

    strategy: Annotated[Strategy, Field(description="As asked for.")]
    considered: Annotated[
        list[ConsideredOut], Field(description="Every provider that the request allowed; empty where a kept answer served.")
    ]
    policy: Annotated[str | None, Field(description="Who decides: `rules`, or a learned policy's version by feature.")] = None
    expected_quality: Annotated[float | None, Field(ge=0, le=1, description="Of the answer, escalations included.")] = None
    quality_means: Annotated[str | None, Field(description="truth, or agreement with other providers.")] = None


class NearOut(_Schema):
    """The picture that the answer was kept for, where the request allowed another one that looks the same."""

    distance: Annotated[int, Field(ge=0, le=NEAR_MAX, description="Of the 64 bits of the two perceptual hashes, how many differ.")]
    digest: Annotated[str, Field(description="SHA-256 of its bytes.", pattern="^[0-9a-f]{64}$")]


class DetectionsOut(_Schema):
    """The answer to one picture."""

    id: Annotated[str, Field(description="Of this answer: GET /v1/detections/{id} shows it again.")]
    request_id: Annotated[str, Field(description="Of this request, in the logs too; the X-Request-ID that was sent, or one made here.")]
    image: ImageOut
    detections: Annotated[
        list[DetectionOut],
        Field(description="What was found and is at least as sure as min_confidence: at most max_results, the surest first."),
    ]
    provider: Annotated[
        str | None,
        Field(description="Whose answer it is; joined by commas where features were split or answers combined; absent for a dry run."),
    ] = None
    model: Annotated[str | None, Field(description="That provider's model and version.")] = None
    cost_usd: Annotated[Usd, Field(description="Over all attempts, in US dollars; 0 where a kept answer served.")]
    cache: Annotated[
        CacheUse,
        Field(
            description="miss: somebody was asked. hit: the answer was known. joined: it was on its way for an identical request. "
            "off: the request or the operator said so."
        ),
    ]
    near: Annotated[NearOut | None, Field(description="Set where near allowed the kept answer of another picture, and it served.")] = None
    degraded: Annotated[
        bool, Field(description="Money or time was out, and the in-house model answered instead of whom routing would have chosen.")
    ]
    simulated: Annotated[bool, Field(description="The clouds behind this gateway are stand-ins: nothing was billed.")]
    dry_run: Annotated[bool, Field(description="Nobody was asked: price and route only.")]
    latency_ms: Annotated[float, Field(description="From the whole request to this answer, in milliseconds.")]
    attempts: Annotated[list[AttemptOut], Field(description="Every call that was made, in order; empty where a kept answer served.")]
    routing: RoutingOut


def write_outcome(outcome: Outcome, request_id: str) -> DetectionsOut:
    """The answer that a client reads."""
    options = outcome.options
    image = outcome.image
    return DetectionsOut(
        id=outcome.id,
        request_id=request_id,
        image=ImageOut(digest=image.digest, width=image.width, height=image.height, format=image.format),
        detections=[detection_out(found) for found in outcome.kept],
        provider=outcome.provider,
        model=outcome.model,
        cost_usd=str(outcome.cost),
        cache=outcome.cache,
        near=None if outcome.near is None else NearOut(distance=outcome.near.distance, digest=outcome.near.digest),
        degraded=outcome.degraded,
        simulated=outcome.simulated,
        dry_run=options.dry_run,
        latency_ms=round(outcome.latency_ms, 1),
        attempts=[
            AttemptOut(
                provider=attempt.provider,
                features=list(attempt.features),
                outcome=attempt.outcome,
                cost_usd=str(attempt.cost),
                latency_ms=round(attempt.latency_ms, 1),
            )
            for attempt in outcome.attempts
        ],
        routing=_routing_out(outcome),
    )


def _routing_out(outcome: Outcome) -> RoutingOut:
    expected = outcome.expected
    return RoutingOut(
        strategy=outcome.options.strategy,
        policy=expected.policy if expected else None,
        expected_quality=round(expected.quality, 3) if expected and expected.quality is not None else None,
        quality_means=expected.target if expected else None,
        considered=[
            ConsideredOut(
                provider=one.provider,
                price_usd=None if one.price is None else str(one.price),
                latency_ms_p95=one.latency_ms_p95,
                decision=one.decision,
                reason=one.reason,
            )
            for one in outcome.considered
        ],
    )


def detection_out(found: Detection) -> DetectionOut:
    """One thing found, as a client reads it."""
    box = found.box
    return DetectionOut(
        feature=found.feature,
        label=found.label,
        confidence=round(found.confidence, 4),
        box=None if box is None else BoxOut(**{side: round(getattr(box, side), 6) for side in BoxOut.model_fields}),
        provider=found.provider,
        provider_label=found.provider_label,
        text=found.text,
        attributes=None if found.attributes is None else dict(found.attributes),
    )
