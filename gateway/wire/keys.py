"""Keys as they are asked for and told."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from cost.ledger.terms import TAG_NAME_CHARS_MAX, TAG_VALUE_CHARS_MAX, TAGS_MAX
from gateway.keys import Key, Keys, Role
from gateway.wire.mistakes import spelt

_NAME = r"^[A-Za-z0-9][A-Za-z0-9._ -]{0,63}$"
_TAG_NAME = rf"^[^:,\x00-\x1f]{{1,{TAG_NAME_CHARS_MAX}}}$"
_TAG_VALUE = rf"^[^:,\x00-\x1f]{{1,{TAG_VALUE_CHARS_MAX}}}$"
_NAME_WORDS = "1 to 64 of letters, digits, '.', '_', '-' and spaces, the first a letter or digit"
_TAG_WORDS = f"a tag's name has 1 to {TAG_NAME_CHARS_MAX} characters, its value 1 to {TAG_VALUE_CHARS_MAX}; neither has a colon or comma"


class RateLimit(BaseModel):
    """What a key may send in any one second, over all replicas."""

    model_config = ConfigDict(extra="forbid")

    requests_per_s: Annotated[
        int | None, Field(description="Over all replicas; more is answered with 429 rate_limited.", ge=1, le=1_000_000)
    ] = None
    pixels_per_s: Annotated[int | None, Field(ge=1, le=10**12, description="Of the pictures; a larger one passes alone.")] = None


class KeyIn(BaseModel):
    """A key to be made."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, spelt(_NAME, _NAME_WORDS), Field(pattern=_NAME, description="Who calls: a backend, a team, a person.")]
    role: Annotated[Role, Field(description="app calls the API, finance reads and sets money, admin may do everything.")]
    tags: dict[
        Annotated[str, spelt(_TAG_NAME, _TAG_WORDS), Field(pattern=_TAG_NAME)],
        Annotated[str, spelt(_TAG_VALUE, _TAG_WORDS), Field(pattern=_TAG_VALUE)],
    ] = Field(default_factory=dict, max_length=TAGS_MAX, description="Carried into the ledger with every request of this key.")
    rate_limit: Annotated[RateLimit | None, Field(description="None where it is absent.")] = None


class KeyOut(BaseModel):
    """A key, without its secret."""

    model_config = ConfigDict(extra="forbid")

    id: Annotated[str, Field(description="The token's public part, after vg_.")]
    name: str
    role: Annotated[Role, Field(description="app, finance or admin.")]
    tags: Annotated[dict[str, str], Field(description="Carried into the ledger with every request.")]
    created_at: datetime
    rate_limit: Annotated[RateLimit | None, Field(description="Absent where there is none.")] = None


def make_key(keys: Keys, asked: KeyIn) -> tuple[Key, str]:
    """The key that was asked for, and its token.

    Raises:
        KeyNameTaken: a key of this name is in use.
    """
    limit = asked.rate_limit or RateLimit()
    return keys.create(asked.name, asked.role, asked.tags, requests_per_s=limit.requests_per_s, pixels_per_s=limit.pixels_per_s)


def facts(key: Key) -> dict[str, Any]:
    """A key as `KeyOut` tells it."""
    told: dict[str, Any] = {"id": key.id, "name": key.name, "role": key.role, "tags": dict(key.tags), "created_at": key.created_at}
    if key.requests_per_s is not None or key.pixels_per_s is not None:
        told["rate_limit"] = RateLimit(requests_per_s=key.requests_per_s, pixels_per_s=key.pixels_per_s)
    return told
