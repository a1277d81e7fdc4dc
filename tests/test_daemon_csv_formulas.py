"""Every CSV that goes out holds numbers and words of ours: no spreadsheet finds a formula in it."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import log_samples
import pytest
from fakes import FakeBoard, realistic_snapshot, realistic_table

from daemon.cli import main
from daemon.drives.session_export import _HEADERS
from lowmaf.snapshot import CellState
from lowmaf.table_text import format_csv
from web.current_table import CurrentTable, TableFormat

NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?(e[+-][0-9]+)?")
HOSTILE = ["=1+1", "+1+1", "-1+1", "@SUM(1)", "|calc", "\t=1+1", "\r=1+1", '=HYPERLINK("http://x.example")']
OURS = {"", "Time (msec)", "maf_v", "flow_gs", *_HEADERS.values(), *map(str, CellState)} | {
    "correction_pct", "stderr_pct", "ci95_low_pct", "ci95_high_pct", "hits", "effective_hits", "state",
    "proposed_gs",
}  # fmt: skip


def assert_harmless(text: str, rows: int) -> None:
    read = list(csv.reader(io.StringIO(text)))
    assert len(read) > rows
    foreign = {cell for row in read for cell in row if cell not in OURS and not NUMBER.fullmatch(cell)}
    assert foreign == set()
    assert not any(cell.startswith(("=", "+", "@", "\t", "\r")) for row in read for cell in row)


def hostile_log() -> bytes:
    """A log whose further columns, and the texts in them, are formulas."""
    names, *rows = log_samples.romraider().decode().splitlines()
    more = ",".join('"' + text.strip().replace('"', '""') + '"' for text in HOSTILE)
    return "\n".join([f"{names},{more}", *(f"{row},{more}" for row in rows), ""]).encode()


@pytest.mark.parametrize("name", HOSTILE[1::2])
def test_what_the_commands_write(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    log = Path(name.replace("/", ""))
    log.write_bytes(hostile_log())
    Path("table.csv").write_text(format_csv(realistic_table().maf_v, realistic_table().flow_gs))
    kept = ["--database", "car.db", "--maf-table", "table.csv"]
    assert main(["replay", f"./{log}", *kept, "--unchecked", "--format", "csv", "--output", "out.csv"]) == 0
    assert_harmless(Path("out.csv").read_text(), rows=50)
    assert main(["sessions", "export", "1", "--database", "car.db", "--output", "drive.csv"]) == 0
    assert_harmless(Path("drive.csv").read_text(), rows=100)


def test_what_the_page_offers() -> None:
    offered = CurrentTable(FakeBoard(realistic_snapshot())).renditions(TableFormat.CSV, unchecked=True)
    assert_harmless(offered.plain.body.decode(), rows=50)
    assert "-" in offered.plain.body.decode(), "negative numbers stay numbers"
