"""How full the in-house model's batches are, asked of the model every few seconds."""

from cost.every import Every
from gateway.monitoring.numbers import gauge
from providers.local import Local

FILL = gauge("gateway_model_batch_fill", "Pictures over places in the model's batches of the last ten seconds, 0 to 1.", across="livemax")

_EVERY_S = 5.0


class ModelNumbers:
    """Asks the model in this process, or its server. `close` it."""

    def __init__(self, model: Local, *, every_s: float = _EVERY_S) -> None:
        """Ask this one."""
        self._model = model
        self._every = Every(every_s, self._ask, "model_numbers")

    def close(self) -> None:
        """Ask no more."""
        self._every.close()

    def _ask(self) -> None:
        if (fill := self._model.batch_fill()) is not None:
            FILL.set(fill)
