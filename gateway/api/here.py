"""What Flask's proxies stand for in this request: each look through one costs as much as the work that is done with it."""

from typing import Any, TypeVar

T = TypeVar("T")


def here(proxy: T) -> T:
    """The request, or its `g`, itself. Good for this request only."""
    real: T = _real(proxy)
    return real


def _real(proxy: Any) -> Any:
    return proxy._get_current_object()  # noqa: SLF001 -- Werkzeug's documented way: werkzeug.palletsprojects.com, "Context Locals"
