"""The table as JSON sees it: format ``lowmaf.table/1``, finite numbers or null."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lowmaf.snapshot import CellState, Snapshot

FORMAT = "lowmaf.table/1"
CI95 = 1.96
"""A 95 % interval reaches this many standard errors to both sides."""


def table_document(
    snapshot: Snapshot,
    session: int | None = None,
    logs: Sequence[Mapping[str, Any]] = (),
    cells: object = None,
) -> dict[str, Any]:
    """A snapshot as plain dicts, lists, finite numbers and None. Nothing is rounded.

    ``cells`` stands for what :func:`cells_document` would make, where the caller has that already.
    """
    counts = snapshot.counts
    return {
        "format": FORMAT,
        "revision": snapshot.revision,
        "estimator": snapshot.estimator,
        "maf_table": {"name": snapshot.table.name, "revision": snapshot.table.revision},
        "epoch": snapshot.epoch,
        "session": session,
        "updated_s": _finite(snapshot.updated_s),
        "samples": {
            "seen": counts.seen,
            "pending": counts.pending,
            "accepted": counts.accepted,
            "rejected": dict(counts.rejected),
        },
        "lag_s": _finite(snapshot.lag_s),
        "warnings": [
            {"code": warning.code, "message": warning.message, "blocks_flash": warning.blocks_flash}
            for warning in snapshot.warnings
        ],
        "held_out": None
        if snapshot.held_out is None
        else {
            "rms_pct": snapshot.held_out.rms_pct,
            "rms_uncorrected_pct": snapshot.held_out.rms_uncorrected_pct,
            "rms_nearest_pct": snapshot.held_out.rms_nearest_pct,
            "passed": snapshot.held_out.passed,
        },
        "drive_next": [
            {
                "maf_v": list(place.maf_v),
                "flow_gs": None if place.flow_gs is None else list(place.flow_gs),
                "rpm": None if place.rpm is None else list(place.rpm),
                "load_g_rev": None if place.load_g_rev is None else list(place.load_g_rev),
                "gain": place.gain,
            }
            for place in snapshot.drive_next
        ],
        "cells": cells_document(snapshot) if cells is None else cells,
        "logs": [dict(log) for log in logs],
    }


def flash_refusals(snapshot: Snapshot) -> list[str]:
    """Reasons not to offer a table to flash, in words; empty when all checks pass."""
    reasons = []
    if snapshot.proposed_gs is None:
        reasons.append("there is no MAF table with flow (g/s) to correct")
    if CellState.MEASURED not in snapshot.states:
        reasons.append("no cell is measured yet")
    if snapshot.estimator != "curve":
        reasons.append(f"the {snapshot.estimator} estimator cannot tell how sure it is of a cell; use curve")
    elif snapshot.held_out is None:
        reasons.append("too little driving for the held-out check (it needs five stretches of two minutes)")
    elif not snapshot.held_out.passed:
        found = snapshot.held_out
        reasons.append(
            f"the held-out check failed: trims not seen are predicted to {found.rms_pct:.2f} %, "
            f"without correction {found.rms_uncorrected_pct:.2f} %, "
            f"by plain means {found.rms_nearest_pct:.2f} %"
        )
    reasons.extend(warning.message for warning in snapshot.warnings if warning.blocks_flash)
    return reasons


def same_cells(one: Snapshot, other: Snapshot) -> bool:
    """Whether :func:`cells_document` makes the same of both. Equal ones that were solved apart are not."""
    solved = ("table", "correction_pct", "stderr_pct", "effective_hits", "states", "proposed_gs")
    kept = all(getattr(one, name) is getattr(other, name) for name in solved)
    return kept and np.array_equal(one.hits, other.hits)


def cells_document(snapshot: Snapshot) -> list[dict[str, Any]]:
    """The cells of :func:`table_document`."""
    table = snapshot.table
    flow = [None] * table.cells if table.flow_gs is None else table.flow_gs.tolist()
    proposed = [None] * table.cells if snapshot.proposed_gs is None else snapshot.proposed_gs.tolist()
    rows = zip(
        table.maf_v.tolist(),
        flow,
        snapshot.correction_pct.tolist(),
        snapshot.stderr_pct.tolist(),
        snapshot.hits.tolist(),
        snapshot.effective_hits.tolist(),
        snapshot.states,
        proposed,
        strict=True,
    )
    return [
        {
            "maf_v": maf_v,
            "flow_gs": flow_gs,
            "correction_pct": _finite(correction),
            "stderr_pct": _finite(stderr),
            "ci95_pct": _interval(correction, stderr),
            "hits": hits,
            "effective_hits": _finite(effective),
            "state": str(state),
            "proposed_gs": proposed_gs,
        }
        for maf_v, flow_gs, correction, stderr, hits, effective, state, proposed_gs in rows
    ]


def _interval(correction: float, stderr: float) -> list[float] | None:
    if not (math.isfinite(correction) and math.isfinite(stderr)):
        return None
    return [correction - CI95 * stderr, correction + CI95 * stderr]


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
