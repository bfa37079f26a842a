import struct

import pytest

from gateway.monitoring import exposition
from gateway.monitoring.folder import VARIABLE
from gateway.monitoring.numbers import registry


@pytest.fixture
def half_made(tmp_path, monkeypatch):
    """A file that another process has opened and not yet written."""
    registry()  # prometheus_client chooses once where this process's own numbers are: not in that folder
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    file = tmp_path / "counter_4711.db"
    file.touch()
    return file


def test_a_file_that_a_worker_is_just_making_is_read_again(half_made, monkeypatch):
    monkeypatch.setattr(exposition.time, "sleep", lambda _: half_made.unlink())
    assert exposition.shown_gauges() == {}


def test_one_that_stays_so_is_an_error(half_made):
    with pytest.raises(struct.error):
        exposition.shown_gauges()
