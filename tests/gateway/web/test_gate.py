import pytest

from gateway.api.resource import OPEN
from gateway.web import PAGES
from gateway.web.page import Page
from tests.gateway.web.browsers import BROWSER, Browser
from tests.processes import ADMIN


def pages(app):
    for rule in app.url_map.iter_rules():
        view = getattr(app.view_functions[rule.endpoint], "view_class", None)
        if view is not None and issubclass(view, Page):
            yield rule, view


def address_of(rule):
    parts = dict.fromkeys(rule.arguments, "x")
    return rule.build(parts)[1]


def test_every_page_says_who_may_read_it_and_has_a_title(app):
    found = list(pages(app))
    assert {rule.rule for rule, _ in found} >= {"/", "/login", "/logout"} | set(PAGES)
    for rule, view in found:
        assert isinstance(view.roles, frozenset), rule.rule
        assert view.title, rule.rule


def test_who_is_not_logged_in_is_sent_to_the_login_and_a_program_is_told_why(app):
    for rule, view in pages(app):
        if view.roles == OPEN or "GET" not in rule.methods:
            continue
        address = address_of(rule)
        response = Browser(app).get(f"{address}?a=1%26")
        assert (response.status_code, response.headers["Location"]) == (303, f"/login?next={address}%3Fa%3D1%2526"), rule.rule
        response = app.test_client().get(address)
        assert (response.status_code, response.json["code"]) == (401, "unauthenticated"), rule.rule


def test_a_key_in_the_header_opens_no_page_and_a_session_no_resource(app, client, logged_in):
    for rule, view in pages(app):
        if view.roles != OPEN and "GET" in rule.methods:
            assert client.get(address_of(rule)).status_code == 401, rule.rule
    assert logged_in("admin").get("/v1/keys").status_code == 401


def test_no_page_takes_a_form_without_its_token(app, logged_in):
    browser = logged_in("admin")
    right = browser.csrf("/")
    for rule, _ in pages(app):
        for method in rule.methods - {"GET", "HEAD", "OPTIONS"}:
            for form in ({}, {"csrf": ""}, {"csrf": right[::-1]}, {"csrf": Browser(app).csrf()}, {"csrf": "é"}):
                response = browser.client.open(address_of(rule), method=method, data=form, headers=BROWSER)
                assert (response.status_code, "out of date" in response.text) == (403, True), (rule.rule, form)
            in_the_address = browser.client.open(f"{address_of(rule)}?csrf={right}", method=method, headers=BROWSER)
            assert in_the_address.status_code == 403, rule.rule


def test_a_role_reads_its_own_pages_and_is_told_about_the_others(app, logged_in):
    for role in ("app", "finance"):
        browser = logged_in(role)
        for rule, view in pages(app):
            if view.roles != OPEN and role not in view.roles and "GET" in rule.methods:
                response = browser.get(address_of(rule))
                assert (response.status_code, "This page is for keys with the role" in response.text) == (403, True), rule.rule


def test_the_navigation_shows_only_where_a_person_may_go(app, logged_in):
    for role in ("app", "finance", "admin"):
        page = logged_in(role).get("/").text
        for address, view in PAGES.items():
            allowed = view.roles == OPEN or role == "admin" or role in view.roles
            if view.word:
                assert (f'<a href="{address}"' in page.partition("<main")[0]) is allowed or address == "/", (role, address)


def test_a_large_form_is_refused_before_it_is_read(browser):
    response = browser.post("/login", {"key": "x" * 200_000})
    assert response.status_code == 413
    assert browser.log_in(ADMIN).status_code == 303


@pytest.mark.parametrize("cookie", ["", "x", "é", "a" * 4000, "%00", "';--"])
def test_any_cookie_is_at_worst_no_session(browser, cookie):
    browser.client.set_cookie("vg_session", cookie)
    assert browser.get("/").status_code == 200
