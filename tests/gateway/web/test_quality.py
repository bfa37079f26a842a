import re
from itertools import islice

import pytest

from cost.database import write_transaction
from gateway.monitoring.quality import write_seen
from gateway.monitoring.schema import alarms, observations, references
from gateway.pictures import small_jpeg
from tests.gateway.apps import NOBODY, app_of
from tests.gateway.monitoring.streams import stream
from tests.gateway.toys import picture


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """A gateway that nobody sends pictures."""
    app = app_of(tmp_path_factory.mktemp("quality"), GATEWAY_PROVIDERS="google_vision", **NOBODY)
    yield app
    app.extensions["gateway"].close()


@pytest.fixture
def parts(app):
    parts = app.extensions["gateway"]
    yield parts
    with write_transaction(parts.database) as connection:
        for table in (alarms, observations, references):
            connection.execute(table.delete())


def write(parts, pictures) -> None:
    rows = [{"provider": "rekognition", "feature": "objects", "digest": one.digest, "seen": write_seen(one)} for one in pictures]
    with write_transaction(parts.database) as connection:
        connection.execute(observations.insert(), rows)


def test_the_page_says_what_to_do_where_there_is_nothing_yet(parts, logged_in):
    page = logged_in("app").get("/quality")
    assert page.status_code == 200
    assert "Nothing is watched yet" in page.text
    assert "No pictures yet" in page.text


def test_nothing_can_be_made_normal_before_there_is_a_reference(parts, logged_in):
    write(parts, islice(stream(1), 7))
    parts.watch.check()
    page = logged_in("app").get("/quality").text
    assert "its reference is complete at 500 pictures" in page
    assert "Nothing is watched yet" in page
    assert "New normal</button>" not in page


def test_what_has_moved_is_told_in_a_sentence_with_its_pictures_and_can_be_accepted(parts, logged_in):
    write(parts, islice(stream(1), parts.settings.drift_reference + 100))
    parts.watch.check()
    write(parts, islice(stream(2, renamed=str.upper), 100))
    parts.watch.check()
    browser = logged_in("app")
    page = browser.get("/quality").text
    assert "1 moved" in page
    assert "rekognition, objects: labels" in page
    assert re.search(r"is on \d+ % of the latest 100 pictures; it was on \d+ %\.", page)
    assert "GATEWAY_PICTURES_KEPT_DAYS" in page, "no pictures without retention"
    response = browser.post("/quality", {"provider": "rekognition", "feature": "objects"}, csrf=browser.csrf("/quality"))
    assert response.status_code == 303
    assert "Nothing is watched yet" in browser.get("/quality").text


def test_a_picture_is_shown_only_where_it_is_kept_and_an_alarm_names_it(parts, logged_in, monkeypatch):
    image = picture()
    monkeypatch.setattr(parts.pictures, "days", 1)
    parts.pictures.keep({image.digest: small_jpeg(image)})
    browser = logged_in("app")
    assert browser.get(f"/quality/pictures/{image.digest}").status_code == 404
    told = f'{{"label": "dog", "now": 0.9, "before": 0.1, "window": 100, "distance": 0.8, "p_value": 1e-12, "moved": ["{image.digest}"]}}'
    row = {"id": "1", "at_us": 1, "kind": "drift", "provider": "toy", "feature": "objects", "property": "labels", "told": told}
    with write_transaction(parts.database) as connection:
        connection.execute(alarms.insert(), [row])
    assert f'src="/quality/pictures/{image.digest}"' in browser.get("/quality").text
    assert browser.get(f"/quality/pictures/{image.digest}").mimetype == "image/jpeg"


def test_nothing_is_accepted_for_a_provider_that_is_not_watched(parts, logged_in):
    write(parts, islice(stream(1), 10))
    parts.watch.check()
    browser = logged_in("app")
    assert browser.post("/quality", {"provider": "nobody", "feature": "objects"}, csrf=browser.csrf("/quality")).status_code == 404
