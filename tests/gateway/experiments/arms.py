"""Pictures of experiments, made by chance: arms that find a known share of what is there."""

import numpy as np

from cost.money import Money
from gateway.experiments.terms import Arm, ArmAnswer, Observation, Stop, Terms
from providers.contract import BoundingBox, Detection

LABELS = ("person", "car", "dog", "chair", "bottle")


def thing(label="dog", box=(0.1, 0.1, 0.5, 0.5), confidence=0.9, provider="toy", feature="objects", said=None, text=None):
    return Detection(feature, label, confidence, BoundingBox(*box) if box else None, provider, said or label, text)


def terms(*arms, mode="paired", **more):
    made = tuple(arm if isinstance(arm, Arm) else Arm(arm, (arm,)) for arm in arms)
    return Terms("trial", mode, made, **{"stop": Stop()} | more)


class Simulation:
    """Arms of known hit rates, false alarms, prices and latencies, on pictures of known content."""

    def __init__(self, seed, **arms):
        self.chance = np.random.default_rng(seed)
        self.arms = arms

    def picture(self, n, content=None):
        truth = self.content() if content is None else content
        answers = {name: self.answer(name, truth, **how) for name, how in self.arms.items()}
        return Observation(f"{n:064x}", f"unit{n}", 640, 480, answers, tuple(truth))

    def content(self):
        """One to many things on a grid, so that no two are confused."""
        count = min(1 + self.chance.poisson(5), 25)
        places = self.chance.choice(25, count, replace=False)
        boxes = [(place % 5 / 5, place // 5 / 5, place % 5 / 5 + 0.15, place // 5 / 5 + 0.15) for place in places]
        return [thing(str(self.chance.choice(LABELS)), box, provider="truth") for box in boxes]

    def answer(self, name, truth, hit_rate=0.8, false_alarms=0.2, usd="0.001", latency_ms=100.0, error_rate=0.0):
        chance = self.chance
        ms = latency_ms * float(np.exp(chance.normal(0, 0.3)))
        if chance.random() < error_rate:
            return ArmAnswer(error="no_provider_available", latency_ms=ms)
        found = [thing(one.label, _moved(one.box, chance), provider=name) for one in truth if chance.random() < hit_rate]
        for _ in range(chance.poisson(false_alarms)):
            x, y = chance.random(2) * 0.8
            found.append(thing(str(chance.choice(LABELS)), (x, y, x + 0.02, y + 0.02), provider=name))
        return ArmAnswer(tuple(found), name, f"{name} 1", Money.usd(usd), ms)


def _moved(box, chance):
    dx, dy = chance.normal(0, 0.003, 2)
    return (box.x_min + dx, box.y_min + dy, box.x_max + dx, box.y_max + dy)
