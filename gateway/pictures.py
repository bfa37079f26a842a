"""Pictures that may be looked at later: kept only where the operator turned it on, small, without metadata, for so many days."""

import io
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import PIL.Image
import sqlalchemy as sa
from sqlalchemy import Engine

from cost.database import write_transaction
from cost.ledger.times import to_us
from gateway.experiments.schema import kept_pictures
from providers.images import Image

_SIDE_MAX = 1_024
_QUALITY = 85


class KeptPictures:
    """The kept pictures of one database, by digest."""

    def __init__(self, engine: Engine, days: int) -> None:
        """Keep pictures for so many days; 0 keeps none."""
        self._engine = engine
        self.days = days

    def keep(self, jpegs: Mapping[str, bytes]) -> None:
        """Keep pictures from now on, by digest, as `small_jpeg` makes them; none where that is turned off.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database is away; none is kept.
        """
        if not self.days or not jpegs:
            return
        now_us = to_us(datetime.now(UTC))
        with write_transaction(self._engine) as connection:
            connection.execute(sa.delete(kept_pictures).where(kept_pictures.c.digest.in_(jpegs)))
            rows = [{"digest": digest, "jpeg": jpeg, "kept_at_us": now_us} for digest, jpeg in jpegs.items()]
            connection.execute(sa.insert(kept_pictures), rows)

    def get(self, digest: str) -> bytes | None:
        """A kept picture as JPEG, upright; None where there is none (any more)."""
        found = sa.select(kept_pictures.c.jpeg).where(kept_pictures.c.digest == digest, kept_pictures.c.kept_at_us > self._oldest_us())
        with self._engine.connect() as connection:
            jpeg: bytes | None = connection.execute(found).scalar()
        return jpeg

    def known(self, digests: list[str]) -> set[str]:
        """Which of these are kept."""
        found = sa.select(kept_pictures.c.digest).where(kept_pictures.c.digest.in_(digests), kept_pictures.c.kept_at_us > self._oldest_us())
        with self._engine.connect() as connection:
            return set(connection.execute(found).scalars())

    def delete(self, digest: str) -> bool:
        """Forget a picture now; False: it was not kept."""
        with write_transaction(self._engine) as connection:
            return connection.execute(sa.delete(kept_pictures).where(kept_pictures.c.digest == digest)).rowcount > 0

    def expire(self) -> int:
        """Forget what is older than its days; returns how many there were."""
        with write_transaction(self._engine) as connection:
            return connection.execute(sa.delete(kept_pictures).where(kept_pictures.c.kept_at_us <= self._oldest_us())).rowcount

    def _oldest_us(self) -> int:
        """Turned off, nothing is shown any more, however it came here."""
        return to_us(datetime.now(UTC) - timedelta(days=self.days))


def small_jpeg(image: Image, side_max: int = _SIDE_MAX) -> bytes:
    """The upright picture as a JPEG that fits a screen; nothing of its metadata is left."""
    picture = PIL.Image.fromarray(image.pixels)
    picture.thumbnail((side_max, side_max))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()
