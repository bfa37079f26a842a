import multiprocessing
import os

import pytest

from gateway.monitoring.folder import VARIABLE, NumbersFolder


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv(VARIABLE, "")  # put back afterwards


def make_and_die(parent):
    NumbersFolder(parent)
    os._exit(1)


def test_what_a_killed_gateway_left_is_removed_and_what_a_living_one_uses_is_not(tmp_path):
    dead = multiprocessing.get_context("fork").Process(target=make_and_die, args=(tmp_path,))
    dead.start()
    dead.join()
    (left_over,) = [path for path in tmp_path.iterdir() if path.is_dir()]
    first = NumbersFolder(tmp_path)
    second = NumbersFolder(tmp_path)
    assert not left_over.exists()
    assert first.path.is_dir()
    assert os.environ[VARIABLE] == str(second.path)
    assert first.path != second.path


def test_the_folder_goes_with_its_gateway(tmp_path):
    folder = NumbersFolder(tmp_path)
    folder.remove()
    assert not folder.path.exists()
