"""Damaged logs by the thousand: samples or one line of reason, at once, and never a changed file."""

from __future__ import annotations

import io
import pathlib
import random
import time

import log_mutations
import log_samples
import numpy as np
import pytest

from drivers.logs.errors import LogUnreadableError
from drivers.logs.opening import open_log
from drivers.logs.reader import LogReader

CASES, ALL_CASES = 600, 100_000
LONGEST_S = 1.0
WRITTEN_EVERY = 50


def outcome(content: bytes, path: pathlib.Path | None, read_bytes: int) -> str:
    """What reading gives, in words."""
    if path is None:
        log = in_memory(content, read_bytes)
    else:
        path.write_bytes(content)
        log = open_log(path)
    count = 0
    try:
        for batch in log.batches():
            assert np.isfinite(batch.t_s).all()
            assert all(values.shape == batch.t_s.shape for values in batch.channels.values())
            count += len(batch)
    except LogUnreadableError as error:
        return str(error)
    summary = log.summary
    assert count == summary.rows - sum(summary.unusable.values())
    assert summary.as_json()
    return f"{count} samples"


def in_memory(content: bytes, read_bytes: int) -> LogReader:
    return LogReader(io.BytesIO(content), "damaged", read_bytes=read_bytes)


def fuzz(first: int, cases: int, folder: pathlib.Path) -> int:
    """Runs so many cases; returns how many gave samples."""
    contents = [make() for make in log_samples.SAMPLES.values()]
    readable = 0
    for case in range(first, first + cases):
        chance = random.Random(case)
        content = log_mutations.mutated(contents, chance)
        path = folder / "damaged.csv" if case % WRITTEN_EVERY == 0 else None
        started_s = time.process_time()
        words = outcome(content, path, chance.choice((100, 3_000, 1 << 20)))
        spent_s = time.process_time() - started_s
        assert spent_s < LONGEST_S, f"case {case} took {spent_s:.1f} s"
        assert "\n" not in words, case
        assert words != "0 samples", case
        assert path is None or path.read_bytes() == content
        readable += words.endswith(" samples")
    return readable


def test_damaged_logs_give_samples_or_one_line_of_reason(tmp_path: pathlib.Path) -> None:
    readable = fuzz(0, CASES, tmp_path)
    assert 0.2 * CASES < readable < 0.95 * CASES


@pytest.mark.long
@pytest.mark.parametrize("part", range(4))
def test_a_hundred_thousand_damaged_logs(part: int, tmp_path: pathlib.Path) -> None:
    cases = ALL_CASES // 4
    assert fuzz(part * cases, cases, tmp_path) > 0.2 * cases
