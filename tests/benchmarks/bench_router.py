"""What routing is worth and costs: `python tests/benchmarks/bench_router.py [decide|table|online|perturb|match|month] [RECORDS...]`.

Run it with OPENBLAS_NUM_THREADS=1: on small matrices threads cost tens of times more than they bring.
"""

import dataclasses
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from cost.backtest import replay
from cost.money import Money
from cost.record_files import read_prices, read_records
from cost.records import Records, Seen
from cost.router import PricedCall, Quote, Snapshot, choose_route
from gateway.database import prepare_database
from tests.cost.months import live_month

ROUTING = Path(__file__).parents[3] / "shared" / "routing"
SEEDS = (1, 5, 10, 50, 100)
OBJECTS = frozenset({"objects"})


def say(*words: str) -> None:
    """One line at once, so that a long run shows how far it is."""
    sys.stdout.write(" ".join(words) + "\n")
    sys.stdout.flush()


def decide() -> None:
    """The time of one decision among three providers."""
    prices = {"local": Money(700), "rekognition": Money.usd("0.001"), "google_vision": Money.usd("0.00225")}
    quotes = tuple(Quote(p, (PricedCall(OBJECTS, m),), 300.0, quality=0.7) for p, m in prices.items())
    snapshot = Snapshot(OBJECTS, quotes, max_cost=Money.usd("0.002"))
    times = []
    for _ in range(20_000):
        start = time.perf_counter_ns()
        choose_route(snapshot)
        times.append(time.perf_counter_ns() - start)
    p50, p99 = np.quantile(times, [0.5, 0.99]) / 1000
    say(f"choose_route, three providers: p50 {p50:.1f} us, p99 {p99:.1f} us")


def row(records: Records, prices: dict[str, Money], budget: float, *, online: bool = False, seeds: tuple[int, ...] = SEEDS) -> str:
    """One line of the table: mean over seeds."""
    start = time.perf_counter()
    reports = [replay(records, prices, Decimal(str(budget)), seed=seed, online=online) for seed in seeds]
    took = (time.perf_counter() - start) / len(seeds)

    def mean(name: str) -> float:
        return 100 * np.mean([r["baselines"].get(name, {"accuracy": np.nan})["accuracy"] for r in reports]).item()

    accuracy = 100 * np.mean([r["policy"]["accuracy"] for r in reports])
    spend = max(r["policy"]["spend_usd_per_10k"] for r in reports)
    rest = f"one threshold {mean('one_threshold'):.1f}, oracle {mean('oracle'):.1f}, {took:.1f} s a run"
    return f"{budget:5} USD: {accuracy:.2f} at most {spend:.4f} spent; {rest}"


def table(names: list[str], online: bool = False) -> None:
    """Accuracy at each budget, mean of the seeds."""
    for name in names:
        records, prices = load(name)
        for budget in (2, 3.5, 5) if online else (2, 3.5, 5, 7.5, 10):
            say(name, "online" if online else "", row(records, prices, budget, online=online))


def match(names: list[str]) -> None:
    """The least budget at which the best single provider is matched, in % of its price."""
    for name in names:
        records, prices = load(name)
        best = max(records.providers, key=lambda p: np.nanmean(records.rewards[p]))
        for percent in (29, 31, 33, 34.5, 35.5):
            budget = Decimal(prices[best].nanos) * 10_000 / 10**9 * Decimal(str(percent)) / 100
            reports = [replay(records, prices, budget, seed=seed) for seed in SEEDS]
            gap = 100 * np.mean([r["policy"]["accuracy"] - r["baselines"][best]["accuracy"] for r in reports])
            say(f"{name}: {percent} % of {best}'s price: {gap:+.2f} points against it")


def perturbed(records: Records, prices: dict[str, Money]) -> dict[str, tuple[Records, dict[str, Money]]]:
    """The same recordings as other people might have made them."""
    rng = np.random.default_rng(0)
    names = {p: f"p{k}" for k, p in enumerate(rng.permutation(records.providers))}
    vocabulary = sorted(
        {tag.label for p in records.providers for a in records.answers[p] for tag in a or ()} | {t for s in records.truth for t in s or ()}
    )
    other = dict(zip(vocabulary, rng.permutation(vocabulary), strict=True))
    paid = sorted((p for p in prices), key=lambda p: prices[p])
    swapped = dict(zip(paid, [prices[p] for p in reversed(paid)], strict=True))

    def each(change) -> Records:
        return dataclasses.replace(
            records,
            answers={p: [None if a is None else tuple(change(p, t) for t in a) for a in records.answers[p]] for p in records.providers},
        )

    turned = tuple(reversed(records.providers))
    renamed = Records(
        records.kind,
        tuple(names[p] for p in turned),
        {
            names[p]: [None if a is None else tuple(Seen(other[t.label], t.confidence) for t in a) for a in records.answers[p]]
            for p in turned
        },
        [None if t is None else frozenset(other[x] for x in t) for t in records.truth],
        {names[p]: records.rewards[p] for p in turned},
    )
    return {
        "as it is": (records, prices),
        "providers and labels renamed": (renamed, {names[p]: prices[p] for p in prices}),
        "confidences warped": (each(lambda p, t: Seen(t.label, None if t.confidence is None else 100 * t.confidence**5 - 3)), prices),
        "without confidences": (each(lambda p, t: Seen(t.label)), prices),
        "the first without confidences": (each(lambda p, t: Seen(t.label, None if p == records.providers[-1] else t.confidence)), prices),
        "prices scaled": (records, {p: Money(round(m.nanos * rng.uniform(0.5, 2))) for p, m in prices.items()}),
        "prices turned round": (records, swapped),
        "400 records": (records.take(range(800)), prices),
    }


def perturb(names: list[str]) -> None:
    """Whether the advantage over one threshold and the best single provider in budget holds on variants."""
    for name in names:
        for what, (records, prices) in perturbed(*load(name)).items():
            say(f"{name}, {what}:", row(records, prices, 5, seeds=(1, 5)))


def month() -> None:
    """A month of two processes on one database, paced: what is spent, and what that buys beside hindsight."""
    for surge_at in (None, 5 * 24, 15 * 24, 26 * 24):
        with tempfile.TemporaryDirectory() as folder:
            engine = prepare_database(f"sqlite:///{folder}/gateway.db")
            spent = live_month(engine, Money.usd("5"), surge_at=surge_at)
            engine.dispose()
        usd, share = spent.hourly_usd.sum(), spent.bought / spent.with_hindsight
        say(f"surge at hour {surge_at}: {100 * usd / 5:.2f} % of the budget spent, {100 * share:.1f} % of what hindsight buys")


def load(name: str) -> tuple[Records, dict[str, Money]]:
    """A recording and its prices."""
    return read_records(ROUTING / f"{name}.csv.gz"), read_prices(ROUTING / "prices.json", name)


if __name__ == "__main__":
    what, names = (sys.argv[1:2] or ["decide"])[0], sys.argv[2:] or ["FERPLUS", "RAFDB", "MCT_PASCAL"]
    {
        "decide": decide,
        "table": lambda: table(names),
        "online": lambda: table(names[:2], online=True),
        "perturb": lambda: perturb(names),
        "month": month,
        "match": lambda: match(names[:2]),
    }[what]()
