"""The laws of the core: chunking, merging, counting, and that corrections come out right."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lowmaf.cells import CellSums
from lowmaf.filters import Filters
from lowmaf.maf_table import MafTable, default_axis
from lowmaf.pipeline import Pipeline
from lowmaf.samples import FuelLoop, SampleBatch
from lowmaf.snapshot import CellState

AXIS = np.array([0.9, 1.0, 1.1, 1.25, 1.4, 1.6, 1.8, 2.05, 2.3, 2.6, 3.0, 3.6, 4.3, 5.0])
TABLE = MafTable("test", AXIS, 2.6 * np.exp(1.9 * (AXIS - 1.0) - 0.12 * (AXIS - 1.0) ** 2))


def drive(seed: int, seconds: float = 90.0, rate_hz: float = 25.0, *, lossy: bool = False) -> SampleBatch:
    """A random drive: wandering voltage, closed loop with interruptions, values that go missing."""
    rng = np.random.default_rng(seed)
    n = int(seconds * rate_hz)
    t_s = 1000.0 + np.cumsum(rng.uniform(0.7, 1.3, n)) / rate_hz
    wander = np.cumsum(rng.normal(0.0, 0.03, n))
    maf_v = np.round(1.7 + 0.7 * np.sin(wander), 2)
    loop = np.full(n, float(FuelLoop.CLOSED))
    for start in rng.integers(0, n, 4):
        loop[start : start + int(rng.integers(1, 60))] = FuelLoop.OPEN_LOAD
    stft = np.round(rng.normal(0, 2, n) / 0.78125) * 0.78125
    columns = {
        "maf_v": maf_v,
        "stft_pct": stft,
        "ltft_pct": np.full(n, 3.125),
        "fuel_loop": loop,
        "ect_c": np.linspace(60.0, 95.0, n),
        "rpm": rng.uniform(700, 3000, n),
    }
    if lossy:
        columns = {name: np.where(rng.random(n) < 0.01, np.nan, column) for name, column in columns.items()}
        t_s[n // 2 :] += 7.0
        t_s[n // 3] = t_s[n // 3 - 1]
    return SampleBatch(t_s, columns)


def run(batches: list[SampleBatch], estimator: str = "curve", filters: Filters | None = None) -> Pipeline:
    pipeline = Pipeline(TABLE, estimator=estimator, filters=filters)
    for batch in batches:
        pipeline.feed(batch)
    pipeline.finish()
    return pipeline


def chunked(batch: SampleBatch, cuts: list[int]) -> list[SampleBatch]:
    edges = [0, *sorted(cut % (len(batch) + 1) for cut in cuts), len(batch)]
    return [batch.slice(start, stop) for start, stop in itertools.pairwise(edges)]


def same_sums(left: CellSums, right: CellSums) -> bool:
    return left.blocks.keys() == right.blocks.keys() and all(
        np.array_equal(sums, right.blocks[key]) for key, sums in left.blocks.items()
    )


@pytest.mark.parametrize("estimator", ["curve", "nearest"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 1000), cuts=st.lists(st.integers(0, 10_000), max_size=12), lossy=st.booleans())
def test_any_chunking_gives_the_same_verdicts_and_sums(
    estimator: str, seed: int, cuts: list[int], lossy: bool
) -> None:
    batch = drive(seed, lossy=lossy)
    filters = Filters(max_maf_slope_v_s=0.5) if seed % 2 else Filters()
    whole = run([batch], estimator, filters)
    parts = run(chunked(batch, cuts), estimator, filters)
    assert whole.verdict_counts() == parts.verdict_counts()
    assert same_sums(whole.learned.sums, parts.learned.sums)
    np.testing.assert_array_equal(whole.snapshot().correction_pct, parts.snapshot().correction_pct)
    assert repr(whole._statistics.total()) == repr(parts._statistics.total())


def test_one_sample_at_a_time_is_the_same_as_all_at_once() -> None:
    batch = drive(5, lossy=True)
    whole = run([batch])
    single = run([batch.slice(index, index + 1) for index in range(len(batch))])
    assert whole.verdict_counts() == single.verdict_counts()
    assert same_sums(whole.learned.sums, single.learned.sums)


@given(seed=st.integers(0, 1000), cuts=st.lists(st.integers(0, 3000), max_size=5))
@settings(max_examples=15, deadline=None)
def test_verdicts_always_add_up_to_samples_seen(seed: int, cuts: list[int]) -> None:
    batch = drive(seed, seconds=30, lossy=True)
    pipeline = Pipeline(TABLE)
    fed = 0
    for part in chunked(batch, cuts):
        pipeline.feed(part)
        fed += len(part)
        counts = pipeline.counts()
        assert counts.seen == counts.accepted + sum(counts.rejected.values())
        assert counts.seen + counts.pending == fed
    pipeline.finish()
    assert pipeline.counts().pending == 0
    assert pipeline.counts().seen == len(batch)


def test_drives_merge_by_addition_in_any_order_and_leave_without_a_trace() -> None:
    merged = Pipeline(TABLE)
    alone = []
    for number in (1, 2, 3):
        merged.begin(number)
        merged.feed(drive(number))
        single = Pipeline(TABLE)
        single.begin(number)
        single.feed(drive(number))
        single.finish()
        alone.append(single.learned.sums)
    merged.finish()
    assert same_sums(merged.learned.sums, alone[0] + alone[1] + alone[2])
    assert same_sums(merged.learned.sums, alone[2] + (alone[1] + alone[0]))
    assert same_sums(merged.learned.sums.without([2]), alone[0] + alone[2])


def test_a_sample_on_the_middle_between_cells_counts_to_the_upper() -> None:
    table = default_axis()
    middles = [0.96, 1.00, 1.52, 1.60, 1.68, 1.76, 2.38, 2.48, 2.60, 3.18, 3.30, 3.42, 4.12, 4.24]
    n = len(middles)
    batch = SampleBatch(
        np.arange(n) * 0.1,
        {
            "maf_v": np.array(middles),
            "stft_pct": np.zeros(n),
            "ltft_pct": np.zeros(n),
            "fuel_loop": np.full(n, 2.0),
        },
    )
    pipeline = Pipeline(table, estimator="nearest", filters=Filters.none())
    pipeline.feed(batch)
    pipeline.finish()
    hits = pipeline.snapshot().hits
    upper = [int(np.searchsorted(table.maf_v, volts)) for volts in middles]
    assert np.flatnonzero(hits).tolist() == sorted(upper)
    assert hits.sum() == n


def test_nearest_is_the_plain_mean_per_cell() -> None:
    batch = drive(11, seconds=60)
    off_the_middles = batch["maf_v"] + 0.001
    batch = SampleBatch(batch.t_s, {**batch.channels, "maf_v": off_the_middles})
    pipeline = run([batch], "nearest", Filters.none())
    closed = batch["fuel_loop"] == FuelLoop.CLOSED
    cell = np.abs(batch["maf_v"][:, None] - TABLE.maf_v).argmin(axis=1)
    for index in np.unique(cell[closed]):
        trims = (batch["stft_pct"] + batch["ltft_pct"])[closed & (cell == index)]
        assert pipeline.snapshot().hits[index] == trims.size
        assert pipeline.snapshot().correction_pct[index] == pytest.approx(trims.mean(), abs=1e-9)


def test_a_constant_trim_in_steady_flow_is_the_correction() -> None:
    n = 36_000
    t_s = np.arange(n) * 0.2
    batch = SampleBatch(
        t_s,
        {
            "maf_v": np.where(t_s % 600 < 300, 1.4, 1.8),
            "stft_pct": np.zeros(n),
            "ltft_pct": np.full(n, 6.0),
            "fuel_loop": np.full(n, 2.0),
        },
    )
    snapshot = run([batch]).snapshot()
    for volts in (1.4, 1.8):
        cell = int(np.flatnonzero(volts == TABLE.maf_v)[0])
        assert snapshot.states[cell] is CellState.MEASURED
        assert snapshot.correction_pct[cell] == pytest.approx(6.0, abs=0.5)
        assert abs(snapshot.correction_pct[cell] - 6.0) < 1.96 * snapshot.stderr_pct[cell]
    assert snapshot.states[5] is CellState.INTERPOLATED
    assert snapshot.states[-1] is CellState.EMPTY
    assert np.isnan(snapshot.correction_pct[-1])


def test_a_source_without_loop_state_counts_nothing_and_says_so() -> None:
    """Never taken for closed loop: each sample is rejected, and a warning tells why."""
    batch = drive(3)
    without = SampleBatch(batch.t_s, {n: c for n, c in batch.channels.items() if n != "fuel_loop"})
    for estimator in ("curve", "nearest"):
        snapshot = run([without], estimator=estimator).snapshot()
        assert snapshot.counts.accepted == 0
        assert snapshot.counts.rejected["channel_missing"] == snapshot.counts.seen > 0
        assert "no_loop_state" in [warning.code for warning in snapshot.warnings]


def test_a_channel_that_never_comes_switches_its_filter_off_with_a_warning() -> None:
    batch = drive(3)
    without = SampleBatch(batch.t_s, {name: c for name, c in batch.channels.items() if name != "ect_c"})
    snapshot = run([without]).snapshot()
    assert "filter_off_min_ect_c" in [warning.code for warning in snapshot.warnings]
    assert snapshot.counts.rejected["cold_engine"] == 0
    assert snapshot.counts.rejected["channel_missing"] == 0
    assert run([batch]).snapshot().counts.rejected["cold_engine"] > 0


def test_flow_without_voltage_is_placed_by_inverting_the_table() -> None:
    batch = drive(4)
    flow = TABLE.flow_at(batch["maf_v"])
    channels = {name: c for name, c in batch.channels.items() if name != "maf_v"} | {"maf_gs": flow}
    by_flow = run([SampleBatch(batch.t_s, channels)]).snapshot()
    by_volts = run([batch]).snapshot()
    np.testing.assert_allclose(by_flow.correction_pct, by_volts.correction_pct, atol=1e-6)
    assert "voltage_from_flow" in [warning.code for warning in by_flow.warnings]


def test_a_channel_that_is_given_up_during_a_drive_switches_its_filter_off_from_there() -> None:
    batch = drive(8, seconds=120)
    half = len(batch) // 2
    later = batch.slice(half, len(batch))
    without = SampleBatch(later.t_s, {name: c for name, c in later.channels.items() if name != "ect_c"})
    for size in (1, 7, half):
        pipeline = Pipeline(TABLE, filters=Filters(min_ect_c=150.0))
        for part in (batch.slice(0, half), without):
            for start in range(0, len(part), size):
                pipeline.feed(part.slice(start, min(start + size, len(part))))
        pipeline.finish()
        counts = pipeline.counts()
        assert counts.rejected["channel_missing"] == 0
        assert counts.rejected["cold_engine"] > 0
        assert counts.accepted > 0
        assert counts.accepted + sum(counts.rejected.values()) == len(batch)


@pytest.mark.parametrize("estimator", ["curve", "nearest"])
def test_cells_without_flow_take_no_samples(estimator: str) -> None:
    flow = np.concatenate(([-2.0, 0.0], np.geomspace(3.0, 200.0, AXIS.size - 2)))
    pipeline = Pipeline(MafTable("bosch", AXIS, flow), estimator=estimator)
    n = 3000
    columns = {"stft_pct": np.zeros(n), "ltft_pct": np.full(n, 5.0), "fuel_loop": np.full(n, 2.0)}
    volts = np.where(np.arange(n) < 2000, 1.02, 1.25)
    pipeline.feed(SampleBatch(np.arange(n) * 0.1, {**columns, "maf_v": volts}))
    pipeline.finish()
    snapshot = pipeline.snapshot()
    assert snapshot.hits[:2].sum() == 0
    assert snapshot.counts.rejected["off_axis"] > 1900
    assert snapshot.counts.accepted > 900
    assert snapshot.proposed_gs is not None
    np.testing.assert_array_equal(snapshot.proposed_gs[:2], flow[:2])


def test_unknown_estimator_is_refused() -> None:
    with pytest.raises(ValueError, match="no estimator 'curv'"):
        Pipeline(TABLE, estimator="curv")
