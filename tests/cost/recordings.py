import os
from pathlib import Path

import numpy as np
import pytest

from cost.money import Money
from cost.records import Records, Seen

# Small matrices: threads of the linear algebra cost more than they bring. Works where numpy is not loaded yet.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

ROUTING = Path(__file__).parents[3] / "shared" / "routing"
SKILL = {"weak": 0.6, "fair": 0.75, "strong": 0.88}
PRICES = {"weak": Money(100), "fair": Money.usd("0.0005"), "strong": Money.usd("0.001")}


def make_records(n: int, seed: int = 0, skill: dict[str, float] = SKILL, labels: int = 5) -> Records:
    """One label a picture; every provider is right with its skill, surer when it is, and everybody is worse at the last label."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(labels, size=n)
    answers, rewards = {}, {}
    for p, s in skill.items():
        right = rng.random(n) < s - 0.2 * (truth == labels - 1)
        label = np.where(right, truth, (truth + rng.integers(1, labels, size=n)) % labels)
        confidence = rng.beta(np.where(right, 5, 2), 2)
        answers[p] = [(Seen(f"label{k}", c),) for k, c in zip(label, confidence.tolist(), strict=True)]
        rewards[p] = (label == truth).astype(np.float64)
    return Records("label", tuple(skill), answers, [frozenset([f"label{k}"]) for k in truth], rewards)


@pytest.fixture(scope="session")
def recordings():
    return make_records


@pytest.fixture(scope="session")
def prices():
    return PRICES


@pytest.fixture(scope="session")
def routing() -> Path:
    if not ROUTING.is_dir():
        pytest.skip("the recorded answers of ../shared/routing are not here")
    return ROUTING
