"""Rows that are left out are named by their lines, wherever the blocks of a log end."""

from __future__ import annotations

import io

import pytest

from drivers.logs.reader import LogReader
from drivers.logs.sampling import NO_TIME

NAMES = "Time (s),MAF Voltage (V),STFT (%),LTFT (%),Fuel System Status"
FEWER = "fewer fields than column names"
MORE = "more fields than column names"


def row(number: int) -> str:
    return f"{number * 0.04:.2f},{1.5 + 0.01 * (number % 90):.2f},{number % 7},1.5,2"


def unusable(lines: list[str]) -> list[tuple[int, str]]:
    """What a reader names of these lines."""
    reader = LogReader(io.BytesIO("\r\n".join(lines).encode()), "log.csv")
    counted = sum(len(batch) for batch in reader.batches())
    summary = reader.summary
    assert counted == summary.rows - sum(summary.unusable.values())
    assert sum(summary.unusable.values()) >= len(reader.first_unusable)
    return reader.first_unusable


def test_a_whole_log_names_none() -> None:
    assert unusable([NAMES, *(row(number) for number in range(100))]) == []


def test_short_long_and_untimed_rows_are_named_in_their_order() -> None:
    """Empty lines and a preamble count as lines."""
    lines = ["a preamble", NAMES, *(row(number) for number in range(100))]
    lines[12] = "?" + row(10)[row(10).index(",") :]
    lines[20], lines[30], lines[40] = row(18) + ",7", "", "0.5,1.5"
    assert unusable(lines) == [(13, NO_TIME), (21, MORE), (41, FEWER)]


def test_the_first_ten_are_named() -> None:
    lines = [NAMES, *(row(number) for number in range(400))]
    for at in range(5, 400, 20):
        lines[at] = "x"
    assert unusable(lines) == [(at + 1, FEWER) for at in range(5, 200, 20)]


@pytest.mark.parametrize("at", [20_000, 70_000, 129_999])
def test_lines_are_counted_over_blocks(at: int) -> None:
    lines = [NAMES, *(row(number) for number in range(130_000))]
    lines[at] = "1.0"
    assert unusable(lines) == [(at + 1, FEWER)]


def test_lines_are_counted_over_names_that_are_repeated() -> None:
    lines = [NAMES, *(row(number) for number in range(3000))]
    lines[1000] = lines[2000] = NAMES
    lines[500] = lines[1500] = lines[2500] = "1.0"
    assert unusable(lines) == [(501, FEWER), (1501, FEWER), (2501, FEWER)]
