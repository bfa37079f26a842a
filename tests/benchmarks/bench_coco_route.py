"""At half the cost of always asking the best provider, is the answer as good? The whole gateway before stand-ins, on annotated photographs.

python -m tests.benchmarks.bench_coco_route [SEED [AMAZON'S HIT RATE, GOOGLE'S [IMAGES ANNOTATIONS]]]

Half of the pictures teach (everybody is asked about each, `records import`, `tune`), the other half are asked about; then the other way
round. The seed says which pictures teach, and which things each stand-in finds. F1 counts boxes that a client sees (confidence from 0.5)
against the true ones of the same label at an overlap of a half.
"""

import contextlib
import io
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path

import PIL.Image
import PIL.ImageOps

from cost.comparisons import Comparison, Found, Reply
from cost.database import open_database
from cost.escalation.boxes import Drawn, f1, matched
from cost.escalation.shelf import PolicyShelf
from cost.money import Money
from cost.price_files import BUILT_IN
from tests.clouds import google_vision, rekognition
from tests.clouds.behaviour import Behaviour
from tests.clouds.pictures import Pictures
from tests.processes import ADMIN, Running, clean_environ, running

COCO = Path(__file__).parents[3] / "shared" / "coco128"
PROVIDERS = ("local", "rekognition", "google_vision")
PRICES_USD = {"local": "0", "rekognition": "0.001", "google_vision": "0.00225"}
AMAZON = Behaviour(hit_rate=0.9, false_positives=0.1, label_noise=0.02, seed=1)
GOOGLE = Behaviour(hit_rate=0.92, false_positives=0.2, label_noise=0.03, seed=2)
PLANS = 8  # so often the value of a good answer is set by what money is left, as pacing does it within a month


@dataclass
class Score:
    """What one way of answering has earned and cost."""

    right: int = 0
    found: int = 0
    true: int = 0
    by_picture: float = 0.0
    pictures: int = 0
    usd: float = 0.0

    def add(self, answer: Mapping[str, object], truth: Sequence[Drawn]) -> None:
        shown = [drawn(one) for one in answer["detections"] if one["confidence"] >= 0.5]
        self.right += sum(matched(shown, truth))
        self.found += len(shown)
        self.true += len(truth)
        self.by_picture += f1(shown, truth)
        self.pictures += 1
        self.usd += float(answer["cost_usd"])

    @property
    def f1(self) -> float:
        return 2 * self.right / (self.found + self.true)


def main() -> None:
    told = [
        *sys.argv[1:],
        *("0", str(AMAZON.hit_rate), str(GOOGLE.hit_rate), COCO / "images", COCO / "instances.json")[len(sys.argv) - 1 :],
    ]
    seed, images, annotations = int(told[0]), Path(told[3]), Path(told[4])
    amazon = replace(AMAZON, hit_rate=float(told[1]), seed=AMAZON.seed + 10 * seed)
    google = replace(GOOGLE, hit_rate=float(told[2]), seed=GOOGLE.seed + 10 * seed)
    tell(compare(images, annotations, amazon, google, seed))


def compare(images: Path, annotations: Path, amazon: Behaviour, google: Behaviour, seed: int) -> dict[str, Score]:
    """Both halves, each judged by what the other has taught."""
    truths = read_truths(annotations, images)
    pictures = Pictures(annotations, images)
    clouds = (rekognition.StandIn(amazon, pictures=pictures), google_vision.StandIn(google, pictures=pictures))
    paths = sorted(truths)
    if seed:
        random.Random(seed).shuffle(paths)
    scores: dict[str, Score] = {}
    try:
        for half in (0, 1):
            with tempfile.TemporaryDirectory() as folder:
                taught, asked = paths[half::2], paths[1 - half :: 2]
                run_half(Path(folder), clouds, taught, asked, truths, scores)
    finally:
        for cloud in clouds:
            cloud.close()
    return scores


def run_half(
    folder: Path, clouds, taught: list[Path], asked: list[Path], truths: Mapping[Path, list[Drawn]], scores: dict[str, Score]
) -> None:
    prices = folder / "prices.toml"
    # Every unit at the list price: with Google's free thousand a month there would be nothing to compare.
    prices.write_text((BUILT_IN / "google_vision.toml").read_text().replace("[google_vision]\n", '[google_vision]\ncounted = "list"\n', 1))
    environ = {
        "GATEWAY_PROVIDERS": ",".join(PROVIDERS),
        "GATEWAY_CACHE_TTL_S": "0",
        "GATEWAY_PRICES": str(prices),
        "GATEWAY_DATABASE_URL": f"sqlite:///{folder}/gateway.db",
        "GATEWAY_SPOOL": str(folder / "spool"),
        **clouds[0].environ,
        **clouds[1].environ,
    }
    with running(folder, "serve", **environ) as server:
        server.wait_until_ready(within_s=300)
        records = []
        for path in taught:
            answers = {p: ask(server, path, providers=p, min_confidence=0, max_results=1000) for p in PROVIDERS}
            records.append(comparison_of(path, answers, truths[path]))
        teach(folder, environ, records)
    half_the_price = Money.usd(PRICES_USD["google_vision"]).nanos / 2e9
    limit = left = half_the_price * len(asked)
    for plan in range(PLANS):
        first, last = (len(asked) * k // PLANS for k in (plan, plan + 1))
        environ["GATEWAY_ANSWER_VALUE_USD"] = value_at(environ["GATEWAY_DATABASE_URL"], left / (len(asked) - first))
        with running(folder, "serve", **environ) as server:
            server.wait_until_ready(within_s=300)
            put_budget(server, "half", {"scope": {"tag": "run:half"}, "period": "month", "limit_usd": f"{limit:.9f}"})
            for path in asked[first:last]:
                for name in PROVIDERS:
                    scores.setdefault(name, Score()).add(ask(server, path, providers=name), truths[path])
                scores.setdefault("strategy=best", Score()).add(ask(server, path, strategy="best"), truths[path])
                answer = ask(server, path, tags="run:half")
                scores.setdefault("auto, at half of Google's", Score()).add(answer, truths[path])
                left -= float(answer["cost_usd"])


def ask(server: Running, path: Path, **options: object) -> dict:
    query = "&".join(f"{name}={value}" for name, value in options.items())
    with connected(server) as connection:
        headers = {"Authorization": f"Bearer {ADMIN}", "Content-Type": "image/jpeg"}
        connection.request("POST", f"/v1/detections?deadline_ms=60000&{query}", path.read_bytes(), headers)
        response = connection.getresponse()
        body = json.loads(response.read())
    assert response.status == 200, body
    return body


def put_budget(server: Running, name: str, budget: Mapping[str, object]) -> None:
    with connected(server) as connection:
        headers = {"Authorization": f"Bearer {ADMIN}", "Content-Type": "application/json"}
        connection.request("PUT", f"/v1/budgets/{name}", json.dumps(budget), headers)
        response = connection.getresponse()
        assert response.status == 200, response.read()


@contextmanager
def connected(server: Running) -> Iterator[HTTPConnection]:
    with contextlib.closing(HTTPConnection("127.0.0.1", server.port, timeout=90)) as connection:
        yield connection


def teach(folder: Path, environ: Mapping[str, str], records: list[Comparison]) -> None:
    file = folder / "records.jsonl"
    file.write_text("\n".join(record.to_line() for record in records))
    for command in (["records", "import", str(file)], ["tune", "--feature", "objects"]):
        done = subprocess.run(  # noqa: PLW1510 -- told below, with what it said
            [sys.executable, "-m", "gateway", *command], env=clean_environ(**environ), cwd=folder, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr + done.stdout
        print(done.stdout.strip(), flush=True)


def value_at(database_url: str, usd_per_picture: float) -> str:
    """What a good answer must be worth for the policy to spend this much a picture."""
    shelf = PolicyShelf(open_database(database_url))
    policy = shelf.read(shelf.in_use()["objects"])
    return f"{1.0 / max(policy.multiplier_for(usd_per_picture), 1e-3):.9f}"


def comparison_of(path: Path, answers: Mapping[str, dict], truth: Sequence[Drawn]) -> Comparison:
    replies = {
        p: Reply(
            tuple(Found(d["label"], d["confidence"], drawn(d).corners) for d in a["detections"]), Money.usd(PRICES_USD[p]), model=a["model"]
        )
        for p, a in answers.items()
    }
    digest = answers["local"]["image"]["digest"]
    true = tuple(Found(t.label, None, t.corners) for t in truth)
    return Comparison(digest=digest, feature="objects", origin="compare", source=path.stem, replies=replies, truth=true)


def drawn(detection: Mapping) -> Drawn:
    box = detection["box"]
    return Drawn(detection["label"], (box["x_min"], box["y_min"], box["x_max"], box["y_max"]), detection["confidence"])


def read_truths(annotations: Path, images: Path) -> dict[Path, list[Drawn]]:
    """The boxes of every annotated picture that is there, crowds left out."""
    coco = json.loads(annotations.read_text())
    names = {category["id"]: category["name"] for category in coco["categories"]}
    found: dict[int, list[Drawn]] = {}
    sizes = {image["id"]: (image["width"], image["height"]) for image in coco["images"]}
    for one in coco["annotations"]:
        if not one.get("iscrowd"):
            (x, y, w, h), (width, height) = one["bbox"], sizes[one["image_id"]]
            corners = (x / width, y / height, (x + w) / width, (y + h) / height)
            found.setdefault(one["image_id"], []).append(Drawn(names[one["category_id"]], corners))
    return {images / image["file_name"]: found.get(image["id"], []) for image in coco["images"] if readable(images / image["file_name"])}


def readable(path: Path) -> bool:
    try:
        return PIL.ImageOps.exif_transpose(PIL.Image.open(io.BytesIO(path.read_bytes()))) is not None
    except OSError:
        return False


def tell(scores: Mapping[str, Score]) -> None:
    print(f"\n{'':<26}{'USD / 1,000':>12}{'F1':>8}{'mean F1':>10}")
    for name, score in scores.items():
        print(f"{name:<26}{1000 * score.usd / score.pictures:>12.3f}{score.f1:>8.3f}{score.by_picture / score.pictures:>10.3f}")


if __name__ == "__main__":
    main()
