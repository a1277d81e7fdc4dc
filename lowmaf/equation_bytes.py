"""Equations of stretches of driving in few bytes, bit for bit: 3 to 6 kB each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lowmaf.levels import Reduced, Variances
from lowmaf.loop_gain import LoopAnswer
from lowmaf.packing import pack_floats, unpack_floats
from lowmaf.samples import Floats


def equations_to_bytes(cells: int, equations: Sequence[Reduced]) -> bytes:
    """Equations for a table of so many cells."""
    return pack_floats(np.stack([_row(cells, part) for part in equations])) if equations else b""


def equations_from_bytes(cells: int, data: bytes) -> list[Reduced]:
    """What :func:`equations_to_bytes` made."""
    return [_reduced(cells, row) for row in unpack_floats(data)] if data else []


def _row(cells: int, part: Reduced) -> Floats:
    # Matrices are symmetric to the last bit: half of them is enough.
    upper = np.triu_indices(cells + 1)
    variances, answer = part.variances, part.answer
    scalars = (
        variances.noise,
        variances.block,
        variances.drift,
        answer.short_of,
        answer.error,
        answer.variance,
    )
    row: Floats = np.concatenate((part.matrix[upper], part.right.ravel(), part.weight_s, scalars))
    return row


def _reduced(cells: int, row: Floats) -> Reduced:
    upper = np.triu_indices(cells + 1)
    matrix_values, right, weight_s, scalars = np.split(
        row, np.cumsum((upper[0].size, 2 * (cells + 1), cells))
    )
    matrix = np.empty((cells + 1, cells + 1))
    matrix[upper] = matrix_values
    matrix[upper[1], upper[0]] = matrix_values
    numbers = scalars.tolist()
    return Reduced(
        matrix, right.reshape(cells + 1, 2), weight_s, Variances(*numbers[:3]), LoopAnswer(*numbers[3:])
    )
