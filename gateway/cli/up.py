"""`vision-gateway up`: the processes of the Procfile together, with an address, a key and a `curl` to paste."""

import json
import os
import secrets
import shlex
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import click
from honcho.environ import parse_procfile
from honcho.manager import Manager
from honcho.printer import Printer
from honcho.process import Process

from gateway.cli.common import check_address_is_free, open_database, read_settings
from gateway.keys import Keys, ensure_admin_key
from gateway.settings import Settings
from local_model.lifetime import die_with_parent

_READY_WITHIN_S = 120
_PHOTO = Path("tests/photos/000000000471.jpg")


class _MortalProcess(Process):
    """Honcho's process between us and a Procfile line: it ignores SIGTERM, so only SIGKILL ends it when we are killed."""

    def run(self, *args: object, **kwargs: object) -> None:
        """Start the line and pass on what it prints."""
        die_with_parent(signal.SIGKILL)
        super().run(*args, **kwargs)


class _Processes(Manager):
    """Honcho's manager, whose processes never outlive it."""

    def __init__(self) -> None:
        super().__init__(Printer(sys.stdout))
        self._process_ctor = _MortalProcess


@click.command()
def command() -> None:
    """Start the gateway and its model server, wait until they are ready, and say how to use them."""
    die_with_parent()
    settings = read_settings()
    check_address_is_free(settings)
    token, note, brought = _admin_token(settings)
    processes = _Processes()
    environ = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "PORT": str(settings.port),
        **brought,
        "DIE_WITH_PARENT": "1",
        "PYTHONUNBUFFERED": "1",
    }
    for name, line in parse_procfile(Path("Procfile").read_text(encoding="utf-8")).processes.items():
        processes.add_process(name, line, env=environ)
    threading.Thread(target=_tell_when_ready, args=(settings, token, note), daemon=True).start()
    processes.loop()
    sys.exit(processes.returncode)


def _admin_token(settings: Settings) -> tuple[str, str, dict[str, str]]:
    """An admin key that works in this run, what to say of it, and the setting that brings it where the database does not know it."""
    if settings.admin_key:
        return settings.admin_key, "from GATEWAY_ADMIN_KEY", {}
    database = open_database(settings)
    made = ensure_admin_key(Keys(database), None)
    database.dispose()
    if made:
        return made, "shown this once; only its hash is kept", {}
    token = f"vg_run_{secrets.token_urlsafe(32)}"
    return token, "for this run; keys made before work too", {"GATEWAY_ADMIN_KEY": token}


def _tell_when_ready(settings: Settings, token: str, note: str) -> None:
    host = "127.0.0.1" if settings.bind in {"0.0.0.0", "::"} else settings.bind  # noqa: S104 -- compared, not bound
    address = f"http://{host}:{settings.port}"
    give_up_at = time.monotonic() + _READY_WITHIN_S
    while (waiting_for := not_ready(address)) and time.monotonic() < give_up_at:
        time.sleep(0.2)
    if waiting_for:
        click.echo(f"\nNot ready after {_READY_WITHIN_S} s: {waiting_for}. Stopping.\n", err=True)
        os.kill(os.getpid(), signal.SIGTERM)
        return
    authorization = shlex.quote(f"Authorization: Bearer {token}")
    curl = f"curl -s {address}/v1/detections -H {authorization} -H 'Content-Type: image/jpeg' --data-binary @{_PHOTO}"
    click.echo(f"\nvision-gateway is ready: open {address} in a browser, or read {address}/docs\nAdmin key ({note}):\n\n  {token}\n")
    click.echo(f"Try it:\n\n  {curl}\n")


def not_ready(address: str) -> str:
    """What is still waited for; empty once everything is ready."""
    try:
        with urllib.request.urlopen(f"{address}/readyz", timeout=2) as response:  # noqa: S310 -- our own address
            readiness = json.load(response)
    except urllib.error.HTTPError as error:
        readiness = json.load(error)
    except (OSError, ValueError):
        return "the gateway does not answer yet"
    away = [f"{name} ({state['detail']})" for name, state in readiness["dependencies"].items() if not state["ready"]]
    return ", ".join(away)
