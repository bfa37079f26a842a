"""What `make run` starts, and that nothing of it stays."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.processes import ROOT, clean_environ, processes_with, running
from tests.waiting import until


@pytest.fixture
def clone(tmp_path):
    """A folder with what `vision-gateway up` finds in a clone."""
    shutil.copy(ROOT / "Procfile", tmp_path)
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "vision-gateway"
    script.write_text('#!/bin/sh\nexec python -m gateway "$@"\n')
    script.chmod(0o755)
    return tmp_path


def wait_for(text, server, within_s=90):
    give_up_at = time.monotonic() + within_s
    while text not in server.output.read_text():
        assert time.monotonic() < give_up_at, server.output.read_text()
        assert server.process.poll() is None, server.output.read_text()
        time.sleep(0.1)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda how: how.name)
def test_the_printed_curl_works_and_stopping_leaves_no_process(clone, how):
    path = f"{clone / 'bin'}:{os.environ['PATH']}"
    with running(clone, "up", GATEWAY_ADMIN_KEY="", PATH=path) as server:
        wait_for("Try it:", server)
        curl = re.search(r"^\s*(curl .*)$", server.output.read_text(), re.MULTILINE).group(1)
        answer = subprocess.run(shlex.split(curl), cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert '"label":"bus"' in answer
        wait_for('"client":"admin"', server)  # as `keys list` names the key that was printed
        marker = f"PORT={server.port}"
        assert len(processes_with(marker)) >= 3
        server.stop(how)
    until(lambda: not processes_with(marker), within_s=15)


def test_an_address_in_use_is_told_at_once(clone):
    with running(clone, "serve") as first:
        first.wait_until_ready()
        told = subprocess.run(
            [sys.executable, "-m", "gateway", "up"],
            cwd=clone,
            env=clean_environ(PORT=str(first.port)),
            capture_output=True,
            text=True,
            check=False,
        )
        assert told.returncode == 1
        assert "can't listen on" in told.stderr
        assert "PORT=" in told.stderr
