"""Somebody before a screen: what tests say of pages, and what is noted meanwhile."""

from pathlib import Path

AXE = (Path(__file__).parent / "axe_core" / "axe.min.js").read_text(encoding="utf-8")
_RUN_AXE = "async () => (await axe.run(document, {resultTypes: ['violations']})).violations"
_HARMLESS = "[DOM]"
"""Chromium's advice about forms."""


class Walker:
    """A page, and every problem it met: console errors, answers above 499, addresses that are not the gateway's."""

    def __init__(self, page, address: str) -> None:
        self.page = page
        self.problems: list[str] = []
        page.on("console", lambda said: self._note(said.text) if said.type == "error" and _HARMLESS not in said.text else None)
        page.on("pageerror", lambda error: self._note(str(error)))
        page.on("request", lambda asked: None if asked.url.startswith((f"{address}/", "data:")) else self._note(asked.url))
        page.on("response", lambda answer: self._note(f"{answer.status} {answer.url}") if answer.status >= 500 else None)

    def _note(self, problem: str) -> None:
        self.problems.append(problem)

    def log_in(self, key: str) -> None:
        """From wherever the person is."""
        self.page.goto("/login")
        self.page.get_by_label("API key").fill(key)
        self.follow(self.page.get_by_role("button", name="Log in"))
        self.page.get_by_role("button", name="Log out").wait_for()

    def follow(self, way) -> None:
        """Click what brings another page, and wait until that one is whole: a look too early finds the old page, or half of the new one."""
        with self.page.expect_navigation():
            way.click()

    def figure(self, name: str):
        """A number at the top of a page, by its name."""
        return self.page.locator(".figures div").filter(has=self.page.get_by_text(name, exact=True)).locator("dd")

    def serious(self) -> list[str]:
        """What axe finds that keeps people out."""
        self.page.evaluate(AXE)
        return [
            f"{self.page.url}: {found['id']}: {node['target']} {node['failureSummary']}"
            for found in self.page.evaluate(_RUN_AXE)
            if found["impact"] in ("serious", "critical")
            for node in found["nodes"][:3]
        ]

    def overflows(self) -> bool:
        """Whether the page is wider than the screen."""
        return self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
