"""COCO's average precision of every arm, where there is a truth: by hotcoco, which gives pycocotools' numbers."""

from collections.abc import Iterable
from typing import Any

from gateway.experiments.report import Report
from gateway.experiments.scoring import CROWD
from gateway.experiments.terms import Observation
from providers.contract import BoundingBox, Detection


def average_precision(report: Report) -> dict[str, dict[str, float]]:
    """`{arm: {"ap", "ap50"}}`, each in [0, 1], over the pictures that an arm answered and of which the truth is known.

    Everything that an arm found counts, however unsure: precision is averaged over all thresholds. Labels that the truth has no name for
    are left out, as COCO does.
    """
    from local_model.evaluate import average_precision as coco_average_precision  # noqa: PLC0415 -- hotcoco, which only this needs

    measured = {}
    for name in report.arms:
        seen = [one for one in report.judged.observations if one.truth is not None and name in one.answers and not one.answers[name].error]
        categories = {label: n for n, label in enumerate(sorted({thing.label for one in seen for thing in one.truth or ()}), 1)}
        if not categories:
            continue
        found = [row for n, one in enumerate(seen, 1) for row in _results(n, one, one.answers[name].detections, categories)]
        ap, ap50 = coco_average_precision(_truth(seen, categories), found)
        measured[name] = {"ap": ap, "ap50": ap50}
    return measured


def _truth(seen: list[Observation], categories: dict[str, int]) -> dict[str, Any]:
    things = [(n, one, thing) for n, one in enumerate(seen, 1) for thing in one.truth or () if thing.box is not None]
    return {
        "images": [{"id": n, "file_name": one.digest, "width": one.width, "height": one.height} for n, one in enumerate(seen, 1)],
        "annotations": [
            {
                "id": id_,
                "image_id": n,
                "category_id": categories[thing.label],
                "bbox": (box := _pixels(thing.box, one)),
                "area": box[2] * box[3],
                "iscrowd": int(thing.provider_label == CROWD),
            }
            for id_, (n, one, thing) in enumerate(things, 1)
            if thing.box is not None
        ],
        "categories": [{"id": id_, "name": name} for name, id_ in categories.items()],
    }


def _results(n: int, one: Observation, detections: Iterable[Detection], categories: dict[str, int]) -> Iterable[dict[str, Any]]:
    for found in detections:
        if found.feature == "objects" and found.box is not None and found.label in categories:
            yield {"image_id": n, "category_id": categories[found.label], "bbox": _pixels(found.box, one), "score": found.confidence}


def _pixels(box: BoundingBox, one: Observation) -> list[float]:
    """x, y, width, height."""
    return [
        box.x_min * one.width,
        box.y_min * one.height,
        (box.x_max - box.x_min) * one.width,
        (box.y_max - box.y_min) * one.height,
    ]
