"""Sums are stored bit for bit, and what is not such a sum is refused."""

from __future__ import annotations

import contextlib
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowmaf.cells import BlockKey, CellSums, CellSumsError, block_from_bytes, block_to_bytes
from lowmaf.document import flash_refusals, table_document
from lowmaf.maf_table import MafTable, MafTableError, default_axis
from lowmaf.pipeline import Pipeline


@given(seed=st.integers(0, 10_000), cells=st.integers(2, 130))
def test_stored_sums_come_back_bit_for_bit(seed: int, cells: int) -> None:
    size = CellSums(cells).size
    sums = np.random.default_rng(seed).integers(-(2**62), 2**62, size)
    np.testing.assert_array_equal(block_from_bytes(cells, block_to_bytes(cells, sums)), sums)


@given(data=st.binary(max_size=200))
def test_any_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(CellSumsError):
        block_from_bytes(48, data)


@given(cut=st.integers(0, 300), flip=st.integers(0, 10_000))
def test_damaged_sums_are_refused_or_unchanged(cut: int, flip: int) -> None:
    sums = np.arange(CellSums(10).size, dtype=np.int64)
    whole = block_to_bytes(10, sums)
    with pytest.raises(CellSumsError):
        block_from_bytes(10, whole[: min(cut, len(whole) - 1)])
    damaged = bytearray(whole)
    damaged[flip % len(whole)] ^= 0x10
    with contextlib.suppress(CellSumsError):
        np.testing.assert_array_equal(block_from_bytes(10, bytes(damaged)), sums)


def test_sums_of_another_table_are_refused() -> None:
    data = block_to_bytes(10, np.zeros(CellSums(10).size, dtype=np.int64))
    with pytest.raises(CellSumsError, match="for 10 cells, the MAF table has 11"):
        block_from_bytes(11, data)


def test_sums_of_different_tables_do_not_merge() -> None:
    with pytest.raises(ValueError, match="do not merge"):
        CellSums(10) + CellSums(11)
    with pytest.raises(ValueError, match="do not fit"):
        CellSums(10).add(BlockKey(1, 0), np.zeros(3, dtype=np.int64))


def test_an_empty_table_is_a_document_of_finite_numbers_and_null() -> None:
    snapshot = Pipeline(default_axis()).snapshot()
    document = table_document(snapshot)
    text = json.dumps(document, allow_nan=False)
    assert json.loads(text) == document
    assert document["samples"] == {
        "seen": 0,
        "pending": 0,
        "accepted": 0,
        "rejected": dict.fromkeys(document["samples"]["rejected"], 0),
    }
    assert len(document["cells"]) == 48
    assert all(cell["state"] == "empty" and cell["correction_pct"] is None for cell in document["cells"])
    assert flash_refusals(snapshot)


@pytest.mark.parametrize(
    ("volts", "flow", "says"),
    [
        ([1.0], [2.0], "2 to 1024 cells"),
        ([1.0, 2.0], [2.0], "2 volts but 1 flow"),
        ([1.0, 1.0], [2.0, 3.0], "cell 1 has 1 V and cell 2 has 1 V"),
        ([1.0, 0.5], None, "must rise"),
        ([1.0, math.nan], None, "cell 2 has no finite value in V"),
        ([1.0, 2.0], [math.inf, 3.0], "cell 1 has no finite value in g/s"),
        ([1.0, 9.0], None, "0 to 5.5 V"),
        ([1.0, 2.0], [3.0, 2.0], "falls from 3 to 2 g/s at 2 V"),
    ],
)
def test_an_impossible_maf_table_says_what_is_wrong(
    volts: list[float], flow: list[float] | None, says: str
) -> None:
    with pytest.raises(MafTableError, match=says):
        MafTable("t", np.array(volts), None if flow is None else np.array(flow))


def test_voltage_and_flow_are_each_others_inverse() -> None:
    table = MafTable("t", np.array([0.5, 1.0, 2.0, 4.0]), np.array([0.0, 0.0, 20.0, 200.0]))
    volts = np.array([1.0, 1.5, 2.0, 3.3])
    np.testing.assert_allclose(table.voltage_at(table.flow_at(volts))[1:], volts[1:])
    outside_or_flat = np.array([-1.0, 0.0, 201.0])
    assert np.isnan(table.voltage_at(outside_or_flat)).all()
