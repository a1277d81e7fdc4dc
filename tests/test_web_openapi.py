"""The OpenAPI document says what every route answers, and the running daemon keeps to it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from daemon_process import running_demo
from paired_app import paired_app
from starlette.routing import Route

from web.api_schemas import ANSWERS

WITHOUT_BODY = "204"
STREAMS = "text/event-stream"


@pytest.fixture
async def document(tmp_path: Path) -> dict[str, Any]:
    async with paired_app(tmp_path) as car:
        found: dict[str, Any] = car.app.openapi()
        routes = {
            (method.lower(), re.sub(r":\w+\}", "}", route.path))
            for route in car.app.routes
            if isinstance(route, Route) and getattr(route, "include_in_schema", True)
            for method in (route.methods or ())
        }
        described = {(method, path) for path, methods in found["paths"].items() for method in methods}
        assert {(method, path) for method, path in routes if path.startswith("/api/v1")} - described == set()
        return found


async def test_every_answer_and_every_refusal_has_its_shape(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for status, answer in operation["responses"].items():
                content = answer.get("content", {})
                where = f"{method} {path} {status}"
                if status.startswith(("4", "5")) or status == "default":
                    assert content["application/json"]["schema"] == {"$ref": "#/components/schemas/Error"}, (
                        where
                    )
                elif status.startswith("2") and status != WITHOUT_BODY and STREAMS not in content:
                    assert (method, path) in ANSWERS, f"{where}: say what it answers in web/api_schemas.py"
                    assert all(media["schema"] for media in content.values()), where
            assert "default" in operation["responses"]


async def test_nothing_is_described_that_is_not_there(document: dict[str, Any]) -> None:
    there = {(method, path) for path, operations in document["paths"].items() for method in operations}
    assert set(ANSWERS) <= there


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[str]:
    with running_demo(tmp_path, "--speed", "1") as address:
        yield address


CHECKS_LEFT_OUT = "positive_data_acceptance"
"""What is well-formed may still be no log, no code and no command: the schema cannot say that."""


REFUSED_BY = """
[checks]
negative_data_rejection.expected-statuses = [400, 401, 403, 404, 406, 413, 415, 422, 428, 431]
"""
"""A URL of more than 16 kB is refused with the head that it stands in."""

LONGEST_ANSWER_S = 120.0
"""On a machine that is busy with other things."""


@pytest.mark.parametrize(("examples", "cases"), [(1, 500), pytest.param(400, 10_000, marks=pytest.mark.long)])
def test_no_request_that_can_be_thought_up_breaks_it(
    daemon: str, tmp_path: Path, examples: int, cases: int
) -> None:
    """No answer with 5xx, each of a status, media type and shape that the document states."""
    (tmp_path / "schemathesis.toml").write_text(REFUSED_BY)
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{daemon}openapi.json", "--no-color"),
            *("--phases", "coverage,fuzzing", "--max-examples", str(examples), "--seed", "1"),
            *("--checks", "all", "--exclude-checks", CHECKS_LEFT_OUT, "--request-timeout", "120"),
            *("--max-response-time", str(LONGEST_ANSWER_S)),
            *("--warnings", "off", "--generation-database", ":memory:"),
        ],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    generated = re.search(r"(\d+) generated", ended.stdout)
    assert generated is not None, ended.stdout + ended.stderr
    print(f"{generated[1]} cases")
    assert ended.returncode == 0, ended.stdout[-20_000:]
    assert int(generated[1]) >= cases
    assert httpx.get(f"{daemon}healthz").status_code in (200, 503)
