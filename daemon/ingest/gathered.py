"""Decoded records as columns of numbers, which is how samples are made of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import isfinite, nan
from typing import Any

import numpy as np

from daemon.ingest.fields import RecordFields, seconds_of
from drivers.logs.fuel_loop import code_of_text
from drivers.logs.rows import Cells, ReadWord, number_of
from lowmaf.samples import Floats


class GatheredRecords:
    """Records as the sampler takes rows: a column is the field of all of them, by the field's index.

    They are kept as plain doubles: thousands of records as objects would cost more than decoding them.
    """

    def __init__(self, fields: RecordFields) -> None:
        self._fields = fields
        self._parts: list[Floats] = []
        self._rows = 0
        self._from_word: set[int] = set()
        self._periods: dict[int, float] = {}
        self._lost: Counter[int] = Counter()
        self.unusable: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._rows

    def add(self, records: Sequence[Any]) -> None:
        """Takes more records."""
        if not records:
            return
        columns = self._fields.packed.columns(records)
        if columns is None:  # a null or a word
            columns = np.array(
                [
                    self._with_words(index, list(map(value_of, records)))
                    for index, value_of in zip(self._fields.indices, self._fields.value_of, strict=True)
                ]
            )
        self._parts.append(columns)
        self._rows += len(records)

    def column(self, index: int, _read_word: ReadWord = number_of) -> Cells:
        """A field as numbers; nulls are NaN, words of a state its code."""
        values = self._of(index)
        if not self._from_word or not self._fields.is_state(index):
            return Cells(values, None, self._lost[index])
        from_word = np.zeros(len(self), dtype=np.bool_)
        from_word[list(self._from_word)] = True
        return Cells(values, from_word, self._lost[index])

    def stamps(self, index: int, seconds_per_unit: float) -> tuple[Floats, Floats | None]:
        """The time as seconds, and the period after which each stamp wraps; None: none ever does."""
        stamps = self._of(index) * seconds_per_unit
        if not self._periods:
            return stamps, None
        periods = np.full(len(self), np.inf)
        periods[list(self._periods)] = list(self._periods.values())
        return stamps, periods

    def _with_words(self, index: int, values: Sequence[float | str | None]) -> Floats:
        if not self._fields.may_be_text(index):
            return np.array(values, dtype=np.float64)  # None becomes NaN
        return np.array([self._number(row, index, value) for row, value in enumerate(values, self._rows)])

    def _number(self, row: int, index: int, value: float | str | None) -> float:
        if value is None:
            return nan
        if not isinstance(value, str):
            return value
        if index == self._fields.time:
            seconds, self._periods[row] = seconds_of(value)
            return seconds / self._fields.layout.time.unit.factor
        code = code_of_text(value)
        self._from_word.add(row)
        self._lost[index] += not isfinite(code)
        return code

    def _of(self, index: int) -> Floats:
        row = self._fields.indices.index(index)
        return np.concatenate([columns[row] for columns in self._parts])
