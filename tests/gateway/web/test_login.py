import pytest

from gateway.web.login import own_address
from tests.gateway.web.browsers import BROWSER, Browser, cookie_of
from tests.processes import ADMIN


def test_a_key_becomes_a_session_that_ends_with_the_logout(browser):
    assert browser.log_in(ADMIN).status_code == 303
    assert "bootstrap" in browser.get("/").text
    old = browser.client.get_cookie("vg_session").value
    assert browser.post("/logout", csrf=browser.csrf("/")).status_code == 303
    assert "Log in" in browser.get("/").text
    browser.client.set_cookie("vg_session", old)
    assert "bootstrap" not in browser.get("/").text


@pytest.mark.parametrize("https", [False, True])
def test_the_session_cookie_is_out_of_reach_of_scripts_and_of_other_sites(browser, https):
    scheme = "https" if https else "http"
    token = browser.csrf()
    if https:
        browser.client.set_cookie("vg_form", browser.client.get_cookie("vg_form").value, secure=True)
    response = browser.post("/login", {"key": ADMIN}, csrf=token, base_url=f"{scheme}://localhost")
    value, attributes = cookie_of(response, "vg_session")
    assert len(value) >= 43
    assert {"HttpOnly", "SameSite", "Max-Age", "Path"} <= set(attributes)
    assert attributes["SameSite"] == "Lax"
    assert int(attributes["Max-Age"]) <= 24 * 3600
    assert ("Secure" in attributes) is https


def test_nothing_of_the_key_or_the_session_is_in_the_database_or_in_the_page(app, browser):
    browser.log_in(ADMIN)
    token = browser.client.get_cookie("vg_session").value
    with app.extensions["gateway"].database.connect() as connection:
        rows = str(connection.exec_driver_sql("SELECT * FROM web_session").all())
    assert token not in rows
    assert ADMIN not in rows
    page = browser.get("/").text
    assert token not in page
    assert ADMIN not in page


def test_each_login_is_a_new_session_and_ends_the_one_before(browser):
    browser.client.set_cookie("vg_session", "chosen-by-somebody-else")
    browser.log_in(ADMIN)
    first = browser.client.get_cookie("vg_session").value
    assert first != "chosen-by-somebody-else"
    browser.post("/login", {"key": ADMIN}, csrf=browser.csrf("/"))
    second = browser.client.get_cookie("vg_session").value
    assert second != first
    browser.client.set_cookie("vg_session", first)
    assert browser.get("/login").text.count("Log out") == 0


def test_a_revoked_key_ends_its_sessions(app, logged_in):
    browser = logged_in("finance")
    assert "finance-reader" in browser.get("/").text
    app.extensions["gateway"].keys.revoke("finance-reader")
    assert "finance-reader" not in browser.get("/").text


@pytest.mark.parametrize("key", ["", "vg_0_0", "wrong", ADMIN + "x", "vg_" + "é" * 400])
def test_a_wrong_key_gets_the_form_again_and_no_session(app, key):
    browser = Browser(app)
    response = browser.post("/login", {"key": key, "next": "/somewhere"}, environ_overrides={"REMOTE_ADDR": f"10.0.0.{len(key) % 250}"})
    assert response.status_code == 401
    assert "not a valid key" in response.text
    assert 'value="/somewhere"' in response.text
    assert cookie_of(response, "vg_session") is None


def test_an_address_that_tries_many_wrong_keys_must_wait(app):
    browser = Browser(app)
    token = browser.csrf()
    elsewhere = {"REMOTE_ADDR": "203.0.113.9"}
    answers = [browser.post("/login", {"key": f"vg_{n}"}, csrf=token, environ_overrides=elsewhere) for n in range(11)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429]
    assert int(answers[-1].headers["Retry-After"]) >= 1
    assert browser.post("/login", {"key": ADMIN}, csrf=token, environ_overrides=elsewhere).status_code == 429
    assert Browser(app).log_in(ADMIN).status_code == 303


@pytest.mark.parametrize("address", ["/costs?from=2026-11-01", "/", "/budgets/shop"])
def test_a_person_goes_on_to_the_page_that_was_asked_for(browser, address):
    assert browser.log_in(ADMIN, address).headers["Location"] == address


@pytest.mark.parametrize(
    "address",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        "/costs\r\nX: y",
        "",
        " /x",
        "///evil.example",
        "evil.example",
    ],
)
def test_a_login_never_leads_to_another_site(browser, address):
    assert own_address(address) == "/"
    assert browser.log_in(ADMIN, address).headers["Location"] == "/"


def test_the_login_form_needs_its_token_too(app):
    browser = Browser(app)
    assert browser.client.post("/login", data={"key": ADMIN}, headers=BROWSER).status_code == 403
    stolen = Browser(app).csrf()
    assert browser.post("/login", {"key": ADMIN}, csrf=stolen).status_code == 403
