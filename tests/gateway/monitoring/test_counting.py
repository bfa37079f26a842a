import subprocess
import sys
import threading
import time

import prometheus_client
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.monitoring import counting, numbers
from gateway.monitoring.exposition import exposition
from gateway.monitoring.folder import VARIABLE
from gateway.monitoring.kinds import Histogram
from tests.processes import ROOT, clean_environ

TURNS = numbers.counter("gateway_test_turns_total", "Turns.")
CHILD = """
import os
from gateway.monitoring.numbers import counter
TURNS = counter("gateway_test_turns_total", "Turns.")
TURNS.add(3)
"""


def told(name: str) -> dict[str, float]:
    lines = exposition("")[0].decode().splitlines()
    return {labels: float(value) for labels, _, value in (line.rpartition(" ") for line in lines) if labels.startswith(name)}


def told_by_a_child(tmp_path, rest: str) -> dict[str, float]:
    """What stands in the files of a gateway whose child counted 3, did the rest and ended."""
    environ = clean_environ() | {VARIABLE: str(tmp_path)}
    subprocess.run([sys.executable, "-c", CHILD + rest], cwd=ROOT, check=True, env=environ)
    reader = "from gateway.monitoring.exposition import exposition; print(exposition('')[0].decode())"
    said = subprocess.run([sys.executable, "-c", reader], cwd=ROOT, check=True, env=environ, capture_output=True, text=True)
    return {name: float(value) for name, value in (line.split() for line in said.stdout.splitlines() if line[:1] not in {"#", ""})}


def test_nothing_is_lost_or_counted_twice_while_threads_count_and_others_read():
    before = told("gateway_test_turns_total").get("gateway_test_turns_total", 0)

    def turn():
        for _ in range(5000):
            TURNS.add()

    threads = [threading.Thread(target=turn) for _ in range(8)] + [threading.Thread(target=lambda: [exposition("") for _ in range(20)])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told("gateway_test_turns_total") == {"gateway_test_turns_total": before + 40_000}


def added_up_by_itself(number: numbers.Number, **labels: str) -> bool:
    child = number.child(**labels)
    before = [list(metric.samples) for metric in child.collect()]
    number.add(**labels)
    give_up_at = time.monotonic() + 10
    while time.monotonic() < give_up_at:
        if [list(metric.samples) for metric in child.collect()] != before:
            return True
        time.sleep(counting.EVERY_S)
    return False


def test_what_is_counted_is_added_up_soon_without_anybody_asking():
    assert added_up_by_itself(TURNS)


@given(st.lists(st.floats(min_value=-1e3, max_value=1e3) | st.sampled_from([0.0, 1.0, 2.0])))
def test_many_values_at_once_are_as_each_of_them_alone(values):
    each, together = (kind("waits", "Waits.", buckets=(0, 1, 2), registry=None) for kind in (prometheus_client.Histogram, Histogram))
    for value in values:
        each.observe(value)
    together.take(values)
    (told_each,), (told_together,) = each.collect(), together.collect()
    values_of = {sample.name + str(sample.labels): sample.value for sample in told_each.samples if "created" not in sample.name}
    for sample in told_together.samples:
        if "created" not in sample.name:
            assert sample.value == pytest.approx(values_of[sample.name + str(sample.labels)])


def test_a_process_that_ends_has_added_up_what_it_counted(tmp_path):
    assert told_by_a_child(tmp_path, "")["gateway_test_turns_total"] == 3


def test_a_child_counts_on_its_own_and_leaves_its_parents_counts_to_the_parent(tmp_path):
    rest = """
child = os.fork()
if not child:
    TURNS.add(4)
    import time; time.sleep(1)
    os._exit(0)
os.waitpid(child, 0)
"""
    assert told_by_a_child(tmp_path, rest)["gateway_test_turns_total"] == 7


def test_a_sum_that_can_not_be_kept_does_not_end_the_counting():
    tried = threading.Event()

    class Broken:
        def take(self, amounts):
            tried.set()
            raise OSError(28, "No space left on device")

    counting.count(Broken(), 1)
    assert tried.wait(10)
    assert added_up_by_itself(TURNS)
