"""A real Chromium before the real gateway with a simulated past. Debian's package `chromium`; without it these tests skip and say so."""

import shutil
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cost.price_files import BUILT_IN
from tests.browser.walker import Walker
from tests.demo.__main__ import shared_account
from tests.demo.history import write_history
from tests.demo.invoice import write_invoice
from tests.processes import running

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def chromium():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright comes with the dev extra")
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def gateway(tmp_path_factory, chromium):
    """The gateway as a process, its clouds out of reach, some days of simulated traffic behind it; a key of finance and an invoice."""
    folder = tmp_path_factory.mktemp("browser")
    prices = folder / "prices.toml"
    prices.write_text(shared_account((BUILT_IN / "google_vision.toml").read_text()))
    url = f"sqlite:///{folder}/gateway.db"
    finance = write_history(url, folder / "spool", prices, days=2)
    write_invoice(url, folder / "invoice-aws.csv", datetime.now(UTC).date())
    environ = {
        "GATEWAY_DATABASE_URL": url,
        "GATEWAY_SPOOL": str(folder / "spool"),
        "GATEWAY_PRICES": str(prices),
        "GATEWAY_SIMULATED": "true",
        "GATEWAY_PICTURES_KEPT_DAYS": "30",
        "GATEWAY_PROVIDERS": "rekognition,google_vision",
        "GATEWAY_GOOGLE_VISION_ENDPOINT": "127.0.0.1:9",
        "GATEWAY_GOOGLE_VISION_INSECURE": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_ENDPOINT_URL_REKOGNITION": "http://127.0.0.1:9",
    }
    with running(folder, "serve", **environ) as server:
        server.wait_until_answering()
        server.finance, server.invoice = finance, folder / "invoice-aws.csv"
        yield server


@pytest.fixture
def walk(chromium, gateway):
    """Makes walkers; at the end each must have met no error and no address but the gateway's."""

    @contextmanager
    def begin(width=1280, scheme="light", folder: Path | None = None):
        context = chromium.new_context(
            base_url=gateway.address, viewport={"width": width, "height": 900}, color_scheme=scheme, accept_downloads=True
        )
        walker = Walker(context.new_page(), gateway.address)
        try:
            yield walker
        finally:
            context.close()
        assert walker.problems == []

    return begin
