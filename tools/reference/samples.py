"""What the core calls things: channels, verdicts, states of cells, warnings."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from drivers.logs.aliases import ROLES
from lowmaf.samples import CHANNELS, FuelLoop
from lowmaf.snapshot import CellState
from lowmaf.verdicts import Verdict
from tools.reference.markdown import code, heading, page, table

_LOOP_WORDS = {
    FuelLoop.OPEN_COLD: "open loop: the engine is too cold",
    FuelLoop.CLOSED: "closed loop",
    FuelLoop.OPEN_LOAD: "open loop: load, or fuel cut",
    FuelLoop.OPEN_FAULT: "open loop: a fault",
    FuelLoop.CLOSED_FAULT: "closed loop with a fault",
}
_STATE_WORDS = {
    CellState.MEASURED: "known well enough to be changed",
    CellState.WEAK: "evidence of its own, but not enough",
    CellState.INTERPOLATED: "no evidence of its own; what its neighbours suggest is shown, not flashed",
    CellState.EMPTY: "nothing is known; it stays as it is",
    CellState.LOCKED: "you locked it; it stays as it is",
}


def samples_page() -> str:
    """Channels, fuel loop, verdicts, cells."""
    return page(
        "Channels, verdicts and cells",
        """A *channel* is one measured quantity. Names carry their unit. A value that was not measured is
        missing; nothing is invented in its place.""",
        heading("Channels", ""),
        table(
            ("channel", "unit", "what it is", "physically possible"),
            [(code(c.name), c.unit, c.words, f"{c.low:g} to {c.high:g}") for c in CHANNELS.values()],
        ),
        heading(
            "Fuel loop",
            """`fuel_loop` has the codes of OBD-II PID 03. A Subaru's own status is this plus 6: its 8 is
            closed loop, while 8 here is a fault.""",
        ),
        table(
            ("code", "name", "meaning"),
            [(f"{loop:d}", code(loop.name.lower()), _LOOP_WORDS[loop]) for loop in FuelLoop],
        ),
        heading(
            "Verdicts",
            """Each sample gets exactly one: `accepted`, or the first reason against it in this order. These
            names stand in JSON, in `/metrics` and in the database.""",
        ),
        table(("verdict", "in words"), [(code(v.label), v.words) for v in Verdict]),
        heading("Cells", "A cell of the table is in one of these states."),
        table(("state", "meaning"), [(code(state.value), _STATE_WORDS[state]) for state in CellState]),
    )


def columns_page() -> str:
    """Names of columns of logs."""
    return page(
        "Column names of logs",
        """What programs call the columns that lowmaf reads. Names are compared without unit, in lower case,
        without `*`, `#`, `.` and `_`. The first name that a log has wins. Another one is told with
        `--columns ROLE=HEADER` of `lowmaf replay`.""",
        table(
            ("role", "names"),
            [
                (
                    code(role.name),
                    ", ".join(code(name) for name in dict.fromkeys(a.name for a in role.aliases)),
                )
                for role in ROLES.values()
            ],
        ),
    )


def warnings_page(project: Path) -> str:
    """Every warning that the data may give."""
    found = {code_: (words, blocks) for code_, words, blocks in _warnings(project / "lowmaf")}
    return page(
        "Warnings",
        """What the data themselves say against a table made of them. They stand under `warnings` of the
        table, on the page and in what `lowmaf replay` prints. `…` stands for what was measured.""",
        table(
            ("code", "words", "no table to flash while it stands"),
            [(code(name), *found[name]) for name in sorted(found)],
        ),
    )


def _warnings(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Code, words, and whether it blocks, of each warning that is made in the sources."""
    for module in sorted(folder.glob("*.py")):
        tree = ast.parse(module.read_text(encoding="utf-8"))
        texts = _assigned_texts(tree)
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or len(node.args) < 2:
                continue
            name = getattr(node.func, "id", None) or getattr(node.func, "attr", None)
            if name not in ("DataWarning", "_warn") or isinstance(node.args[0], ast.Name):
                continue
            words = " / ".join(texts.get(getattr(node.args[1], "id", ""), [_text(node.args[1])]))
            yield _text(node.args[0]), words, _blocks(node)


def _assigned_texts(tree: ast.Module) -> dict[str, list[str]]:
    """Texts that are given a name before they are used."""
    texts: dict[str, list[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            text = _text(node.value)
            if text != "…":
                texts.setdefault(node.targets[0].id, []).append(text)
    return texts


def _text(node: ast.expr) -> str:
    """A text as it is written, with … for everything that is put in later."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(value) for value in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left) + _text(node.right)
    return "…"


def _blocks(node: ast.Call) -> str:
    for keyword in node.keywords:
        if keyword.arg == "blocks_flash":
            return "yes" if isinstance(keyword.value, ast.Constant) else "where it is strong"
    return ""
