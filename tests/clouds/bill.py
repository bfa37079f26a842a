"""What a stand-in would have billed: kept by itself, on the disk before the answer is sent, so that it can judge the gateway's ledger."""

import json
import os
import threading
import time
from collections import Counter
from pathlib import Path


class Bill:
    """One JSON object a line: id, at (Unix seconds), service, sku, units, account, image (SHA-256 of the bytes, or the reference)."""

    def __init__(self, service: str, path: Path | None) -> None:
        self._service = service
        self._lock = threading.Lock()
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644) if path else None
        self.lines: list[dict[str, object]] = []
        self.requests: Counter[str] = Counter()
        """All requests by what became of them, billed or not: the proof that no SDK made one of its own."""

    def add(self, request_id: str, skus: list[str], account: str, image: str) -> None:
        lines = [
            {"id": request_id, "at": time.time(), "service": self._service, "sku": sku, "units": 1, "account": account, "image": image}
            for sku in skus
        ]
        with self._lock:
            self.lines += lines
            if self._file is not None:
                os.write(self._file, "".join(json.dumps(line) + "\n" for line in lines).encode())
                os.fsync(self._file)

    def count(self, became: str) -> None:
        with self._lock:
            self.requests[became] += 1

    def units(self) -> dict[str, int]:
        """Units by SKU."""
        with self._lock:
            return dict(Counter(str(line["sku"]) for line in self.lines))

    def clear(self) -> None:
        """Forget what was counted (the file stays)."""
        with self._lock:
            self.lines.clear()
            self.requests.clear()

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
