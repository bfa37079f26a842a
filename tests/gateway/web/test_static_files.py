import re

import pytest


def test_what_a_page_links_to_is_there_and_may_be_kept_for_ever(browser):
    links = re.findall(r'(?:href|src)="(/static/[^"]+)"', browser.get("/").text)
    assert len(links) >= 2
    for link in links:
        file = browser.get(link)
        assert file.status_code == 200, link
        assert file.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert file.headers["X-Content-Type-Options"] == "nosniff"
        again = browser.client.get(link, headers={"If-None-Match": file.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")


def test_an_old_or_missing_version_is_asked_for_again(browser):
    assert browser.get("/static/style.css").headers["Cache-Control"] == "public, no-cache"
    assert browser.get("/static/style.css?v=old").headers["Cache-Control"] == "public, no-cache"


@pytest.mark.parametrize("name", ["../page.py", "..%2Fpage.py", "/etc/passwd", "templates/base.html", "", "nothing.css", "%00"])
def test_no_other_file_can_be_had(browser, name):
    assert browser.get(f"/static/{name}").status_code in (404, 308)
