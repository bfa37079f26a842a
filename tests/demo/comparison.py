"""One finished comparison of the three providers, made as an operator would make it."""

import subprocess
import sys
from pathlib import Path


def compare(environ: dict[str, str], photos: Path, html: Path) -> None:
    """Show all of these pictures to everybody; it takes about half a minute, and simulated cents."""
    command = [Path(sys.executable).parent / "vision-gateway", "compare", photos, "--annotations", photos / "instances.json"]
    command += [
        "--providers",
        "local,rekognition,google_vision",
        "--max-cost-usd",
        "0.50",
        "--name",
        "which-provider",
        "--html",
        html,
        "--yes",
    ]
    done = subprocess.run(list(map(str, command)), env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"demo comparison: {done.stderr.strip()[-300:]}", flush=True)
