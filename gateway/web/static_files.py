"""Styles and scripts, shipped with the package and read once: nothing on any page comes from elsewhere."""

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


@cache
def known_files() -> dict[str, File]:
    """Every file under `static/` by its path. Only these can be asked for: no path leads out of the folder."""
    return dict(_read(files("gateway.web") / "static", ""))


def static_address(name: str) -> str:
    """Where a page finds a file."""
    return f"/static/{name}?v={known_files()[name].digest}"


def _read(folder: Traversable, prefix: str) -> list[tuple[str, File]]:
    found = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _read(entry, f"{prefix}{entry.name}/")
        else:
            content = entry.read_bytes()
            mimetype = mimetypes.guess_type(entry.name)[0] or "text/plain"
            found.append((f"{prefix}{entry.name}", File(content, mimetype, hashlib.sha256(content).hexdigest()[:12])))
    return found
