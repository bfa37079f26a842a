"""`vision-gateway compare`: the real command before stand-ins of both clouds."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import main
from tests.clouds import google_vision, rekognition
from tests.clouds.behaviour import Behaviour
from tests.clouds.pictures import Pictures
from tests.conftest import PHOTOS
from tests.processes import ROOT, clean_environ

COCO128 = ROOT.parent / "shared" / "coco128"
TRUTH = PHOTOS / "instances.json"


class Clouds:
    """Both stand-ins, and the command in a folder of its own."""

    def __init__(self, folder, annotations, images):
        pictures = Pictures(annotations, images)
        self.folder = folder
        self.amazon = rekognition.StandIn(Behaviour(hit_rate=0.95, seed=1), pictures=pictures)
        self.google = google_vision.StandIn(Behaviour(hit_rate=0.5, seed=2), pictures=pictures)
        self.environ = clean_environ(
            **self.amazon.environ, **self.google.environ, GATEWAY_DATABASE_URL=f"sqlite:///{folder}/gateway.db", GATEWAY_SIMULATED="true"
        )

    def compare(self, *arguments):
        command = [sys.executable, "-m", "gateway", "compare", *map(str, arguments)]
        return subprocess.run(
            command, cwd=self.folder, env=self.environ, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
        )

    def asked(self):
        return sum(self.amazon.bill.units().values()), sum(self.google.bill.units().values())

    def close(self):
        self.amazon.close()
        self.google.close()


@pytest.fixture
def clouds(tmp_path):
    made = Clouds(tmp_path, TRUTH, PHOTOS)
    yield made
    made.close()


def test_a_folder_is_compared_with_its_truth_and_ends_in_a_file(clouds):
    done = clouds.compare(PHOTOS, "--providers", "rekognition,google_vision", "--annotations", TRUTH, "--max-cost-usd", "1", "--json")
    assert done.returncode == 0, done.stderr
    assert re.search(r"rekognition\s+7 pictures to ask\s+0\.007 USD", done.stderr), "the cost is told before"
    report = json.loads(done.stdout)
    recall = report["comparisons"][0]["differences"]["recall"]
    assert recall["low"] <= 0.5 - 0.95 <= recall["high"], "the stand-ins' hit rates"
    assert report["arms"]["rekognition"]["average_precision"]["ap50"] > report["arms"]["google_vision"]["average_precision"]["ap50"]
    assert report["held_against"] == "truth"
    page = (clouds.folder / report["html"]).read_text()
    assert page.count("data:image/jpeg") == 7
    assert not re.search(r'(?:src|href)="https?:', page)
    records = clouds.folder / "records.jsonl"
    subprocess.run([sys.executable, "-m", "gateway", "records", "export", str(records)], cwd=clouds.folder, env=clouds.environ, check=True)
    assert len(records.read_text().splitlines()) == 7


def test_the_ceiling_holds_and_the_same_command_goes_on_from_there(clouds):
    arguments = (PHOTOS, "--providers", "rekognition,google_vision", "--annotations", TRUTH, "--parallel", "2")
    first = clouds.compare(*arguments, "--max-cost-usd", "0.003")
    assert first.returncode == 0, first.stderr
    assert "The ceiling of 0.003 USD is reached" in first.stdout
    assert clouds.asked()[0] == 3
    second = clouds.compare(*arguments, "--max-cost-usd", "1")
    assert second.returncode == 0, second.stderr
    assert "7 pictures were compared" in second.stdout
    assert clouds.asked() == (7, 7), "nothing is paid twice"


def test_a_list_of_files_and_what_is_no_picture(clouds, tmp_path):
    shutil.copy(PHOTOS / "000000000471.jpg", tmp_path / "a.jpg")
    shutil.copy(PHOTOS / "000000000471.jpg", tmp_path / "again.jpg")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 not a picture")
    (tmp_path / "list.txt").write_text("# mine\na.jpg\nagain.jpg\nbroken.jpg\n")
    done = clouds.compare(tmp_path / "list.txt", "--providers", "rekognition,google_vision", "--max-cost-usd", "1", "--json")
    assert done.returncode == 0, done.stderr
    assert "left out" in done.stderr
    assert clouds.asked() == (1, 1)
    report = json.loads(done.stdout)
    assert (report["pictures"], report["verdict"]["kind"], report["experiment"]) == (1, "unknown", "compare-list")


def test_without_a_truth_nobody_is_said_to_be_right_and_free_units_are_told_with_the_list_price(clouds):
    done = clouds.compare(PHOTOS, "--providers", "rekognition,google_vision", "--max-cost-usd", "1")
    assert done.returncode == 0, done.stderr
    assert re.search(r"google_vision +7 pictures to ask +0 USD   free units .*; 0.01575 USD by the list", done.stderr)
    assert re.search(r"rekognition +7 pictures to ask +0.007 USD$", done.stderr, re.MULTILINE)
    assert re.search(r"rekognition +the others are held against it +0.007 USD for 7 pictures", done.stdout)
    assert re.search(r"google_vision +F1 against rekognition 0\.\d+ ", done.stdout)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--providers", "rekognition"), "at least two"),
        (("--providers", "rekognition,nobody"), "no provider 'nobody'"),
        (("--providers", "rekognition,google_vision", "--max-cost-usd", "x"), "not an amount"),
        (("--providers", "rekognition,google_vision", "--features", "smells"), "choose of"),
        (("--providers", "rekognition,google_vision", "--annotations", str(ROOT / "setup.cfg")), "not COCO JSON"),
        (("--providers", "rekognition,google_vision", "--reference", "local"), "reference"),
        (("--providers", "rekognition,google_vision", "--name", "my test"), "name: write"),
    ],
)
def test_what_can_not_be_is_told_before_anything_is_paid(clouds, arguments, said):
    done = CliRunner().invoke(main, ["compare", str(PHOTOS), "--max-cost-usd", "1", *arguments], env=clouds.environ)
    assert done.exit_code != 0
    assert said in done.output
    assert isinstance(done.exception, SystemExit)
    assert clouds.asked() == (0, 0)


@pytest.mark.slow
@pytest.mark.skipif(not COCO128.is_dir(), reason="../shared/coco128 is not part of the repository")
def test_128_pictures_and_three_providers_end_with_a_file(tmp_path):
    clouds = Clouds(tmp_path, COCO128 / "instances.json", COCO128 / "images")
    try:
        done = clouds.compare(
            COCO128 / "images",
            "--providers",
            "local,rekognition,google_vision",
            "--annotations",
            COCO128 / "instances.json",
            "--max-cost-usd",
            "1",
            "--html",
            "report.html",
        )
        assert done.returncode == 0, done.stderr
        assert clouds.asked() == (128, 128)
        assert "rekognition is better than local and google_vision" in done.stdout
        page = Path(tmp_path / "report.html").read_text()
        assert page.count("data:image/jpeg") == 60
    finally:
        clouds.close()
