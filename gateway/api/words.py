"""What a name means wherever it stands in an answer or in a body, if its own schema says nothing more of it: one word, one meaning."""

from collections.abc import Mapping
from typing import Any

WORDS: Mapping[str, str] = {
    "billed_units": "Units that were charged.",
    "budgets": "By name.",
    "client": "The name of the key that called.",
    "code": "Never changes meaning; each operation says when.",
    "created_at": "When it was made, in UTC.",
    "created_by": "The name of the key that made it.",
    "day": "A UTC day.",
    "detail": "What happened and what to do about it. The text may change.",
    "feature": "objects, labels, faces, text or moderation.",
    "id": "Names it in addresses.",
    "label": "A canonical name, COCO's where one exists.",
    "name": "Names it in addresses.",
    "provider": "rekognition, google_vision, local, or another of GET /v1/providers.",
    "region": "Of the provider; empty where it has none.",
    "request_id": "Of the request, in the logs too.",
    "sku": "What the provider bills by, such as DetectLabels.",
    "started_at": "When it began, in UTC; absent before.",
    "status": "Of HTTP.",
    "stopped_at": "When it ended, in UTC; absent before.",
    "tags": "By name.",
    "title": "The same for every error of this code.",
    "type": "The page that explains the code.",
    "x_min": "Left side, as a fraction of the picture's width.",
    "x_max": "Right side, as a fraction of the picture's width.",
    "y_min": "Upper side, as a fraction of the picture's height.",
    "y_max": "Lower side, as a fraction of the picture's height.",
}


def explain(schemas: Mapping[str, Any]) -> None:
    """Give a meaning to every property that has none; one that is a schema of its own is explained there."""
    for schema in schemas.values():
        for name, told in schema.get("properties", {}).items():
            if "$ref" not in told and name in WORDS:
                told.setdefault("description", WORDS[name])
