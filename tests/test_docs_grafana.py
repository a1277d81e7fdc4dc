"""The dashboard for Grafana asks for metrics that there are, with labels and values that they have."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from fakes import realistic_snapshot, running_status

from web.metrics import metrics_text

_METRIC = re.compile(r"\b(lowmaf_\w+)(?:\{([^}]*)\})?")
_LABEL = re.compile(r'(\w+)=~?"([^"]*)"')
OUTSIDE = {"instance", "job"}
"""Labels that Prometheus adds."""


@pytest.fixture(scope="module")
def dashboard(project: Path) -> dict[str, Any]:
    return json.loads((project / "docs" / "grafana-dashboard.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def known() -> dict[str, dict[str, set[str]]]:
    """Metric → label → values, of a daemon of which everything is known."""
    snapshot = realistic_snapshot()
    text = metrics_text(running_status(snapshot), snapshot, streams=2)
    found: dict[str, dict[str, set[str]]] = {}
    for name in re.findall(r"^# TYPE (\w+)", text, re.MULTILINE):
        found[name] = {}
    for name, labels in re.findall(r"^(\w+)(?:\{(.*)\})? \S+$", text, re.MULTILINE):
        for label, value in _LABEL.findall(labels):
            found[name].setdefault(label, set()).add(value)
    return found


def expressions(dashboard: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Title, expression and legend of everything that is drawn."""
    return [
        (panel["title"], target["expr"], target["legendFormat"])
        for panel in dashboard["panels"]
        for target in panel["targets"]
    ]


def test_every_metric_label_and_value_is_there(
    dashboard: dict[str, Any], known: dict[str, dict[str, set[str]]]
) -> None:
    for title, expression, legend in expressions(dashboard):
        asked = _METRIC.findall(expression)
        assert asked, title
        for name, labels in asked:
            assert name in known, f"{title}: no metric {name}"
            for label, value in _LABEL.findall(labels):
                assert label in OUTSIDE or value in known[name][label], (
                    f"{title}: {name} has no {label}={value}"
                )
            for label in re.findall(r"\{\{(\w+)\}\}", legend):
                assert label in known[name], f"{title}: {name} has no label {label}"


def test_what_matters_is_shown(dashboard: dict[str, Any], known: dict[str, dict[str, set[str]]]) -> None:
    drawn = {name for _, expression, _ in expressions(dashboard) for name, _ in _METRIC.findall(expression)}
    assert set(known) - drawn <= {"lowmaf_info", "lowmaf_truth_rmse_percent"}


def test_it_can_be_imported_and_asks_which_prometheus(dashboard: dict[str, Any]) -> None:
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    assert all(panel["datasource"]["uid"] == "${source}" for panel in dashboard["panels"])
    assert [variable["name"] for variable in dashboard["templating"]["list"]] == ["source", "instance"]
    squares = [
        (x, y)
        for panel in dashboard["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(squares) == len(set(squares)), "panels lie on one another"
    assert max(x for x, _ in squares) < 24
