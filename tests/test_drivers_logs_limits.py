"""How much of a log is read: each limit, what is said beyond it, and that what keeps to it is read."""

from __future__ import annotations

import gzip
import io
import tracemalloc
import zipfile

import numpy as np
import pytest

from drivers.logs.content import content_digest
from drivers.logs.errors import LogUnreadableError
from drivers.logs.limits import LogLimits
from drivers.logs.opening import open_log
from drivers.logs.summary import LogSummary
from lowmaf.samples import SampleBatch

NAMES = "Time (sec),MAF Voltage (V),A/F Correction #1 (%),A/F Learning #1 (%),CL/OL Fueling* (status)"
ROWS = 200
MORE_ROWS = 40_000


def log(rows: int = ROWS, more: str = "", more_name: str = "") -> bytes:
    lines = [NAMES + more_name]
    lines += [f"{0.1 * row:.1f},{2.0 + row % 7 * 0.1:.2f},1.5,{row % 5},8{more}" for row in range(rows)]
    return "\n".join([*lines, ""]).encode()


def read(content: bytes, limits: LogLimits) -> tuple[SampleBatch, LogSummary]:
    opened = open_log(io.BytesIO(content), "a.csv", limits=limits)
    batch = SampleBatch.concatenate(opened.batches())
    return batch, opened.summary


def refusal(content: bytes, limits: LogLimits) -> str:
    with pytest.raises(LogUnreadableError) as refused:
        read(content, limits)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def zipped(content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", content)
    return packed.getvalue()


def test_a_log_within_every_limit_is_read() -> None:
    limits = LogLimits(line_bytes=200, field_bytes=40, columns=5, rows=ROWS, unpacked_bytes=len(log()))
    for content in (log(), gzip.compress(log()), zipped(log())):
        assert len(read(content, limits)[0]) == ROWS


@pytest.mark.parametrize("rows", [10, MORE_ROWS], ids=["at the end", "amid a block"])
def test_a_line_that_is_too_long(rows: int) -> None:
    content = log() + b"1" * 2000 + b"\n" + log(rows)
    assert "no line end within 1000 bytes" in refusal(content, LogLimits(line_bytes=1000))
    assert "[limits] log_line_kb" in refusal(content[:-1] + b"1" * 2000, LogLimits(line_bytes=1000))


@pytest.mark.parametrize("field", ["x" * 90, '"' + "x" * 90 + '"', "1." + "0" * 90])
def test_a_row_with_a_field_that_is_too_long_is_left_out_and_counted(field: str) -> None:
    content = log().replace(b"1.5,3,8", b"1.5," + field.encode() + b",8", 1)
    batch, summary = read(content, LogLimits(field_bytes=80))
    assert summary.unusable == {"a field longer than 80 bytes ([limits] log_field_kb)": 1}
    assert len(batch) == ROWS - 1
    assert read(content, LogLimits(field_bytes=100))[1].unusable == {}


def test_a_long_row_of_short_fields_is_a_row() -> None:
    batch, summary = read(log(more="," * 90), LogLimits(field_bytes=80))
    assert (len(batch), summary.unusable) == (ROWS, {})


def test_a_name_that_is_too_long() -> None:
    content = log(more=",1", more_name="," + "n" * 90)
    assert "the name of a column has 90 characters" in refusal(content, LogLimits(field_bytes=80))


def test_too_many_columns() -> None:
    content = log(more=",1" * 20, more_name="".join(f",x{number}" for number in range(20)))
    assert "it has 25 columns, and at most 24 are read" in refusal(content, LogLimits(columns=24))
    assert len(read(content, LogLimits(columns=25))[0]) == ROWS


def test_too_many_names_amid_a_log_do_not_count_as_names() -> None:
    again = NAMES + "".join(f",x{number}" for number in range(20))
    content = log() + again.encode() + b"\n" + log().partition(b"\n")[2]
    batch, summary = read(content, LogLimits(columns=24))
    assert len(batch) == 2 * ROWS
    assert sum(summary.unusable.values()) == 1


def test_too_many_channels_of_a_log_with_one_value_per_row() -> None:
    """Each of its rows would be written out with all of them: a few bytes would become gigabytes."""
    lines = ["SECONDS;PID;VALUE;UNITS"]
    lines += [f'"{0.01 * n}";"channel {n}";"1.0";"%"' for n in range(3000)]
    lines += [f'"{30 + 0.01 * n}";"MAF air flow rate";"5.0";"g/sec"' for n in range(20_000)]
    tracemalloc.start()
    try:
        words = refusal("\n".join(lines).encode(), LogLimits())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "columns, and at most 1000 are read ([limits] log_columns)" in words
    assert peak < 30_000_000


def test_too_many_rows() -> None:
    assert "more than 199 rows" in refusal(log(), LogLimits(rows=ROWS - 1))
    assert "more than 30000 rows" in refusal(log(MORE_ROWS), LogLimits(rows=30_000))


@pytest.mark.parametrize("pack", [gzip.compress, zipped])
def test_an_archive_that_unpacks_to_too_much(pack) -> None:
    bomb = pack(log() + (b" " * 79 + b"\n") * 400_000)
    assert len(bomb) < 200_000
    tracemalloc.start()
    try:
        words = refusal(bomb, LogLimits(unpacked_bytes=20_000_000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "it unpacks to more than 20 MB ([limits] log_unpacked_mb)" in words
    assert peak < 20_000_000, "memory stays flat"
    assert content_digest(io.BytesIO(bomb), LogLimits(unpacked_bytes=20_000_000)) is None
    assert content_digest(io.BytesIO(pack(log())), LogLimits()) == content_digest(io.BytesIO(log()))


def test_the_limits_do_not_depend_on_how_a_log_is_read() -> None:
    content = log(MORE_ROWS)
    limits = LogLimits(
        line_bytes=len(NAMES), rows=MORE_ROWS, columns=5, field_bytes=20 + len("A/F Correction #1 (%)")
    )
    assert np.array_equal(read(content, limits)[0].t_s, read(content, LogLimits())[0].t_s)
