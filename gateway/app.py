"""The composition root: builds every part once and ties them together. Nothing else knows them all."""

import os
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

import sqlalchemy as sa
from flask import Flask

from cost.comparisons import ComparisonStore
from cost.database import open_database
from cost.ledger import Ledger
from cost.price_files import BadPriceSheet, load_prices
from cost.price_sheets import PriceBook
from gateway.alerts import AlertSender
from gateway.answers import AnswerStore
from gateway.api import add_resources
from gateway.api.guard import guard_every_route
from gateway.api.lean_flask import LeanFlask
from gateway.api.problems import ProblemApi
from gateway.api.requests import tell_each_request
from gateway.api.traces import trace_each_request
from gateway.batches import BatchThreads
from gateway.breaker import Breaker
from gateway.cache.link import RedisStore
from gateway.cache.results import Results
from gateway.cache.shared_flight import SharedFlights
from gateway.cache.sharing import Sharing
from gateway.cache.store import MemoryStore
from gateway.dispatch import Dispatcher
from gateway.experiments.live import LiveExperiments
from gateway.experiments.store import ExperimentStore
from gateway.exploring import Explorer
from gateway.judge import Judge
from gateway.keys import Keys
from gateway.latency import LatencyTracker
from gateway.limits import RateLimits
from gateway.line import Line
from gateway.metering import Meter
from gateway.monitoring.canary import Canary, CanarySchedule
from gateway.monitoring.model import ModelNumbers
from gateway.monitoring.money import MoneyNumbers
from gateway.monitoring.process import ProcessNumbers
from gateway.monitoring.quality import QualityNotes
from gateway.monitoring.tracing import Tracing
from gateway.monitoring.watch import QualityWatch
from gateway.pacing import Pacing
from gateway.parts import Parts
from gateway.pictures import KeptPictures
from gateway.policies import Policies
from gateway.reads import BoundedReads
from gateway.settings import BadSettings, Settings
from gateway.web import add_pages
from gateway.web.sessions import Sessions
from gateway.webhook import Webhook
from providers import registry
from providers.contract import BadEnvironment, Provider
from providers.local import Local

if TYPE_CHECKING:
    from gateway.fetch import ImageFetcher

_BEHIND_CALLS_MAX = 4
"""Calls to one provider at a time that no client waits for."""


def create_app(settings: Settings, environ: Mapping[str, str] | None = None) -> Flask:
    """The gateway as a WSGI application; `app.extensions["gateway"]` holds its `Parts`.

    The database's schema is made by `prepare_database`, once, before the processes that serve are started: a worker that is started
    again while the database is away must still answer from the in-house model.

    Args:
        settings: of the gateway.
        environ: what providers read their own variables from; the process's environment by default.

    Raises:
        BadSettings: with every problem of every provider's variables.
    """
    parts = _build_parts(settings, os.environ if environ is None else environ)
    sessions = Sessions(parts.database, parts.keys)
    app = LeanFlask("gateway", static_folder=None, template_folder="web/templates")
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.extensions["gateway"] = parts
    tell_each_request(app)
    if parts.tracing:
        trace_each_request(app, parts.tracing)
    guard_every_route(app, parts.keys, sessions, parts.limits)
    add_resources(ProblemApi(app), parts)
    add_pages(app, parts, sessions)
    return app


def build_providers(settings: Settings, environ: Mapping[str, str]) -> list[Provider]:
    """The enabled providers, in the operator's order.

    Raises:
        BadSettings: with every problem of every provider's variables.
    """
    built: list[Provider] = []
    problems: list[str] = []
    for name in settings.providers:
        try:
            built.append(registry.build(name, environ))
        except BadEnvironment as error:
            problems.extend(error.problems)
    if problems:
        raise BadSettings(problems)
    return built


def read_prices(settings: Settings, providers: list[Provider]) -> PriceBook:
    """The price sheets, each for the region where its provider is called.

    Raises:
        BadSettings: with every problem of every file.
    """
    try:
        return load_prices(settings.prices, {provider.name: provider.region for provider in providers if provider.region})
    except (BadPriceSheet, OSError) as error:
        raise BadSettings([f"GATEWAY_PRICES: {problem}" for problem in str(error).splitlines()]) from error


def _build_parts(settings: Settings, environ: Mapping[str, str]) -> Parts:
    providers = build_providers(settings, environ)
    for provider in providers:
        provider.warm()
    prices = read_prices(settings, providers)
    database, reads = open_database(settings.database_url), BoundedReads()
    ledger = Ledger(database, prices, spool=settings.spool)
    in_house = next((provider for provider in providers if isinstance(provider, Local)), None)
    meter = Meter(ledger, prices, reads, in_house.usd_per_hour if in_house else Decimal(0))
    latency, breaker = LatencyTracker(), Breaker()
    lines = [Line(provider, settings.threads, latency, breaker, meter) for provider in providers]
    redis = RedisStore(settings.redis_url, settings.threads + 8) if settings.redis_url else None
    sharing = _make_sharing(settings, lines, ledger, reads, redis)
    policies = Policies(database, [line.name for line in lines], [line.name for line in lines if line.paid])
    pacing = Pacing(database, ledger, policies.multiplier_for, settings.answer_value_usd)
    comparisons, pictures = ComparisonStore(database), KeptPictures(database, settings.pictures_kept_days)
    behind = _make_behind(settings, providers, meter, policies)
    explorer = _make_explorer(settings, behind, ledger, comparisons)
    dispatcher = Dispatcher(
        lines,
        default_deadline_ms=settings.default_deadline_ms,
        simulated=settings.simulated,
        sharing=sharing,
        judge=Judge(policies),
        pacing=pacing,
        comparisons=comparisons,
        explorer=explorer,
    )
    store, answers = ExperimentStore(database), AnswerStore(database, settings.answers_kept_days)
    lost = {"usage": lambda: ledger.usage_lost, "answers": lambda: answers.lost, "comparisons": lambda: comparisons.lost}
    return Parts(
        settings=settings,
        database=database,
        keys=Keys(database, settings.admin_key, reads=reads),
        ledger=ledger,
        prices=prices,
        dispatcher=dispatcher,
        fetcher=_make_fetcher(settings),
        alerts=AlertSender(ledger, settings.alert_webhook_url, settings.alert_webhook_secret),
        reads=reads,
        comparisons=comparisons,
        pictures=pictures,
        experiments=store,
        live=LiveExperiments(store, pictures, comparisons, ledger, dispatcher, behind, busy=max(settings.threads // 4, 1)),
        money_numbers=MoneyNumbers(ledger, reads),
        process_numbers=ProcessNumbers(ledger, lost),
        answers=answers,
        quality=QualityNotes(database, pictures),
        watch=QualityWatch(
            database, Webhook(settings.alert_webhook_url, settings.alert_webhook_secret), reference=settings.drift_reference
        ),
        canary=_make_canary(settings, database, ledger, behind),
        model_numbers=ModelNumbers(in_house) if in_house else None,
        batches=BatchThreads(max(settings.threads // 2, 1)),
        tracing=Tracing(settings.traces_endpoint) if settings.traces_endpoint else None,
        policies=policies,
        pacing=pacing,
        explorer=explorer,
        limits=RateLimits(redis),
    )


def _make_behind(settings: Settings, providers: Sequence[Provider], meter: Meter, policies: Policies) -> Dispatcher:
    """For calls that no client waits for: they have threads, circuits and latencies of their own."""
    lines = [Line(provider, _BEHIND_CALLS_MAX, LatencyTracker(), Breaker(), meter) for provider in providers]
    return Dispatcher(lines, default_deadline_ms=settings.default_deadline_ms, judge=Judge(policies))


def _make_sharing(
    settings: Settings, lines: Sequence[Line], ledger: Ledger, reads: BoundedReads, redis: RedisStore | None
) -> Sharing | None:
    """None where the operator wants no cache. Without an address of a Redis answers are kept in this process."""
    if settings.cache_ttl_s == 0:
        return None
    by_name = {line.name: line for line in lines}
    results = Results(redis or MemoryStore(), by_name, settings.cache_ttl_s, shared=settings.cache_shared, simulated=settings.simulated)
    return Sharing(results, SharedFlights(ledger, reads, good_s=settings.cache_ttl_s), by_name, simulated=settings.simulated)


def _make_canary(settings: Settings, database: sa.Engine, ledger: Ledger, behind: Dispatcher) -> CanarySchedule | None:
    """None where the operator has no canary set."""
    if settings.canary is None:
        return None
    canary = Canary(database, ledger, behind, settings.canary, settings.canary_usd_per_month)
    return CanarySchedule(database, canary, settings.canary_every_h * 3_600)


def _make_explorer(settings: Settings, behind: Dispatcher, ledger: Ledger, comparisons: ComparisonStore) -> Explorer | None:
    """None where nothing may be spent on it, or nothing is shown."""
    if not settings.explore_share or not settings.explore_usd_per_day.nanos:
        return None
    return Explorer(behind.lines, ledger, comparisons, settings.explore_share, settings.explore_usd_per_day)


def _make_fetcher(settings: Settings) -> "ImageFetcher | None":
    """None where the operator allows no address: then nothing that could fetch is even imported."""
    if not settings.image_hosts and not settings.image_buckets:
        return None
    from gateway.fetch import ImageFetcher  # noqa: PLC0415 -- imports botocore

    return ImageFetcher(settings.image_hosts, settings.image_buckets, settings.image_bytes_max)
