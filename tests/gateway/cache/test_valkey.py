import tempfile

import pytest

from gateway.cache.valkey import Valkey


def test_a_server_that_can_not_be_started_leaves_no_folder_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(OSError, match="no such server"):
        Valkey(tmp_path / "no such server")
    assert list(tmp_path.iterdir()) == []
