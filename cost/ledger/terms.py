"""The words of the ledger: holds and reservations, budgets, idempotency keys, usage."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import Literal, NamedTuple

from cost.ledger.times import new_id
from cost.money import FREE, Money
from cost.windows import Period, Window

State = Literal["reserved", "settled", "released", "unknown"]
Scope = Literal["global", "provider", "client", "tag"]
WhenExhausted = Literal["degrade", "reject"]

TAGS_MAX = 16
TAG_NAME_CHARS_MAX = 64
TAG_VALUE_CHARS_MAX = 128


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A client's own name for a request, so that a repeat is answered alike and charged once.

    Attributes:
        key: at most 255 visible ASCII characters.
        fingerprint: SHA-256 (hex) over everything that makes the request what it is.
    """

    client: str
    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class SavedAnswer:
    """What was answered to the first request of an idempotency key."""

    request_id: str
    status: int
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A paid call that somebody wants to make.

    Attributes:
        usage: units by SKU, each at least 1: all SKUs of ONE request to the provider.
        request_id: the client request that it serves; its attempts share `max_cost`.
        timeout_s: seconds after which the call can no longer be running; later it counts as `unknown`.
        max_cost: the ceiling over all attempts of this request, or None.
        tags: at most 16; names and values without ',', names without ':'.
        attempt_id: made here, before anything is sent; a repeated reserve of the same id is the same reservation.
    """

    provider: str
    usage: Mapping[str, int]
    request_id: str
    client: str
    features: frozenset[str]
    timeout_s: float
    tags: Mapping[str, str] = field(default_factory=dict)
    max_cost: Money | None = None
    attempt_id: str = field(default_factory=new_id)

    def __post_init__(self) -> None:
        check_texts(self.provider, self.request_id, self.client, self.features, self.usage)
        tags_text(self.tags)
        if not self.usage or any(type(units) is not int or units < 1 for units in self.usage.values()):
            raise ValueError("a call has at least one SKU, each with at least one unit")


@dataclass(frozen=True, slots=True)
class Line:
    """Units of one SKU in an attempt. `list_price` is theirs with free units and volume apart."""

    sku: str
    units: int
    price: Money
    list_price: Money


@dataclass(frozen=True, slots=True)
class Reservation:
    """Money held for one attempt. From here on the attempt counts in every budget, whatever happens to this process."""

    attempt_id: str
    request_id: str
    provider: str
    price: Money
    lines: tuple[Line, ...]
    reserved_at: datetime
    deadline_at: datetime


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent by some scope in each calendar window.

    Attributes:
        scope: `global`, or by `scope_value` one provider, client or tag ("key:value").
        when_exhausted: what a request that finds no room gets: the in-house model's answer, or a refusal.
        pacing: whether the router spreads what is left over the window.
        alert_at: fractions of the limit at which somebody is told, each in (0, 1].
    """

    name: str
    scope: Scope
    scope_value: str
    period: Period
    timezone: str
    limit: Money
    when_exhausted: WhenExhausted = "degrade"
    pacing: bool = False
    alert_at: tuple[Decimal, ...] = ()

    def binds(self, client: str, tags: Mapping[str, str]) -> bool:
        """Whether a request of this client with these tags may have to be paid by it; where it is a provider's, any may."""
        if self.scope == "client":
            return self.scope_value == client
        if self.scope == "tag":
            key, _, value = self.scope_value.partition(":")
            return tags.get(key) == value
        return True


@dataclass(frozen=True, slots=True)
class BudgetStatus:
    """A budget and what its present window has seen."""

    budget: Budget
    window: Window
    settled: Money
    reserved: Money
    unknown: Money

    @property
    def committed(self) -> Money:
        """What the limit is checked against."""
        return self.settled + self.reserved + self.unknown

    @property
    def remaining(self) -> Money:
        """What may still be reserved; 0 where a lowered limit or a correction has put the window over it."""
        return max(FREE, self.budget.limit - self.committed)


class UsageRow(NamedTuple):
    """An answer that was not paid for: usage, not money. A tuple, since one is made for every hit.

    Attributes:
        kind: the in-house model answered; the cache did; it waited for an identical request.
        provider, sku, units: who answered, now or then, in the units of its price sheet.
        imputed: what the in-house answer cost by the hour's price of its machine.
        avoided: what the answer would have cost from the provider that would have been paid.
    """

    kind: Literal["in_house", "hit", "joined"]
    request_id: str
    client: str
    provider: str
    features: frozenset[str]
    sku: str
    units: int = 1
    imputed: Money = FREE
    avoided: Money = FREE
    tags: Mapping[str, str] = MappingProxyType({})

    def check(self) -> None:
        """Refuse what no column can hold.

        Raises:
            ValueError: a text that is too long, with a NUL, or tags that could be read as others.
        """
        check_texts(self.provider, self.request_id, self.client, self.features, (self.sku,))
        tags_text(self.tags)


def check_texts(provider: str, request_id: str, client: str, features: frozenset[str], skus: Iterable[str]) -> None:
    """Refuse what no column can hold, here and not in the middle of a batch.

    Raises:
        ValueError: a text that is too long, or with a NUL.
    """
    _check_text(request_id, 64)
    _check_known_texts(provider, client, features, tuple(skus))


@lru_cache(maxsize=1024)
def _check_known_texts(provider: str, client: str, features: frozenset[str], skus: tuple[str, ...]) -> None:
    """Those that are the same in many rows."""
    _check_text(provider, 64)
    _check_text(client, 128)
    _check_text(features_text(features), 128)
    for sku in skus:
        _check_text(sku, 128)


def _check_text(text: str, chars_max: int) -> None:
    if len(text) > chars_max or "\0" in text:
        raise ValueError(f"{text[:chars_max]!r} is longer than {chars_max} characters, or has a NUL")


def tags_text(tags: Mapping[str, str]) -> str:
    """Tags as a column keeps them: ",campaign:spring,cost_centre:42," in order of the names.

    Raises:
        ValueError: more than 16, one that is too long, or one that could be read as another.
    """
    if not tags:
        return ","
    if len(tags) > TAGS_MAX:
        raise ValueError(f"{len(tags)} tags are more than {TAGS_MAX}")
    for name, value in tags.items():
        if len(name) > TAG_NAME_CHARS_MAX or len(value) > TAG_VALUE_CHARS_MAX:
            raise ValueError(
                f"{name[:TAG_NAME_CHARS_MAX]!r}: a tag's name has up to {TAG_NAME_CHARS_MAX} characters, its value {TAG_VALUE_CHARS_MAX}"
            )
        if not name or ":" in name or "," in name or "," in value or "\0" in name + value:
            raise ValueError(f"{name!r}: {value!r} can't be a tag: ',' and (in the name) ':' part tags")
    return "," + "".join(f"{name}:{tags[name]}," for name in sorted(tags))


def tags_of(text: str) -> dict[str, str]:
    """The tags in a column's text."""
    return dict(tag.split(":", 1) for tag in text.split(",") if tag)


def features_text(features: frozenset[str]) -> str:
    """Features as a column keeps them: "labels,objects"."""
    return ",".join(sorted(features))


def alert_fractions(text: str) -> tuple[Decimal, ...]:
    """The fractions in a column's text: "0.8,0.95"."""
    return tuple(Decimal(fraction) for fraction in text.split(",") if fraction)
