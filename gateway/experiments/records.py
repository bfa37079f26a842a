"""An experiment's pictures as comparison records, so that what was compared once also teaches `tune` and is replayed by `backtest`."""

from collections.abc import Iterator, Sequence

from cost.comparisons import Comparison, Found, Origin, Reply
from gateway.experiments.terms import TRUTH, ArmAnswer, Observation, Terms
from providers.contract import Detection, Feature


def records_of(terms: Terms, observation: Observation, id_: str, origin: Origin) -> Iterator[Comparison]:
    """One record a feature, of the arms that are one provider each; none where fewer than two of them answered.

    Args:
        terms: of the experiment.
        observation: the picture.
        id_: what the store calls it: the records' `request_id`.
        origin: who asked.
    """
    answers = {arm.providers[0]: observation.answers[arm.name] for arm in terms.arms[::-1] if _is_one(arm.providers, arm.name, observation)}
    if len(answers) < 2:
        return
    reference = terms.reference if terms.reference in answers and terms.reference != TRUTH else None
    for feature in terms.features:
        yield Comparison(
            digest=observation.digest,
            feature=feature,
            origin=origin,
            replies={provider: _reply(answer, feature) for provider, answer in answers.items()},
            truth=None if observation.truth is None else tuple(found_of(observation.truth, feature)),
            reference=reference,
            picture={"width": float(observation.width), "height": float(observation.height)},
            source=terms.name,
            request_id=id_,
        )


def _is_one(providers: Sequence[str], arm: str, observation: Observation) -> bool:
    return len(providers) == 1 and arm in observation.answers


def _reply(answer: ArmAnswer, feature: Feature) -> Reply:
    return Reply(
        found=None if answer.error else tuple(found_of(answer.detections, feature)),
        price=answer.cost,
        latency_ms=answer.latency_ms or 0.0,
        model=answer.model,
        error=answer.error or None,
    )


def found_of(detections: Sequence[Detection], feature: str) -> Iterator[Found]:
    """The detections of a feature, in the words of a comparison record."""
    for one in detections:
        if one.feature == feature:
            box = None if one.box is None else (one.box.x_min, one.box.y_min, one.box.x_max, one.box.y_max)
            yield Found(one.label, one.confidence, box, one.text)
