"""The dashboard and the alert rules load, and name only numbers that there are."""

import importlib
import json
import pkgutil
import shutil
import subprocess
from collections.abc import Iterator

import promql_parser
import pytest
import yaml

import gateway
from gateway.monitoring.numbers import DECLARED
from tests.processes import ROOT

FOLDER = ROOT / "gateway" / "monitoring"
DASHBOARD = json.loads((FOLDER / "grafana_dashboard.json").read_text())
RULES = yaml.safe_load((FOLDER / "prometheus_alerts.yml").read_text())
EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]
PROMETHEUS_OWN = {"up"}


def names_in(expression: str) -> Iterator[str]:
    """The names of all numbers in an expression; raises `ValueError` where it is none."""
    waiting = [promql_parser.parse(expression.replace("$__rate_interval", "1m"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, promql_parser.VectorSelector):
            yield node.name
        for child in ("expr", "lhs", "rhs", "vector_selector", "args"):
            found = getattr(node, child, None)
            if found is not None:
                waiting.extend(found if isinstance(found, list) else [found])


def all_declared() -> set[str]:
    for module in pkgutil.walk_packages(gateway.__path__, "gateway."):
        if not module.name.endswith("__main__") and ".migrations" not in module.name:
            importlib.import_module(module.name)
    declared = set()
    for number in DECLARED.values():
        declared |= {f"{number.name}_{part}" for part in ("bucket", "sum", "count")} if number.kind == "histogram" else {number.name}
    return declared


@pytest.mark.parametrize("expression", [*EXPRESSIONS, *(alert["expr"] for alert in ALERTS)])
def test_an_expression_is_promql_and_names_only_numbers_that_there_are(expression):
    names = set(names_in(expression))
    assert names
    assert names <= all_declared() | PROMETHEUS_OWN


def test_every_number_has_a_place_on_the_dashboard():
    shown = {name for expression in EXPRESSIONS for name in names_in(expression)}
    hidden = {name for name in all_declared() if not name.endswith(("_sum", "_count")) and not name.startswith("gateway_test_")} - shown
    assert not hidden


def test_the_dashboard_has_what_grafana_needs_to_import_it():
    assert DASHBOARD["schemaVersion"] >= 36
    assert {"title", "uid", "templating", "time", "panels"} <= DASHBOARD.keys()
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert panel["type"] in {"row", "timeseries", "stat", "bargauge"}
        assert place["x"] + place["w"] <= 24
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken, f"{panel['title']} lies over another"
        taken |= cells
        if panel["type"] != "row":
            assert panel["fieldConfig"]["defaults"]["unit"]
            assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
            assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])
    assert {variable["name"] for variable in DASHBOARD["templating"]["list"]} == {"datasource", "instance"}


def test_an_alert_has_a_name_of_its_own_a_severity_and_a_sentence():
    assert len({alert["alert"] for alert in ALERTS}) == len(ALERTS)
    for alert in ALERTS:
        assert alert["labels"]["severity"] in {"warning", "critical"}
        assert alert["annotations"]["summary"]


@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is of Debian's package prometheus; promql-parser read the rules above"
)
def test_promtool_loads_the_rules():
    subprocess.run(["promtool", "check", "rules", str(FOLDER / "prometheus_alerts.yml")], check=True, capture_output=True)
