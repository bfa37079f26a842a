"""All numbers as Prometheus reads them."""

import math
import os
import struct
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gateway.monitoring import counting, numbers
from gateway.monitoring.folder import VARIABLE

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Metric

_AGAIN_S = 0.01


def exposition(accept: str) -> tuple[bytes, str]:
    """The numbers of all processes of this gateway and their content type: OpenMetrics for who accepts it, or Prometheus' own text.

    All that was counted before is in it: where other processes count too, they are given the time to add it up.
    """
    from prometheus_client.exposition import choose_encoder  # noqa: PLC0415 -- see `numbers`

    counting.add_up()
    if os.environ.get(VARIABLE):
        time.sleep(2 * counting.EVERY_S)
    encode, content_type = choose_encoder(accept)
    return encode(_Shown()), content_type


def shown_gauges() -> dict[str, list[dict[str, str]]]:
    """By each gauge's name, the labels that it is told for now."""
    return {family.name: [sample.labels for sample in family.samples] for family in _Shown().collect() if family.type == "gauge"}


class _Shown:
    """What is kept, less what `Number.forget` was called for: in files that processes share, nothing can be taken back."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, multiprocess  # noqa: PLC0415 -- see `numbers`

        self._kept = numbers.registry()
        if os.environ.get(VARIABLE):
            self._kept = CollectorRegistry()
            multiprocess.MultiProcessCollector(self._kept)  # type: ignore[no-untyped-call]

    def collect(self) -> Iterator["Metric"]:
        for family in _whole(self._kept):
            family.samples = [sample for sample in family.samples if not math.isnan(sample.value)]
            if family.samples:
                yield family


def _whole(kept: "CollectorRegistry") -> list["Metric"]:
    """All families. A worker that has just started, or ended, may be making a file or giving it up: then they are read again."""
    for tries_left in (2, 1, 0):
        try:
            return list(kept.collect())
        except (FileNotFoundError, struct.error, RuntimeError):  # gone, still empty, still too short: prometheus_client's own words
            if not tries_left:
                raise
            time.sleep(_AGAIN_S)
    raise AssertionError("unreachable")
