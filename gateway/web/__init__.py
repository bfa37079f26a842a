"""The pages, for people who do not read JSON. Server-drawn: they need no script, nothing is built, and nothing comes from outside.

To add one: a module here with a subclass of `Page`, a template of its name, and its line in `PAGES`. The page's `roles` decide who sees
it and its `word` puts it into the navigation; sessions, form tokens, errors and the security policy come with it.

    page, context     what a page is; what its template may use
    gate, sessions    who asks; login, logout and attempts
    answers           policy and error pages
    static_files      styles and scripts;  static_page sends them
    formats, charts   numbers and drawings;  slots: the days as bars
    addresses         which rows a link is about
    home              the first page
    costs             cost_tables, price_table: what it shows;  invoices, invoice_view: a provider's side
    budgets           budget_view, budget_form
    experiments       experiment_view, experiment_file, cost_quality, gallery
    keys, prices      as they say
    docs              the API, and every error
"""

from flask import Flask

from gateway.parts import Parts
from gateway.web.answers import answer_browsers
from gateway.web.attempts import LoginAttempts
from gateway.web.budgets import BudgetEnd, BudgetPage, BudgetsPage
from gateway.web.context import equip_templates
from gateway.web.costs import CostRowsFile, CostRowsPage, CostsFile, CostsPage
from gateway.web.docs import DocsPage, ErrorsPage
from gateway.web.experiments import ExperimentPage, ExperimentPicture, Experiments
from gateway.web.gate import keep_form_secret
from gateway.web.home import Home
from gateway.web.invoices import InvoicePage, InvoicesPage
from gateway.web.keys import KeyEnd, KeysPage
from gateway.web.login import Login, Logout
from gateway.web.page import Page
from gateway.web.prices import PricesPage
from gateway.web.quality import QualityPage, QualityPicture
from gateway.web.sessions import Sessions
from gateway.web.static_page import StaticFile

PAGES: dict[str, type[Page]] = {
    "/": Home,
    "/costs": CostsPage,
    "/costs/rows": CostRowsPage,
    "/costs/report": CostsFile,
    "/costs/rows.csv": CostRowsFile,
    "/costs/invoices": InvoicesPage,
    "/costs/invoices/<name>": InvoicePage,
    "/budgets": BudgetsPage,
    "/budgets/<name>": BudgetPage,
    "/budgets/<name>/end": BudgetEnd,
    "/prices": PricesPage,
    "/experiments": Experiments,
    "/experiments/<name>": ExperimentPage,
    "/experiments/<name>/pictures/<digest>": ExperimentPicture,
    "/keys": KeysPage,
    "/keys/<name>/revoke": KeyEnd,
    "/quality": QualityPage,
    "/quality/pictures/<digest>": QualityPicture,
    "/docs/": DocsPage,
    "/docs/errors": ErrorsPage,
    "/static/<path:name>": StaticFile,
}
"""In the order of the navigation."""


def add_pages(app: Flask, parts: Parts, sessions: Sessions) -> None:
    """Put every page at its address."""
    equip_templates(app, PAGES, simulated=parts.settings.simulated)
    for address, page in PAGES.items():
        app.add_url_rule(address, view_func=page.as_view(f"page.{page.__name__}", parts))
    app.add_url_rule("/login", view_func=Login.as_view("page.Login", parts, sessions, LoginAttempts()))
    app.add_url_rule("/logout", view_func=Logout.as_view("page.Logout", parts, sessions))
    app.after_request(keep_form_secret)  # the last one added is the first one called
    app.after_request(answer_browsers)
