"""A template becomes text."""

from flask import current_app, render_template

TEMPLATES = "page_templates"
"""The pages' own environment, among the app's extensions: /docs has templates of its own."""


def draw(template: str, **values: object) -> str:
    """A page's template as text. What it may use besides `values` stands in `gateway.web.context`."""
    return render_template(current_app.extensions[TEMPLATES].get_template(template), **values)
