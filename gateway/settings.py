"""Every setting, its unit and its default: one frozen object, read once from the environment."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from cost.money import Money
from gateway.monitoring import tracing
from providers import registry
from providers.images import KNOWN_FORMATS, ImageLimits


class BadSettings(ValueError):
    """The environment is wrong: every problem at once, a line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _providers(text: str) -> tuple[str, ...]:
    names = _names(text)
    known = registry.names()
    for name in names:
        if name not in known:
            raise ValueError(f"there is no provider {name!r}; choose of {', '.join(known)}")
    if not names or len(set(names)) != len(names):
        raise ValueError("name at least one provider, and each once")
    return names


def _formats(text: str) -> frozenset[str]:
    formats = frozenset(_names(text.lower()))
    if not formats or not formats <= KNOWN_FORMATS:
        raise ValueError(f"choose of {', '.join(sorted(KNOWN_FORMATS))}")
    return formats


def _whole(minimum: int, maximum: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise ValueError(f"{text!r} is no whole number") from None
        if not minimum <= number <= maximum:
            raise ValueError(f"{number} is not between {minimum} and {maximum}")
        return number

    return parse


def _switch(text: str) -> bool:
    switches = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False, "": False}
    if text.lower() not in switches:
        raise ValueError(f"{text!r} is neither true nor false")
    return switches[text.lower()]


def _existing_file(text: str) -> Path:
    if not Path(text).is_file():
        raise ValueError(f"there is no file {text}")
    return Path(text)


def _database_url(text: str) -> str:
    try:
        driver = make_url(text).drivername
    except ArgumentError:
        driver = ""
    if driver not in {"sqlite", "postgresql+psycopg"}:
        raise ValueError("write sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/DATABASE")
    return text


def _redis_url(text: str) -> str:
    if not text.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("write redis://HOST:PORT, rediss://USER:PASSWORD@HOST:PORT or unix://PATH")
    return text


def _dollars(text: str) -> Money:
    money = Money.usd(text)
    if money.nanos < 0:
        raise ValueError("must not be negative")
    return money


def _fraction(text: str) -> float:
    with suppress(ValueError):
        if 0.0 <= (number := float(text)) <= 1.0:
            return number
    raise ValueError(f"{text!r} is no number between 0 and 1")


def _web_address(text: str) -> str:
    if not text.startswith(("https://", "http://")):
        raise ValueError("begin it with https:// or http://")
    return text


def _traces_address(text: str) -> str:
    if not tracing.installed():
        raise ValueError("traces need the extra otel: .venv/bin/pip install --constraint constraints.txt --editable '.[otel]'")
    return _web_address(text)


def _setting(env: str, parse: Callable[[str], Any], default: Any, meaning: str, *, secret: bool = False) -> Any:
    return field(default=default, metadata={"env": env, "parse": parse, "meaning": meaning}, repr=not secret)


@dataclass(frozen=True)
class Settings:
    """What an operator may set. Names that begin with a provider's own prefix (`GATEWAY_LOCAL_…`) are read by that provider."""

    port: int = _setting("PORT", _whole(0, 65535), 8000, "where `web` listens")
    bind: str = _setting("GATEWAY_BIND", str, "127.0.0.1", "the address `web` listens on")
    providers: tuple[str, ...] = _setting("GATEWAY_PROVIDERS", _providers, ("local",), "enabled providers, a comma list")
    admin_key: str | None = _setting("GATEWAY_ADMIN_KEY", str, None, "the bootstrap admin key", secret=True)
    database_url: str = _setting("GATEWAY_DATABASE_URL", _database_url, "sqlite:///var/gateway.db", "keys, ledger", secret=True)
    redis_url: str | None = _setting("GATEWAY_REDIS_URL", _redis_url, None, "cache; unset: an embedded Valkey", secret=True)
    cache_ttl_s: int = _setting("GATEWAY_CACHE_TTL_S", _whole(0, 366 * 86400), 86400, "seconds an answer is kept; 0: no cache")
    cache_shared: bool = _setting("GATEWAY_CACHE_SHARED", _switch, False, "true: one client's kept answers serve the others too")
    prices: Path | None = _setting("GATEWAY_PRICES", _existing_file, None, "a price-sheet file instead of the built-in ones")
    spool: Path = _setting("GATEWAY_SPOOL", Path, Path("var/spool"), "a local folder where settlements wait while the database is away")
    default_deadline_ms: int = _setting("GATEWAY_DEFAULT_DEADLINE_MS", _whole(1, 600_000), 10_000, "where a request names none")
    default_max_cost_usd: Money | None = _setting("GATEWAY_DEFAULT_MAX_COST_USD", _dollars, None, "where a request names none")
    answer_value_usd: Money = _setting(
        "GATEWAY_ANSWER_VALUE_USD",
        _dollars,
        Money.usd("0.01"),
        "what a good answer in place of a bad one is worth, where no budget is paced",
    )
    explore_share: float = _setting(
        "GATEWAY_EXPLORE_SHARE", _fraction, 0.02, "share of pictures shown to other providers too, for learning"
    )
    explore_usd_per_day: Money = _setting("GATEWAY_EXPLORE_USD_PER_DAY", _dollars, Money(0), "what that may cost; 0: nothing is explored")
    image_formats: frozenset[str] = _setting("GATEWAY_IMAGE_FORMATS", _formats, ImageLimits().formats, "of jpeg, png, webp, gif, bmp, tiff")
    image_bytes_max: int = _setting("GATEWAY_IMAGE_BYTES_MAX", _whole(1, 1 << 30), ImageLimits().content_bytes_max, "bytes of one picture")
    image_pixels_max: int = _setting("GATEWAY_IMAGE_PIXELS_MAX", _whole(1, 10**9), ImageLimits().pixels_max, "pixels of one picture")
    image_side_max: int = _setting("GATEWAY_IMAGE_SIDE_MAX", _whole(1, 65535), ImageLimits().side_max, "pixels of a picture's longer side")
    image_hosts: tuple[str, ...] = _setting("GATEWAY_IMAGE_HOSTS", _names, (), "hosts that https:// image URIs may name; none by default")
    image_buckets: tuple[str, ...] = _setting("GATEWAY_IMAGE_BUCKETS", _names, (), "buckets (`s3://NAME`, `gs://NAME`) that URIs may name")
    alert_webhook_url: str | None = _setting("GATEWAY_ALERT_WEBHOOK_URL", _web_address, None, "where budget alerts are posted", secret=True)
    alert_webhook_secret: str | None = _setting("GATEWAY_ALERT_WEBHOOK_SECRET", str, None, "signs them", secret=True)
    metrics: Path = _setting("GATEWAY_METRICS", Path, Path("var/metrics"), "a local folder where the processes of `web` keep their numbers")
    otlp: str | None = _setting("OTEL_EXPORTER_OTLP_ENDPOINT", _traces_address, None, "who takes traces; `/v1/traces` is added")
    otlp_traces: str | None = _setting("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", _traces_address, None, "the same, as the whole address")
    workers: int = _setting("GATEWAY_WORKERS", _whole(1, 256), 1, "processes of `web`")
    threads: int = _setting("GATEWAY_THREADS", _whole(1, 1024), 32, "threads a process of `web`")
    canary: Path | None = _setting("GATEWAY_CANARY", Path, None, "a folder of pictures shown to every provider again and again")
    canary_every_h: int = _setting("GATEWAY_CANARY_EVERY_H", _whole(1, 24 * 366), 24, "hours between two runs of the canary set")
    canary_usd_per_month: Money = _setting("GATEWAY_CANARY_USD_PER_MONTH", _dollars, Money.usd("1"), "what canaries may cost a month")
    drift_reference: int = _setting("GATEWAY_DRIFT_REFERENCE", _whole(100, 10_000), 500, "pictures that later ones are held against")
    answers_kept_days: int = _setting("GATEWAY_ANSWERS_KEPT_DAYS", _whole(0, 3650), 7, "days that answers can be asked for again; 0: never")
    pictures_kept_days: int = _setting("GATEWAY_PICTURES_KEPT_DAYS", _whole(0, 3650), 0, "days that compared pictures are kept; 0: never")
    simulated: bool = _setting("GATEWAY_SIMULATED", _switch, False, "true where the clouds are stand-ins: every answer says so")

    @property
    def image_limits(self) -> ImageLimits:
        """What a picture may be."""
        return ImageLimits(self.image_bytes_max, self.image_pixels_max, self.image_side_max, self.image_formats)

    @property
    def traces_endpoint(self) -> str | None:
        """Where traces go; None: nowhere."""
        return self.otlp_traces or (f"{self.otlp.rstrip('/')}/v1/traces" if self.otlp else None)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the environment.

        Raises:
            BadSettings: with every unknown name and every value that can't be read.
        """
        by_env = {setting.metadata["env"]: setting for setting in fields(cls)}
        provider_prefixes = tuple(f"GATEWAY_{name.upper()}_" for name in registry.names())
        problems = [
            f"{name}: no such setting"
            for name in sorted(environ)
            if name.startswith("GATEWAY_") and name not in by_env and not name.startswith(provider_prefixes)
        ]
        values: dict[str, Any] = {}
        for env, setting in by_env.items():
            if environ.get(env, "") == "":
                continue
            try:
                values[setting.name] = setting.metadata["parse"](environ[env])
            except ValueError as error:
                problems.append(f"{env}: {error}")
        if values.get("alert_webhook_url") and not values.get("alert_webhook_secret"):
            problems.append("GATEWAY_ALERT_WEBHOOK_SECRET: alerts are signed; set it beside GATEWAY_ALERT_WEBHOOK_URL")
        if problems:
            raise BadSettings(problems)
        return cls(**values)
