"""Metrics as Prometheus reads them."""

from __future__ import annotations

import re

from fakes import FakeBoard, realistic_snapshot, running_status

from lowmaf.verdicts import Verdict
from web.metrics import metrics_text

_SAMPLE = re.compile(r'lowmaf_([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)+)\})? (\S+)')


def parsed(text: str) -> dict[tuple[str, str], float]:
    """Metric name and labels → value, after checking that every line is one of the format."""
    values = {}
    named: set[str] = set()
    for line in text.splitlines():
        if line.startswith("# "):
            _, word, name, rest = line.split(" ", 3)
            assert word in ("HELP", "TYPE")
            assert rest
            named.add(name)
            continue
        match = _SAMPLE.fullmatch(line)
        assert match, line
        assert f"lowmaf_{match[1]}" in named, f"{line} comes before its TYPE"
        key = (match[1], match[2] or "")
        assert key not in values, f"{line} twice"
        values[key] = float(match[3])
    assert text.endswith("\n")
    return values


def test_counts_states_and_link_are_there() -> None:
    snapshot = realistic_snapshot()
    values = parsed(metrics_text(running_status(snapshot), snapshot, streams=2))
    assert values["samples_total", 'verdict="accepted"'] == snapshot.counts.accepted
    assert values["samples_total", 'verdict="gap"'] == 0
    assert (
        sum(value for (name, _), value in values.items() if name == "samples_total") == snapshot.counts.seen
    )
    assert len([key for key in values if key[0] == "samples_total"]) == len(Verdict)
    assert sum(value for (name, _), value in values.items() if name == "cells") == snapshot.table.cells
    assert values["link_state", 'state="running"'] == 1
    assert values["link_state", 'state="paused"'] == 0
    assert values["event_streams", ""] == 2
    assert values["truth_rmse_percent", ""] == 0.84
    assert values["storage", 'name="bytes"'] == 123_456


def test_unknown_values_are_left_out_and_names_are_escaped() -> None:
    board = FakeBoard()
    board.set_status(
        version='1"2\\3\n4', sample_rate_hz=None, last_sample_age_s=float("nan"), truth=None, queues={}
    )
    text = metrics_text(board.status(), board.snapshot(), streams=0)
    values = parsed(text)
    assert r'lowmaf_info{version="1\"2\\3\n4"} 1' in text.splitlines()
    names = {name for name, _ in values}
    assert not names & {"sample_rate_hertz", "last_sample_age_seconds", "truth_rmse_percent", "queue"}


def test_words_in_the_storage_status_are_not_numbers() -> None:
    board = FakeBoard()
    board.set_status(storage={"path": "/somewhere", "writing": True, "bytes": 3})
    values = parsed(metrics_text(board.status(), board.snapshot(), streams=0))
    assert {key for key in values if key[0] == "storage"} == {
        ("storage", 'name="writing"'),
        ("storage", 'name="bytes"'),
    }
