"""What a stranger relies on when finding the way: sizes, names, directions, and documents that tell the truth."""

import configparser
import re
import subprocess
import sys
from dataclasses import fields

import pytest

from gateway import errors
from gateway.api import RESOURCES
from gateway.settings import Settings
from gateway.web import PAGES
from tests.processes import ROOT

ROOMS = ("gateway", "providers", "local_model", "cost")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def modules():
    return [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_has_more_than_four_hundred_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_tests_mirror_the_rooms():
    for room in ROOMS:
        for path in (ROOT / "tests" / room).rglob("test_*.py"):
            assert (ROOT / room / path.relative_to(ROOT / "tests" / room)).parent.is_dir(), f"{path} lies in no folder of the room"


def test_the_readme_lists_every_setting():
    for setting in fields(Settings):
        assert f"`{setting.metadata['env']}`" in README


def test_the_readme_lists_every_page_of_the_navigation():
    for address, page in PAGES.items():
        assert page.word is None or f"`{address}`" in README, address


def test_the_readme_lists_every_error_code():
    for error in errors.GatewayError.__subclasses__():
        assert f"`{error.code}`" in README


def test_the_readme_tells_the_reason_of_every_dependency_and_each_is_pinned():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8").lower()
    reasons = README.partition("## Dependencies")[2].lower()
    for line in setup["options"]["install_requires"].split() + setup["options.extras_require"]["dev"].split():
        name = re.sub(r"\[.*", "", line).lower()
        assert re.search(rf"^{re.escape(name)}==", pinned, re.MULTILINE), f"{name} is not pinned"
    for line in setup["options"]["install_requires"].split():
        assert re.sub(r"\[.*", "", line).lower() in reasons, f"{line} has no reason in the README"


def test_every_file_that_is_no_code_is_installed_too():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    packages = [path.parent for room in ROOMS for path in (ROOT / room).rglob("__init__.py")]
    patterns = setup["options.package_data"]["*"].split()
    installed = {file for package in packages for pattern in patterns for file in package.glob(pattern)}
    others = {path for room in ROOMS for path in (ROOT / room).rglob("*") if path.is_file() and path.suffix not in {".py", ".pyc"}}
    assert others - installed == set()


def test_every_address_is_of_the_contract():
    assert {address for address in RESOURCES if address.startswith("/v1/")} >= {"/v1/detections", "/v1/providers", "/v1/keys"}


@pytest.mark.parametrize("module", ["gateway.cli", "gateway.app", "gateway.server", "providers.registry", "providers.local"])
def test_importing_costs_no_sdk_and_no_torch(module):
    code = f"import sys, {module}; print([m for m in ('torch', 'boto3', 'botocore', 'grpc', 'google.cloud.vision') if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"


def test_commands_about_money_and_keys_import_no_http():
    """Half a second each time they are called."""
    commands = ", ".join(f"gateway.cli.{name}" for name in ("budgets", "keys", "ledger", "reconcile", "records", "report"))
    code = f"import sys, {commands}; print([m for m in ('flask', 'redis', 'scipy') if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"
