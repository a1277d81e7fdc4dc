"""Kept driving looked at again: the same verdicts as live, other limits, samples of a cell, its history."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from fakes import realistic_table

from daemon.drives import kept_driving
from daemon.drives.drive_review import FRESH_S, HubReview
from daemon.live.hub import Hub
from daemon.live.hub_settings import HubSettings
from daemon.store.store import Store
from lowmaf.filters import FilterError, Filters
from lowmaf.samples import SampleBatch
from lowmaf.settings import CurveSettings
from web.review import ReviewUnavailableError

TABLE = realistic_table()
RATE_HZ = 10.0


def drive(seconds: float, *, seed: int, with_volts: bool = True) -> SampleBatch:
    """Slow sweeps through the lower cells on a warming engine; trims of +4 %."""
    rng = np.random.default_rng(seed)
    t_s = np.arange(0.0, seconds, 1.0 / RATE_HZ)
    maf_v = 1.6 + 0.4 * np.sin(t_s / 40.0)
    flow = {"maf_v": maf_v} if with_volts else {"maf_gs": TABLE.flow_at(maf_v)}
    return SampleBatch(
        t_s,
        {
            **flow,
            "stft_pct": rng.normal(0.0, 0.4, t_s.size),
            "ltft_pct": np.full(t_s.size, 4.0),
            "fuel_loop": np.full(t_s.size, 2.0),
            "rpm": np.full(t_s.size, 1900.0),
            "ect_c": np.minimum(90.0, 60.0 + t_s / 4.0),
        },
    )


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with await Store.open(tmp_path / "kept.sqlite3") as opened:
        await opened.put_configured_table(TABLE)
        yield opened


@pytest.fixture
def hub(store: Store) -> Hub:
    return Hub(HubSettings("1.2.3", TABLE, "curve", Filters(), CurveSettings()), store)


@pytest.fixture
def review(hub: Hub, store: Store, clock: Clock) -> HubReview:
    return HubReview(hub, store, now_s=clock)


async def driven(hub: Hub, store: Store, *batches: SampleBatch) -> None:
    """One drive for each batch, kept on the disk."""
    for batch in batches:
        hub.source_connected("simulator")
        for start in range(0, len(batch), 50):
            hub.take(batch.slice(start, start + 50))
        hub.source_ended()
    await store.flush()


async def test_kept_samples_judged_again_get_the_verdicts_that_they_had(
    hub: Hub, store: Store, review: HubReview
) -> None:
    await driven(hub, store, drive(300.0, seed=1), drive(200.0, seed=2))
    found = await review.what_if([])
    counted = hub.pipeline.verdict_counts()
    assert found.now == found.then == {label: count for label, count in counted.items() if count}
    assert found.samples == 5000
    assert list(found.drives) == [1, 2]


async def test_other_limits_let_others_pass(hub: Hub, store: Store, review: HubReview) -> None:
    await driven(hub, store, drive(300.0, seed=1))
    found = await review.what_if(["min_ect_c=off"])
    assert found.now["cold_engine"] > 300
    assert "cold_engine" not in found.then
    assert found.then["accepted"] > found.now["accepted"]
    assert sum(found.then.values()) == found.samples
    with pytest.raises(FilterError, match="nearest is 'min_ect_c'"):
        await review.what_if(["min_ect=1"])
    assert hub.pipeline.filters == Filters()  # trying changes nothing


async def test_only_the_newest_samples_are_looked_at(
    hub: Hub, store: Store, review: HubReview, monkeypatch: pytest.MonkeyPatch
) -> None:
    await driven(hub, store, drive(100.0, seed=1), drive(100.0, seed=2), drive(100.0, seed=3))
    monkeypatch.setattr(kept_driving, "MOST_SAMPLES", 1500)
    found = await review.what_if([])
    assert list(found.drives) == [2, 3]
    assert 1500 <= found.samples <= 2000  # whole chunks


@pytest.mark.parametrize("with_volts", [True, False])
async def test_the_samples_of_a_cell_are_the_newest_that_counted_there(
    hub: Hub, store: Store, review: HubReview, with_volts: bool
) -> None:
    await driven(
        hub, store, drive(300.0, seed=1, with_volts=with_volts), drive(300.0, seed=2, with_volts=with_volts)
    )
    counted = await review.counted()
    cells = np.array([sample.cell for sample in counted])
    assert np.bincount(cells).max() == kept_driving.SHOWN_PER_CELL
    for sample in counted:
        assert sample.cell == np.abs(TABLE.maf_v - sample.maf_v).argmin()
        assert 2.0 < sample.trim_pct < 6.0
        assert sample.rpm == 1900.0
        assert np.isnan(sample.iat_c)
    assert list(counted) == sorted(counted, key=lambda sample: (sample.session, sample.t_s))
    assert {sample.session for sample in counted} == {2}


async def test_a_history_ends_at_the_table_of_now(hub: Hub, store: Store, review: HubReview) -> None:
    await driven(hub, store, drive(400.0, seed=1), drive(400.0, seed=2))
    now = hub.pipeline.snapshot()
    cell = int(now.hits.argmax())
    steps = await review.history(cell)
    assert len(steps) <= 16
    assert [step.session for step in steps] == sorted(step.session or 0 for step in steps)
    assert steps[-1].session == 2
    assert steps[-1].correction_pct == pytest.approx(now.correction_pct[cell])
    assert steps[-1].hits == now.hits[cell]
    assert steps[-1].stderr_pct < steps[0].stderr_pct
    far = await review.history(TABLE.cells - 1)
    assert all(np.isnan(step.correction_pct) for step in far)


async def test_a_flash_keeps_what_was_learned_before_as_the_first_step(
    hub: Hub, store: Store, review: HubReview
) -> None:
    await driven(hub, store, drive(400.0, seed=1))
    cell = int(hub.pipeline.snapshot().hits.argmax())
    before = await review.history(cell)
    proposed = hub.pipeline.snapshot().proposed_gs
    assert proposed is not None
    await hub.flash(type(TABLE)(TABLE.name, TABLE.maf_v, proposed))
    after = await review.history(cell)
    assert before[-1].correction_pct == pytest.approx(4.0, abs=1.0)
    assert [step.session for step in after] == [None]
    assert abs(after[0].correction_pct) < 1.0


async def test_what_was_read_is_used_again_for_a_while(
    hub: Hub, store: Store, review: HubReview, clock: Clock
) -> None:
    await driven(hub, store, drive(100.0, seed=1))
    first = await review.what_if([])
    await driven(hub, store, drive(100.0, seed=2))
    assert (await review.what_if([])).samples == first.samples
    clock.now_s += FRESH_S + 1.0
    assert (await review.what_if([])).samples == 2 * first.samples


async def test_without_samples_it_says_why_and_looks_again_at_once(
    hub: Hub, store: Store, review: HubReview
) -> None:
    with pytest.raises(ReviewUnavailableError, match="drive for a minute"):
        await review.counted()
    await driven(hub, store, drive(100.0, seed=1))
    assert await review.counted()


async def test_a_program_that_keeps_no_samples_says_which_setting_does_it(store: Store) -> None:
    hub = Hub(HubSettings("1", TABLE, "curve", Filters(), CurveSettings(), keep_samples=False), store)
    with pytest.raises(ReviewUnavailableError, match="keep_samples is false"):
        await HubReview(hub, store).what_if([])


async def test_several_who_ask_at_once_are_answered_one_after_the_other(
    hub: Hub, store: Store, review: HubReview
) -> None:
    await driven(hub, store, drive(100.0, seed=1))
    answers = await asyncio.gather(*(review.what_if([f"min_ect_c={limit}"]) for limit in range(60, 70)))
    accepted = [answer.then["accepted"] for answer in answers]
    assert accepted == sorted(accepted, reverse=True)
    assert len(set(accepted)) > 1


async def test_settings_name_every_filter_with_off_as_nothing(review: HubReview) -> None:
    document = review.settings()
    filters = {entry["name"]: entry for entry in document["filters"]}
    assert filters["min_ect_c"]["value"] == 70.0
    assert filters["max_iat_c"]["value"] is None
    assert filters["allow_loop_fault"]["value"] is False
    assert document["machine"]["free_bytes"] > 0
    assert document["maf_table"] == TABLE.name
