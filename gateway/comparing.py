"""What several providers answered to one request, as comparison records."""

from collections.abc import Iterator

from cost.comparisons import Comparison, Found, Origin, Reply
from cost.money import FREE, Money
from gateway.escalate import Escalation
from gateway.metering import Bill
from providers.contract import Detection, Feature
from providers.images import Image


def comparisons_of(answered: Escalation, image: Image, bill: Bill, origin: Origin) -> Iterator[Comparison]:
    """One record for each feature that at least two have answered."""
    for feature, replies in replies_of(answered).items():
        if len(replies) > 1:
            yield Comparison(
                digest=image.digest,
                feature=feature,
                origin=origin,
                replies=replies,
                picture={"width": image.width, "height": image.height},
                request_id=bill.request_id,
            )


def replies_of(answered: Escalation) -> dict[Feature, dict[str, Reply]]:
    """By feature and provider, what was answered, with what its provider's calls cost in all."""
    costs: dict[str, Money] = {}
    latencies: dict[str, float] = {}
    models: dict[str, str] = {}
    for leg in answered.legs:
        for line, run in leg.runs:
            costs[line.name] = costs.get(line.name, FREE) + run.cost
            latencies[line.name] = max(latencies.get(line.name, 0.0), run.latency_ms)
            models[line.name] = run.answer.model if run.answer else ""
    return {
        feature: {p: Reply(tuple(map(found_of, found)), costs[p], latencies[p], models[p]) for p, found in given.items()}
        for feature, given in answered.answers().items()
    }


def found_of(detection: Detection) -> Found:
    """A detection as a record keeps it."""
    box = detection.box
    corners = None if box is None else (box.x_min, box.y_min, box.x_max, box.y_max)
    return Found(detection.label, detection.confidence, corners, detection.text)
