"""Somebody before a screen: what tests say of pages, and what is noted meanwhile."""

from pathlib import Path

AXE = (Path(__file__).parent / "axe_core" / "axe.min.js").read_text(encoding="utf-8")
_RUN_AXE = "async () => (await axe.run(document, {resultTypes: ['violations']})).violations"
_PLAIN_GROUND = "() => document.querySelectorAll('.scroll, .drawing').forEach((one) => { one.style.background = 'none'; })"
"""Before a gradient axe measures no contrast, and says nothing."""
_TABBABLE = """() => {
  const kinds = 'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]';
  window.tabbable = [...document.querySelectorAll(kinds)].filter((one) => one.tabIndex >= 0 && one.checkVisibility());
  document.body.tabIndex = -1;
  document.body.focus();  // from the top, also where a field has the focus at first
  document.body.removeAttribute('tabindex');
  return window.tabbable.length;
}"""
_FOCUSED = """() => {
  const one = document.activeElement, style = getComputedStyle(one), box = one.getBoundingClientRect();
  const marked = (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2) || style.boxShadow !== 'none';
  const shown = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth && box.width > 0;
  return [window.tabbable.indexOf(one), one.outerHTML.slice(0, 120), marked && shown];
}"""
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
        self.page.evaluate(_PLAIN_GROUND)
        return [
            f"{self.page.url}: {found['id']}: {node['target']} {node['failureSummary']}"
            for found in self.page.evaluate(_RUN_AXE)
            if found["impact"] in ("serious", "critical")
            for node in found["nodes"][:3]
        ]

    def tab_through(self) -> list[str]:
        """What somebody without a mouse can't reach, or not see that it is reached."""
        expected = self.page.evaluate(_TABBABLE)
        reached: list[int] = []
        problems = []
        for _ in range(expected * 4):  # a date has stops of its own for day, month, year and calendar
            self.page.keyboard.press("Tab")
            place, name, seen = self.page.evaluate(_FOCUSED)
            if place < 0:
                break
            if not seen:
                problems.append(f"{self.page.url}: {name} has the focus, and nobody sees it")
            if place not in reached:
                reached.append(place)
        if len(reached) != expected:
            problems.append(f"{self.page.url}: {len(reached)} of {expected} are reached")
        return problems + ([] if reached == sorted(reached) else [f"{self.page.url}: in another order than they are written"])

    def overflows(self) -> bool:
        """Whether the page is wider than the screen."""
        return self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
