"""Ray Serve: a replica a core, `@serve.batch` of 8. https://docs.ray.io/en/latest/serve/advanced-guides/dyn-req-batch.html."""

import os
import sys
import time

import ray
from ray import serve
from starlette.requests import Request

from local_model.predictor import Predictor


@serve.deployment(num_replicas=len(os.sched_getaffinity(0)), max_ongoing_requests=64, ray_actor_options={"num_cpus": 1})
class Model:
    def __init__(self):
        self.predictor = Predictor.load(device="cpu")
        self.predictor.warm()

    @serve.batch(max_batch_size=8, batch_wait_timeout_s=0.005)
    async def predict(self, contents):
        return self.predictor.predict(contents)

    async def __call__(self, request: Request):
        seen = await self.predict(await request.body())
        return {"boxes": seen.boxes.tolist(), "scores": seen.confidences.tolist(), "classes": seen.labels}


if __name__ == "__main__":
    ray.init(num_cpus=4, include_dashboard=False, object_store_memory=100 << 20, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Model.bind(), route_prefix="/predict")
    while True:
        time.sleep(60)
