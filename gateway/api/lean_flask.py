"""Flask without what it finds out at each request, where nothing here needs it or the request knows it already."""

from collections.abc import Callable
from typing import Any

from flask import Flask, Request, Response
from flask.sessions import NullSession, SessionInterface
from flask.typing import ResponseReturnValue
from werkzeug.routing import MapAdapter, Rule
from werkzeug.wsgi import get_host


class _NoSession(SessionInterface):
    """Pages have sessions of their own (`gateway.web.sessions`)."""

    _NONE = NullSession()

    def open_session(self, app: Flask, request: Request) -> NullSession:  # noqa: ARG002
        """Flask's hook."""
        return self._NONE


class _Request(Request):
    """Without a limit of the whole application: every body is read within one of its own."""

    max_content_length = None


class _Adapter(MapAdapter):
    """The rules as one request sees them; an address without variables that was found before is found by looking it up."""

    known: dict[tuple[str, str], Rule]

    def match(self, *args: Any, return_rule: bool = False, **kwargs: Any) -> Any:
        """Werkzeug's; Flask calls it with `return_rule` alone."""
        if args or kwargs or not return_rule:
            return super().match(*args, return_rule=return_rule, **kwargs)  # type: ignore[call-overload]
        asked = self.path_info, self.default_method
        rule = self.known.get(asked)
        if rule is None:
            rule, values = super().match(return_rule=True)
            if values:
                return rule, values
            self.known[asked] = rule
        return rule, {}


class LeanFlask(Flask):
    """Flask for one host, without sessions and coroutines, and without hooks of blueprints."""

    request_class = _Request
    session_interface = _NoSession()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """As Flask's."""
        self._known: dict[tuple[str, str], Rule] = {}
        super().__init__(*args, **kwargs)

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Flask's hook, before each function of each request: whether it is a coroutine. None is."""
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Flask's hook. Of the environment it would find out twice what the request knows, and the name of its host in IDNA."""
        if request is None:
            return None
        request.host = get_host(request.environ)
        query = request.query_string.decode("latin-1")
        adapter = _Adapter(self.url_map, request.host, request.root_path, "", request.scheme, request.path, request.method, query)
        adapter.known = self._known
        return adapter

    def preprocess_request(self) -> ResponseReturnValue | None:
        """Flask's hook: what stands before every resource and page, and may answer instead of it."""
        for begin in self.before_request_funcs[None]:
            answer = begin()
            if answer is not None:
                return answer  # type: ignore[return-value]
        return None

    def process_response(self, response: Response) -> Response:
        """Flask's hook: what stands behind them, the last one added first."""
        for end in reversed(self.after_request_funcs[None]):
            response = end(response)
        return response

    def do_teardown_request(self, exc: BaseException | None = None) -> None:
        """Flask's hook: what is given back at last."""
        for give_back in self.teardown_request_funcs.get(None, ()):
            give_back(exc)
