"""A few live requests, so that latencies, circuits and the latest rows have something to say."""

import time
import urllib.error
import urllib.request
from pathlib import Path

from gateway.cli.up import not_ready


def send_some(environ: dict[str, str], photos: list[Path]) -> None:
    """Each picture to each provider, once all of them are ready: `/readyz` is content when one is."""
    address = f"http://127.0.0.1:{environ.get('PORT', '8000')}"
    headers = {"Authorization": f"Bearer {environ['GATEWAY_ADMIN_KEY']}", "Content-Type": "image/jpeg"}
    while not_ready(address):
        time.sleep(0.5)
    for photo in photos:
        for query in ("", "?providers=google_vision", "?providers=local"):
            request = urllib.request.Request(f"{address}/v1/detections{query}", photo.read_bytes(), headers)
            try:
                urllib.request.urlopen(request, timeout=30).close()
            except urllib.error.HTTPError as error:
                print(f"demo traffic: {error.code} for {query or 'any provider'}", flush=True)  # a budget may be spent: part of the demo
            except OSError:
                return  # it was stopped
