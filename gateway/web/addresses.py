"""Addresses that carry which rows are meant, in the words of the API: so a number on a page, its rows and its file are asked for alike."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit

from cost.ledger import CostFilter

TAG = "tag:"


def address_of(path: str, where: CostFilter, **more: str) -> str:
    """A page or file about these rows."""
    asked = {
        "from": where.first.isoformat(),
        "to": where.last.isoformat(),
        "provider": where.provider,
        "sku": where.sku,
        "feature": where.feature,
        "client": where.client,
        "tag": ",".join(f"{name}:{value}" for name, value in where.tags.items()) or None,
    }
    return f"{path}?{urlencode({name: value for name, value in (asked | more).items() if value is not None})}"


def narrowed(where: CostFilter, keys: Mapping[str, str]) -> CostFilter:
    """Those of the rows that a report's row with these keys has added up."""
    for word, value in keys.items():
        if word.startswith(TAG):
            where = replace(where, tags={**where.tags, word.removeprefix(TAG): value})
        elif word == "day":
            where = replace(where, first=date.fromisoformat(value), last=date.fromisoformat(value))
        else:
            where = _with(where, word, value)
    return where


@dataclass(frozen=True, slots=True)
class Choice:
    """One value that a page can be narrowed or turned to: what it is called, where that leads, and whether it is so already."""

    word: str
    value: str
    address: str
    here: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """Which rows a page is about, and how to turn it to others.

    Attributes:
        page: its path.
        more: its other parameters, kept while the days are changed.
    """

    page: str
    where: CostFilter
    today: date
    more: Mapping[str, str] = field(default_factory=dict)

    def at(self, path: str, **more: str) -> str:
        """Another page or file about the same rows."""
        return address_of(path, self.where, **more)

    @property
    def periods(self) -> list[Choice]:
        """The periods that are a click away."""
        month = self.today.replace(day=1)
        before = month - timedelta(days=1)
        named = [
            ("This month", month, self.today),
            (f"{before:%B}", before.replace(day=1), before),
            *((f"{days} days", self.today - timedelta(days=days - 1), self.today) for days in (7, 30, 90)),
        ]
        here = (self.where.first, self.where.last)
        return [
            Choice(word, "", address_of(self.page, replace(self.where, first=first, last=last), **self.more), (first, last) == here)
            for word, first, last in named
        ]

    @property
    def kept(self) -> dict[str, str]:
        """What a form that changes the days sends along."""
        asked = dict(parse_qsl(urlsplit(self.at("", **self.more)).query, keep_blank_values=True))
        return {name: value for name, value in asked.items() if name not in ("from", "to")}

    @property
    def chosen(self) -> list[Choice]:
        """What the rows are narrowed to besides their days; each leads to the page without it."""
        where, plain = self.where, ("provider", "sku", "feature", "client")
        found = [(word, getattr(where, word), _with(where, word, None)) for word in plain if getattr(where, word) is not None]
        for name, value in where.tags.items():
            rest = {other: kept for other, kept in where.tags.items() if other != name}
            found.append((name, value or "(none)", replace(where, tags=rest)))
        return [Choice(word, value, address_of(self.page, without, **self.more)) for word, value, without in found]


def _with(where: CostFilter, word: str, value: str | None) -> CostFilter:
    """One of the plain keys set anew."""
    return replace(where, **{word: value})  # type: ignore[arg-type]
