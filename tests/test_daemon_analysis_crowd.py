"""Many ask for analyses at once while a daemon drives: the benchmark's own check, with fewer."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "bench"))

import bench_analyses


@pytest.mark.parametrize("requests", [12, pytest.param(1000, marks=pytest.mark.long)])
async def test_every_run_is_acknowledged_completed_and_delivered_and_no_live_sample_is_lost(
    tmp_path: Path, requests: int
) -> None:
    assert await bench_analyses.measured(requests, tmp_path, before_s=0.5)
