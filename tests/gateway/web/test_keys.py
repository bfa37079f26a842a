import re

import pytest

from tests.gateway.web.browsers import Browser
from tests.gateway.web.spent import MARKUP


@pytest.fixture
def admin(app, logged_in):
    app.extensions["gateway"].keys.revoke("shop")
    return logged_in("admin")


def make(browser, **fields):
    return browser.post("/keys", {"name": "shop", "role": "finance", "tags": ""} | fields, csrf=browser.csrf("/keys"))


def test_a_new_key_is_shown_once_works_and_can_be_revoked(app, admin):
    made = make(admin, tags="team:shop, product:search")
    token = re.search(r"<code>(vg_[\w-]+)</code>", made.text).group(1)
    key = app.extensions["gateway"].keys.find(token)
    assert (key.name, key.role, dict(key.tags)) == ("shop", "finance", {"team": "shop", "product": "search"})
    assert token not in admin.get("/keys").text
    person = Browser(app)
    person.log_in(token)
    assert person.get("/budgets").status_code == 200
    assert admin.post(f"/keys/{key.id}/revoke", csrf=admin.csrf("/keys")).status_code == 303
    assert app.extensions["gateway"].keys.find(token) is None
    assert person.get("/budgets").status_code == 303
    assert admin.post(f"/keys/{key.id}/revoke", csrf=admin.csrf("/keys")).status_code == 404


def test_a_key_is_made_with_limits_and_they_are_shown(app, admin):
    assert "5 requests/s, 2,000,000 pixels/s" in make(admin, requests_per_s="5", pixels_per_s="2000000").text
    assert "rate_limit.requests_per_s: write a whole number." in make(admin, name="other", requests_per_s="few").text
    (key,) = [one for one in app.extensions["gateway"].keys.all() if one.name == "shop"]
    assert (key.requests_per_s, key.pixels_per_s) == (5, 2_000_000)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": MARKUP},
        {"name": ""},
        {"name": "bootstrap"},
        {"role": "root"},
        {"tags": "team"},
        {"tags": "a:b,a:c"},
        {"tags": "a:b,a :c"},
        {"tags": ":x"},
        {"requests_per_s": "few"},
        {"pixels_per_s": "0"},
    ],
)
def test_what_can_be_no_key_is_refused_with_its_reason(app, admin, wrong):
    before = len(app.extensions["gateway"].keys.all())
    page = make(admin, **wrong)
    assert page.status_code == 422
    assert 'role="alert"' in page.text
    assert "<script>alert" not in page.text
    assert len(app.extensions["gateway"].keys.all()) == before


def test_a_name_in_use_is_not_given_twice(admin):
    assert make(admin).status_code == 200
    assert "is in use" in make(admin).text
