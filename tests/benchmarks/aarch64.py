"""Whether every pinned dependency has a wheel for small ARM boards: `python -m tests.benchmarks.aarch64`. Asks the package index.

pysqlite3 is published as source only and is compiled on every machine (a C compiler is asked for in the README); it is left out here.
"""

import importlib.metadata
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from packaging.requirements import Requirement

from tests.processes import ROOT

OURS_OR_COMPILED = {"vision-gateway", "pysqlite3"}
GLIBC = range(17, 40)
"""manylinux_2_17 (2014) to what the boards' newest systems have."""


def runtime_closure():
    """Every distribution that the project needs at run time, its own requirements' included: versions as installed here."""
    wanted, versions = [Requirement("vision-gateway")], {}
    while wanted:
        requirement = wanted.pop()
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if name in versions:
            continue
        found = importlib.metadata.distribution(name)
        versions[name] = found.version
        extras = requirement.extras or {""}
        needed = map(Requirement, found.requires or [])
        wanted += [one for one in needed if not one.marker or any(one.marker.evaluate({"extra": extra}) for extra in extras)]
    return {name: version for name, version in sorted(versions.items()) if name not in OURS_OR_COMPILED}


def main():
    closure = runtime_closure()
    platforms = [word for minor in GLIBC for word in ("--platform", f"manylinux_2_{minor}_aarch64")]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--no-deps", "--ignore-installed", "--only-binary=:all:"]
        command += ["--implementation", "cp", "--python-version", "3.11", "--abi", "cp311", "--abi", "abi3", "--abi", "none"]
        command += [*platforms, "--platform", "manylinux2014_aarch64", "--target", folder, "--report", str(report)]
        done = subprocess.run([*command, *(f"{n}=={v.partition('+')[0]}" for n, v in closure.items())], cwd=ROOT, check=False)
        if done.returncode:
            sys.exit("Not every pinned dependency has a wheel for aarch64; pip names the first that has none.")
        wheels = [Path(entry["download_info"]["url"]).name for entry in json.loads(report.read_text())["install"]]
    native = [wheel for wheel in wheels if not wheel.endswith("-any.whl")]
    sys.stdout.write(
        "\n".join([*sorted(native), f"{len(wheels)} dependencies, {len(native)} of them for aarch64 alone: all have wheels."]) + "\n"
    )


if __name__ == "__main__":
    main()
