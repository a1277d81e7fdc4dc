"""What everybody may look at: the learned table at one moment, immutable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from lowmaf.maf_table import MafTable
from lowmaf.samples import Floats


class CellState(StrEnum):
    """How far a cell is known."""

    MEASURED = "measured"
    WEAK = "weak"
    INTERPOLATED = "interpolated"
    EMPTY = "empty"
    LOCKED = "locked"


@dataclass(frozen=True, slots=True)
class SampleCounts:
    """``seen`` counts final verdicts: accepted + all rejected, always. ``pending`` still wait."""

    seen: int
    pending: int
    accepted: int
    rejected: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class DataWarning:
    """Something the data say that the tuner must know. ``code`` is stable, ``message`` is for people."""

    code: str
    message: str
    blocks_flash: bool = False


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Time-weighted rms of trims that a correction had not seen, %, by cross-validation."""

    rms_pct: float
    rms_uncorrected_pct: float
    rms_nearest_pct: float
    passed: bool


@dataclass(frozen=True, slots=True)
class DriveNext:
    """Where a minute of driving would gain most.

    ``rpm`` is None where no engine speed was seen, and so is ``load_g_rev``, the air per revolution
    that goes with flow and engine speed.
    """

    maf_v: tuple[float, float]
    flow_gs: tuple[float, float] | None
    rpm: tuple[float, float] | None
    load_g_rev: tuple[float, float] | None
    gain: float


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The table as learned so far. Arrays have shape (k,), one value per cell, read-only.

    ``correction_pct`` is NaN where a cell is empty; ``stderr_pct`` and ``effective_hits`` are NaN
    for the ``nearest`` estimator, which cannot know them. ``proposed_gs`` is None without flow.
    """

    revision: int
    estimator: str
    table: MafTable
    epoch: int
    updated_s: float
    counts: SampleCounts
    correction_pct: Floats
    stderr_pct: Floats
    hits: NDArray[np.int64]
    effective_hits: Floats
    states: tuple[CellState, ...]
    proposed_gs: Floats | None
    lag_s: float | None = None
    warnings: tuple[DataWarning, ...] = ()
    held_out: HeldOut | None = None
    drive_next: tuple[DriveNext, ...] = ()
