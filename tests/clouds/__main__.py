"""Start the stand-ins and print the environment that a gateway needs to use them.

python -m tests.clouds --annotations ../shared/coco128/instances.json --images ../shared/coco128/images --bill var/bill.jsonl
"""

import argparse
import signal
import sys
from dataclasses import fields
from pathlib import Path

from tests.clouds import google_vision, rekognition
from tests.clouds.behaviour import Behaviour
from tests.clouds.pictures import Pictures


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.clouds", description="Stand-ins for Amazon Rekognition and Google Cloud Vision.")
    parser.add_argument("--rekognition-port", type=int, default=0)
    parser.add_argument("--google-port", type=int, default=0, help="gRPC")
    parser.add_argument("--google-rest-port", type=int, default=0, help="REST and control")
    parser.add_argument("--annotations", type=Path, help="a COCO annotation file, for answers about its pictures")
    parser.add_argument("--images", type=Path, help="the folder of its pictures")
    parser.add_argument("--bill", type=Path, help="append what would have been billed, one JSON object a line")
    for field in fields(Behaviour):
        kind = type(field.default)
        how = {"action": "store_true"} if kind is bool else {"type": kind, "default": field.default}
        parser.add_argument(f"--{field.name.replace('_', '-')}", **how)
    options = parser.parse_args()
    if bool(options.annotations) is not bool(options.images):
        parser.error("--annotations and --images belong together")
    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # before there are threads: they inherit it, and the signal waits for `sigwait`
    behaviour = Behaviour(**{field.name: getattr(options, field.name) for field in fields(Behaviour)})
    pictures = Pictures(options.annotations, options.images) if options.annotations else None
    clouds = (
        rekognition.StandIn(behaviour, pictures=pictures, bill=options.bill, port=options.rekognition_port),
        google_vision.StandIn(
            behaviour, pictures=pictures, bill=options.bill, port=options.google_port, rest_port=options.google_rest_port
        ),
    )
    for cloud in clouds:
        lines = [f"{name}={value}" for name, value in cloud.environ.items()]
        sys.stdout.write("\n".join([*lines, f"# set and read it at {cloud.server.url}/_control and {cloud.server.url}/_bill", ""]))
    sys.stdout.write("# ready\n")
    sys.stdout.flush()
    signal.sigwait(ends)
    for cloud in clouds:
        cloud.close()


if __name__ == "__main__":
    main()
