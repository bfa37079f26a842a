"""Seventy pictures out of seven photographs, by mirroring and cropping, with what is on them: enough to compare providers on."""

import json
from pathlib import Path

from PIL import Image, ImageOps

_CROPS = ((0.0, 0.0, 1.0, 1.0), (0.0, 0.0, 0.8, 0.85), (0.2, 0.0, 1.0, 0.85), (0.0, 0.15, 0.8, 1.0), (0.2, 0.15, 1.0, 1.0))
"""Left, top, right, bottom, as fractions."""

_SEEN_FROM = 0.6
"""The part of a thing that must be left for it to count as being on a crop."""


def make_photos(source: Path, folder: Path) -> Path:
    """Write them all; returns the file that says what is on them, in COCO's form."""
    folder.mkdir(parents=True, exist_ok=True)
    coco = json.loads((source / "instances.json").read_text())
    boxes: dict[int, list[tuple[int, list[float]]]] = {}
    for one in coco["annotations"]:
        if not one.get("iscrowd"):
            boxes.setdefault(one["image_id"], []).append((one["category_id"], one["bbox"]))
    images, annotations = [], []
    for photo in coco["images"]:
        path = source / photo["file_name"]
        if not path.exists():
            continue
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
        for crop in _CROPS:
            for mirrored in (False, True):
                id_ = len(images) + 1
                left, top, right, bottom = (
                    round(part * side) for part, side in zip(crop, (picture.width, picture.height) * 2, strict=True)
                )
                part = picture.crop((left, top, right, bottom))
                name = f"{path.stem}-{id_:02}.jpg"
                (ImageOps.mirror(part) if mirrored else part).save(folder / name, quality=90)
                images.append({"id": id_, "file_name": name, "width": part.width, "height": part.height})
                for category, box in boxes.get(photo["id"], []):
                    seen = _seen(box, left, top, part.width, part.height, mirrored=mirrored)
                    if seen:
                        facts = {"category_id": category, "bbox": seen, "area": seen[2] * seen[3], "iscrowd": 0}
                        annotations.append({"id": len(annotations) + 1, "image_id": id_, **facts})
    target = folder / "instances.json"
    target.write_text(json.dumps({"images": images, "annotations": annotations, "categories": coco["categories"]}))
    return target


def _seen(box: list[float], left: int, top: int, width: int, height: int, *, mirrored: bool) -> list[float] | None:
    """A box on the crop, as x, y, width and height in pixels; None where too little of the thing is left."""
    x_min, y_min = max(box[0] - left, 0), max(box[1] - top, 0)
    x_max, y_max = min(box[0] + box[2] - left, width), min(box[1] + box[3] - top, height)
    if x_max <= x_min or y_max <= y_min or (x_max - x_min) * (y_max - y_min) < _SEEN_FROM * box[2] * box[3]:
        return None
    return [width - x_max if mirrored else x_min, y_min, x_max - x_min, y_max - y_min]
