"""The pace of events, by a clock of our own: never more than so many, and in step with a source as slow."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Callable, Sequence

import pytest

from web.pace import EARLY_S, HELD_AT_MOST, Pace

INTERVAL_S = 0.1


def sent_s(
    changes_s: Sequence[float], *, begun_s: float = 0.0, busy_s: Callable[[int], float] = lambda _: 0.0
) -> list[float]:
    """When a stream that begins at ``begun_s`` sends what changes at these times; sending event ``n`` keeps
    it busy for ``busy_s(n)``."""
    pace = Pace(INTERVAL_S, begun_s)
    sent = [begun_s]
    pace.go(begun_s)
    while True:
        seen = bisect_right(changes_s, sent[-1])
        if seen + 1 >= len(changes_s):
            return sent
        looked_s = max(sent[-1] + busy_s(len(sent)), pace.due_s)
        waited = changes_s[seen] > looked_s
        now_s = max(looked_s, changes_s[seen])
        if pace.leaves_out(bisect_right(changes_s, now_s) - seen, waited=waited):
            now_s = max(looked_s, changes_s[seen + 1])
        pace.go(now_s)
        sent.append(now_s)


def ages_s(changes_s: Sequence[float], sent: Sequence[float]) -> list[float]:
    """How old the newest change was at each sending."""
    return [one - changes_s[bisect_right(changes_s, one) - 1] for one in sent]


def every(interval_s: float, count: int) -> list[float]:
    return [interval_s * number for number in range(count)]


@pytest.mark.parametrize("rate_hz", [10.3, 11.0, 13.0, 19.0, 24.0, 50.0, 1000.0])
def test_no_more_than_ten_a_second_of_a_faster_source(rate_hz: float) -> None:
    sent = sent_s(every(1 / rate_hz, round(20 * rate_hz)))
    assert all(later - one >= 1.0 - EARLY_S - 1e-9 for one, later in zip(sent, sent[10:], strict=False))
    assert len(sent) >= 175  # in 20 s, though some changes may have been left for the next
    assert max(later - one for one, later in itertools.pairwise(sent)) < INTERVAL_S + 1.01 / rate_hz


@pytest.mark.parametrize("rate_hz", [13.0, 24.0, 50.0, 1000.0])
def test_a_faster_source_has_every_turn(rate_hz: float) -> None:
    sent = sent_s(every(1 / rate_hz, round(20 * rate_hz)))
    assert len(sent) >= 198


@pytest.mark.parametrize("jitter_s", [0.0, 0.02, 0.049])
def test_a_source_of_ten_a_second_never_waits(jitter_s: float) -> None:
    changes_s = [one + jitter_s * (number % 2) for number, one in enumerate(every(INTERVAL_S, 100))]
    assert sent_s(changes_s) == changes_s[:-1]


@pytest.mark.parametrize("begun_s", [0.03, 0.051, 0.07, 0.099])
@pytest.mark.parametrize("late_s", [0.0, 0.09, 0.16, 0.29])
def test_it_comes_in_step_with_a_source_of_ten_a_second(begun_s: float, late_s: float) -> None:
    changes_s = every(INTERVAL_S, 100)
    sent = sent_s(changes_s, begun_s=begun_s, busy_s=lambda number: late_s if number == 30 else 0.0)
    ages = ages_s(changes_s, sent)
    assert max(ages[HELD_AT_MOST + 3 : 30]) < 1e-9
    assert max(ages[30 + HELD_AT_MOST + 3 :]) < 1e-9
    assert len(sent) >= 94  # it left out two at most, besides those it was busy for


def test_after_a_long_silence_no_flood() -> None:
    changes_s = [0.0, *(20.0 + one for one in every(0.001, 2000))]
    assert len([one for one in sent_s(changes_s) if 20.0 <= one < 21.0]) <= 11
