"""Reads price sheets: the built-in ones beside this file, and a deployment's own, in one form of TOML.

A file holds a table a provider. A provider that a deployment's file names is taken from there whole, all others from the built-in sheets.
`cost/prices/README.md` shows the form.
"""

import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError, field_validator, model_validator

from cost.money import Money
from cost.price_sheets import ANY_REGION, Counted, Price, PriceBook, PriceSheet, Tier
from cost.windows import zone

BUILT_IN = Path(__file__).parent / "prices"
_Text = Annotated[str, Field(min_length=1)]


class BadPriceSheet(ValueError):
    """A price file is wrong.

    Attributes:
        problems: each a sentence that begins with its place in the file; all at once, so that an operator mends them at once.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class _Form(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class _Tier(_Form):
    above: int = Field(0, ge=0)
    usd_per_1000: str
    confirmed: bool = True

    @field_validator("usd_per_1000")
    @classmethod
    def _whole_nanos_a_unit(cls, text: str) -> str:
        nanos = Money.usd(text).nanos
        if nanos < 0 or nanos % 1000:
            raise ValueError(f"{text} for 1,000 is not a whole number of nano-dollars a unit")
        return text

    def tier(self) -> Tier:
        return Tier(self.above, Money(Money.usd(self.usd_per_1000).nanos // 1000), self.confirmed)


class _Price(_Form):
    skus: list[_Text] = Field(min_length=1)
    tiers: list[_Tier] = Field(min_length=1)
    tier_group: _Text | None = None
    regions: list[_Text] = Field(default=[ANY_REGION], min_length=1)
    effective_from: date = date.min
    free_units: int = Field(0, ge=0)
    free_for_first_months: int | None = Field(None, ge=1)
    free_with: str | None = None
    source: _Text | None = None
    read_on: date | None = None
    confirmed: bool = True

    @field_validator("tiers")
    @classmethod
    def _ascending(cls, tiers: list[_Tier]) -> list[_Tier]:
        edges = [tier.above for tier in tiers]
        if edges[0] != 0:
            raise ValueError("the first tier is above 0")
        if edges != sorted(set(edges)):
            raise ValueError("tiers are in ascending order, each edge once")
        return tiers


class _Sheet(_Form):
    source: _Text
    read_on: date
    price: list[_Price] = Field(min_length=1)
    timezone: str = "UTC"
    imputed: bool = False
    account: _Text = "default"
    account_opened_on: date | None = None
    counted: Counted = "own_account"
    issuer: str = ""
    service: str = ""

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        zone(name)
        return name

    @model_validator(mode="after")
    def _one_row_a_question(self) -> "_Sheet":
        skus = {sku for row in self.price for sku in row.skus}
        seen = set()
        for row in self.price:
            if row.free_with is not None and row.free_with not in skus:
                raise ValueError(f"free_with names {row.free_with}, which has no price here")
            for key in ((sku, region, row.effective_from) for sku in row.skus for region in row.regions):
                if key in seen:
                    raise ValueError(f"two prices for {key[0]} in region {key[1]} from {key[2]} on")
                seen.add(key)
        return self

    def sheet(self, provider: str, region: str) -> PriceSheet:
        prices = tuple(
            Price(
                sku=sku,
                tiers=tuple(tier.tier() for tier in row.tiers),
                tier_group=row.tier_group or sku,
                region=row_region,
                effective_from=row.effective_from,
                free_units=row.free_units,
                free_for_first_months=row.free_for_first_months,
                free_with=row.free_with,
                source=row.source or self.source,
                read_on=row.read_on or self.read_on,
                confirmed=row.confirmed,
            )
            for row in self.price
            for sku in row.skus
            for row_region in row.regions
            if row_region in (region, ANY_REGION)
        )
        return PriceSheet(
            provider,
            prices,
            region=region,
            timezone=self.timezone,
            imputed=self.imputed,
            account=self.account,
            account_opened_on=self.account_opened_on,
            counted=self.counted,
            issuer=self.issuer,
            service=self.service,
        )


class _File(RootModel[dict[str, _Sheet]]):
    """A table a provider."""


def load_prices(override: Path | None = None, regions: Mapping[str, str] | None = None) -> PriceBook:
    """All sheets: the built-in ones, and a deployment's own in their place.

    Args:
        override: a deployment's file, or None.
        regions: where this deployment calls a provider, by provider; without one only rows for any region apply.

    Raises:
        BadPriceSheet: with all problems of all files.
        OSError: the override can't be read.
    """
    problems: list[str] = []
    sheets: dict[str, _Sheet] = {}
    for path in [*sorted(BUILT_IN.glob("*.toml")), *([override] if override else [])]:
        try:
            sheets |= _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8"))).root
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            problems.append(f"{path.name}: {error}")
        except ValidationError as error:
            problems += [f"{path.name}: {_place(found['loc'])}: {found['msg'].removeprefix('Value error, ')}" for found in error.errors()]
    if problems:
        raise BadPriceSheet(*problems)
    return {provider: sheet.sheet(provider, (regions or {}).get(provider, ANY_REGION)) for provider, sheet in sheets.items()}


def _place(parts: tuple[int | str, ...]) -> str:
    """`google_vision.price[3].tiers[1].usd_per_1000`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).removeprefix(".") or "file"
