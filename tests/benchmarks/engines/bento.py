"""BentoML: a worker a core, adaptive batching of 8. https://docs.bentoml.com/en/latest/get-started/adaptive-batching.html."""

import os
from pathlib import Path

import bentoml

from local_model.predictor import Predictor


@bentoml.service(workers=len(os.sched_getaffinity(0)), traffic={"timeout": 60}, logging={"access": {"enabled": False}})
class Model:
    def __init__(self):
        self.predictor = Predictor.load(device="cpu")
        self.predictor.warm()

    @bentoml.api(batchable=True, max_batch_size=8, max_latency_ms=10_000)
    def predict(self, images: list[Path]) -> list[dict]:
        found = self.predictor.predict([path.read_bytes() for path in images])
        return [{"boxes": seen.boxes.tolist(), "scores": seen.confidences.tolist(), "classes": list(seen.labels)} for seen in found]
