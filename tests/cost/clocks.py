from datetime import UTC, datetime, timedelta


class FakeClock:
    """A wall clock and its witness. `advance` moves both, as time does; `jump` moves the wall clock alone."""

    def __init__(self, start):
        self._now = datetime.fromisoformat(start).replace(tzinfo=UTC)
        self._elapsed_us = 10**9

    def now(self):
        return self._now

    def elapsed(self):
        return self._elapsed_us

    def advance(self, **duration):
        self.jump(**duration)
        self._elapsed_us += timedelta(**duration) // timedelta(microseconds=1)

    def jump(self, **duration):
        self._now += timedelta(**duration)
