"""The held-out check leaves out what it says, whichever equations are made once or elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from lowmaf.cells import CellSums
from lowmaf.held_out import FOLDS, GROUP_BLOCKS, held_out_check
from lowmaf.maf_table import default_axis
from lowmaf.pipeline import Pipeline
from lowmaf.samples import SampleBatch
from lowmaf.solve import CurveSolver, wholes

RATE_HZ = 1.0


def driven(minutes: list[float]) -> Pipeline:
    pipeline = Pipeline(default_axis(), only_sums=True)
    for number, length in enumerate(minutes, start=1):
        random = np.random.default_rng(number)
        n = int(length * 60 * RATE_HZ)
        volts = np.repeat(random.uniform(1.1, 2.8, n // 12 + 1), 12)[:n]
        channels = {
            "maf_v": volts,
            "stft_pct": random.normal(0.0, 0.5, n),
            "ltft_pct": 4.0 * np.sin(2.0 * volts) + random.normal(0.0, 2.0),
            "fuel_loop": np.full(n, 2.0),
            "ect_c": np.full(n, 85.0),
            "rpm": 900.0 * volts,
        }
        pipeline.begin(number)
        pipeline.feed(SampleBatch(np.arange(n) / RATE_HZ, channels))
    pipeline.finish()
    return pipeline


def curves_of_folds(sums: CellSums, solver: CurveSolver) -> list[bytes]:
    """By the definition: every fold's curve from all that is left, made afresh."""
    groups = sorted({(key.drive, key.block // GROUP_BLOCKS) for key in sums.blocks})
    curves = []
    for fold in range(FOLDS):
        left_out = set(groups[fold::FOLDS])
        rest = {
            key: block
            for key, block in sums.blocks.items()
            if (key.drive, key.block // GROUP_BLOCKS) not in left_out
        }
        curves.append(solver.solve(CellSums(sums.cells, rest), remember=False).correction_pct.tobytes())
    return curves


@pytest.mark.parametrize("minutes", [[1.5] * 12, [3.0, 70.0, 0.6, 130.0, 9.0], [25.0]])
@pytest.mark.parametrize("given", [False, True])
def test_every_fold_is_solved_without_the_blocks_it_leaves_out(monkeypatch, minutes, given) -> None:
    pipeline = driven(minutes)
    sums, solver = pipeline.learned.sums, pipeline.solver
    wanted = curves_of_folds(sums, solver)
    found = []
    combined = CurveSolver.combined

    def recorded(self, stretches):
        curve = combined(self, stretches)
        found.append(curve.correction_pct.tobytes())
        return curve

    monkeypatch.setattr(CurveSolver, "combined", recorded)
    whole = wholes(sorted(sums.blocks), pipeline.equations()) if given else None
    assert held_out_check(sums, solver, whole) is not None
    assert found == wanted


def test_equations_of_more_blocks_than_are_there_are_not_taken() -> None:
    """Of a stretch that is cut off by the window: what was made of all of it says nothing of the rest."""
    pipeline = driven([20.0])
    sums, solver = pipeline.learned.sums, pipeline.solver
    (whole,) = wholes(sorted(sums.blocks), pipeline.equations()).values()
    fewer = CellSums(sums.cells, dict(sorted(sums.blocks.items())[5:]))
    wanted = held_out_check(fewer, solver)
    assert held_out_check(fewer, solver, {(1, 0): whole}) == wanted
