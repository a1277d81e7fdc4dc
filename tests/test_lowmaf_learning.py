"""What follows from what was learned: re-basing, change, warnings, where to drive next, windows."""

from __future__ import annotations

import numpy as np
import pytest

from lowmaf.cells import BLOCK_S
from lowmaf.filters import Filters
from lowmaf.maf_table import MafTable, MafTableError
from lowmaf.pipeline import Pipeline
from lowmaf.rebase import carried_correction_pct
from lowmaf.samples import Floats, SampleBatch
from lowmaf.settings import CurveSettings, EstimatorSettingError
from lowmaf.snapshot import DataWarning, Snapshot

AXIS = np.round(np.linspace(0.9, 5.0, 42), 2)
FLOW = 2.6 * np.exp(2.0 * (AXIS - 1.0) - 0.17 * (AXIS - 1.0) ** 2)
TABLE = MafTable("old", AXIS, FLOW)


def steps(correction_pct: Floats, minutes: float, *, seed: int = 0, highest_v: float = 2.8) -> SampleBatch:
    """Steady stretches of 12 s at voltages in random order, each asking for the given correction."""
    rng = np.random.default_rng(seed)
    rate_hz = 5.0
    n = int(minutes * 60 * rate_hz)
    stretch = np.arange(n) // int(12 * rate_hz)
    volts = rng.uniform(1.1, highest_v, stretch[-1] + 1)[stretch]
    return SampleBatch(
        np.arange(n) / rate_hz,
        {
            "maf_v": volts,
            "stft_pct": rng.normal(0.0, 0.3, n),
            "ltft_pct": np.interp(volts, AXIS, correction_pct),
            "fuel_loop": np.full(n, 2.0),
            "ect_c": np.full(n, 85.0),
            "rpm": 900.0 * volts,
            "iat_c": np.full(n, 25.0),
        },
    )


def learned(*batches: SampleBatch, table: MafTable = TABLE, **options: object) -> Pipeline:
    pipeline = Pipeline(table, **options)  # type: ignore[arg-type]
    for drive, batch in enumerate(batches, start=1):
        pipeline.begin(drive)
        pipeline.feed(batch)
    pipeline.finish()
    return pipeline


def codes(snapshot: Snapshot) -> list[str]:
    return [warning.code for warning in snapshot.warnings]


TRUE_PCT = 6.0 * np.sin(2.0 * AXIS)


def test_carried_over_is_the_same_knowledge_said_of_the_new_table() -> None:
    before = learned(steps(TRUE_PCT, 30))
    old = before.snapshot()
    new_table = MafTable("new", AXIS, FLOW * (1.0 + np.nan_to_num(old.correction_pct) / 100.0))
    after = Pipeline(new_table)
    after.carry_over(before)
    snapshot = after.snapshot()
    known = old.stderr_pct < 1.5
    assert known.sum() > 10
    assert np.all(np.abs(snapshot.correction_pct[known]) < 0.5 * np.abs(old.correction_pct[known]).max())
    predicted = carried_correction_pct(np.nan_to_num(old.correction_pct), TABLE, new_table)
    np.testing.assert_allclose(snapshot.correction_pct[known], predicted[known], atol=0.6)
    np.testing.assert_allclose(snapshot.effective_hits, old.effective_hits)


def test_carrying_over_to_the_same_table_changes_nothing() -> None:
    before = learned(steps(TRUE_PCT, 20))
    after = Pipeline(MafTable("copy", AXIS, FLOW))
    after.carry_over(before)
    np.testing.assert_allclose(
        after.snapshot().correction_pct, before.snapshot().correction_pct, atol=1e-9, equal_nan=True
    )
    np.testing.assert_allclose(
        after.snapshot().stderr_pct, before.snapshot().stderr_pct, atol=1e-9, equal_nan=True
    )


def test_carried_over_beats_starting_anew_on_the_next_drive() -> None:
    before = learned(steps(TRUE_PCT, 40, seed=1))
    flashed = FLOW * (1.0 + 0.8 * np.nan_to_num(before.snapshot().correction_pct) / 100.0)
    new_table = MafTable("new", AXIS, flashed)
    left_pct = 100.0 * (FLOW * (1.0 + TRUE_PCT / 100.0) / flashed - 1.0)
    drive = steps(left_pct, 5, seed=2)
    errors = []
    for carried in (True, False):
        pipeline = Pipeline(new_table)
        if carried:
            pipeline.carry_over(before)
        pipeline.begin(9)
        pipeline.feed(drive)
        pipeline.finish()
        inside = (AXIS > 1.2) & (AXIS < 2.7)
        errors.append(np.std(np.nan_to_num(pipeline.snapshot().correction_pct)[inside] - left_pct[inside]))
    assert errors[0] < errors[1]


def test_after_a_flash_the_trims_are_held_against_the_prediction() -> None:
    before = learned(steps(TRUE_PCT, 40, seed=1))
    flashed = FLOW * (1.0 + np.nan_to_num(before.snapshot().correction_pct) / 100.0)
    new_table = MafTable("new", AXIS, flashed)

    def after(left_pct: Floats) -> Snapshot:
        pipeline = Pipeline(new_table)
        pipeline.carry_over(before)
        pipeline.begin(2)
        pipeline.feed(steps(left_pct, 20, seed=5))
        pipeline.finish()
        return pipeline.snapshot()

    left_pct = 100.0 * (FLOW * (1.0 + TRUE_PCT / 100.0) / flashed - 1.0)
    assert "after_flash_as_predicted" in codes(after(left_pct))
    unexpected = after(left_pct + 15.0)
    assert "after_flash_unexpected" in codes(unexpected)
    assert any(warning.blocks_flash for warning in unexpected.warnings)


def test_knowledge_is_carried_to_another_axis() -> None:
    before = learned(steps(np.full(AXIS.size, 5.0), 30))
    other = np.round(np.linspace(0.95, 4.9, 30), 3)
    after = Pipeline(MafTable("other axis", other, TABLE.flow_at(other)))
    after.carry_over(before)
    snapshot = after.snapshot()
    inside = (other > 1.3) & (other < 2.6)
    # The new straight lines run up to 1.5 % above the old ones between breakpoints, and the best
    # correction makes up for some of that: it lies between what the two tables would need.
    np.testing.assert_allclose(snapshot.correction_pct[inside], 4.25, atol=0.9)


def test_tables_without_flow_cannot_be_compared() -> None:
    axis_only = MafTable("axis", AXIS)
    with pytest.raises(MafTableError, match="tables that have flow"):
        Pipeline(TABLE).carry_over(learned(steps(TRUE_PCT, 2), table=axis_only))


def test_a_step_in_the_trims_is_noticed_and_begins_a_new_epoch_if_wanted() -> None:
    low, high = steps(np.full(AXIS.size, 1.0), 15, seed=3), steps(np.full(AXIS.size, 9.0), 15, seed=4)
    later = SampleBatch(high.t_s + 900.0, high.channels)
    both = SampleBatch.concatenate([low, later])
    warned = learned(both)
    assert "change_detected" in codes(warned.snapshot())
    assert warned.snapshot().epoch == 1
    followed = learned(both, follow_changes=True)
    assert followed.snapshot().epoch > 1
    inside = (AXIS > 1.3) & (AXIS < 2.6)
    np.testing.assert_allclose(followed.snapshot().correction_pct[inside], 9.0, atol=1.5)
    assert np.all(warned.snapshot().correction_pct[inside] < 8.0)
    assert "change_detected" not in codes(learned(low).snapshot())


def test_a_change_is_noticed_at_the_same_place_in_any_chunking() -> None:
    low, high = steps(np.full(AXIS.size, 1.0), 12, seed=3), steps(np.full(AXIS.size, 9.0), 12, seed=4)
    both = SampleBatch.concatenate([low, SampleBatch(high.t_s + 720.0, high.channels)])
    whole = learned(both, follow_changes=True)
    parts = Pipeline(TABLE, follow_changes=True)
    parts.begin(1)
    for start in range(0, len(both), 37):
        parts.feed(both.slice(start, start + 37))
    parts.finish()
    assert parts.learned.epoch_start == whole.learned.epoch_start
    np.testing.assert_array_equal(parts.snapshot().correction_pct, whole.snapshot().correction_pct)


def test_unmetered_air_is_suspected_and_blocks_the_flash() -> None:
    leaking = learned(steps(100.0 * 0.35 / FLOW, 40))
    warning = next(w for w in leaking.snapshot().warnings if w.code == "air_leak_suspected")
    assert warning.blocks_flash
    assert 0.15 < float(warning.message.split(" g/s")[0].split()[-1]) < 0.7
    for honest in (np.zeros(AXIS.size), np.full(AXIS.size, 8.0), TRUE_PCT):
        assert "air_leak_suspected" not in codes(learned(steps(honest, 40)).snapshot())


def test_the_stream_is_warned_of() -> None:
    good = steps(np.full(AXIS.size, 2.0), 5)
    n = len(good)

    def with_column(**columns: Floats) -> list[str]:
        return codes(learned(SampleBatch(good.t_s, {**good.channels, **columns})).snapshot())

    assert "trims_at_limit" in with_column(stft_pct=np.where(np.arange(n) % 10 == 0, 25.0, 0.0))
    assert "trims_in_steps" in with_column(stft_pct=np.where(np.arange(n) % 2, 0.78125, -1.5625))
    assert "trims_in_steps" not in with_column()
    assert "ltft_range_steps" in with_column(ltft_pct=np.where(np.arange(n) // 50 % 2, 0.0, 4.0))
    assert "temperature_drift" in with_column(iat_c=np.linspace(10.0, 45.0, n))
    to_and_fro = 2.0 * np.abs((good.t_s / 3.0) % 2.0 - 1.0) - 1.0
    assert "relay_loop" in with_column(stft_pct=3.0 * to_and_fro)
    resting = np.where((good.t_s % 20.0) < 1.0, 3.0, 0.0)
    assert "relay_loop" not in with_column(stft_pct=resting)
    right_gs = TABLE.flow_at(good["maf_v"])
    assert "maf_table_mismatch" not in with_column(maf_gs=right_gs)
    assert "maf_table_mismatch" in with_column(maf_gs=3.0 * right_gs)
    slow = SampleBatch(np.arange(n) * 1.0, good.channels)
    assert "slow_polling" in codes(learned(slow).snapshot())


def test_drive_next_is_where_evidence_lacks_and_never_beyond_closed_loop() -> None:
    everywhere = steps(np.zeros(AXIS.size), 60)
    gap = (everywhere["maf_v"] > 1.9) & (everywhere["maf_v"] < 2.2)
    kept = np.flatnonzero(~gap)
    batch = SampleBatch(
        everywhere.t_s[kept], {name: column[kept] for name, column in everywhere.channels.items()}
    )
    places = learned(batch).snapshot().drive_next
    assert places
    assert sum(place.gain for place in places) <= 1.0 + 1e-9
    assert all(place.maf_v[1] <= 2.8 + 0.2 for place in places)
    assert any(place.maf_v[0] < 2.05 < place.maf_v[1] for place in places)
    for place in places:
        assert place.flow_gs is not None
        assert place.rpm is not None
        assert place.load_g_rev is not None
        middle = 60.0 * float(np.mean(place.flow_gs)) / float(np.mean(place.rpm))
        assert place.load_g_rev[0] < middle < place.load_g_rev[1]


def test_a_trim_that_rests_at_its_extreme_is_at_its_own_limit() -> None:
    n = 4000
    swing = 15.0 * np.sin(np.arange(n) / 40.0)
    drive = steps(np.zeros(AXIS.size), n / 300.0)

    def of(stft_pct: Floats, **options: object) -> list[DataWarning]:
        batch = SampleBatch(drive.t_s, {**drive.channels, "stft_pct": stft_pct})
        return [w for w in learned(batch, **options).snapshot().warnings if w.code == "trims_at_own_limit"]

    assert of(swing) == []
    (warning,) = of(np.minimum(swing, 12.5))
    assert "+12.5 %" in warning.message
    assert "trim_limit_pct = 12.5" in warning.message
    assert warning.blocks_flash
    (low,) = of(np.maximum(swing, -14.2))
    assert "-14.2 %" in low.message
    assert of(np.minimum(swing, 12.5), filters=Filters(trim_limit_pct=12.5)) == []
    assert of(np.where(swing > 12.5, 12.5, np.where(swing < 0.0, 0.0, swing)) * 0.1) == []


def test_how_long_a_trim_rested_does_not_depend_on_chunks() -> None:
    n = 1200
    stft_pct = np.clip(np.round(20.0 * np.sin(np.arange(n) / 60.0)), -9.0, 13.0)
    drive = steps(np.zeros(AXIS.size), n / 300.0)
    batch = SampleBatch(drive.t_s, {**drive.channels, "stft_pct": stft_pct})
    whole, pieces = Pipeline(TABLE), Pipeline(TABLE)
    whole.feed(batch)
    for start in range(0, n, 37):
        pieces.feed(batch.at(np.arange(n) // 37 == start // 37))
    for pipeline in (whole, pieces):
        pipeline.finish()
    assert whole._statistics.total() == pieces._statistics.total()
    assert whole._statistics.total().highest.samples_held > 50


def test_windows_count_the_newest_only() -> None:
    drives = [steps(np.full(AXIS.size, level), 12, seed=int(level)) for level in (1.0, 5.0)]
    newest = learned(*drives, settings=CurveSettings(window_drives=1.0)).snapshot()
    only = learned(drives[1]).snapshot()
    np.testing.assert_allclose(newest.correction_pct, only.correction_pct, equal_nan=True)
    hour = learned(*drives, settings=CurveSettings(window_h=0.1))
    assert len(hour.learned.counting(hour.learned.sums).blocks) == round(0.1 * 3600 / BLOCK_S)


def test_old_drives_are_collapsed_without_changing_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    drives = [steps(TRUE_PCT, 8, seed=seed) for seed in range(4)]
    whole = learned(*drives)
    monkeypatch.setattr("lowmaf.learned.KEPT_BLOCKS", 20)
    collapsed = Pipeline(TABLE)
    for number, drive in enumerate(drives, 1):
        collapsed.begin(number)
        collapsed.feed(drive)
        collapsed.finish()
        collapsed.take_changed_blocks()
    collapsed.begin(len(drives) + 1)
    assert len(collapsed.learned.sums.blocks) < len(whole.learned.sums.blocks)
    for name in ("correction_pct", "stderr_pct", "hits", "effective_hits"):
        np.testing.assert_array_equal(getattr(collapsed.snapshot(), name), getattr(whole.snapshot(), name))
    restored = Pipeline(TABLE)
    for drive in range(1, 5):
        own = {key.block: sums for key, sums in whole.learned.sums.blocks.items() if key.drive == drive}
        restored.restore(drive, own, {})
    assert len(restored.learned.sums.blocks) < len(whole.learned.sums.blocks)
    np.testing.assert_array_equal(restored.snapshot().correction_pct, whole.snapshot().correction_pct)


def test_old_hours_of_a_long_drive_are_collapsed_while_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    drive = steps(TRUE_PCT, 330)
    whole = learned(drive)
    monkeypatch.setattr("lowmaf.learned.KEPT_BLOCKS", 200)
    kept, untaken = Pipeline(TABLE), Pipeline(TABLE)
    most, taken = 0, 0
    for piece in range(11):
        part = drive.at(np.arange(len(drive)) // 9000 == piece)
        kept.feed(part)
        taken += len(kept.take_changed_blocks())
        untaken.feed(part)
        most = max(most, len(kept.learned.sums.blocks))
    for pipeline in (kept, untaken):
        pipeline.finish()
    assert most < 200 + 2 * 120
    assert taken >= 660
    # What nobody has taken for the store yet must not be given up.
    assert len(untaken.take_changed_blocks()) == 660
    for name in ("correction_pct", "stderr_pct", "hits", "effective_hits"):
        np.testing.assert_array_equal(getattr(kept.snapshot(), name), getattr(whole.snapshot(), name))
    assert kept.held_out() == untaken.held_out()
    without = kept.learned.sums.without([1])
    assert not without.total().row("hits").any()
    np.testing.assert_array_equal(
        kept.learned.sums.of_drive(1).total().row("hits"), whole.learned.sums.total().row("hits")
    )


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(EstimatorSettingError, match="loop_kp = 0 is impossible: allowed are 0"):
        CurveSettings(loop_kp=0.0)
    with pytest.raises(EstimatorSettingError, match="delay_min_s"):
        CurveSettings(delay_min_s=1.0)


def test_nearest_has_neither_certainty_nor_advice() -> None:
    snapshot = learned(steps(TRUE_PCT, 5), estimator="nearest", filters=Filters.none()).snapshot()
    assert np.isnan(snapshot.stderr_pct).all()
    assert np.isnan(snapshot.effective_hits).all()
    assert snapshot.drive_next == ()
    assert snapshot.counts.pending == 0
