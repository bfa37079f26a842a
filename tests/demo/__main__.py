"""Starts the stand-ins, writes the simulated past and serves. What it keeps is in var/demo/, made anew at each start."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from cost.price_files import BUILT_IN
from gateway.ids import new_id
from tests.clouds import google_vision, rekognition
from tests.clouds.behaviour import Behaviour
from tests.clouds.pictures import Pictures
from tests.demo.comparison import compare
from tests.demo.history import write_history
from tests.demo.invoice import write_invoice
from tests.demo.live import send_some
from tests.demo.photos import make_photos
from tests.demo.plan import DAYS, SEED
from tests.demo.watched import write_watched

PHOTOS = Path(__file__).parents[1] / "photos"
FOLDER = Path("var/demo")
KEPT_DAYS = 7
FOR_COMMANDS = ("GATEWAY_DATABASE_URL", "GATEWAY_SPOOL", "GATEWAY_PRICES")


def main() -> int:
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    photos = FOLDER / "photos"
    annotations = make_photos(PHOTOS, photos)
    behaviour = Behaviour(latency_ms_p50=180.0, latency_ms_p95=420.0, hit_rate=0.85, seed=SEED)
    pictures = Pictures(annotations, photos)
    clouds = (rekognition.StandIn(behaviour, pictures=pictures), google_vision.StandIn(behaviour, pictures=pictures))
    prices = FOLDER / "prices.toml"
    prices.write_text(shared_account((BUILT_IN / "google_vision.toml").read_text()))
    environ = {
        **os.environ,
        "GATEWAY_PRICES": str(prices),
        "GATEWAY_PROVIDERS": "rekognition,google_vision,local",
        "GATEWAY_DATABASE_URL": f"sqlite:///{FOLDER}/gateway.db",
        "GATEWAY_SPOOL": f"{FOLDER}/spool",
        "GATEWAY_SIMULATED": "true",
        "GATEWAY_PICTURES_KEPT_DAYS": str(KEPT_DAYS),
        "GATEWAY_LOCAL_MODEL_USD_PER_HOUR": "0.004",  # a small board in a corner: with so little traffic a larger one never pays
        "GATEWAY_ADMIN_KEY": os.environ.get("GATEWAY_ADMIN_KEY") or f"vg_demo_{new_id()}",
        **clouds[0].environ,
        **clouds[1].environ,
    }
    print(f"Writing {DAYS} days of simulated traffic to {FOLDER} …", flush=True)
    finance = write_history(environ["GATEWAY_DATABASE_URL"], Path(environ["GATEWAY_SPOOL"]), prices, DAYS)
    write_watched(environ["GATEWAY_DATABASE_URL"], annotations, KEPT_DAYS)
    write_invoice(environ["GATEWAY_DATABASE_URL"], FOLDER / "invoice-aws.csv", datetime.now(UTC).date())
    print(f"Log in to the pages with the admin key below, or as anna, who has the role finance:\n\n  {finance}\n")
    print(f"An invoice to reconcile with that traffic, at /costs/invoices: {FOLDER}/invoice-aws.csv\n")
    print("For commands, such as `vision-gateway report`, in another terminal:\n")
    print("  export " + " ".join(f"{name}={environ[name]}" for name in FOR_COMMANDS) + "\n", flush=True)
    gateway = subprocess.Popen([Path(sys.executable).parent / "vision-gateway", "up"], env=environ)
    signal.signal(signal.SIGTERM, lambda *_: gateway.terminate())
    signal.signal(signal.SIGINT, lambda *_: None)  # the gateway got it too; wait for its end
    threading.Thread(target=_use_it, args=(environ, photos), daemon=True).start()
    status = gateway.wait()
    for cloud in clouds:
        cloud.close()
    return status


def _use_it(environ: dict[str, str], photos: Path) -> None:
    send_some(environ, sorted(PHOTOS.glob("*.jpg")))
    compare(environ, photos, FOLDER / "which-provider.html")


def shared_account(sheet: str) -> str:
    """Google's first thousand units a month are free; a demo in which it costs nothing would show little."""
    return sheet.replace("[google_vision]\n", '[google_vision]\ncounted = "list"\n', 1)


if __name__ == "__main__":
    sys.exit(main())
