"""How the estimate came about: the table as it was after each part of what was driven."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lowmaf.cells import BLOCK_S, BlockKey, CellSums
from lowmaf.estimate import Estimator, Evidence
from lowmaf.pipeline import Pipeline
from lowmaf.typical_flow import typical_flow_gs
from web.review import HistoryStep

STEPS = 16
"""So many moments are solved: each costs what the table itself costs."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """All that was learned, and by what: a copy that may be looked at in another thread."""

    estimator: Estimator
    evidence: Evidence

    @classmethod
    def of(cls, pipeline: Pipeline) -> Learnt:
        table = pipeline.table
        flow_gs = typical_flow_gs(table.maf_v) if table.flow_gs is None else table.flow_gs
        evidence = pipeline.learned.evidence()
        return cls(
            Estimator(pipeline.estimator, table, flow_gs, pipeline.settings),
            Evidence(evidence.sums.copy(), tuple(evidence.collapsed), tuple(evidence.carried)),
        )


def cell_histories(learnt: Learnt) -> list[list[HistoryStep]]:
    """Per cell the steps, oldest first. What earlier tables and much older drives taught comes first."""
    evidence = learnt.evidence
    steps: list[list[HistoryStep]] = [[] for _ in range(evidence.sums.cells)]
    if evidence.collapsed or evidence.carried:
        _append(steps, learnt, CellSums(evidence.sums.cells), None)
    keys = sorted(evidence.sums.blocks)
    for end in _ends(len(keys)):
        known = {key: evidence.sums.blocks[key] for key in keys[:end]}
        _append(steps, learnt, CellSums(evidence.sums.cells, known), keys[end - 1])
    return steps


def _ends(blocks: int) -> Sequence[int]:
    """Numbers of blocks after which to look, the last being all of them."""
    marks = np.linspace(0, blocks, min(STEPS, blocks) + 1)[1:]
    return [round(mark) for mark in marks.tolist()]


def _append(steps: list[list[HistoryStep]], learnt: Learnt, sums: CellSums, last: BlockKey | None) -> None:
    evidence = learnt.evidence
    found = learnt.estimator.estimate(Evidence(sums, evidence.collapsed, evidence.carried))
    session = None if last is None else last.drive
    minute = None if last is None else (last.block + 1) * BLOCK_S / 60.0
    columns = (found.correction_pct.tolist(), found.stderr_pct.tolist(), found.hits.tolist())
    for cell, (correction, stderr, hits) in enumerate(zip(*columns, strict=True)):
        steps[cell].append(HistoryStep(session, minute, correction, stderr, hits))
