"""`make demo`: the gateway before stand-ins of the two clouds, with three weeks of simulated traffic behind it. It costs nothing.

Every answer says `simulated`. What it keeps is in var/demo/, made anew at each start.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from cost.ledger import Budget, BudgetExhausted, Hold, Ledger, UsageRow
from cost.ledger.clock import elapsed_us
from cost.money import Money
from cost.price_files import BUILT_IN, load_prices
from gateway.database import prepare_database
from gateway.ids import new_id
from gateway.keys import Keys
from tests.clouds import google_vision, rekognition
from tests.clouds.behaviour import Behaviour
from tests.clouds.pictures import Pictures

HERE = Path(__file__).parent
FOLDER = Path("var/demo")
DAYS = 21
SEED = 20261122
CLIENTS = {"shop-backend": ("team:shop", 0.5), "moderation-queue": ("team:trust", 0.3), "mobile-app": ("team:mobile", 0.2)}
CALLS = {
    "rekognition": ({"DetectLabels": 1}, frozenset({"objects"}), 0.45),
    "google_vision": ({"OBJECT_LOCALIZATION": 1}, frozenset({"objects"}), 0.2),
    "local": ({"picture": 1}, frozenset({"objects"}), 0.35),
}
BUDGETS = (
    Budget("everything", "global", "", "month", "UTC", Money.usd("1.50"), alert_at=(Decimal("0.8"), Decimal("0.95"))),
    Budget("google", "provider", "google_vision", "month", "America/Los_Angeles", Money.usd("0.60"), pacing=True),
    Budget("shop", "tag", "team:shop", "week", "Europe/Berlin", Money.usd("0.25"), when_exhausted="reject"),
)


class PastClock:
    """Time as it was: moved by hand, and consistent with what the machine's own clock will say when the gateway starts."""

    def __init__(self) -> None:
        self._real_now, self._real_elapsed = datetime.now(UTC), elapsed_us()
        self.at = self._real_now

    def now(self) -> datetime:
        return self.at

    def elapsed(self) -> int:
        return self._real_elapsed - int((self._real_now - self.at).total_seconds() * 1_000_000)


def main() -> int:
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    photos = HERE / "photos"
    behaviour = Behaviour(latency_ms_p50=180.0, latency_ms_p95=420.0, hit_rate=0.85, seed=SEED)
    pictures = Pictures(photos / "instances.json", photos)
    clouds = (rekognition.StandIn(behaviour, pictures=pictures), google_vision.StandIn(behaviour, pictures=pictures))
    prices = FOLDER / "prices.toml"
    prices.write_text(_shared_account((BUILT_IN / "google_vision.toml").read_text()))
    environ = {
        **os.environ,
        "GATEWAY_PRICES": str(prices),
        "GATEWAY_PROVIDERS": "rekognition,google_vision,local",
        "GATEWAY_DATABASE_URL": f"sqlite:///{FOLDER}/gateway.db",
        "GATEWAY_SPOOL": f"{FOLDER}/spool",
        "GATEWAY_SIMULATED": "true",
        "GATEWAY_LOCAL_MODEL_USD_PER_HOUR": "0.10",
        "GATEWAY_ADMIN_KEY": os.environ.get("GATEWAY_ADMIN_KEY") or f"vg_demo_{new_id()}",
        **clouds[0].environ,
        **clouds[1].environ,
    }
    print(f"Writing {DAYS} days of simulated traffic to {FOLDER} …", flush=True)
    write_history(environ["GATEWAY_DATABASE_URL"], Path(environ["GATEWAY_SPOOL"]), prices)
    gateway = subprocess.Popen([Path(sys.executable).parent / "vision-gateway", "up"], env=environ)
    signal.signal(signal.SIGTERM, lambda *_: gateway.terminate())
    signal.signal(signal.SIGINT, lambda *_: None)  # the gateway got it too; wait for its end
    threading.Thread(target=send_some, args=(environ, sorted(photos.glob("*.jpg"))), daemon=True).start()
    status = gateway.wait()
    for cloud in clouds:
        cloud.close()
    return status


def _shared_account(sheet: str) -> str:
    """Google's first thousand units a month are free; a demo in which it costs nothing would show little."""
    return sheet.replace("[google_vision]\n", '[google_vision]\ncounted = "list"\n', 1)


def write_history(database_url: str, spool: Path, prices: Path) -> None:
    """Attempts as the gateway would have written them: office hours, quiet weekends, now and then an answer that never came."""
    chance, clock, engine = random.Random(SEED), PastClock(), prepare_database(database_url)
    for client, (tag, _) in CLIENTS.items():
        Keys(engine).create(client, "app", dict([tag.split(":")]))
    ledger = Ledger(engine, load_prices(prices, {"rekognition": "us-east-1"}), spool=spool, now=clock.now, elapsed=clock.elapsed)
    times = list(moments(clock.at, chance))
    clock.at = times[0]
    for budget in BUDGETS:
        ledger.put_budget(budget)
    for clock.at in times:
        write_one(ledger, chance)
    ledger.close()
    engine.dispose()


def moments(end: datetime, chance: random.Random) -> Iterator[datetime]:
    """When requests came: none in the future, in order."""
    for day in range(DAYS, -1, -1):
        midnight = (end - timedelta(days=day)).replace(hour=0, minute=0, second=0, microsecond=0)
        count = chance.randint(45, 75) if midnight.weekday() < 5 else chance.randint(10, 20)
        hours = sorted(min(max(chance.gauss(14, 3.5), 0), 23.99) for _ in range(count))
        yield from (at for at in (midnight + timedelta(hours=hour) for hour in hours) if at < end - timedelta(minutes=2))


def write_one(ledger: Ledger, chance: random.Random) -> None:
    (client,) = chance.choices(list(CLIENTS), [weight for _, weight in CLIENTS.values()])
    (provider,) = chance.choices(list(CALLS), [weight for *_, weight in CALLS.values()])
    usage, features, _ = CALLS[provider]
    tags = dict([CLIENTS[client][0].split(":")])
    if provider == "local":
        imputed, avoided = Money(chance.randint(800, 1_400)), Money.usd("0.001")
        row = UsageRow(
            kind="in_house",
            request_id=new_id(),
            client=client,
            provider=provider,
            features=features,
            sku="picture",
            imputed=imputed,
            avoided=avoided,
            tags=tags,
        )
        ledger.record_usage(row)
        return
    try:
        held = ledger.reserve(
            Hold(provider=provider, usage=usage, request_id=new_id(), client=client, features=features, timeout_s=15, tags=tags)
        )
    except BudgetExhausted:
        return
    if (luck := chance.random()) < 0.01:
        ledger.unknown(held.attempt_id, outcome="timeout")
    elif luck < 0.03:
        ledger.release(held.attempt_id, outcome="throttled")
    else:
        ledger.settle(held.attempt_id, provider_request_id=f"simulated-{new_id()}")


def send_some(environ: dict[str, str], photos: list[Path]) -> None:
    """A few live requests, so that latencies and circuits have something to say."""
    address = f"http://127.0.0.1:{environ.get('PORT', '8000')}"
    headers = {"Authorization": f"Bearer {environ['GATEWAY_ADMIN_KEY']}", "Content-Type": "image/jpeg"}
    while not _answers(f"{address}/readyz"):
        time.sleep(0.5)
    for photo in photos:
        for query in ("", "?providers=google_vision", "?providers=local"):
            request = urllib.request.Request(f"{address}/v1/detections{query}", photo.read_bytes(), headers)
            try:
                urllib.request.urlopen(request, timeout=30).close()
            except urllib.error.HTTPError as error:
                print(
                    f"demo traffic: {error.code} for {query or 'any provider'}", flush=True
                )  # a budget may be spent: that is part of the demo
            except OSError:
                return  # it was stopped


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False


if __name__ == "__main__":
    sys.exit(main())
