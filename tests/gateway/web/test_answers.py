import re

import pytest

from tests.gateway.web.browsers import BROWSER
from tests.processes import ADMIN


def policy_of(response):
    return dict(part.split(" ", 1) for part in response.headers["Content-Security-Policy"].split("; "))


@pytest.mark.parametrize("address", ["/", "/login", "/nowhere"])
def test_every_page_forbids_what_is_inline_and_what_comes_from_outside(browser, address):
    policy = policy_of(browser.get(address))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
    assert policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in str(policy)


@pytest.mark.parametrize("address", ["/", "/login", "/nowhere"])
def test_no_page_has_what_its_policy_forbids(browser, address):
    page = browser.get(address).text
    assert not re.search(r"<style|<script(?![^>]* src=\"/static/)|\sstyle=|\son\w+=|javascript:", page)
    assert not re.findall(r'(?:src|href|action)="(?:https?:)?//', page)


def test_a_person_meets_a_page_and_a_program_a_problem_document(app, browser, stranger):
    page = browser.get("/nowhere")
    assert (page.status_code, page.mimetype) == (404, "text/html")
    assert "There is nothing here" in page.text
    assert page.headers["X-Request-ID"] in page.text
    assert stranger.get("/nowhere").mimetype == "application/problem+json"
    assert browser.get("/v1/nowhere").mimetype == "application/problem+json"
    wrong_method = browser.client.delete("/login", headers=BROWSER)
    assert (wrong_method.status_code, wrong_method.mimetype) == (405, "text/html")
    assert "GET" in wrong_method.headers["Allow"]


def test_who_gets_lost_stays_logged_in(browser):
    browser.log_in(ADMIN)
    page = browser.get("/nowhere")
    assert page.status_code == 404
    assert "Log out" in page.text
    assert browser.post("/logout", csrf=browser.csrf("/nowhere")).status_code == 303


def test_an_address_is_never_markup(browser):
    page = browser.get("/<script>alert(1)</script>").text
    assert "<script>alert" not in page
    login = browser.get('/login?next=/"><script>alert(1)</script>').text
    assert "<script>alert" not in login


def test_the_first_page_tells_a_program_where_the_api_is(stranger):
    answer = stranger.get("/", headers={"Accept": "application/json"})
    assert answer.json["openapi"] == "/openapi.json"
    assert stranger.get(answer.json["openapi"]).status_code == 200


def test_pages_are_not_kept_by_anybody(browser):
    browser.log_in(ADMIN)
    assert browser.get("/").headers["Cache-Control"] == "no-store"
