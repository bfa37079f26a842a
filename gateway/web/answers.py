"""What a browser is told besides the page: what it may load, and errors as pages rather than as JSON."""

import json
from urllib.parse import quote

from flask import Response, redirect, request

from gateway.api.whole_answer import WholeAnswer
from gateway.web.drawing import draw

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing inline and nothing from outside: markup in a client's name or a tag could run nothing even if it got into a page. `data:` is for
Swagger UI's icons.

Source: https://www.w3.org/TR/CSP3/
"""


def answer_browsers(response: Response) -> Response:
    """Give every page its policy, and a person who meets a problem a page that says what to do."""
    if isinstance(response, WholeAnswer):
        return response
    if response.mimetype == "application/problem+json" and _is_a_person():
        response = _as_page(response)
    if response.mimetype == "text/html":
        response.headers["Content-Security-Policy"] = _POLICY
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    return response


def _is_a_person() -> bool:
    """A browser on a page. The API answers problem documents to browsers too."""
    return "text/html" in request.accept_mimetypes.values() and not request.path.startswith("/v1/")


def _as_page(problem: Response) -> Response:
    told = json.loads(problem.get_data())
    if told["code"] == "unauthenticated":
        wanted = request.full_path.rstrip("?") if request.method == "GET" else "/"
        response = redirect(f"/login?next={quote(wanted, safe='/')}", 303)
        assert isinstance(response, Response)
        return response
    page = Response(draw("problem.html", problem=told), problem.status_code, mimetype="text/html")
    for name in ("Retry-After", "Allow"):
        if name in problem.headers:
            page.headers[name] = problem.headers[name]
    return page
