"""Styles and scripts, shipped with the package or with Swagger UI's and read once: nothing on any page comes from elsewhere."""

import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable


@dataclass(frozen=True, slots=True)
class File:
    """One file's content; `digest` is in its address, so that a new version is a new address."""

    content: bytes
    mimetype: str
    digest: str


_SWAGGER_UI = ("swagger-ui.css", "swagger-ui-bundle.js")


@cache
def known_files() -> dict[str, File]:
    """Every file under `static/` by its path, and Swagger UI's. Only these can be asked for: no path leads out of the folder."""
    swagger_ui = files("flask_swagger_ui") / "dist"
    return {**_read(files("gateway.web") / "static", ""), **{f"docs/{name}": _file(swagger_ui / name) for name in _SWAGGER_UI}}


def static_address(name: str) -> str:
    """Where a page finds a file."""
    return f"/static/{name}?v={known_files()[name].digest}"


def _read(folder: Traversable, prefix: str) -> dict[str, File]:
    found: dict[str, File] = {}
    for entry in folder.iterdir():
        if entry.is_dir():
            found |= _read(entry, f"{prefix}{entry.name}/")
        else:
            found[f"{prefix}{entry.name}"] = _file(entry)
    return found


def _file(entry: Traversable) -> File:
    content = entry.read_bytes()
    return File(content, mimetypes.guess_type(entry.name)[0] or "text/plain", hashlib.sha256(content).hexdigest()[:12])
