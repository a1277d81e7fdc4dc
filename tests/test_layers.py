"""Who may import whom: the rooms of the architecture, kept by reading every import."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOMS = {
    "lowmaf": {"lowmaf"},
    "drivers": {"drivers", "lowmaf"},
    "web": {"web", "lowmaf"},
    "daemon": {"daemon", "drivers", "lowmaf", "web"},
}
THIRD_PARTY = {
    "lowmaf": {"numpy"},
    "drivers": {"numpy", "serial", "can", "isotp", "cantools"},
    "web": {"numpy", "fastapi", "starlette", "pydantic", "msgspec", "segno"},
    "daemon": {
        "numpy",
        "aiosqlite",
        "distributed",
        "fastapi",
        "h11",
        "httpx",
        "msgspec",
        "shtab",
        "segno",
        "starlette",
        "uvicorn",
    },
}
NOT_IN_THE_CORE = {
    "asyncio": "the core is called, it does not wait",
    "datetime": "time comes in with the samples",
    "http": "no I/O in the core",
    "multiprocessing": "no processes in the core",
    "os": "no I/O in the core",
    "pathlib": "no I/O in the core",
    "random": "the same samples give the same cells",
    "socket": "no I/O in the core",
    "sqlite3": "no I/O in the core",
    "subprocess": "no I/O in the core",
    "threading": "the core has no locks to hold",
    "time": "time comes in with the samples",
    "urllib": "no I/O in the core",
}


def complaints(path: Path, source: str) -> Iterator[str]:
    """What is wrong with the imports of one module; ``path`` is relative to the checkout."""
    room = path.parts[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield f"{path}:{node.lineno}: relative import; write the whole name"
            continue
        if isinstance(node, ast.Import):
            imported = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imported = [node.module or ""]
        else:
            continue
        for name in imported:
            reason = objection(room, name.partition(".")[0])
            if reason:
                yield f"{path}:{node.lineno}: {room} may not import {name}: {reason}"


def objection(room: str, package: str) -> str | None:
    """Why ``room`` may not import ``package``; None where it may."""
    if package in ROOMS:
        allowed = ", ".join(sorted(ROOMS[room]))
        return None if package in ROOMS[room] else f"of our packages it may use {allowed}"
    if room == "lowmaf" and package in NOT_IN_THE_CORE:
        return NOT_IN_THE_CORE[package]
    if package in sys.stdlib_module_names or package in THIRD_PARTY[room]:
        return None
    return f"of other people's packages it may use {', '.join(sorted(THIRD_PARTY[room]))}"


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_imports_only_what_it_may(project: Path, room: str) -> None:
    modules = sorted((project / room).rglob("*.py"))
    assert modules
    found = [
        complaint
        for module in modules
        for complaint in complaints(module.relative_to(project), module.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("module", "source", "word"),
    [
        ("lowmaf/solve.py", "import time", "time comes in with the samples"),
        ("lowmaf/solve.py", "from daemon import hub", "may not import daemon"),
        ("lowmaf/solve.py", "def f():\n    import scipy.linalg", "numpy"),
        ("drivers/ssm.py", "from web.board import Board", "drivers, lowmaf"),
        ("web/app.py", "from daemon.store.store import Store", "lowmaf, web"),
        ("web/app.py", "import drivers.base as base", "lowmaf, web"),
        ("daemon/live/hub.py", "from .errors import UsageError", "whole name"),
        ("daemon/live/hub.py", "import pandas", "aiosqlite"),
    ],
)
def test_what_may_not_be_imported_is_seen(module: str, source: str, word: str) -> None:
    (complaint,) = complaints(Path(module), source)
    assert word in complaint
    assert complaint.startswith(f"{module}:")


def test_test_folders_do_not_hide_packages(project: Path) -> None:
    """A tests/drivers/__init__.py would be imported in place of our drivers."""
    assert not list((project / "tests").rglob("__init__.py"))
