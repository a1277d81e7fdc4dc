"""Which logs are read together: all of them, in order, in pieces that keep every worker busy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.cluster.batches import (
    BATCH_BYTES,
    BATCH_LOGS,
    LEAST_BATCH_BYTES,
    LEAST_RUN_LOGS,
    RUN_BATCHES,
    USUAL_BYTES,
    runs,
)
from daemon.log_names import NamedLog

SIZES = st.one_of(st.none(), st.integers(0, 3 * BATCH_BYTES), st.integers(1, LEAST_BATCH_BYTES))


def logs_of(sizes: list[int | None]) -> list[NamedLog]:
    return [NamedLog(f"{number}.csv", size) for number, size in enumerate(sizes)]


@given(st.lists(SIZES, max_size=300), st.integers(0, 40))
def test_every_log_is_read_once_in_order_and_batches_stay_small(sizes, threads) -> None:
    logs = logs_of(sizes)
    planned = list(runs(logs, threads))
    batches = [batch for run in planned for batch in run]
    assert [log for batch in batches for log in batch.logs] == logs
    assert all(planned)
    for batch in batches:
        assert 0 < len(batch.logs) <= BATCH_LOGS
        assert batch.size == sum(log.size or USUAL_BYTES for log in batch.logs)
        largest = max(log.size or USUAL_BYTES for log in batch.logs)
        assert len(batch.logs) == 1 or batch.size <= BATCH_BYTES + largest / 2
    assert all(sum(len(batch.logs) for batch in run) <= RUN_BATCHES * BATCH_LOGS for run in planned)


@pytest.mark.parametrize("threads", [1, 2, 5, 32])
@pytest.mark.parametrize("size", [120_000, 3_300_000])
def test_each_thread_has_work_and_the_last_pieces_are_small(threads, size) -> None:
    logs = logs_of([size] * 640)
    planned = [sum(len(batch.logs) for batch in run) for run in runs(logs, threads)]
    assert len(planned) >= threads
    assert max(planned[:threads]) <= len(logs) / threads
    assert planned[-1] <= max(LEAST_RUN_LOGS, len(logs) / threads / 8)


def test_a_few_long_logs_are_shared_out_evenly_two_in_a_batch() -> None:
    planned = list(runs(logs_of([3_300_000] * 16), 2))
    assert [[len(batch.logs) for batch in run] for run in planned] == [[2] * 4, [2] * 4]


def test_words_name_the_first_and_the_last_log() -> None:
    ((batch,),) = runs(logs_of([100, 100, 100]), 1)
    assert batch.words == "0.csv to 2.csv (3 logs)"
    ((single,),) = runs(logs_of([100]), 1)
    assert single.words == "0.csv"
