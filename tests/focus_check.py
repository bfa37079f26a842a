"""`make focus-check`: an export of a simulated ledger before the public validator, which needs a Python of its own (3.12 or newer).

Its exit code is 0 whatever it finds, so what it prints is read here. One failure is known: InvoiceId-C-004 demands null and -C-005 demands
a value, both without their conditions, so no file can pass both. The rules that it skips are in tests/cost/test_focus.py.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

from cost.database import read_snapshot
from cost.focus import COLUMNS, NUMBERS, focus_rows
from cost.ledger import Correction, CostFilter, Ledger, all_entries
from cost.money import Money
from cost.price_files import load_prices
from gateway.database import prepare_database
from gateway.tables import csv_lines
from tests import demo
from tests.processes import ROOT

VENV = ROOT / ".venv" / "focus-validator"
KNOWN = {"InvoiceId-C-005-C"}


def main() -> int:
    python = next(filter(runs, [os.environ.get("FOCUS_PYTHON", ""), *(f"python3.{minor}" for minor in range(12, 16))]), None)
    if python is None:
        print("SKIPPED: focus-validator 2 needs Python 3.12 or newer, and none is here; FOCUS_PYTHON=… names one")
        return 0
    if not (VENV / "bin" / "focus-validator").exists():
        subprocess.run([python, "-m", "venv", VENV], check=True)
        # Its numpy<2 and newer pyarrows exclude each other.
        subprocess.run([VENV / "bin" / "pip", "install", "--quiet", "focus-validator==2.2.1", "pyarrow<23"], check=True)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "focus.csv"
        write_export(Path(folder), file)
        (site,) = VENV.glob("lib/python3*/site-packages")  # it reads its currency codes relative to that
        command = [VENV / "bin" / "focus-validator", "--data-file", file, "--block-download", "--validate-version", "1.2"]
        said = subprocess.run(command, cwd=site, capture_output=True, text=True, check=False).stdout
    failed = set(re.findall(r"❌ (\S+): FAIL", said))
    print(*re.findall(r"Total: .*", said) or [said], sep="\n")
    print(f"failed: {', '.join(sorted(failed)) or 'nothing'}; known: {', '.join(sorted(KNOWN))}")
    return int("Total:" not in said or bool(failed - KNOWN))


def runs(python: str) -> bool:
    if not python or shutil.which(python) is None:
        return False
    return (
        subprocess.run([python, "-c", "import sys; sys.exit(sys.version_info < (3, 12))"], capture_output=True, check=False).returncode == 0
    )


def write_export(folder: Path, file: Path) -> None:
    """Twelve days of the demo's traffic, with free units, and a correction from an invoice."""
    prices, url = folder / "prices.toml", f"sqlite:///{folder}/gateway.db"
    prices.write_text((demo.BUILT_IN / "google_vision.toml").read_text().replace("free_units = 1000", "free_units = 20"))
    demo.write_history(url, folder / "spool", prices)
    engine, book = prepare_database(url), load_prices(prices, {"rekognition": "us-east-1"})
    ledger = Ledger(engine, book, spool=folder / "spool")
    day = ledger.now().date().isoformat()
    ledger.correct(Correction(day=day, provider="rekognition", sku="DetectLabels", amount=Money(-1_000_000), units=-1, reason="invoice"))
    ledger.close()
    with read_snapshot(engine) as connection, file.open("w", newline="", encoding="utf-8") as out:
        rows = focus_rows(all_entries(connection, CostFilter(first=date.min, last=date.max)), book)
        out.writelines(csv_lines(COLUMNS, (list(row.values()) for row in rows), NUMBERS))
    engine.dispose()


if __name__ == "__main__":
    sys.exit(main())
