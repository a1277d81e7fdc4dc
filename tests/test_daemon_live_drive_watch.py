"""When a drive begins and ends: the same in any chunking, and its time rises whatever the source's does."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.live.drive_watch import ENGINE_OFF_S, LINK_GONE_S, RPM_SILENT_S, DriveStep, DriveWatch
from lowmaf.samples import SampleBatch

Seen = list[tuple[DriveStep, list[float]]]


def samples(start_s: float, rpm: list[float], step_s: float = 1.0) -> SampleBatch:
    return SampleBatch(start_s + step_s * np.arange(len(rpm)), {"rpm": np.array(rpm)})


def seen(watch: DriveWatch, batch: SampleBatch, now_s: float = 0.0) -> Seen:
    return [(step, part.t_s.tolist()) for step, part in watch.follow(batch, now_s)]


def joined(parts: Seen) -> Seen:
    """Neighbouring parts of one drive, or of none, as one."""
    whole: Seen = []
    for step, times in parts:
        if whole and step in (DriveStep.GOES_ON, DriveStep.IDLE) and times:
            before, earlier = whole[-1]
            if (before is DriveStep.IDLE) == (step is DriveStep.IDLE) and before is not DriveStep.ENDS:
                whole[-1] = (before, earlier + times)
                continue
        whole.append((step, times))
    return whole


def test_a_drive_begins_with_the_running_engine_and_ends_when_it_was_off_long_enough() -> None:
    off = int(ENGINE_OFF_S)
    parts = joined(seen(DriveWatch(), samples(0.0, [0.0, 220.0, 850.0, 900.0] + [0.0] * (off + 5))))
    assert [step for step, _ in parts] == [DriveStep.IDLE, DriveStep.BEGINS, DriveStep.ENDS, DriveStep.IDLE]
    assert parts[0][1] == [0.0, 1.0], "cranking is not running"
    assert parts[1][1] == [2.0 + n for n in range(off + 1)], "the tail belongs to the drive"
    assert parts[3][1][0] == 3.0 + off


def test_a_stalled_engine_that_runs_again_goes_on_with_the_drive() -> None:
    rpm = [850.0] + [0.0] * int(ENGINE_OFF_S - 1) + [850.0, 850.0]
    parts = joined(seen(DriveWatch(), samples(0.0, rpm)))
    assert [step for step, _ in parts] == [DriveStep.BEGINS]


def test_the_next_drive_begins_when_the_engine_runs_again() -> None:
    rpm = [850.0] + [0.0] * int(ENGINE_OFF_S + 3) + [850.0]
    steps = [step for step, _ in joined(seen(DriveWatch(), samples(0.0, rpm)))]
    assert steps == [DriveStep.BEGINS, DriveStep.ENDS, DriveStep.IDLE, DriveStep.BEGINS]


def test_a_hole_in_time_ends_the_drive_at_its_edge() -> None:
    batch = SampleBatch(np.array([0.0, 1.0, 1.0 + LINK_GONE_S]), {"rpm": np.array([850.0] * 3)})
    assert seen(DriveWatch(), batch) == [
        (DriveStep.BEGINS, [0.0, 1.0]),
        (DriveStep.ENDS, []),
        (DriveStep.BEGINS, [1.0 + LINK_GONE_S]),
    ]


def test_without_engine_speed_samples_are_enough() -> None:
    watch = DriveWatch()
    batch = SampleBatch(np.array([0.0, 1.0]), {"maf_v": np.array([1.0, 1.0])})
    assert seen(watch, batch) == [(DriveStep.BEGINS, [0.0, 1.0])]


def test_an_engine_speed_that_never_comes_does_not_keep_the_drive_from_beginning() -> None:
    parts = joined(seen(DriveWatch(), samples(0.0, [math.nan] * int(RPM_SILENT_S + 3))))
    assert parts[0] == (DriveStep.IDLE, [float(n) for n in range(int(RPM_SILENT_S))])
    assert parts[1][0] is DriveStep.BEGINS


def test_a_missing_engine_speed_is_as_it_was() -> None:
    parts = joined(seen(DriveWatch(), samples(0.0, [0.0, math.nan, 850.0, math.nan, math.nan])))
    assert parts == [(DriveStep.IDLE, [0.0, 1.0]), (DriveStep.BEGINS, [2.0, 3.0, 4.0])]


def test_after_a_lost_link_the_time_of_the_drive_goes_on() -> None:
    watch = DriveWatch()
    seen(watch, samples(100.0, [850.0, 850.0]), now_s=5000.0)
    watch.connected()
    assert seen(watch, samples(0.0, [850.0, 850.0]), now_s=5030.0) == [(DriveStep.GOES_ON, [131.0, 132.0])]
    assert seen(watch, samples(2.0, [850.0]), now_s=5031.0) == [(DriveStep.GOES_ON, [133.0])]


def test_a_source_that_comes_back_at_once_still_has_rising_time() -> None:
    watch = DriveWatch()
    seen(watch, samples(100.0, [850.0]), now_s=5000.0)
    watch.connected()
    ((_, (first,)),) = seen(watch, samples(0.0, [850.0]), now_s=5000.0)
    assert first > 100.0


def test_a_link_that_stays_away_ends_the_drive_and_a_new_one_has_its_own_time() -> None:
    watch = DriveWatch()
    seen(watch, samples(100.0, [850.0]), now_s=5000.0)
    assert not watch.gone(5000.0 + LINK_GONE_S - 1.0)
    assert watch.gone(5000.0 + LINK_GONE_S)
    watch.stop()
    assert not watch.gone(9999.0)
    watch.connected()
    assert seen(watch, samples(0.0, [850.0]), now_s=6000.0) == [(DriveStep.BEGINS, [0.0])]


def test_a_resumed_drive_goes_on_where_its_newest_sample_was() -> None:
    watch = DriveWatch()
    watch.resume(newest_s=300.0, newest_at_s=990.0)
    watch.connected()
    assert seen(watch, samples(0.0, [0.0]), now_s=1000.0) == [(DriveStep.GOES_ON, [310.0])]


@given(
    rpm=st.lists(st.sampled_from([0.0, 250.0, 850.0, math.nan]), min_size=1, max_size=60),
    steps=st.lists(st.sampled_from([0.1, 30.0, 70.0, 130.0]), min_size=60, max_size=60),
    cuts=st.sets(st.integers(1, 59)),
)
def test_any_chunking_gives_the_same_drives(rpm: list[float], steps: list[float], cuts: set[int]) -> None:
    t_s = np.cumsum(steps[: len(rpm)])
    whole = SampleBatch(t_s, {"rpm": np.array(rpm)})
    edges = [0, *sorted(cut for cut in cuts if cut < len(rpm)), len(rpm)]
    watch = DriveWatch()
    parts: Seen = []
    for start, stop in itertools.pairwise(edges):
        parts += seen(watch, whole.slice(start, stop))
    assert joined(parts) == joined(seen(DriveWatch(), whole))
    assert [t for _, times in parts for t in times] == t_s.tolist(), "no sample is lost or doubled"


@pytest.mark.parametrize("t_s", [[math.nan, 1.0], [1.0, math.nan, 2.0], [5.0, 4.0, 6.0]])
def test_times_that_do_not_rise_are_left_to_the_judge(t_s: list[float]) -> None:
    batch = SampleBatch(np.array(t_s), {"rpm": np.full(len(t_s), 850.0)})
    times = [t for _, part in seen(DriveWatch(), batch) for t in part]
    np.testing.assert_array_equal(times, t_s)
