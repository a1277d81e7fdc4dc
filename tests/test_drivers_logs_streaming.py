"""Logs of any length in flat memory: made while they are read, so that no disk is filled."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import pytest

PROJECT = pathlib.Path(__file__).resolve().parents[1]
GROWTH_MB = 12.0
"""Peak memory may differ by so much between a log of 4 MB and one of any length."""
ABOVE_IMPORTS_MB = 40.0

CODE = """
import io, json, pathlib, sys
import numpy, lowmaf.pipeline

def peak_mb():
    return int(pathlib.Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0]) / 1024

bare = peak_mb()
from drivers.logs.reader import LogReader
NAMES = b'Time (msec),A/F Correction #1 (%),A/F Learning #1 (%),CL/OL Fueling* (status),' \\
        b'Engine Speed (rpm),Mass Airflow Sensor Voltage (V)\\n'
RESTS = [f'{(i % 9) * 0.78125 - 3.125:.2f},-1.56,{8 if i % 900 < 700 else 10},{900 + i % 4000},'
         f'{1.2 + (i % 1700) / 1000:.2f}\\n' for i in range(5000)]

class Made(io.RawIOBase):
    '''A log of at least `size` bytes that exists only while it is read.'''

    def __init__(self, size):
        self.left, self.row, self.ready = size, 0, NAMES

    def readable(self):
        return True

    def readinto(self, buffer):
        while len(self.ready) < len(buffer) and self.left > 0:
            rows = ''.join(f'{40 * (self.row + i)},{rest}' for i, rest in enumerate(RESTS)).encode()
            self.row += len(RESTS)
            self.left -= len(rows)
            self.ready += rows
        part, self.ready = self.ready[:len(buffer)], self.ready[len(buffer):]
        buffer[:len(part)] = part
        return len(part)

made = Made(int(sys.argv[1]))
count = sum(len(batch) for batch in LogReader(io.BufferedReader(made), 'made').batches())
print(json.dumps([made.row, count, bare, peak_mb()]))
"""


def read(size: int) -> tuple[float, float]:
    """Peak memory, MB, and how much of it came after the imports, of reading a log of so many bytes."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(size)],
        cwd=PROJECT, capture_output=True, text=True, check=True, timeout=1200,
    )  # fmt: skip
    made, count, bare, peak = json.loads(done.stdout)
    assert made == count
    return peak, peak - bare


@pytest.mark.skipif(not pathlib.Path("/proc/self/status").exists(), reason="needs /proc to measure memory")
@pytest.mark.parametrize(
    "size",
    [pytest.param(40_000_000, id="40 MB"), pytest.param(1_000_000_000, id="1 GB", marks=pytest.mark.long)],
)
def test_memory_does_not_grow_with_the_log(size: int) -> None:
    small, _ = read(4_000_000)
    large, above = read(size)
    assert large - small <= GROWTH_MB
    assert above <= ABOVE_IMPORTS_MB
