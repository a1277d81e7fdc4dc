"""What the daemon offers over HTTP: routes, error codes, metrics."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import Mock

from tools.reference.markdown import code, heading, page, table

METHODS = ("get", "post", "put", "patch", "delete")


def http_page(project: Path) -> str:
    """Routes, as the OpenAPI document describes them, and the codes of errors."""
    document = _openapi()
    routes = [
        (method.upper(), path, operation)
        for path, operations in document["paths"].items()
        for method, operation in sorted(operations.items(), key=lambda item: METHODS.index(item[0]))
    ]
    return page(
        "HTTP routes",
        """Everything is on one port ([configuration](configuration.md#web)). A running daemon describes every
        answer at `/openapi.json`; `/` is the page. Routes that change something need a paired device or a
        token, except on the machine itself.""",
        heading("Routes", ""),
        table(
            ("route", "what it does", "parameters", "answers"),
            [
                (
                    code(f"{method} {path}"),
                    operation.get("summary", ""),
                    ", ".join(_parameters(operation)),
                    ", ".join(status for status in operation["responses"] if status != "default"),
                )
                for method, path, operation in routes
            ],
        ),
        heading(
            "Errors",
            """Every refusal has one shape: `{"error": {"code": "…", "message": "…", "detail": {…}}}`. The
            message is for a person; the code does not change.""",
        ),
        table(("code", "status"), [(code(name), ", ".join(statuses)) for name, statuses in _codes(project)]),
    )


def metrics_page(project: Path) -> str:
    """What ``/metrics`` says."""
    return page(
        "Metrics",
        """`GET /metrics` answers in the text format of Prometheus. A value that is not known at the moment
        is left out. [grafana-dashboard.json](../grafana-dashboard.json) shows them: see
        [the how-to](../how-to/grafana.md).""",
        table(("metric", "kind", "what it is", "labels"), _metrics(_metrics_text(project))),
    )


def _parameters(operation: Mapping[str, Any]) -> Iterator[str]:
    for parameter in operation.get("parameters", ()):
        yield code(parameter["name"]) + (" (in the path)" if parameter["in"] == "path" else "")
    if "requestBody" in operation:
        yield "a body"


def _openapi() -> dict[str, Any]:
    """The document of an application that has every part; stand-ins do, for none of them is asked."""
    from web.access import AccessSettings  # noqa: PLC0415 - the web's packages are for this page only
    from web.app import create_app  # noqa: PLC0415

    parts = (
        "sessions",
        "review",
        "filters",
        "logs",
        "log_sessions",
        "analyses",
        "results",
        "ingest",
        "diagnose",
    )
    app = create_app(
        Mock(),
        version="any",
        access=AccessSettings(),
        pairing=(Mock(), Mock()),
        **{part: Mock() for part in parts},
    )
    document: dict[str, Any] = app.openapi()
    return document


def _codes(project: Path) -> list[tuple[str, list[str]]]:
    """Codes of errors with the statuses that they come with, from the sources of the web."""
    found: dict[str, set[str]] = {}
    for module in sorted((project / "web").glob("*.py")):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            values: list[ast.expr] = []
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("ApiError", "error_response"):
                values = node.args[:2]
            elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple):
                names = [getattr(name, "id", "") for name in getattr(node.targets[0], "elts", ())]
                values = node.value.elts if names == ["status", "code"] else []
            constants = [value.value for value in values if isinstance(value, ast.Constant)]
            if len(constants) == 2 and isinstance(constants[1], str):
                found.setdefault(constants[1], set()).add(str(constants[0]))
    return sorted((name, sorted(statuses)) for name, statuses in found.items())


def _metrics_text(project: Path) -> str:
    """The metrics of a daemon of which everything is known: the one that tests stand in for."""
    sys.path.insert(0, str(project / "tests"))
    from fakes import realistic_snapshot, running_status  # noqa: PLC0415 - found by the line above

    from web.metrics import metrics_text  # noqa: PLC0415

    snapshot = realistic_snapshot()
    return metrics_text(running_status(snapshot), snapshot, streams=1)


def _metrics(text: str) -> Iterator[tuple[str, str, str, str]]:
    for name, words, kind in re.findall(r"^# HELP (\w+) (.*)\n# TYPE \w+ (\w+)$", text, re.MULTILINE):
        labels = dict.fromkeys(re.findall(rf"^{name}\{{(\w+)=", text, re.MULTILINE))
        yield code(name), kind, words, ", ".join(map(code, labels))
