"""The pages of experiments, as a browser without a screen gets them."""

import re

import pytest

from cost.ledger.times import new_id
from cost.money import Money
from gateway.experiments.asking import budget_of
from gateway.experiments.judging import judge
from gateway.experiments.reporting import make_report
from gateway.experiments.terms import TRUTH, Arm, ArmAnswer, Observation
from gateway.pictures import KeptPictures
from gateway.web.cost_quality import plot_of
from gateway.web.experiment_file import report_file
from gateway.web.gallery import gallery_of
from tests.gateway.experiments.arms import Simulation, terms, thing


@pytest.fixture
def experiment_of(app, request):
    """Puts an experiment with so many simulated pictures into the gateway's database; it takes no client's."""
    parts = app.extensions["gateway"]

    def make(pictures=60, extra=(), truth=True, **more):
        name = f"{request.node.name[5:40].rstrip('_')}-{new_id()[-6:]}"
        asked = terms("local", "google", **{"reference": TRUTH, "sample_rate": 0.0} | more)
        asked = type(asked)(**{**{field: getattr(asked, field) for field in asked.__slots__}, "name": name})
        parts.experiments.create(asked, "tester")
        parts.experiments.start(name)
        simulation = Simulation(5, local={"hit_rate": 0.5, "usd": "0"}, google={"hit_rate": 0.9, "usd": "0.00225"})
        seen = [*(simulation.picture(n) for n in range(pictures)), *extra]
        if seen:
            parts.experiments.add([(name, new_id(), one) for one in seen])
        if truth:
            parts.experiments.tell_truths(name, {one.digest: one.truth for one in seen if one.truth is not None})
        return name, seen

    return make


def test_experiments_are_listed_with_their_state_and_their_money(app, logged_in, experiment_of):
    name, _ = experiment_of(3, budget=Money.usd("7.50"))
    parts = app.extensions["gateway"]
    parts.ledger.put_budget(budget_of(parts.experiments.get(name).terms))
    page = logged_in("finance").get("/experiments").text
    row = page.partition(f'href="/experiments/{name}"')[2].partition("</tr>")[0]
    assert "running" in row
    assert "local, google" in row
    assert "$7.5000" in row


def test_the_verdict_comes_first_and_every_number_has_its_interval(logged_in, experiment_of):
    name, _ = experiment_of()
    page = logged_in("app").get(f"/experiments/{name}").text
    verdict = page.partition('id="summary"')[2].partition("</section>")[0]
    assert "google is better than local" in verdict
    assert page.index('id="summary"') < page.index('id="numbers"') < page.index('class="chart plot"') < page.index('id="gallery"')
    recall = page.partition("Recall")[2].partition("</tr>")[0]
    assert len(re.findall(r'class="between">[^<]*\d (?:%|pt) to ', recall)) == 3


def test_the_gallery_begins_with_the_greatest_disagreement_and_can_be_narrowed_to_a_label(logged_in, experiment_of):
    lone = Observation(
        "f" * 64, "u", 640, 480, {"local": ArmAnswer((thing("zebra", provider="local"),), "local"), "google": ArmAnswer()}, ()
    )
    name, _ = experiment_of(extra=[lone])
    browser = logged_in("app")
    page = browser.get(f"/experiments/{name}").text
    shares = [int(share) for share in re.findall(r"disagreement (\d+) %", page)]
    assert shares == sorted(shares, reverse=True)
    assert len(shares) == 12
    narrowed = browser.get(f"/experiments/{name}?label=zebra").text
    assert re.findall(r'<article class="picture" id="picture-(\w+)"', narrowed) == ["f" * 64]
    assert browser.get(f"/experiments/{name}?page=99").status_code == 200


def test_a_verdict_moves_the_statistics_and_can_be_undone(app, logged_in, experiment_of):
    name, seen = experiment_of(truth=False, reference=None)
    browser = logged_in("finance")
    address = f"/experiments/{name}"
    csrf = browser.csrf(address)
    parts = app.extensions["gateway"]
    for one in seen[:54]:
        judge(parts.experiments, parts.comparisons, parts.experiments.get(name), one.digest, ["google"], "tester")
    for one in seen[54:55]:
        answer = browser.post(address, {"digest": one.digest, "right": "google", "from": "gallery"}, csrf=csrf)
    assert answer.status_code == 200
    assert "55 judged by people" in answer.text
    assert "people call it right for 100.0 %" in answer.text
    assert "google is better than local" in answer.text
    assert "<html" not in answer.text
    back = browser.post(f"{address}?label=dog", {"digest": seen[0].digest, "say": "undo"}, csrf=csrf)
    assert (back.status_code, back.headers["Location"]) == (303, f"{address}?label=dog#picture-{seen[0].digest}")
    assert "54 judged by people" in browser.get(address).text
    judged = {one.digest: one.people for one in parts.experiments.observations(name)}
    assert judged[seen[1].digest] == frozenset({"google"})


def test_a_verdict_on_what_there_is_not_is_refused(logged_in, experiment_of):
    name, seen = experiment_of(2)
    browser = logged_in("app")
    csrf = browser.csrf(f"/experiments/{name}")
    for form in ({"digest": seen[0].digest, "right": "nobody"}, {"digest": "a" * 64, "right": "local"}):
        assert browser.post(f"/experiments/{name}", form, csrf=csrf).status_code == 422


def test_a_picture_is_shown_only_where_it_is_kept_and_in_its_own_experiment(app, logged_in, experiment_of, monkeypatch):
    name, seen = experiment_of(2)
    digest = seen[0].digest
    browser = logged_in("app")
    assert browser.get(f"/experiments/{name}/pictures/{digest}").status_code == 404
    assert "picture not kept" in browser.get(f"/experiments/{name}").text
    keeping = KeptPictures(app.extensions["gateway"].database, days=1)
    keeping.keep({digest: b"\xff\xd8 a picture", "e" * 64: b"\xff\xd8 another"})
    monkeypatch.setattr(app.extensions["gateway"].pictures, "days", 1)
    picture = browser.get(f"/experiments/{name}/pictures/{digest}")
    assert (picture.mimetype, picture.data) == ("image/jpeg", b"\xff\xd8 a picture")
    assert "private" in picture.headers["Cache-Control"]
    assert browser.get(f"/experiments/{name}/pictures/{'e' * 64}").status_code == 404
    assert f'href="/experiments/{name}/pictures/{digest}"' in browser.get(f"/experiments/{name}").text
    address = f"/experiments/{name}"
    assert browser.post(address, {"digest": digest, "say": "forget"}, csrf=browser.csrf(address)).status_code == 303
    assert browser.get(f"/experiments/{name}/pictures/{digest}").status_code == 404


def test_what_providers_say_is_never_markup(logged_in, experiment_of):
    evil = thing("<script>alert(1)</script>", provider="local")
    one = Observation("d" * 64, "u", 640, 480, {"local": ArmAnswer((evil,), "local"), "google": ArmAnswer()}, (evil,))
    name, _ = experiment_of(1, extra=[one])
    page = logged_in("app").get(f"/experiments/{name}").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_an_experiment_without_pictures_says_so(logged_in, experiment_of):
    name, _ = experiment_of(0)
    page = logged_in("app").get(f"/experiments/{name}").text
    assert "No picture has been compared yet" in page
    assert logged_in("app").get("/experiments/none").status_code == 404
    assert logged_in("app").get(f"/experiments/{name}?feature=faces").status_code == 422


def test_the_file_needs_nothing_from_outside(app, experiment_of):
    name, seen = experiment_of(5)
    store = app.extensions["gateway"].experiments
    page = report_file(store.get(name), make_report(store, store.get(name)), lambda digest: b"\xff\xd8 " + digest.encode(), simulated=True)
    assert "default-src 'none'" in page
    assert "Simulated." in page
    assert not re.search(r'(?:src|href|action)="(?!#|data:image/jpeg;base64,)', page)
    assert "<script" not in page
    assert page.count("data:image/jpeg") == len(seen), "each picture once, however many arms"


def test_points_of_the_plot_lie_where_their_numbers_say(app, experiment_of):
    name, _ = experiment_of(60)
    store = app.extensions["gateway"].experiments
    report = make_report(store, store.get(name))
    plot = plot_of(report, report.quality)
    local, google = plot.points
    assert local.x < google.x, "it costs less"
    assert local.y > google.y, "it is worse, and y grows downwards"
    for point in plot.points:
        assert point.left <= point.x <= point.right
        assert point.top <= point.y <= point.bottom


def test_boxes_that_nobody_else_sees_are_told_from_the_common_ones(app, experiment_of):
    here, there = thing("dog", (0.1, 0.1, 0.4, 0.4)), thing("cat", (0.6, 0.6, 0.9, 0.9))
    one = Observation("c" * 64, "u", 100, 100, {"local": ArmAnswer((here, there), "local"), "google": ArmAnswer((here,), "google")})
    name, _ = experiment_of(0, extra=[one], truth=False, reference=None)
    store = app.extensions["gateway"].experiments
    terms_, report = store.get(name).terms, make_report(store, store.get(name))
    (item,) = gallery_of(terms_, report.judged).items
    assert [(box.text, box.alone) for side in item.sides for box in side.boxes] == [("dog", False), ("cat", True), ("dog", False)]
    assert [arm for arm in (Arm("local"),) if arm.name == item.sides[0].name]
