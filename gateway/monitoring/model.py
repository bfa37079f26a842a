"""How full the in-house model's batches are, asked of the model every few seconds."""

import logging
import threading

from gateway.monitoring.numbers import gauge
from providers.local import Local

log = logging.getLogger(__name__)

FILL = gauge("gateway_model_batch_fill", "Pictures over places in the model's batches of the last ten seconds, 0 to 1.", across="livemax")

_EVERY_S = 5.0


class ModelNumbers:
    """A thread that asks the model in this process, or its server. `close` it."""

    def __init__(self, model: Local, *, every_s: float = _EVERY_S) -> None:
        """Ask this one."""
        self._model, self._every_s = model, every_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="model-numbers", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ask no more."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self._every_s):
            try:
                if (fill := self._model.batch_fill()) is not None:
                    FILL.set(fill)
            except Exception:
                log.exception("model.numbers_failed")
                return
