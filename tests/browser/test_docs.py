"""What a developer meets: the API to read and to try, in the reader's colours, and the page behind every error."""

import pytest

_OF_SWAGGER_UI = ("nested-interactive", "select-name", "label:", "scrollable-region-focusable")
"""What axe finds in its markup; colours are ours to set."""


@pytest.mark.parametrize(("scheme", "other"), [("light", "dark"), ("dark", "light")])
def test_the_documentation_follows_the_readers_colours_and_can_be_read_in_both(walk, scheme, other):
    is_dark = "document.documentElement.classList.contains('dark-mode')"
    with walk(scheme=scheme) as person:
        page = person.page
        page.goto("/docs/")
        page.get_by_text("/v1/detections", exact=True).wait_for()
        assert page.evaluate(is_dark) == (scheme == "dark")
        page.locator(".opblock-summary-control").first.click()
        page.get_by_role("button", name="Try it out").click()
        assert [found for found in person.serious() if not any(f": {one}" in found for one in _OF_SWAGGER_UI)] == []
        assert not person.overflows()
        page.emulate_media(color_scheme=other)
        page.wait_for_function(f"{is_dark} === {str(other == 'dark').lower()}")


def test_the_link_of_an_error_shows_its_meaning(walk, gateway):
    with walk() as person:
        page = person.page
        address = page.request.get("/v1/providers").json()["type"]
        page.goto(address)
        shown = page.locator("section:target")
        assert shown.get_by_role("heading", name="unauthenticated").is_visible()
        assert "An admin makes keys" in shown.inner_text()
        assert page.evaluate("document.querySelector(':target').getBoundingClientRect().top") < 400
        assert person.serious() == []
