"""How a stand-in behaves: set it from a test, from the command line, or over the control address while it runs."""

import math
import random
import threading
import time
from collections import deque
from dataclasses import asdict, dataclass, fields, replace


@dataclass(frozen=True)
class Behaviour:
    """What is asked of a stand-in.

    Attributes:
        latency_ms_p50, latency_ms_p95: of a log-normal distribution; 0 answers at once.
        quota_per_s: calls taken in any one second, the others are throttled; 0 takes all.
        fault: what goes wrong, by the name in the stand-in's table; "" is nothing.
        fault_share: of the calls that it happens to.
        fault_times: how often it still happens; -1 is for ever.
        fault_billed: whether a failure on the stand-in's own side (5xx) is billed. The vendors don't say.
        hit_rate: share of the annotated things that are found.
        box_jitter: standard deviation of each edge, in sides of its box.
        label_noise: share of the found things that get another thing's name.
        false_positives: mean number of things a picture that are not there.
        seed: of everything that is drawn by chance.
    """

    latency_ms_p50: float = 0.0
    latency_ms_p95: float = 0.0
    quota_per_s: int = 0
    fault: str = ""
    fault_share: float = 1.0
    fault_times: int = -1
    fault_billed: bool = False
    hit_rate: float = 0.9
    box_jitter: float = 0.02
    label_noise: float = 0.0
    false_positives: float = 0.0
    seed: int = 0


class Conduct:
    """The behaviour of one stand-in over time; safe to use from all its threads."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.now = behaviour
        self.stopped = threading.Event()
        self._lock = threading.Lock()
        self._random = random.Random(behaviour.seed)
        self._taken: deque[float] = deque()

    def change(self, **changes: object) -> None:
        """Set some of the attributes. Unknown names and wrong types raise."""
        types = {field.name: type(field.default) for field in fields(Behaviour)}
        for name, value in changes.items():
            wanted = types.get(name)
            if wanted is None:
                raise ValueError(f"{name}: no such attribute; there are {', '.join(types)}.")
            if isinstance(value, bool) is not (wanted is bool) or not isinstance(value, (float, int) if wanted is float else wanted):
                raise ValueError(f"{name} must be {wanted.__name__}.")
        with self._lock:
            self.now = replace(self.now, **changes)

    def described(self) -> dict[str, object]:
        return asdict(self.now)

    def fault(self) -> str:
        """What goes wrong with this call."""
        with self._lock:
            now = self.now
            if not now.fault or now.fault_times == 0 or self._random.random() >= now.fault_share:
                return ""
            if now.fault_times > 0:
                self.now = replace(now, fault_times=now.fault_times - 1)
            return now.fault

    def over_quota(self) -> bool:
        """Whether this call is one too many in this second."""
        with self._lock:
            if not self.now.quota_per_s:
                return False
            at = time.monotonic()
            while self._taken and self._taken[0] <= at - 1:
                self._taken.popleft()
            if len(self._taken) >= self.now.quota_per_s:
                return True
            self._taken.append(at)
            return False

    def wait(self) -> None:
        """Take as long as an answer takes."""
        now = self.now
        if now.latency_ms_p50 <= 0:
            return
        with self._lock:
            spread = (
                math.log(max(now.latency_ms_p95, now.latency_ms_p50) / now.latency_ms_p50) / 1.645
            )  # the normal distribution's 95th percentile
            latency_ms = now.latency_ms_p50 * math.exp(self._random.gauss(0, spread))
        self.stopped.wait(latency_ms / 1000)

    def hang(self, seconds: float = 3600) -> None:
        self.stopped.wait(seconds)
