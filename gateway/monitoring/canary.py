"""The same pictures, shown to every provider again and again: a vendor that has changed its model answers them differently.

A run is held against the stream's baseline, its first complete run. A picture's answer differs when it has other labels (of those that are
surer than 0.3), another number of them, or a confidence that is 0.02 off. Some answers differ by themselves; their share q is what earlier
unchanged runs had, and 0.05 at least. k of n differing is a change where Binomial(n, q) has less than a millionth above k, so that daily
runs of fifteen streams raise a false alarm in two hundred years; another model name is one in any case. The changed run is the new
baseline, so that a change is told once.

Paid calls bear the tag `gateway.canary:on`, and the budget `canary` binds them: when it is spent, the run ends and is not judged.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Engine

from cost.database import write_transaction
from cost.every import Every
from cost.ledger import Budget, Ledger
from cost.ledger.times import from_us, to_us
from cost.money import Money
from gateway.dispatch import Dispatcher
from gateway.errors import BudgetExhausted, GatewayError
from gateway.ids import new_id
from gateway.metering import Bill
from gateway.monitoring.lease import Lease
from gateway.monitoring.schema import canary_runs
from gateway.monitoring.watch import raise_alarm
from gateway.outcome import Outcome
from gateway.wire.options import Options
from providers.contract import Feature
from providers.images import ImageError, ImageLimits, read_image

log = logging.getLogger(__name__)

BUDGET = "canary"
TAG = "gateway.canary"
PICTURES_MAX = 500

_SURE_MIN = 0.3
_CONFIDENCE_OFF = 0.02
_Q_MIN = 0.05
_LEVEL = 1e-6
_ANSWERED_MIN = 0.8
_LOOKED_EVERY_S = 60.0
_LEASE_S = 900.0
_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})

Answers = Mapping[str, Sequence[tuple[str, float]]]
"""By a picture's digest, the labels that were found and how sure, in alphabetical order."""


class NoCanary(ValueError):
    """There is nothing to show; says why."""


@dataclass(frozen=True, slots=True)
class Run:
    """One provider's answers to the canary set.

    Attributes:
        pictures: that were answered.
        differ: of them, those that were answered otherwise than in the baseline; None where there is none to hold against.
        changed: whether that is a change of the model.
        summary: in a sentence.
    """

    at: datetime
    provider: str
    feature: str
    model: str
    pictures: int
    differ: int | None
    changed: bool
    summary: str


class Canary:
    """The canary set of a gateway."""

    def __init__(self, engine: Engine, ledger: Ledger, dispatcher: Dispatcher, folder: Path, usd_per_month: Money) -> None:
        """Show the pictures in this folder to the dispatcher's providers, for so much a month."""
        self._engine, self._ledger, self._dispatcher, self._folder = engine, ledger, dispatcher, folder
        self._budget = Budget(BUDGET, "tag", f"{TAG}:on", "month", "UTC", usd_per_month, when_exhausted="reject")

    def pictures(self) -> list[Path]:
        """The set.

        Raises:
            NoCanary: there is none.
        """
        files = sorted(path for path in self._folder.glob("*") if path.suffix.lower() in _SUFFIXES)[:PICTURES_MAX]
        if not files:
            raise NoCanary(f"{self._folder} has no pictures")
        return files

    def run(self, each: Callable[[], None] = lambda: None, features: tuple[Feature, ...] = ("objects",)) -> list[Run]:
        """Show every picture to every provider and hold the answers against what they were. `each` is called after every picture.

        Raises:
            NoCanary: there are no pictures.
            cost.ledger.LedgerUnavailable, sqlalchemy.exc.SQLAlchemyError: the database is away.
        """
        files = self.pictures()
        if all(status.budget != self._budget for status in self._ledger.budgets()):
            self._ledger.put_budget(self._budget)
        runs = []
        for name, line in self._dispatcher.lines.items():
            for feature in features:
                if feature in line.provider.features:
                    answers, model, spent = self._ask(name, feature, files, each)
                    runs.append(self._judge(name, feature, model, answers, len(files), spent=spent))
        return runs

    def latest(self, limit: int = 20) -> list[Run]:
        """What earlier runs said, newest first."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(canary_runs).order_by(canary_runs.c.at_us.desc()).limit(limit)).all()
        return [_run(row) for row in rows]

    def _ask(self, provider: str, feature: Feature, files: Sequence[Path], each: Callable[[], None]) -> tuple[Answers, str, bool]:
        """What a provider answers now, by which model, and whether the budget was spent before it had seen all."""
        options = Options(features=(feature,), providers=(provider,), cache="off", min_confidence=0, max_results=1000)
        answers: dict[str, list[tuple[str, float]]] = {}
        models: dict[str, None] = {}
        for path in files:
            try:
                image = read_image(path.read_bytes(), ImageLimits())
                deadline = time.monotonic() + self._dispatcher.time_limit_s(options)
                outcome = self._dispatcher.detect(image, options, Bill(new_id(), "canary", {TAG: "on"}), deadline)
            except BudgetExhausted:
                return answers, ", ".join(models), True
            except (GatewayError, ImageError, OSError) as error:
                log.warning("canary.not_answered", extra={"provider": provider, "picture": path.name, "error": str(error)})
            else:
                answers[image.digest] = _seen(outcome)
                models[outcome.model or ""] = None
            each()
        return answers, ", ".join(models), False

    def _judge(self, provider: str, feature: str, model: str, answers: Answers, asked: int, *, spent: bool) -> Run:
        baseline, q = self._known(provider, feature)
        complete = not spent and len(answers) >= _ANSWERED_MIN * asked
        differ, changed, moved = None, False, []
        if not complete:
            why = "its budget is spent" if spent else "too few pictures were answered"
            summary = f"{provider} was shown {asked} pictures and answered {len(answers)}: not judged, {why}."
        elif baseline is None:
            summary = f"{provider} answered {len(answers)} pictures: later runs are held against this one."
        else:
            both = [digest for digest in answers if digest in baseline["answers"]]
            moved = [digest for digest in both if differs(baseline["answers"][digest], answers[digest])]
            differ = len(moved)
            changed = model != baseline["model"] or is_change(differ, len(both), q)
            named = "" if model == baseline["model"] else f" Its model is {model!r} now; it was {baseline['model']!r}."
            said = "has changed its model" if changed else "answers as it did"
            summary = f"{provider} {said}: {differ} of {len(both)} canary pictures are answered otherwise.{named}"
        is_baseline = complete and (baseline is None or changed)
        row = {"id": new_id(), "at_us": to_us(datetime.now(UTC)), "provider": provider, "feature": feature, "model": model[:256]}
        told = {"summary": summary, "pictures": len(answers), "differ": differ}
        values = {"answers": json.dumps(answers), "baseline": is_baseline, "changed": changed, "summary": json.dumps(told)}
        with write_transaction(self._engine) as connection:
            connection.execute(sa.insert(canary_runs).values(**row, **values))
            if changed:
                raise_alarm(connection, "canary", provider, feature, "model", told | {"moved": moved[:24]})
        log.info("canary.run", extra={"provider": provider, "feature": feature, "changed": changed, **told})
        return Run(datetime.now(UTC), provider, feature, model, len(answers), differ, changed, summary)

    def _known(self, provider: str, feature: str) -> tuple[dict[str, Any] | None, float]:
        """The baseline, and the share of pictures that unchanged runs since then have answered otherwise."""
        table = canary_runs.c
        mine = (table.provider == provider, table.feature == feature)
        with self._engine.connect() as connection:
            newest = sa.select(canary_runs).where(*mine, table.baseline).order_by(table.at_us.desc()).limit(1)
            row = connection.execute(newest).one_or_none()
            if row is None:
                return None, _Q_MIN
            later = sa.select(table.summary).where(*mine, table.at_us > row.at_us).order_by(table.at_us.desc()).limit(30)
            runs = [json.loads(summary) for summary in connection.execute(later).scalars()]
        judged = [one for one in runs if one["differ"] is not None]
        share = sum(one["differ"] for one in judged) / max(1, sum(one["pictures"] for one in judged))
        return {"answers": json.loads(row.answers), "model": row.model}, max(_Q_MIN, share)


class CanarySchedule:
    """Runs the canary set every so often, in one process of many. `close` it."""

    def __init__(self, engine: Engine, canary: Canary, every_s: float, *, looked_every_s: float = _LOOKED_EVERY_S) -> None:
        """Run it every `every_s` seconds, by the times of the runs in the database."""
        self._engine, self._canary, self._every_s = engine, canary, every_s
        self._lease = Lease(engine, "canary", _LEASE_S)
        self._looks = Every(looked_every_s, self._run_if_due, "canary")

    def close(self) -> None:
        """Begin no more; a picture that is being shown is waited for."""
        self._looks.close()

    def _run_if_due(self) -> None:
        if self._lease.hold() and self._is_due():
            with suppress(_Left):
                self._canary.run(self._renew)

    def _is_due(self) -> bool:
        with self._engine.connect() as connection:
            latest = connection.execute(sa.select(sa.func.max(canary_runs.c.at_us))).scalar()
        return latest is None or (datetime.now(UTC) - from_us(latest)).total_seconds() >= self._every_s

    def _renew(self) -> None:
        if self._looks.closing or not self._lease.hold():
            raise _Left


class _Left(Exception):
    """The process is stopping, or another one has the lease: the run is left."""


def differs(before: Sequence[Sequence[Any]], now: Sequence[Sequence[Any]]) -> bool:
    """Whether an answer is not what it was."""
    if [label for label, _ in before] != [label for label, _ in now]:
        return True
    return any(abs(a - b) > _CONFIDENCE_OFF for (_, a), (_, b) in zip(before, now, strict=True))


def is_change(differ: int, pictures: int, q: float) -> bool:
    """Whether so many of these pictures are more than chance, where each differs by itself with probability `q`."""
    from scipy.stats import binom  # noqa: PLC0415 -- slow to import, and requests have no need of it

    return bool(pictures) and float(binom.sf(differ - 1, pictures, min(q, 1.0))) < _LEVEL


def _seen(outcome: Outcome) -> list[tuple[str, float]]:
    return sorted(_sure(outcome))


def _sure(outcome: Outcome) -> Iterator[tuple[str, float]]:
    for one in outcome.detections:
        if one.confidence >= _SURE_MIN:
            yield one.label, round(one.confidence, 4)


def _run(row: Any) -> Run:
    told = json.loads(row.summary)
    return Run(from_us(row.at_us), row.provider, row.feature, row.model, told["pictures"], told["differ"], row.changed, told["summary"])
