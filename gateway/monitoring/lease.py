"""Which one of many processes does a job: who holds its lease in the database."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from cost.database import write_transaction
from cost.ledger.times import to_us
from gateway.ids import new_id
from gateway.monitoring.schema import leases


class Lease:
    """One process's claim to a job. It has to be renewed: whoever dies loses it."""

    def __init__(self, engine: Engine, name: str, lasts_s: float) -> None:
        """Claim the job of this name for `lasts_s` seconds at a time."""
        self._engine, self._name, self._lasts = engine, name, timedelta(seconds=lasts_s)
        self._holder = new_id()

    def hold(self) -> bool:
        """Take the lease, or renew it; False: another process has it.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database is away; then nobody does the job.
        """
        now = datetime.now(UTC)
        until = {"holder": self._holder, "until_us": to_us(now + self._lasts)}
        mine = sa.or_(leases.c.holder == self._holder, leases.c.until_us < to_us(now))
        try:
            with write_transaction(self._engine) as connection:
                if connection.execute(sa.update(leases).where(leases.c.name == self._name, mine).values(until)).rowcount:
                    return True
                if connection.execute(sa.select(leases.c.name).where(leases.c.name == self._name)).scalar() is not None:
                    return False
                connection.execute(sa.insert(leases).values(name=self._name, **until))
        except IntegrityError:  # somebody was the first at the same moment
            return False
        return True

    def give_back(self) -> None:
        """Let another process have it at once."""
        with write_transaction(self._engine) as connection:
            connection.execute(sa.delete(leases).where(leases.c.name == self._name, leases.c.holder == self._holder))
