"""What ``bench_accuracy`` found, as a page beside its targets."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from classics import CLASSICS
from figures import report
from scenarios import Scenario

CURVE, CURVE_LAMBDA = "curve", "curve, lambda"
OPENEJ = "OpenEJ"
ESTIMATORS = (*CLASSICS, CURVE, CURVE_LAMBDA)


@dataclass(frozen=True, slots=True)
class Way:
    """A way of applying the curve: as proposed (measured cells, at most 10 %) or in full with weak cells.

    ``within_a_step``: only cells are looked at that one flash may correct in full.
    """

    proposed: bool = True
    with_lambda: bool = False
    carries_over: bool = False
    within_a_step: bool = False


WAYS = {
    OPENEJ: Way(proposed=False),
    "curve, proposal": Way(),
    "curve, proposal, carried over": Way(carries_over=True),
    "the same, cells that need at most 10 %": Way(carries_over=True, within_a_step=True),
    "curve, in full": Way(proposed=False),
    "curve with lambda, proposal": Way(with_lambda=True),
}


@dataclass(frozen=True, slots=True)
class Score:
    """One estimator on one car, over its scored cells: RMSE and largest error, %.

    ``coverage`` of the 95 % interval and ``measured`` are shares of cells, ``measured_rmse`` is over
    those that are called measured, ``minutes`` until RMSE was below 1 %; NaN where there is none.
    """

    rmse: float
    worst: float
    coverage: float = np.nan
    measured: float = np.nan
    measured_rmse: float = np.nan
    minutes: float = np.nan


@dataclass(slots=True)
class Trial:
    """One car: scores by estimator, after one drive and after several; residual rms after each flash."""

    single: dict[str, Score]
    merged: dict[str, Score] = field(default_factory=dict)
    residual: dict[str, list[float]] = field(default_factory=dict)


Trials = Sequence[tuple[Scenario, Trial]]
_Pick = Callable[[Score], float]


def page(trials: Trials) -> Iterator[str]:
    """The lines of the page."""
    counted = [(scenario, trial) for scenario, trial in trials if not scenario.fails]
    yield from _scenario_table(trials, counted)
    yield from _curve_table(trials, counted)
    yield from _several_drives(counted)
    yield from _flashes(counted)


def report_figures(trials: Trials) -> None:
    """The figures that have a target, and the means they are made of."""
    counted = [(scenario, trial) for scenario, trial in trials if not scenario.fails]
    single, merged = _all(counted), [trial.merged for _, trial in counted if trial.merged]
    _report_errors(single, merged)
    _report_coverage(counted)
    _report_flashes(counted)


def _scenario_table(trials: Trials, counted: Trials) -> Iterator[str]:
    yield "RMSE, %, after one drive of 40 minutes"
    yield _row("", ESTIMATORS)
    for name, own in _by_scenario(trials).items():
        yield _row(name, [f"{_mean(own, e, _rmse):.2f}" for e in ESTIMATORS])
    yield _row("mean (without failures)", [f"{_mean(_all(counted), e, _rmse):.2f}" for e in ESTIMATORS])
    yield _row("mean of the largest error", [f"{_mean(_all(counted), e, _worst):.1f}" for e in ESTIMATORS])
    yield ""


def _curve_table(trials: Trials, counted: Trials) -> Iterator[str]:
    yield "the curve's own figures, without lambda / with lambda"
    yield _row("", ["95 % covers", "measured", "their RMSE", "min to 1 %", "reach it"])
    for name, own in [*_by_scenario(trials).items(), ("mean (without failures)", _all(counted))]:
        cells = [
            "/".join(f"{_mean(own, e, pick):.2f}" for e in (CURVE, CURVE_LAMBDA))
            for pick in (_coverage, _measured, _measured_rmse)
        ]
        minutes = {e: [trial[e].minutes for trial in own] for e in (CURVE, CURVE_LAMBDA)}
        # Those that never get there count as longer than any.
        median = [statistics.median([m if np.isfinite(m) else np.inf for m in of]) for of in minutes.values()]
        reached = [np.mean(np.isfinite(of)) for of in minutes.values()]
        cells += ["/".join(f"{m:.0f}" for m in median), "/".join(f"{r:.2f}" for r in reached)]
        yield _row(name, cells)
    yield ""


def _several_drives(counted: Trials) -> Iterator[str]:
    merged = [trial.merged for _, trial in counted if trial.merged]
    yield f"four drives merged, {len(merged)} cars: RMSE, %"
    yield _row("", ESTIMATORS)
    yield _row("", [f"{_mean(merged, e, _rmse):.2f}" for e in ESTIMATORS])
    covers = "/".join(f"{_mean(merged, e, _coverage):.2f}" for e in (CURVE, CURVE_LAMBDA))
    yield f"  95 % intervals cover {covers} (without/with lambda)"
    yield ""


def _flashes(counted: Trials) -> Iterator[str]:
    residuals = [trial.residual for _, trial in counted if trial.residual]
    yield f"rms of what is still needed after 1, 2, 3 flashes, {len(residuals)} cars, a new drive each, %"
    for way in WAYS:
        after = np.nanmean([residual[way] for residual in residuals], axis=0)
        yield _row(way, [f"{value:.2f}" for value in after])
    yield "  proposal: measured cells, at most 10 %; OpenEJ and 'in full': all corrections of visited cells"
    yield ""


def _report_errors(single: Sequence[dict[str, Score]], merged: Sequence[dict[str, Score]]) -> None:
    """RMSE after one drive and after several, beside the methods of others."""
    best = min(CLASSICS, key=lambda name: _mean(single, name, _rmse))
    best_merged = min(CLASSICS, key=lambda name: _mean(merged, name, _rmse))
    for words, trials, mine, peer, limit in (
        ("one drive", single, CURVE, OPENEJ, 0.65),
        ("one drive, with lambda", single, CURVE_LAMBDA, OPENEJ, 0.65),
        ("one drive", single, CURVE, best, 0.75),
        ("one drive, with lambda", single, CURVE_LAMBDA, best, 0.65),
        ("four drives", merged, CURVE, best_merged, 0.55),
        ("four drives, with lambda", merged, CURVE_LAMBDA, best_merged, 0.50),
    ):
        beside = (peer, _mean(trials, peer, _rmse))
        name = f"RMSE, {words}, {len(trials)} cars"
        report(name, _mean(trials, mine, _rmse), "%", peer=beside, ratio_at_most=limit)


def _report_coverage(counted: Trials) -> None:
    """How many cells the 95 % intervals cover."""
    for words, name in (("", CURVE), (", with lambda", CURVE_LAMBDA)):
        pooled = 100.0 * _mean(_all(counted), name, _coverage)
        report(f"95 % intervals cover{words}", pooled, "% of cells", at_least=92.0, at_most=98.0)
        lowest = min(_by_scenario(counted).items(), key=lambda item: _mean(item[1], name, _coverage))
        covers = 100.0 * _mean(lowest[1], name, _coverage)
        report(f"lowest scenario{words}: {lowest[0]}", covers, "% of cells", at_least=85.0)


def _report_flashes(counted: Trials) -> None:
    """What is still needed after the table was flashed."""
    residuals = [trial.residual for _, trial in counted if trial.residual]
    before = np.nanmean([residual[OPENEJ] for residual in residuals], axis=0)
    for way, applied in WAYS.items():
        if way == OPENEJ:
            continue
        after = np.nanmean([residual[way] for residual in residuals], axis=0)
        least, growth = (0.9, 1.0) if applied.carries_over else (None, None)  # as the daemon does it
        report(f"needed after one flash, {way}", after[0], "%", peer=(OPENEJ, before[0]), at_most=least)
        name = f"needed after {len(after)} flashes, {way}"
        report(name, after[-1], "%", peer=("after the first", after[0]), ratio_at_most=growth)


def _by_scenario(trials: Trials) -> dict[str, list[dict[str, Score]]]:
    found: dict[str, list[dict[str, Score]]] = {}
    for scenario, trial in sorted(trials, key=lambda item: item[0].fails):
        name = f"({scenario.name})" if scenario.fails else scenario.name
        found.setdefault(name, []).append(trial.single)
    return found


def _all(trials: Trials) -> list[dict[str, Score]]:
    return [trial.single for _, trial in trials]


def _mean(scores: Sequence[dict[str, Score]], estimator: str, pick: _Pick) -> float:
    return float(np.nanmean([pick(score[estimator]) for score in scores]))


def _rmse(score: Score) -> float:
    return score.rmse


def _worst(score: Score) -> float:
    return score.worst


def _coverage(score: Score) -> float:
    return score.coverage


def _measured(score: Score) -> float:
    return score.measured


def _measured_rmse(score: Score) -> float:
    return score.measured_rmse


def _row(name: str, cells: Sequence[str]) -> str:
    return f"  {name:<32}" + "".join(f"{cell:>16}" for cell in cells)
