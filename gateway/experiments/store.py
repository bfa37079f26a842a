"""Experiments in the gateway's database: their terms, what every arm answered, what is true, and what people said of it.

Answers lie here by arm, since two arms may be answered by one provider. Where arms are providers, `records` writes the same pictures as
comparison records, which `tune` and `backtest` read.
"""

import json
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from cost.database import insert_new, write_transaction
from cost.ledger.times import from_us, to_us, utc_now
from gateway.experiments.schema import experiment_pictures, experiment_truths, experiment_verdicts, experiments
from gateway.experiments.terms import Observation, State, Terms, pack, unpack
from gateway.experiments.wire import read_answers, read_terms, write_answers, write_terms
from providers.contract import Detection

PICTURES_MAX = 10_000
"""The latest so many pictures are reported on, which takes about ten seconds: more would make a page wait, and tell little more."""

_FORGET = sa.delete(experiment_pictures).where(
    experiment_pictures.c.experiment == sa.bindparam("name"), experiment_pictures.c.digest == sa.bindparam("of_digest")
)

_FORGET_TRUTH = sa.delete(experiment_truths).where(
    experiment_truths.c.experiment == sa.bindparam("name"), experiment_truths.c.digest == sa.bindparam("of_digest")
)


class ExperimentExists(ValueError):
    """One of this name has been started: its arms and weights are fixed."""


class NoExperiment(LookupError):
    """There is none of this name, or not in the state that was looked for."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment as it stands.

    Attributes:
        key: of the assignment's hash.
        stopped_because: in words; "" while it is not stopped.
        truth_labels: names that the truth's makers had.
        shed: pictures that were not compared because there was no time for it.
    """

    terms: Terms
    state: State
    key: bytes
    created_by: str
    created_at: datetime
    started_at: datetime | None
    stopped_at: datetime | None
    stopped_because: str
    truth_labels: frozenset[str]
    shed: int

    @property
    def name(self) -> str:
        """Of the terms."""
        return self.terms.name


class ExperimentStore:
    """One a process, shared by its threads."""

    def __init__(self, engine: Engine, *, now: Callable[[], datetime] = utc_now) -> None:
        self._engine = engine
        self._now = now

    # An experiment's life.

    def create(self, terms: Terms, created_by: str, truth_labels: Iterable[str] = ()) -> Experiment:
        """A draft. One that was not started is replaced.

        Raises:
            ExperimentExists: see there.
        """
        row = {
            "name": terms.name,
            "state": "draft",
            "terms": write_terms(terms),
            "hash_key": secrets.token_bytes(16),
            "created_by": created_by,
            "created_at_us": to_us(self._now()),
            "stopped_because": "",
            "truth_labels": json.dumps(sorted(truth_labels)),
            "shed": 0,
        }
        try:
            with write_transaction(self._engine) as connection:
                connection.execute(sa.delete(experiments).where(experiments.c.name == terms.name, experiments.c.state == "draft"))
                connection.execute(sa.insert(experiments).values(row))
        except sa.exc.IntegrityError as error:
            raise ExperimentExists(
                f"An experiment {terms.name!r} has been started; what it compares is fixed. Choose another name."
            ) from error
        return self.get(terms.name)

    def start(self, name: str) -> Experiment:
        """From now on pictures take part, and the terms are fixed.

        Raises:
            NoExperiment: no draft of this name.
        """
        self._move(name, "draft", {"state": "running", "started_at_us": to_us(self._now())})
        return self.get(name)

    def stop(self, name: str, because: str) -> Experiment:
        """No further picture takes part.

        Raises:
            NoExperiment: none of this name is running.
        """
        self._move(name, "running", {"state": "stopped", "stopped_at_us": to_us(self._now()), "stopped_because": because})
        return self.get(name)

    def reopen(self, terms: Terms) -> Experiment:
        """Go on with one that takes no clients' pictures, under terms that may have a higher budget.

        Raises:
            NoExperiment: none of this name, or one that takes clients' pictures.
        """
        known = self.get(terms.name)
        if known.terms.sample_rate:
            raise NoExperiment(f"The experiment {terms.name!r} compares clients' pictures. Choose another name.")
        values = {"state": "running", "stopped_at_us": None, "stopped_because": "", "terms": write_terms(terms)}
        with write_transaction(self._engine) as connection:
            connection.execute(sa.update(experiments).where(experiments.c.name == terms.name).values(values))
        return self.get(terms.name)

    def get(self, name: str) -> Experiment:
        """One experiment.

        Raises:
            NoExperiment: see there.
        """
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(experiments).where(experiments.c.name == name)).one_or_none()
        if row is None:
            raise NoExperiment(f"There is no experiment {name!r}.")
        return _experiment(row)

    def all(self) -> list[Experiment]:
        """Every experiment, the newest first."""
        with self._engine.connect() as connection:
            return [_experiment(row) for row in connection.execute(sa.select(experiments).order_by(experiments.c.created_at_us.desc()))]

    def running(self) -> list[Experiment]:
        """Those that pictures take part in, the oldest first."""
        query = sa.select(experiments).where(experiments.c.state == "running").order_by(experiments.c.started_at_us)
        with self._engine.connect() as connection:
            return [_experiment(row) for row in connection.execute(query)]

    def note_shed(self, name: str, pictures: int) -> None:
        """So many pictures more were not compared."""
        with write_transaction(self._engine) as connection:
            connection.execute(sa.update(experiments).where(experiments.c.name == name).values(shed=experiments.c.shed + pictures))

    # What was answered, and what is known of it.

    def add(self, pictures: Sequence[tuple[str, str, Observation]], *, replace: bool = False) -> None:
        """Keep pictures' answers, all or none; nothing for none. Those whose id is known already stay as they are.

        Args:
            pictures: the experiment's name, an id as `new_id` makes them, and what was answered.
            replace: in place of what each picture has there.
        """
        rows = [
            {
                "id": id_,
                "experiment": name,
                "digest": one.digest,
                "unit": one.unit,
                "width": one.width,
                "height": one.height,
                "at_us": to_us(self._now()),
                "answers": write_answers(one.answers),
            }
            for name, id_, one in pictures
        ]
        with write_transaction(self._engine) as connection:
            if replace:
                connection.execute(_FORGET, [{"name": row["experiment"], "of_digest": row["digest"]} for row in rows])
            connection.execute(insert_new(self._engine, experiment_pictures), rows)

    def ids(self, name: str, digest: str) -> list[str]:
        """What a picture is called here: the `request_id` of its comparison records."""
        here = sa.and_(experiment_pictures.c.experiment == name, experiment_pictures.c.digest == digest)
        with self._engine.connect() as connection:
            return list(connection.execute(sa.select(experiment_pictures.c.id).where(here)).scalars())

    def counts(self) -> dict[str, int]:
        """How many pictures each experiment has that has any."""
        table = experiment_pictures.c
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(table.experiment, sa.func.count()).group_by(table.experiment))
            return {name: int(count) for name, count in rows}

    def pictures(self, name: str) -> int:
        """How many it has."""
        count = sa.select(sa.func.count()).where(experiment_pictures.c.experiment == name)
        with self._engine.connect() as connection:
            return int(connection.execute(count).scalar_one())

    def observations(self, name: str, limit: int = PICTURES_MAX) -> list[Observation]:
        """The latest pictures, oldest first, each with its truth and what people said of it."""
        table = experiment_pictures
        query = sa.select(table).where(table.c.experiment == name).order_by(table.c.at_us.desc(), table.c.id.desc()).limit(limit)
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()[::-1]
            truths = _by_digest(connection, experiment_truths, experiment_truths.c.things, name)
            verdicts = _by_digest(connection, experiment_verdicts, experiment_verdicts.c.arms, name)
        return [
            Observation(
                row.digest,
                row.unit,
                row.width,
                row.height,
                read_answers(row.answers),
                unpack(json.loads(truths[row.digest])) if row.digest in truths else None,
                frozenset(json.loads(verdicts[row.digest])) if row.digest in verdicts else None,
            )
            for row in rows
        ]

    def tell_truths(self, name: str, truths: Mapping[str, Sequence[Detection]]) -> None:
        """Say what is on pictures, by digest."""
        if not truths:
            return
        rows = [{"experiment": name, "digest": digest, "things": json.dumps(pack(things))} for digest, things in truths.items()]
        with write_transaction(self._engine) as connection:
            connection.execute(_FORGET_TRUTH, [{"name": name, "of_digest": digest} for digest in truths])
            connection.execute(sa.insert(experiment_truths), rows)

    def judge(self, name: str, digest: str, right: Iterable[str] | None, judged_by: str) -> None:
        """Say which arms are right about a picture; None takes it back."""
        values = {"arms": json.dumps(sorted(right or ())), "judged_by": judged_by, "at_us": to_us(self._now())}
        table = experiment_verdicts
        with write_transaction(self._engine) as connection:
            connection.execute(sa.delete(table).where(table.c.experiment == name, table.c.digest == digest))
            if right is not None:
                connection.execute(sa.insert(table).values(experiment=name, digest=digest, **values))

    def _move(self, name: str, state: State, values: dict[str, Any]) -> None:
        with write_transaction(self._engine) as connection:
            moved = connection.execute(
                sa.update(experiments).where(experiments.c.name == name, experiments.c.state == state).values(values)
            )
        if not moved.rowcount:
            raise NoExperiment(f"There is no {state} experiment {name!r}.")


def _by_digest(connection: Connection, table: sa.Table, column: sa.Column[Any], name: str) -> dict[str, str]:
    return {row[0]: row[1] for row in connection.execute(sa.select(table.c.digest, column).where(table.c.experiment == name))}


def _experiment(row: sa.Row[Any]) -> Experiment:
    return Experiment(
        read_terms(row.terms),
        row.state,
        row.hash_key,
        row.created_by,
        from_us(row.created_at_us),
        None if row.started_at_us is None else from_us(row.started_at_us),
        None if row.stopped_at_us is None else from_us(row.stopped_at_us),
        row.stopped_because,
        frozenset(json.loads(row.truth_labels)),
        row.shed,
    )
