"""What is kept of pictures and answers to notice drift: measured and written behind the request, a sample where there is much."""

import json
import logging
import queue
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy import Engine

from cost.database import write_transaction
from gateway.monitoring.drift import Observation
from gateway.monitoring.numbers import counter
from gateway.monitoring.schema import observations
from gateway.outcome import KEPT, Outcome
from gateway.pictures import KeptPictures, small_jpeg
from providers.contract import Detection, Feature
from providers.images import Image

if TYPE_CHECKING:
    from gateway.monitoring.properties import Sample

log = logging.getLogger(__name__)

LOOKED_AT = counter("gateway_quality_pictures_total", "Pictures whose properties were measured, or that were left out.", "result")

_A_SECOND_MAX = 20.0
"""Measuring takes a processor's time from requests: no more than that, and a sample tells as much."""

_KEPT_A_SECOND, _KEPT_AT_ONCE = 0.2, 400.0
_WAITING_MAX = 64
_IMAGES_WAITING_MAX = 4
_WRITTEN_EVERY_S = 1.0
_SIDE_MAX = 320


@dataclass(frozen=True, slots=True)
class _Note:
    """`image` only where it is to be kept: its pixels may be a hundred megabytes."""

    digest: str
    sample: "Sample"
    streams: tuple[tuple[str, Feature], ...]
    detections: tuple[Detection, ...]
    image: Image | None


class QualityNotes:
    """One a process, shared by its threads; `close` it. `add` never waits and never fails."""

    def __init__(self, engine: Engine, pictures: KeptPictures) -> None:
        """Keep observations in this database, and pictures to look at where that is turned on."""
        self._engine, self._pictures = engine, pictures
        self._waiting: queue.Queue[_Note | None] = queue.Queue(_WAITING_MAX)
        self._looks, self._keeps = _Allowance(_A_SECOND_MAX, _A_SECOND_MAX * 10), _Allowance(_KEPT_A_SECOND, _KEPT_AT_ONCE)
        self._measured: list[dict[str, str]] = []
        self._jpegs: dict[str, bytes] = {}
        self._thread = threading.Thread(target=self._run, name="quality", daemon=True)
        self._thread.start()

    def add(self, image: Image, outcome: Outcome) -> None:
        """Look at a picture that providers were asked about; answers that were kept have been looked at when they were made."""
        if outcome.cache in KEPT or not outcome.calls:
            return
        if not self._looks.take():
            LOOKED_AT.add(result="left_out")
            return
        from gateway.monitoring.properties import sample_of  # noqa: PLC0415 -- numpy

        kept = image if self._pictures.days and self._waiting.qsize() < _IMAGES_WAITING_MAX and self._keeps.take() else None
        try:
            self._waiting.put_nowait(_Note(image.digest, sample_of(image), _streams(outcome), outcome.detections, kept))
        except queue.Full:
            LOOKED_AT.add(result="left_out")

    def close(self) -> None:
        """Write what waits, and end."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        write_at = time.monotonic() + _WRITTEN_EVERY_S
        while True:
            try:
                note = self._waiting.get(timeout=max(write_at - time.monotonic(), 0.0) if self._measured else None)
                if note is None:
                    self._write()
                    return
                self._measure(note)
            except queue.Empty:
                pass
            except Exception:
                log.exception("quality.failed")
            if time.monotonic() >= write_at:
                self._write()
                write_at = time.monotonic() + _WRITTEN_EVERY_S

    def _measure(self, note: _Note) -> None:
        from gateway.monitoring.properties import observation, picture_properties  # noqa: PLC0415 -- numpy

        measured = picture_properties(note.sample)
        for provider, feature in note.streams:
            mine = [one for one in note.detections if one.provider == provider]
            seen = observation(note.digest, measured, feature, mine)
            self._measured.append({"provider": provider, "feature": feature, "digest": seen.digest, "seen": write_seen(seen)})
        if note.image is not None:
            self._jpegs[note.digest] = small_jpeg(note.image, _SIDE_MAX)
        LOOKED_AT.add(result="measured")

    def _write(self) -> None:
        rows, jpegs = self._measured, self._jpegs
        self._measured, self._jpegs = [], {}
        try:
            if rows:
                with write_transaction(self._engine) as connection:
                    connection.execute(sa.insert(observations), rows)
            if jpegs:
                self._pictures.keep(jpegs)
        except Exception as error:  # noqa: BLE001 -- drift is told of samples: these are lost, and later ones must not be
            log.warning("quality.not_written", extra={"rows": len(rows), "error": type(error).__name__})


class _Allowance:
    """So many a second on average, and so many at once."""

    def __init__(self, a_second: float, at_once: float) -> None:
        self._a_second, self._at_once, self._left = a_second, at_once, at_once
        self._at = time.monotonic()
        self._lock = threading.Lock()

    def take(self) -> bool:
        with self._lock:
            now = time.monotonic()
            self._left = min(self._at_once, self._left + (now - self._at) * self._a_second)
            self._at = now
            if self._left < 1:
                return False
            self._left -= 1
            return True


def _streams(outcome: Outcome) -> tuple[tuple[str, Feature], ...]:
    """Who has answered what: one stream each."""
    features = outcome.options.features
    return tuple(dict.fromkeys((call.provider, feature) for call in outcome.calls for feature in features if feature in call.features))


def write_seen(seen: Observation) -> str:
    """An observation as a row has it."""
    return json.dumps({"values": {name: round(value, 5) for name, value in seen.values.items()}, "labels": sorted(seen.labels)})


def read_seen(digest: str, text: str) -> Observation:
    """What `write_seen` wrote."""
    row = json.loads(text)
    return Observation(digest, row["values"], frozenset(row["labels"]))
