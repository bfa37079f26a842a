"""The options of a detection request: the same names in the query string, in form fields and in JSON."""

import re
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from cost.ledger.terms import TAG_NAME_CHARS_MAX, TAG_VALUE_CHARS_MAX, TAGS_MAX
from cost.money import Money
from gateway.wire.mistakes import first_mistake
from providers.contract import FEATURES, Feature

Strategy = Literal["auto", "cheapest", "fastest", "best"]
NEAR_MAX = 7
"""Of 64 bits. Other photographs of one scene differ in a dozen and more."""

_DOLLARS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_NUMBER = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?")
_EXPONENT_MAX = 20


def _comma_list(value: Any) -> Any:
    """`a,b` is what a query string can say; JSON may also say `["a", "b"]`."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _at_least_one(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        raise ValueError("name at least one, or leave the parameter out")
    return tuple(dict.fromkeys(names))


def _tags(value: Any) -> Any:
    """`key:value,…` as a mapping."""
    if isinstance(value, str):
        pairs = [part.partition(":") for part in value.split(",") if part.strip()]
        value = {name.strip(" "): text.strip(" ") for name, _, text in pairs}
        if len(value) != len(pairs):
            raise ValueError("a tag is given twice")
    if not isinstance(value, dict):
        raise ValueError("write tags as key:value,key:value")  # noqa: TRY004 -- pydantic turns ValueError into its own
    if len(value) > TAGS_MAX:
        raise ValueError(f"at most {TAGS_MAX} tags")
    for name, text in value.items():
        if not (isinstance(text, str) and 1 <= len(name) <= TAG_NAME_CHARS_MAX and 1 <= len(text) <= TAG_VALUE_CHARS_MAX):
            raise ValueError(f"write tags as key:value, of 1 to {TAG_NAME_CHARS_MAX} and 1 to {TAG_VALUE_CHARS_MAX} characters")
        if ":" in name or "," in name + text:
            raise ValueError("a tag's key has no colon, and neither key nor value a comma")
        if not (name.isprintable() and text.isprintable()):
            raise ValueError("tags are printable characters")
    return value


def _money(value: Any) -> Any:
    text = _plainly(value)
    if not isinstance(text, str) or not _DOLLARS.fullmatch(text):
        raise ValueError('write dollars as a decimal string such as "0.0015": 0 to 999999999, at most nine decimal places, no exponent')
    return Money.usd(text)


def _number(value: Any) -> Any:
    """A number in digits, or as JSON has it; true is none, nor is 1_000."""
    text = _plainly(value)
    if not isinstance(text, str) or not _NUMBER.fullmatch(text):
        raise ValueError("write a number in digits, such as 10 or 0.5")
    return text


def _plainly(value: Any) -> Any:
    """JSON's numbers without an exponent, where they are of a size that is any use; everything else as it is."""
    if isinstance(value, bool) or not isinstance(value, Decimal | int):
        return value
    number = Decimal(value)
    if not number.is_finite() or (number and abs(number.adjusted()) > _EXPONENT_MAX):
        return None
    return format(number, "f")


_MONEY_SCHEMA = {"type": "string", "pattern": r"^[0-9]{1,9}(\.[0-9]{1,9})?$", "examples": ["0.0015"]}


def _list_of(names: tuple[str, ...] | None) -> dict[str, Any]:
    alternatives = "|".join(names) if names else "[a-z_]+"
    return {"type": "string", "pattern": f"^({alternatives})(,({alternatives}))*$"}


Dollars = Annotated[Money, BeforeValidator(_money), WithJsonSchema(_MONEY_SCHEMA)]
Whole = Annotated[int, BeforeValidator(_number)]


class Options(BaseModel):
    """What a client asks for besides the picture."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    features: Annotated[
        tuple[Feature, ...], BeforeValidator(_comma_list), AfterValidator(_at_least_one), WithJsonSchema(_list_of(FEATURES))
    ] = Field(("objects",), description="Comma list of objects, labels, faces, text, moderation.")
    max_cost_usd: Dollars | None = Field(None, description="A hard ceiling over all attempts of this request, in US dollars.")
    deadline_ms: Whole | None = Field(None, ge=1, le=600_000, description="One absolute deadline over all attempts, in milliseconds.")
    strategy: Strategy = Field("auto", description="What to prefer among the providers that fit.")
    providers: (
        Annotated[tuple[str, ...], BeforeValidator(_comma_list), AfterValidator(_at_least_one), WithJsonSchema(_list_of(None))] | None
    ) = Field(None, description="Comma list: only these providers.")
    min_confidence: Annotated[float, BeforeValidator(_number)] = Field(
        0.5, ge=0, le=1, allow_inf_nan=False, description="Leave out what is less sure."
    )
    max_results: Whole = Field(100, ge=1, le=1000, description="Keep the most confident ones.")
    cache: Literal["use", "refresh", "off"] = Field("use", description="Whether a kept answer may serve.")
    near: Annotated[int, BeforeValidator(_number)] = Field(
        0,
        ge=0,
        le=NEAR_MAX,
        description="A kept answer of another picture serves too, if the two look the same: their perceptual hashes differ in at most so"
        " many of 64 bits, and no part of one has another colour. Of objects and labels only. 0: no other picture's.",
    )
    tags: Annotated[
        dict[str, str], BeforeValidator(_tags), WithJsonSchema({"type": "string", "pattern": r"^[^:,]+:[^,]+(,[^:,]+:[^,]+)*$"})
    ] = Field(default_factory=dict, description="key:value,… carried into the ledger.")
    subject: Annotated[str, Field(min_length=1, max_length=128)] | None = Field(
        None, description="Whose picture it is: keeps a subject in one arm of an experiment. Hashed, never kept."
    )
    hedge: bool = Field(default=False, description="Also ask another paid provider when the first is late; both are billed.")
    dry_run: bool = Field(default=False, description="The quote and the route; no call, no charge.")

    @field_validator("near")
    @classmethod
    def _near_is_of_what_a_glance_can_tell(cls, near: int, info: ValidationInfo) -> int:
        if near and not set(info.data.get("features", ())) <= {"objects", "labels"}:
            raise ValueError("a letter or a face is too small for a glance: near works with objects and labels only")
        return near

    @classmethod
    def read(cls, given: dict[str, Any]) -> "Options":
        """Check what was given.

        Raises:
            InvalidParameter: for the first parameter that is unknown or wrong.
        """
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise first_mistake(error, cls, ("image",)) from None
