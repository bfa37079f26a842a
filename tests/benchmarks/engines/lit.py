"""LitServe: two workers, batches of 8. https://lightning.ai/docs/litserve."""

import os
import sys

import litserve

from local_model.predictor import Predictor


class Api(litserve.LitAPI):
    def setup(self, device):
        self.predictor = Predictor.load(device="cpu")
        self.predictor.warm()

    def decode_request(self, request):
        return request["images"].file.read()

    def batch(self, inputs):
        return inputs

    def predict(self, contents):
        return self.predictor.predict(contents)

    def unbatch(self, output):
        return output

    def encode_response(self, output):
        return {"boxes": output.boxes.tolist(), "scores": output.confidences.tolist(), "classes": output.labels}


if __name__ == "__main__":
    api = Api(max_batch_size=8, batch_timeout=0.005)
    litserve.LitServer(api, accelerator="cpu", workers_per_device=len(os.sched_getaffinity(0))).run(
        host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="error"
    )
