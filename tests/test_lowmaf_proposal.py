"""The proposal moves measured cells only, within limits, and rises strictly."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lowmaf.maf_table import MafTable
from lowmaf.proposal import propose
from lowmaf.snapshot import CellState

STATES = (CellState.MEASURED, CellState.WEAK, CellState.INTERPOLATED, CellState.EMPTY, CellState.LOCKED)


def table(steps: list[float], start_gs: float = 1.0) -> MafTable:
    flow = start_gs + np.concatenate(([0.0], np.cumsum(steps)))
    return MafTable("t", np.linspace(0.9, 5.0, flow.size), flow)


@given(data=st.data(), steps=st.lists(st.floats(0.01, 20.0), min_size=3, max_size=60))
def test_laws_of_the_proposal(data: st.DataObject, steps: list[float]) -> None:
    now = table(steps)
    assert now.flow_gs is not None
    size = now.cells
    correction = np.array(data.draw(st.lists(st.floats(-40, 40), min_size=size, max_size=size)))
    states = data.draw(st.lists(st.sampled_from(STATES), min_size=size, max_size=size))
    proposed = propose(now, correction, states, 10.0)
    assert proposed is not None
    measured = np.array([state is CellState.MEASURED for state in states])
    np.testing.assert_array_equal(proposed[~measured], now.flow_gs[~measured])
    assert np.all(np.diff(proposed) > 0.0)
    assert np.all(np.abs(proposed / now.flow_gs - 1.0) <= 0.1 + 1e-9)


def test_corrections_that_keep_the_order_are_taken_as_they_are() -> None:
    now = table([1.0] * 9, start_gs=10.0)
    assert now.flow_gs is not None
    correction = np.linspace(-3.0, 3.0, 10)
    proposed = propose(now, correction, [CellState.MEASURED] * 10, 10.0)
    np.testing.assert_allclose(proposed, now.flow_gs * (1.0 + correction / 100.0), rtol=1e-5)


def test_nothing_above_the_highest_measured_cell_moves_and_the_last_step_still_rises() -> None:
    now = table([0.2] * 9, start_gs=10.0)
    states = [CellState.MEASURED] * 5 + [CellState.EMPTY] * 5
    proposed = propose(now, np.full(10, 9.0), states, 10.0)
    assert proposed is not None
    assert now.flow_gs is not None
    np.testing.assert_array_equal(proposed[5:], now.flow_gs[5:])
    assert proposed[4] < now.flow_gs[5]


def test_cells_at_or_below_zero_flow_stay() -> None:
    now = MafTable("bosch", np.array([0.1, 0.5, 1.0, 2.0, 3.0]), np.array([-5.0, 0.0, 2.0, 20.0, 80.0]))
    proposed = propose(now, np.full(5, 5.0), [CellState.MEASURED] * 5, 10.0)
    np.testing.assert_allclose(proposed, [-5.0, 0.0, 2.1, 21.0, 84.0], rtol=1e-4)


def test_a_table_without_flow_has_no_proposal() -> None:
    assert propose(MafTable("axis", np.array([1.0, 2.0])), np.zeros(2), [CellState.EMPTY] * 2, 10.0) is None
