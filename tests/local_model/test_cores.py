import os

import pytest

from local_model import cores


@pytest.mark.parametrize(("told", "most"), [("max 100000\n", None), ("150000 100000\n", 2), ("50000 100000\n", 1), ("", None)])
def test_a_containers_share_of_time_bounds_the_cores(tmp_path, monkeypatch, told, most):
    (tmp_path / "cpu.max").write_text(told)
    monkeypatch.setattr(cores, "_QUOTA", tmp_path / "cpu.max")
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert cores.cores() == min(allowed, most or allowed)


def test_processes_that_share_the_cores_have_a_lane_each_at_least(tmp_path, monkeypatch):
    monkeypatch.setattr(cores, "_QUOTA", tmp_path / "gone")
    assert cores.lanes_for(1) == cores.cores()
    assert cores.lanes_for(10_000) == 1
