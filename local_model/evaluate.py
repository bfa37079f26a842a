"""How good the in-house model is: COCO's average precision over pictures with known boxes."""

import json
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Protocol, TypedDict

import numpy as np
import PIL.Image
import PIL.ImageOps
from hotcoco import COCO, COCOeval
from tqdm import tqdm

from local_model.batching import Batcher
from local_model.preprocess import Pixels

BATCH = 32
BOXES_MAX = 100
"""Of one picture, as COCO counts them (https://cocodataset.org/#detection-eval)."""


class BadDataset(ValueError):
    """The pictures or the annotations can't be used; the sentence says which and why."""


class Evaluation(TypedDict):
    """What `vision-gateway evaluate` prints.

    `ap` is averaged over IoU 0.50:0.95, `ap50` at IoU 0.50, both in [0, 1] over the classes that occur. `images_per_s` counts reading,
    decoding and predicting, one batch after another.
    """

    ap: float
    ap50: float
    images: int
    images_per_s: float
    model: str


class Predicts(Protocol):
    """The part of `predictor.Predictor` that is used here."""

    model: str

    def predict(self, pictures: list[Any]) -> list[Any]: ...  # noqa: D102


class _OnAllCores:
    """A predictor behind its batcher, as it is served: every core works."""

    def __init__(self, predictor: Any) -> None:
        self.model: str = predictor.model
        self._batcher = Batcher.of(predictor, queue_max=BATCH)
        self._callers = ThreadPoolExecutor(BATCH)

    def predict(self, pictures: list[Pixels]) -> list[Any]:
        return list(self._callers.map(self._batcher.predict, pictures))

    def close(self) -> None:
        """End its threads: one that is left when Python ends may abort the process."""
        self._callers.shutdown()
        self._batcher.close()


def evaluate(images_dir: Path, annotations: Path, *, predictor: Predicts | None = None, progress: bool = True) -> Evaluation:
    """Predict every picture that the annotations list, and compare.

    Args:
        images_dir: where the pictures lie, by the `file_name` of the annotations.
        annotations: COCO JSON with `images`, `annotations` and `categories`; categories are matched to labels by their names.
        predictor: the built-in one when None.
        progress: a bar on stderr.

    Raises:
        BadDataset: annotations missing or not COCO JSON; a listed picture missing or damaged.
    """
    truth = _read(annotations)
    known = _coco(truth, annotations)
    missing = [entry["file_name"] for entry in truth["images"] if not (images_dir / entry["file_name"]).is_file()]
    if missing:
        raise BadDataset(f"{len(missing)} of {len(truth['images'])} listed pictures are not in {images_dir}; the first is {missing[0]}.")
    with ExitStack() as open_:
        if predictor is None:
            predictor = open_.enter_context(closing(_built_in()))
        started = time.perf_counter()
        bar = open_.enter_context(
            tqdm(total=len(truth["images"]), desc=predictor.model, unit="image", file=sys.stderr, disable=not progress)
        )
        found = list(_detections(truth, images_dir, predictor, bar))
        seconds = time.perf_counter() - started
    ap, ap50 = _measured(known, found)
    images = len(truth["images"])
    return {"ap": ap, "ap50": ap50, "images": images, "images_per_s": images / seconds, "model": predictor.model}


def _built_in() -> _OnAllCores:
    from local_model.predictor import Predictor  # noqa: PLC0415 -- torch only when it is needed

    loaded = Predictor.load()
    loaded.warm()  # the first pass is no part of the speed
    return _OnAllCores(loaded)


def _read(annotations: Path) -> dict[str, Any]:
    try:
        truth = json.loads(annotations.read_bytes())
    except OSError as error:
        raise BadDataset(f"The annotations {annotations} can't be read: {error.strerror}.") from error
    except ValueError as error:
        raise BadDataset(f"The annotations {annotations} are not JSON: {error}.") from error
    wanted = {
        "images": {"id", "file_name"},
        "annotations": {"image_id", "category_id", "bbox"},
        "categories": {"id", "name"},
    }
    for part, keys in wanted.items():
        entries = truth.get(part) if isinstance(truth, dict) else None
        if not isinstance(entries, list) or not entries:
            raise BadDataset(f"The annotations {annotations} are not COCO JSON: there is no list of {part}.")
        if not all(isinstance(entry, dict) and keys <= entry.keys() and _named(entry) for entry in entries):
            raise BadDataset(f"The annotations {annotations} are not COCO JSON: each of {part} needs {', '.join(sorted(keys))}.")
    whole: dict[str, Any] = truth
    return whole


def _named(entry: dict[str, Any]) -> bool:
    return isinstance(entry.get("file_name", ""), str) and isinstance(entry.get("name", ""), str)


def _coco(truth: dict[str, Any], annotations: Path) -> COCO:
    try:
        return COCO(truth)
    except (KeyError, TypeError, ValueError) as error:
        raise BadDataset(f"The annotations {annotations} are not COCO JSON: {error}.") from error


def _detections(truth: dict[str, Any], images_dir: Path, predictor: Predicts, bar: "tqdm[Any]") -> Iterator[dict[str, Any]]:
    """COCO result entries. Boxes are in pixels: x, y, width, height."""
    category_of = {entry["name"]: entry["id"] for entry in truth["categories"]}
    for batch in _batches(truth["images"]):
        pictures = [_open(images_dir / entry["file_name"]) for entry in batch]
        for entry, picture, seen in zip(batch, pictures, predictor.predict(pictures), strict=True):
            height, width = picture.shape[:2]
            corners = (seen.boxes * np.array([width, height, width, height])).tolist()
            best = list(zip(corners, seen.confidences.tolist(), seen.labels, strict=True))[:BOXES_MAX]
            for (left, top, right, bottom), confidence, label in best:
                if label in category_of:
                    box = [left, top, right - left, bottom - top]
                    yield {"image_id": entry["id"], "category_id": category_of[label], "bbox": box, "score": confidence}
        bar.update(len(batch))


def _batches(entries: list[dict[str, Any]]) -> Iterable[list[dict[str, Any]]]:
    return (entries[start : start + BATCH] for start in range(0, len(entries), BATCH))


def _open(path: Path) -> Pixels:
    try:
        with PIL.Image.open(path) as picture:
            return np.asarray(PIL.ImageOps.exif_transpose(picture).convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise BadDataset(f"{path} is not a whole picture: {error}.") from error


def average_precision(truth: dict[str, Any], found: list[dict[str, Any]]) -> tuple[float, float]:
    """AP and AP50 of COCO result entries against COCO annotations, both in [0, 1]."""
    return _measured(COCO(truth), found)


def _measured(known: COCO, found: list[dict[str, Any]]) -> tuple[float, float]:
    """AP and AP50 by hotcoco, which gives pycocotools' numbers (https://github.com/derekallman/hotcoco)."""
    if not found:
        return 0.0, 0.0
    evaluation = COCOeval(known, known.load_res(found), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summary_lines()  # computes `stats`; `summarize` would print them
    return float(evaluation.stats[0]), float(evaluation.stats[1])
