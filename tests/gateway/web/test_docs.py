import re
from html import unescape

from gateway.errors import GatewayError
from tests.gateway.web.browsers import BROWSER


def test_the_type_of_a_problem_leads_to_its_meaning_and_what_to_do(stranger, browser):
    address, _, anchor = stranger.get("/v1/providers").json["type"].partition("#")
    assert anchor == "unauthenticated"
    page = browser.get(address).text
    sections = dict(re.findall(r'<section class="card" id="(\w+)">(.*?)</section>', page, re.DOTALL))
    assert set(sections) == {error.code for error in GatewayError.__subclasses__()}
    for error in GatewayError.__subclasses__():
        said = unescape(re.sub(r"</?code>", "`", sections[error.code]))
        for told in (f">{error.status}<", error.title, error.__doc__, error.remedy):
            assert told in said, error.code
    assert "<code>parameter</code> names it" in sections["invalid_parameter"]


def test_a_page_of_a_problem_leads_there_too(browser):
    assert 'href="/docs/errors#not_found"' in browser.get("/nowhere").text


def test_the_documentation_needs_no_network(browser):
    page = browser.get("/docs/").text
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert sum("swagger-ui" in address for address in addresses) == 3
    for address in addresses:
        assert not address.startswith(("http:", "https:", "//")), address
        with browser.get(address) as file:
            assert file.status_code == 200


def test_who_leaves_the_slash_out_finds_it_all_the_same(browser):
    redirect = browser.client.get("/docs", headers=BROWSER)
    assert (redirect.status_code, redirect.location) == (308, "http://localhost/docs/")
