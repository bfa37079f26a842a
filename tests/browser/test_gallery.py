"""Choosing providers in a real browser: the gallery judged by keys alone, the numbers that move, and the file that opens offline."""

import io

import numpy as np
import PIL.Image
import pytest

from cost.ledger.times import new_id
from gateway.database import prepare_database
from gateway.experiments.reporting import make_report
from gateway.experiments.store import ExperimentStore
from gateway.experiments.terms import Terms
from gateway.pictures import KeptPictures
from gateway.web.experiment_file import report_file
from tests.gateway.experiments.arms import Simulation, terms
from tests.processes import ADMIN

PICTURES = 52


@pytest.fixture(scope="session")
def experiment(gateway):
    """An experiment without a truth in the gateway's database, its pictures kept. It takes no client's."""
    engine = prepare_database(f"sqlite:///{gateway.output.parent}/gateway.db")
    store = ExperimentStore(engine)
    asked: Terms = terms("local", "google", sample_rate=0.0)
    store.create(asked, "anna")
    store.start(asked.name)
    simulation = Simulation(3, local={"hit_rate": 0.6, "usd": "0"}, google={"hit_rate": 0.9, "usd": "0.00225", "latency_ms": 180})
    seen = [simulation.picture(n) for n in range(PICTURES)]
    store.add([(asked.name, new_id(), one) for one in seen])
    KeptPictures(engine, 30).keep({one.digest: shade(n) for n, one in enumerate(seen)})
    yield store
    engine.dispose()


def shade(n):
    out = io.BytesIO()
    PIL.Image.fromarray(np.full((48, 64, 3), 60 + 3 * n, np.uint8)).save(out, "JPEG")
    return out.getvalue()


def test_the_gallery_is_judged_by_keys_and_the_numbers_move(walk, experiment):
    with walk() as person:
        page = person.page
        person.log_in(ADMIN)
        page.goto("/experiments")
        person.follow(page.get_by_role("link", name="trial"))
        summary = page.locator("#summary")
        assert "who is right where they differ nobody has said" in summary.inner_text()
        assert person.serious() == []
        page.keyboard.press("j")
        for nth, key in enumerate("21na2", 1):
            page.keyboard.press(key)
            page.get_by_text(f"{nth} judged by people").wait_for()
        rates = page.locator("tr", has_text="Called right by people").first.locator("td.n")
        assert [rates.nth(n).inner_text().split("\n")[0] for n in range(2)] == ["40.0 %", "60.0 %"]
        assert page.locator(".picture .judged", has_text="judged").count() == 5
        page.keyboard.press("k")
        page.keyboard.press("u")
        page.get_by_text("4 judged by people").wait_for()
        judged = [one.people for one in experiment.observations("trial") if one.people is not None]
        assert sorted(map(sorted, judged)) == [[], ["google"], ["google", "local"], ["local"]]
        page.reload()
        assert page.get_by_text("4 judged by people").is_visible()
        assert page.locator(".side.right").count() == 4
        shown = page.evaluate("[...document.querySelectorAll('.side image')].filter((one) => one.getBoundingClientRect().width > 0).length")
        assert shown == 24, "twelve pictures, two arms"
        assert page.get_by_role("button", name="Delete it").count() == 0
        page.locator(".picture summary", has_text="forget picture").first.click()
        assert page.get_by_role("button", name="Delete it").count() == 1, "no click alone deletes what can't be had again"


def test_fifty_verdicts_decide_without_a_truth_and_buttons_do_what_keys_do(walk, experiment):
    for one in experiment.observations("trial"):
        experiment.judge("trial", one.digest, ["google"], "anna")
    with walk(width=390) as person:
        page = person.page
        person.log_in(ADMIN)
        page.goto("/experiments/trial?page=99")
        assert "google is better than local" in page.locator("#summary").inner_text()
        page.locator(".picture").last.get_by_role("button", name="none").click()
        page.get_by_text("people call it right for 98.1 %").wait_for()
        page.get_by_label("Label").select_option(index=1)
        person.follow(page.get_by_role("button", name="Show"))
        assert "label=" in page.url
        assert not person.overflows()
        assert person.serious() == []
        assert person.tab_through() == []


def test_the_file_opens_without_a_network(chromium, experiment, tmp_path):
    one = experiment.get("trial")
    file = tmp_path / "report.html"
    file.write_text(report_file(one, make_report(experiment, one), lambda digest: shade(int(digest, 16))), encoding="utf-8")
    context = chromium.new_context(offline=True)
    page, asked = context.new_page(), []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda said: asked.append(said.text))
    page.goto(file.as_uri())
    assert page.locator("#summary h2").inner_text()
    assert page.locator(".side svg use").count() == 2 * PICTURES
    assert page.evaluate("document.querySelector('.side use').getBoundingClientRect().width") > 0
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    context.close()
