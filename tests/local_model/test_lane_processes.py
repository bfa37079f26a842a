"""Real processes with a toy network: killed, replaced, and told apart from a picture's own fault."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from local_model.lane_processes import LaneDied, LaneProcesses, NotLoaded, _Lane
from local_model.preprocess import BadPicture
from tests.local_model.toys import COLOURS, plug, version_of
from tests.processes import family
from tests.waiting import until

RED = np.zeros((64, 64, 3), np.uint8)
RED[..., 0] = 255


@pytest.fixture
def lanes(tmp_path):
    started = LaneProcesses(plug(tmp_path), 2)
    yield started
    started.close()


def processes():
    told = {pid: Path(f"/proc/{pid}/cmdline") for pid in family(os.getpid())[1:]}
    return [pid for pid, file in told.items() if b"local_model.lane" in file.read_bytes()]


def seen(lanes, pictures):
    return [lanes.finish(found, None, 5) for found in lanes.parted(lanes.forward(pictures))]


def test_they_answer_as_the_model_that_they_loaded_and_end_when_closed(tmp_path):
    lanes = LaneProcesses(plug(tmp_path), 2)
    assert len(processes()) == 2
    assert (lanes.name, lanes.version, lanes.lanes) == ("colour", version_of(tmp_path, 1), 2)
    [red, bad, again] = lanes.forward([RED, np.zeros(3, np.uint8), RED])
    assert lanes.finish(red, None, 5).labels == lanes.finish(again, None, 5).labels == (COLOURS[0],)
    assert lanes.finish(red, None, 5).machine_us == 5
    with pytest.raises(BadPicture):
        lanes.finish(bad, None, 5)
    lanes.close()
    assert processes() == []


def test_a_process_that_is_closed_ends_as_it_is_and_takes_no_torch_down_first(tmp_path):
    lane = _Lane(plug(tmp_path))
    lane.facts()
    lane.close()
    assert lane._process.returncode == -signal.SIGKILL


def test_weights_that_can_not_be_loaded_are_told_and_leave_no_process(tmp_path):
    (tmp_path / "broken.toml").write_text('name = "half a file')
    with pytest.raises(NotLoaded, match=r"broken\.toml"):
        LaneProcesses(tmp_path / "broken.toml", 2)
    assert processes() == []


def test_processes_that_were_killed_at_rest_are_replaced_and_cost_no_answer(lanes):
    for pid in (killed := processes()):
        os.kill(pid, signal.SIGKILL)
    until(lambda: all(ended(pid) for pid in killed))
    assert [each.labels for each in seen(lanes, [RED])] == [("red",)]
    assert [each.labels for each in seen(lanes, [RED])] == [("red",)]
    assert not set(killed) & set(processes())


def ended(pid):
    """With all its threads; still to be waited for by who started it."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def fails_at_work(lanes, monkeypatch, times):
    """So many batches have their process killed under them, as a picture that its decoder dies of would do."""
    left = [None] * times
    answers = _Lane.answers

    def killed(lane, pictures):
        if left:
            left.pop()
            lane._process.kill()
        return answers(lane, pictures)

    monkeypatch.setattr(_Lane, "answers", killed)


@pytest.mark.parametrize("times", [1, 2])
def test_a_picture_whose_process_is_killed_under_it_is_answered_by_another(lanes, monkeypatch, times):
    fails_at_work(lanes, monkeypatch, times)
    assert [each.labels for each in seen(lanes, [RED])] == [("red",)]


def test_a_picture_that_three_processes_die_of_is_told_so_and_others_go_on(lanes, monkeypatch):
    fails_at_work(lanes, monkeypatch, times=3)
    with pytest.raises(LaneDied, match="this picture"):
        lanes.forward([RED])
    assert [each.labels for each in seen(lanes, [RED])] == [("red",)]


def test_a_batch_whose_process_dies_is_left_to_who_batches_to_be_split(lanes, monkeypatch):
    fails_at_work(lanes, monkeypatch, times=1)
    with pytest.raises(LaneDied):
        lanes.forward([RED, RED])
    assert [each.labels for each in seen(lanes, [RED, RED])] == [("red",)] * 2


def test_a_signal_to_the_whole_service_ends_no_lane_before_its_starter(lanes):
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        for pid in processes():
            os.kill(pid, each)
    assert [each.labels for each in seen(lanes, [RED])] == [("red",)]


def test_while_the_weights_are_others_a_killed_process_is_not_replaced(lanes, tmp_path, monkeypatch):
    monkeypatch.setattr("local_model.lane_processes._TRIES_AGAIN_S", 0.1)
    plug(tmp_path, version=2)
    fails_at_work(lanes, monkeypatch, times=1)
    for _ in range(3):
        assert [each.model for each in seen(lanes, [RED])] == [f"colour {version_of(tmp_path, 1)}"]
    assert lanes._free.qsize() == 1
    plug(tmp_path, version=1)
    until(lambda: lanes._free.qsize() == 2)
