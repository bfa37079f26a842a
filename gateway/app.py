"""The composition root: builds every part once and ties them together. Nothing else knows them all."""

import os
from collections.abc import Mapping

from flask import Flask

from gateway.api import add_resources
from gateway.api.guard import guard_every_route
from gateway.api.problems import ProblemApi
from gateway.api.requests import tell_each_request
from gateway.breaker import Breaker
from gateway.database import prepare_database
from gateway.dispatch import Dispatcher
from gateway.keys import Keys
from gateway.latency import LatencyTracker
from gateway.line import Line
from gateway.parts import Parts
from gateway.settings import BadSettings, Settings
from providers import registry
from providers.contract import BadEnvironment, Provider


def create_app(settings: Settings, environ: Mapping[str, str] | None = None) -> Flask:
    """The gateway as a WSGI application; `app.extensions["gateway"]` holds its `Parts`.

    Args:
        settings: of the gateway.
        environ: what providers read their own variables from; the process's environment by default.

    Raises:
        BadSettings: with every problem of every provider's variables.
    """
    parts = _build_parts(settings, os.environ if environ is None else environ)
    app = Flask("gateway", static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.extensions["gateway"] = parts
    tell_each_request(app)
    guard_every_route(app, parts.keys)
    add_resources(ProblemApi(app), parts)
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


def _build_parts(settings: Settings, environ: Mapping[str, str]) -> Parts:
    providers = build_providers(settings, environ)
    for provider in providers:
        provider.warm()
    database = prepare_database(settings.database_url)
    latency, breaker = LatencyTracker(), Breaker()
    lines = [Line(provider, settings.threads, latency, breaker) for provider in providers]
    dispatcher = Dispatcher(lines, default_deadline_ms=settings.default_deadline_ms, simulated=settings.simulated)
    return Parts(settings, database, Keys(database, settings.admin_key), dispatcher)
