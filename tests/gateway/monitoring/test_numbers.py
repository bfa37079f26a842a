import subprocess
import sys

import pytest

from gateway.monitoring import numbers
from gateway.monitoring.exposition import exposition
from tests.processes import ROOT, clean_environ

SPINS = numbers.counter("gateway_test_spins_total", "Spins.", "way")
BOTH = numbers.counter("gateway_test_both_total", "Both.", "one", "other")
DEPTH = numbers.gauge("gateway_test_depth_usd", "Depth.", "place", across="mostrecent")


def told(name: str) -> dict[str, float]:
    lines = exposition("")[0].decode().splitlines()
    return {labels: float(value) for labels, _, value in (line.rpartition(" ") for line in lines) if labels.startswith(name)}


def test_a_number_is_told_with_its_labels_once_it_is_written():
    SPINS.add(way="left")
    SPINS.add(2, way="left")
    assert told("gateway_test_spins_total") == {'gateway_test_spins_total{way="left"}': 3.0}


def test_a_forgotten_gauge_is_not_told_any_more():
    DEPTH.set(3, place="here")
    DEPTH.set(4, place="there")
    DEPTH.forget(place="here")
    assert told("gateway_test_depth_usd{") == {'gateway_test_depth_usd{place="there"}': 4.0}


@pytest.mark.parametrize("labels", [{}, {"way": "left", "request_id": "1"}, {"place": "here"}])
def test_labels_that_were_not_declared_are_a_mistake(labels):
    with pytest.raises(ValueError, match="label"):
        SPINS.add(**labels)


def test_labels_count_the_same_in_any_order():
    BOTH.add(one="a", other="b")
    BOTH.add(other="b", one="a")
    assert told("gateway_test_both_total{") == {'gateway_test_both_total{one="a",other="b"}': 2.0}


@pytest.mark.parametrize("name", ["test_total", "gateway_test", "gateway_test_spins_total"])
def test_a_counter_has_our_prefix_ends_in_total_and_is_declared_once(name):
    with pytest.raises(AssertionError):
        numbers.counter(name, "Wrong.")


def test_openmetrics_is_told_to_who_accepts_it():
    SPINS.add(way="left")
    body, content_type = exposition("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_nothing_is_imported_before_a_number_is_written():
    code = "import sys, gateway.app; print([m for m in sys.modules if m.startswith(('prometheus_client', 'opentelemetry.exporter'))])"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, env=clean_environ())
    assert said.stdout.strip() == "[]"
