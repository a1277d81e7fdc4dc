"""Drives read apart and merged are, bit for bit, the drives read one after another."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lowmaf.cells import BlockKey, CellSums
from lowmaf.change_detection import Groups
from lowmaf.data_warnings import change_warning
from lowmaf.document import table_document
from lowmaf.maf_table import MafTable
from lowmaf.merging import Follower, Merged, Said, complete_groups, summed_equations
from lowmaf.packing import pack_floats, pack_integers, unpack_floats, unpack_integers
from lowmaf.pipeline import Pipeline
from lowmaf.samples import SampleBatch
from lowmaf.solve import CurveSolver, wholes
from lowmaf.stream_statistics import StreamStatistics, TrimExtreme

AXIS = np.round(np.linspace(0.9, 5.0, 42), 2)
FLOW = 2.6 * np.exp(2.0 * (AXIS - 1.0) - 0.17 * (AXIS - 1.0) ** 2)
TABLE = MafTable("stock", AXIS, FLOW)
RATE_HZ = 2.0


def drive(minutes: float, seed: int, *, leak_pct: float = 0.0) -> SampleBatch:
    """City driving whose trims ask for a sine, and for ``leak_pct`` more."""
    random = np.random.default_rng(seed)
    n = int(minutes * 60 * RATE_HZ)
    volts = np.repeat(random.uniform(1.1, 2.8, n // 24 + 1), 24)[:n]
    return SampleBatch(
        np.arange(n) / RATE_HZ,
        {
            "maf_v": volts,
            "stft_pct": random.normal(0.0, 0.3, n),
            "ltft_pct": 4.0 * np.sin(2.0 * volts) + leak_pct,
            "fuel_loop": np.where(random.random(n) < 0.002, 4.0, 2.0),
            "ect_c": np.full(n, 85.0),
            "rpm": 900.0 * volts,
            "iat_c": np.linspace(20.0, 20.0 + seed, n),
        },
    )


def one_after_another(drives: Sequence[SampleBatch], estimator: str) -> Pipeline:
    pipeline = Pipeline(TABLE, estimator=estimator)
    for number, batch in enumerate(drives, start=1):
        pipeline.begin(number)
        pipeline.feed(batch)
        pipeline.take_changed_blocks()
        pipeline.finish()
        pipeline.take_changed_blocks()
    return pipeline


def apart(drives: Sequence[SampleBatch], estimator: str) -> Iterator[Pipeline]:
    for batch in drives:
        pipeline = Pipeline(TABLE, estimator=estimator, only_sums=True)
        pipeline.begin(1)
        pipeline.feed(batch)
        pipeline.finish()
        yield pipeline


def groups_of(parts: Sequence[Pipeline], first: int, before: int) -> Groups:
    """Groups inside these parts, of drives from ``first`` on, as the machine that has them makes them."""
    sums, whole = CellSums(TABLE.cells), {}
    for drive, part in enumerate(parts, start=first):
        blocks = part.learned.sums.blocks
        keys = [BlockKey(drive, key.block) for key in sorted(blocks)]
        for key, old in zip(keys, sorted(blocks), strict=True):
            sums.add(key, blocks[old])
        whole |= wholes(keys, part.equations())
    return complete_groups(parts[0].solver, sums, before, whole)


def merged(parts: Sequence[Pipeline], estimator: str, hop_every: int) -> Pipeline:
    """The parts put together; the follower moves to another machine after every ``hop_every`` of them."""
    whole = Pipeline(TABLE, estimator=estimator)
    cells, solver = TABLE.cells, whole.solver
    follower, said, before = Follower(cells, solver), [], 0
    for first in range(0, len(parts), hop_every):
        here = parts[first : first + hop_every]
        groups = groups_of(here, first + 1, before) if estimator == "curve" else None
        for number, part in enumerate(here, start=first + 1):
            equations = part.equations()
            said += [Said.of(stretch) for stretch in equations]
            if estimator == "curve":
                blocks = part.learned.sums.blocks
                before += len(blocks)
                follower.add(number, {key.block: blocks[key] for key in sorted(blocks)}, equations, groups)
        follower = Follower(cells, solver, follower.stands())
    exact = [part.exact_sums() for part in parts]
    while len(exact) > 1:  # as a tree, from the wrong end
        exact = [*exact[:-2], exact[-1] + exact[-2]]
    stands = follower.stands()
    change = stands.last_change
    warnings = [] if change is None else [change_warning(change.began, followed=False)]
    equations = summed_equations(cells, stands, said)
    whole.take_merged(Merged(exact[0], equations, warnings, parts[-1].updated_s))
    return whole


@pytest.mark.parametrize(("estimator", "hop_every"), [("curve", 1), ("curve", 3), ("nearest", 2)])
def test_merged_drives_are_bit_for_bit_those_read_one_after_another(estimator: str, hop_every: int) -> None:
    """More than is kept block by block, a drive of several hours, and a change for good in the middle."""
    minutes = (4.0, 11.3, 130.0, 0.2, 25.0, 62.0, 9.0, 40.0)
    drives = [
        drive(length, seed, leak_pct=9.0 if seed >= 5 else 0.0)
        for seed, length in enumerate(minutes, start=1)
    ]
    alone = one_after_another(drives, estimator)
    together = merged(list(apart(drives, estimator)), estimator, hop_every)
    wanted = table_document(alone.snapshot())
    assert json.dumps(table_document(together.snapshot())) == json.dumps(wanted)
    if estimator == "curve":
        assert len(alone.learned.sums.blocks) < sum(minutes) * 2, "nothing was collapsed"
        assert "change_detected" in {warning["code"] for warning in wanted["warnings"]}


def test_only_groups_across_two_machines_are_made_where_drives_are_followed(monkeypatch) -> None:
    """What is done in order, one drive after another, is the least there can be."""
    parts = list(apart([drive(20.0 + number, number + 1) for number in range(6)], "curve"))
    groups, before = [], 0
    for first in (0, 3):
        groups.append(groups_of(parts[first : first + 3], first + 1, before))
        before += sum(len(part.learned.sums.blocks) for part in parts[first : first + 3])
    equations = [part.equations() for part in parts]
    made = []
    stretches = CurveSolver.stretches

    def recorded(self, sums, **options):
        made.append(sorted({key.drive for key in sums.blocks}))
        return stretches(self, sums, **options)

    monkeypatch.setattr(CurveSolver, "stretches", recorded)
    follower = Follower(TABLE.cells, parts[0].solver)
    for number, (part, own) in enumerate(zip(parts, equations, strict=True)):
        blocks = part.learned.sums.blocks
        numbered = {key.block: blocks[key] for key in sorted(blocks)}
        follower.add(number + 1, numbered, own, groups[number // 3])
    assert made == [[3, 4]]


EXTREMES = st.builds(TrimExtreme, st.integers(-3, 3).map(float), st.integers(0, 9))
STATISTICS = st.builds(
    StreamStatistics,
    samples=st.integers(0, 10**12),
    swing_steps=st.integers(0, 10**12),
    iat_low_c=st.sampled_from((np.nan, -3.0, 20.0)),
    iat_high_c=st.sampled_from((np.nan, 21.0, 45.0)),
    highest=EXTREMES,
    lowest=EXTREMES,
)


@given(STATISTICS, STATISTICS, STATISTICS)
def test_statistics_add_up_in_any_order(one, two, three) -> None:
    assert repr((one + two) + three) == repr(one + (three + two)) == repr(two + (three + one))
    assert repr(one + StreamStatistics()) == repr(one)


@given(arrays.arrays(np.float64, arrays.array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_numbers_come_back_bit_for_bit(table) -> None:
    assert unpack_floats(pack_floats(table)).tobytes() == table.tobytes()
    integers = table.view(np.int64)
    np.testing.assert_array_equal(unpack_integers(pack_integers(integers)), integers)
