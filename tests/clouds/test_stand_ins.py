"""What the stand-ins share: pictures they know, conduct, the bill, control over HTTP, the command line."""

import dataclasses
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import urllib3

from providers import registry
from providers.images import read_image
from tests.clouds import google_vision, rekognition
from tests.clouds.behaviour import Behaviour, Conduct
from tests.clouds.bill import Bill
from tests.clouds.pictures import Pictures, Thing, seen
from tests.providers.conftest import LIMITS, ask

ROOT = Path(__file__).parents[2]


@pytest.fixture
def album(tmp_path):
    """Three annotated pictures: (annotations, folder)."""
    chance = np.random.default_rng(3)
    images, annotations = [], []
    for at, name in enumerate(["person", "dog", "car"]):
        coarse = chance.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        PIL.Image.fromarray(coarse).resize((320, 240)).save(tmp_path / f"{name}.jpg")
        images.append({"id": at, "file_name": f"{name}.jpg", "width": 320, "height": 240})
        annotations.append({"image_id": at, "category_id": at, "bbox": [32, 24, 160, 120], "iscrowd": 0})
        annotations.append({"image_id": at, "category_id": at, "bbox": [0, 0, 320, 240], "iscrowd": 1})
    categories = [{"id": at, "name": name} for at, name in enumerate(["person", "dog", "car"])]
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path, tmp_path


@pytest.mark.parametrize("name", ["rekognition", "google_vision"])
def test_annotated_pictures_are_recognised_after_the_gateway_made_them_fit(album, name):
    module = {"rekognition": rekognition, "google_vision": google_vision}[name]
    stand_in = module.StandIn(Behaviour(hit_rate=1.0, box_jitter=0.0), pictures=Pictures(*album))
    provider = registry.build(name, stand_in.environ)
    for thing in ("person", "dog", "car"):
        path = album[1] / f"{thing}.jpg"
        for image_format in ("PNG", "WEBP"):
            again = album[1] / f"again.{image_format}"
            PIL.Image.open(path).save(again, image_format)
            (found,) = ask(provider, read_image(again.read_bytes(), LIMITS), "objects").detections
            assert found.label == thing
            assert (found.box.x_min, found.box.y_min, found.box.x_max, found.box.y_max) == pytest.approx((0.1, 0.1, 0.6, 0.6), abs=1e-6)
    unknown = album[1] / "unknown.png"
    PIL.Image.new("RGB", (320, 240), "white").save(unknown)
    assert ask(provider, read_image(unknown.read_bytes(), LIMITS), "objects").detections == ()
    provider.close()
    stand_in.close()


THINGS = [Thing("person", (0.1, 0.1, 0.5, 0.5))] * 200


def test_hits_noise_and_imagination_are_what_was_set():
    names = ["person", "dog", "car"]
    half = seen(THINGS, names, Behaviour(hit_rate=0.5), "x")
    assert 70 < len(half) < 130
    noisy = seen(THINGS, names, Behaviour(hit_rate=1.0, label_noise=0.3), "x")
    assert 20 < sum(thing.name != "person" for thing in noisy) < 60
    imagined = [len(seen([], names, Behaviour(false_positives=2.0, seed=seed), "x")) for seed in range(300)]
    assert 1.6 < sum(imagined) / len(imagined) < 2.4
    jittered = seen(THINGS, names, Behaviour(hit_rate=1.0, box_jitter=0.1), "x")
    assert 0.02 < np.std([thing.box[0] for thing in jittered]) < 0.06


def test_the_same_picture_is_seen_the_same_again_and_otherwise_by_another():
    behaviour = Behaviour(hit_rate=0.5)
    assert seen(THINGS, ["dog"], behaviour, "one") == seen(THINGS, ["dog"], behaviour, "one")
    assert seen(THINGS, ["dog"], behaviour, "one") != seen(THINGS, ["dog"], behaviour, "other")
    assert seen(THINGS, ["dog"], behaviour, "one") != seen(THINGS, ["dog"], dataclasses.replace(behaviour, seed=1), "one")


def test_a_fault_ends_after_its_times():
    conduct = Conduct(Behaviour(fault="hang", fault_times=2))
    assert [conduct.fault() for _ in range(3)] == ["hang", "hang", ""]
    shared = Conduct(Behaviour(fault="hang", fault_share=0.3))
    assert 200 < sum(shared.fault() == "hang" for _ in range(1000)) < 400


def test_wrong_changes_are_refused():
    conduct = Conduct(Behaviour())
    for wrong in ({"faullt": "x"}, {"fault": 1}, {"fault_times": True}, {"fault_billed": 1}, {"quota_per_s": 1.5}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            conduct.change(**wrong)


def test_the_bill_is_on_the_disk(tmp_path):
    bill = Bill("somebody", tmp_path / "bill.jsonl")
    bill.add("id-1", ["A", "B"], "account", "digest")
    lines = [json.loads(line) for line in (tmp_path / "bill.jsonl").read_text().splitlines()]
    assert [(line["id"], line["sku"], line["units"]) for line in lines] == [("id-1", "A", 1), ("id-1", "B", 1)]
    assert bill.units() == {"A": 1, "B": 1}
    bill.close()


def test_it_is_set_and_read_over_http():
    stand_in = rekognition.StandIn()
    control = stand_in.server.url + "/_control"
    assert urllib3.request("POST", control, json={"latency_ms_p50": 20, "fault": "hang"}).status == 200
    assert urllib3.request("GET", control).json()["fault"] == "hang"
    assert stand_in.conduct.now.latency_ms_p50 == 20
    assert urllib3.request("POST", control, json={"nonsense": 1}).status == 400
    assert urllib3.request("GET", stand_in.server.url + "/_bill").json() == {"units": {}, "requests": {}}
    assert urllib3.request("GET", stand_in.server.url + "/else").status == 404
    stand_in.close()


def test_both_start_from_the_command_line(album, tmp_path):
    command = [
        sys.executable,
        "-m",
        "tests.clouds",
        "--annotations",
        album[0],
        "--images",
        album[1],
        "--bill",
        tmp_path / "bill.jsonl",
        "--hit-rate",
        "1",
    ]
    with subprocess.Popen(list(map(str, command)), cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        environ = {}
        for line in process.stdout:
            if line.startswith("# ready"):
                break
            if not line.startswith("#"):
                name, _, value = line.strip().partition("=")
                environ[name] = value
        image = read_image((album[1] / "dog.jpg").read_bytes(), LIMITS)
        for name in ("rekognition", "google_vision"):
            provider = registry.build(name, environ)
            assert [detection.label for detection in ask(provider, image, "objects").detections] == ["dog"]
            provider.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert len((tmp_path / "bill.jsonl").read_text().splitlines()) == 2
