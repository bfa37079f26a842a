"""CPU of one adapter call beside the bare SDK call, both in one run, interleaved: `python -m tests.benchmarks.bench_adapters`.

The stand-ins run in another process, so that only the client's CPU is counted. The bare calls do what a careful user of the SDK does:
one client, retries off, the same parameters, and the answer's fields read once as the SDK hands them over.
"""

import argparse
import io
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import grpc
import numpy as np
import PIL.Image
from botocore.config import Config
from google.cloud import vision_v1 as vision
from google.cloud.vision_v1.services.image_annotator.transports import ImageAnnotatorGrpcTransport

from providers import registry
from providers.contract import Provider
from providers.images import Image, ImageLimits, read_image

ROOT = Path(__file__).parents[2]
SERVE = """
import json, signal, sys
from google.protobuf import json_format
from tests.clouds import google_vision, rekognition
aws, google = rekognition.StandIn(), google_vision.StandIn()
aws.answers["DetectLabels"] = json.load(open("tests/providers/answers/aws_labels_edenai_objects_png.json"))["response"]
json_format.ParseDict(json.load(open("tests/providers/answers/gcv_objects_edenai_objects_png.json"))["response"], google.answer)
print(json.dumps(aws.environ | google.environ), flush=True)
signal.pause()
"""


def photo(size_bytes: int) -> Image:
    """A JPEG of about that size: noise whose grain is chosen for it."""
    chance = np.random.default_rng(1)
    for side in range(64, 1024, 16):
        grain = PIL.Image.fromarray(chance.integers(0, 256, (side * 3 // 4, side, 3), dtype=np.uint8)).resize((1024, 768))
        out = io.BytesIO()
        grain.save(out, "JPEG", quality=90)
        if out.tell() >= size_bytes:
            break
    return read_image(out.getvalue(), ImageLimits())


def bare_rekognition(environ: dict[str, str], image: Image) -> Callable[[], object]:
    client = boto3.client(
        "rekognition",
        region_name=environ["AWS_REGION"],
        endpoint_url=environ["AWS_ENDPOINT_URL_REKOGNITION"],
        aws_access_key_id=environ["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environ["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"total_max_attempts": 1}),
    )

    def call() -> object:
        answer = client.detect_labels(Image={"Bytes": image.content}, MinConfidence=0, MaxLabels=1000)
        return [
            (label["Name"], instance["Confidence"], instance["BoundingBox"]["Left"])
            for label in answer["Labels"]
            for instance in label["Instances"]
        ]

    return call


def bare_vision(environ: dict[str, str], image: Image) -> Callable[[], object]:
    channel = grpc.insecure_channel(environ["GATEWAY_GOOGLE_VISION_ENDPOINT"], [("grpc.max_receive_message_length", -1)])
    client = vision.ImageAnnotatorClient(transport=ImageAnnotatorGrpcTransport(channel=channel))
    features = [{"type_": vision.Feature.Type.OBJECT_LOCALIZATION, "max_results": 100}]

    def call() -> object:
        answer = client.batch_annotate_images(
            requests=[{"image": {"content": image.content}, "features": features}], retry=None, timeout=10
        )
        return [
            (thing.mid, thing.name, thing.score, [(corner.x, corner.y) for corner in thing.bounding_poly.normalized_vertices])
            for thing in answer.responses[0].localized_object_annotations
        ]

    return call


def adapter(provider: Provider, image: Image) -> Callable[[], object]:
    (call,) = provider.calls(frozenset({"objects"}))
    return lambda: provider.detect(image, call, 10.0)


def cpu_ms(calls: dict[str, Callable[[], object]], rounds: int, calls_a_round: int) -> dict[str, list[float]]:
    """Milliseconds of CPU a call, one number a round; the calls take turns."""
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for at in range(rounds + 1):
        for name, call in calls.items():
            started = time.process_time()
            for _ in range(calls_a_round):
                call()
            if at:  # the first round warms up
                spent[name].append((time.process_time() - started) * 1000 / calls_a_round)
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--bytes", type=int, default=200_000)
    options = parser.parse_args()
    with subprocess.Popen([sys.executable, "-c", SERVE], cwd=ROOT, stdout=subprocess.PIPE, text=True) as stand_ins:
        environ = json.loads(stand_ins.stdout.readline())
        image = photo(options.bytes)
        aws, google = registry.build("rekognition", environ), registry.build("google_vision", environ)
        calls: dict[str, Any] = {
            "rekognition bare": bare_rekognition(environ, image),
            "rekognition adapter": adapter(aws, image),
            "google_vision bare": bare_vision(environ, image),
            "google_vision adapter": adapter(google, image),
        }
        spent = cpu_ms(calls, options.rounds, options.calls)
        aws.close()
        google.close()
        stand_ins.terminate()
    medians = {name: statistics.median(each) for name, each in spent.items()}
    sys.stdout.write(f"{len(image.content)} bytes of JPEG, {options.rounds} rounds of {options.calls} calls, ms CPU a call: median (min)\n")
    for name, each in spent.items():
        sys.stdout.write(f"  {name:22} {medians[name]:.2f} ({min(each):.2f})\n")
    for name in ("rekognition", "google_vision"):
        sys.stdout.write(f"{name}: adapter / bare = {medians[f'{name} adapter'] / medians[f'{name} bare']:.2f}\n")


if __name__ == "__main__":
    main()
