"""Conversion formulas of logger definitions, such as ``x*100/128-100``, parsed and never executed.

What the format has: numbers, ``x``, ``+ - * / ^``, comparisons (1 or 0), parentheses, ``if(condition, then,
otherwise)`` and ``BitWise(mask, x, operation)`` on 32-bit integers, whose operation is 1 and, 2 or, 3
exclusive or, 4 shift left, 5 shift right, 6 the same without sign, 7 complement.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lowmaf.samples import Floats

MAX_CHARS = 500
_MAX_DEPTH = 50

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<operator><=|>=|==|!=|[-+*/^(),<>]))"
)

Integers = NDArray[np.int64]
Operation = Callable[..., Floats]
Step = float | tuple[Operation, int] | None


class ExpressionError(ValueError):
    """A formula that cannot be read; says where and what was expected."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A formula of one variable as a program for a stack; ``steps`` are numbers, None for the variable, or
    operations with the number of values they take."""

    text: str
    steps: tuple[Step, ...]

    def __call__(self, x: Floats | float) -> Floats:
        """The value for each ``x`` (any shape); NaN where there is none, as after a division by 0."""
        values = np.asarray(x, dtype=np.float64)
        stack: list[Floats] = []
        with np.errstate(all="ignore"):
            for step in self.steps:
                if step is None:
                    stack.append(values)
                elif isinstance(step, tuple):
                    operation, count = step
                    stack[-count:] = [operation(*stack[-count:])]
                else:
                    stack.append(np.asarray(step))
            (result,) = stack
            return np.where(np.isfinite(result) & np.isfinite(values), result, np.nan)


def parse_expression(text: str) -> Expression:
    """A formula from its text.

    Raises:
        ExpressionError: it is none, has another variable or function, or is too long or too deep.
    """
    if len(text) > MAX_CHARS:
        raise ExpressionError(f"formula of {len(text)} characters: at most {MAX_CHARS} are allowed")
    return Expression(text, tuple(_Parser(text).steps()))


def _bitwise(mask: Floats, x: Floats, operation: Floats) -> Floats:
    """On 32-bit integers with sign, as the format's origin has them."""
    left, right = _int32(x), _int32(mask)
    shift = right & 31
    results = [
        left & right, left | right, left ^ right, _signed(left << shift), left >> shift,
        _signed((left & 0xFFFFFFFF) >> shift), ~left,
    ]  # fmt: skip
    chosen = [operation == number for number in range(1, len(results) + 1)]
    bits = np.select(chosen, [result.astype(np.float64) for result in results], np.nan)
    return np.where(np.isfinite(x) & np.isfinite(mask), bits, np.nan)


def _int32(values: Floats) -> Integers:
    whole = np.nan_to_num(np.trunc(values), nan=0.0, posinf=0.0, neginf=0.0)
    bounded: Integers = np.clip(whole, -(2.0**31), 2.0**31 - 1.0).astype(np.int64)
    return bounded


def _signed(bits: Integers) -> Integers:
    return ((bits & 0xFFFFFFFF) ^ 0x80000000) - 0x80000000


def _divided(left: Floats, right: Floats) -> Floats:
    """The quotient; NaN by 0, so that what is made of it is none either, as 1 / (1 / 0) is not 0."""
    return np.where(right == 0.0, np.nan, left / right)


def _if(condition: Floats, then: Floats, otherwise: Floats) -> Floats:
    return np.where(condition != 0.0, then, otherwise)


def _compared(compare: Callable[[Floats, Floats], NDArray[np.bool_]]) -> Operation:
    return lambda left, right: compare(left, right).astype(np.float64)


_FUNCTIONS: Mapping[str, tuple[Operation, int]] = {"if": (_if, 3), "bitwise": (_bitwise, 3)}
_BINARY: tuple[Mapping[str, Operation], ...] = (
    {
        "<": _compared(np.less), ">": _compared(np.greater), "<=": _compared(np.less_equal),
        ">=": _compared(np.greater_equal), "==": _compared(np.equal), "!=": _compared(np.not_equal),
    },
    {"+": np.add, "-": np.subtract},
    {"*": np.multiply, "/": _divided},
)  # fmt: skip
"""Operators by how they bind, the loosest first; of equals the left one comes first."""


class _Parser:
    """Recursive descent over the tokens; emits the program as it goes."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._at = 0
        self._depth = 0

    def steps(self) -> list[Step]:
        program = self._expression(0)
        kind, met = self._peek()
        if kind != "end":
            raise ExpressionError(f"{self._text!r}: {met!r} stands where nothing more is expected")
        return program

    def _expression(self, level: int) -> list[Step]:
        if level == len(_BINARY):
            return self._unary()
        program = self._expression(level + 1)
        while (operation := _BINARY[level].get(self._peek()[1])) is not None:
            self._at += 1
            program += [*self._expression(level + 1), (operation, 2)]
        return program

    def _unary(self) -> list[Step]:
        sign = self._peek()[1]
        if sign not in ("+", "-"):
            return self._power()
        self._at += 1
        self._deeper()
        program = self._unary()
        self._depth -= 1
        return [*program, (np.negative, 1)] if sign == "-" else program

    def _power(self) -> list[Step]:
        program = self._primary()
        if self._peek()[1] == "^":
            self._at += 1
            self._deeper()
            program += [*self._unary(), (np.power, 2)]
            self._depth -= 1
        return program

    def _primary(self) -> list[Step]:
        kind, met = self._peek()
        self._at += 1
        if kind == "number":
            return [float(met)]
        if kind == "name":
            return self._named(met)
        if met != "(":
            raise ExpressionError(f"{self._text!r}: a number, x or ( is expected, met {met or 'its end'!r}")
        self._deeper()
        program = self._expression(0)
        self._depth -= 1
        self._expect(")")
        return program

    def _named(self, name: str) -> list[Step]:
        if name == "x":
            return [None]
        function = _FUNCTIONS.get(name.casefold())
        if function is None:
            raise ExpressionError(f"{self._text!r}: no name {name!r}; known: x, if(…), BitWise(…)")
        _, count = function
        program: list[Step] = []
        self._deeper()
        for number in range(count):
            self._expect("," if number else "(")
            program += self._expression(0)
        self._expect(")")
        self._depth -= 1
        return [*program, function]

    def _expect(self, wanted: str) -> None:
        met = self._peek()[1]
        if met != wanted:
            raise ExpressionError(f"{self._text!r}: {wanted!r} is expected, met {met or 'its end'!r}")
        self._at += 1

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ExpressionError(f"{self._text[:40]!r}: nested more than {_MAX_DEPTH} deep")

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at, end = 0, len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at)
        if found is None:
            raise ExpressionError(f"{text!r}: {text[at:].strip()[0]!r} belongs to no formula")
        yield str(found.lastgroup), found[str(found.lastgroup)]
        at = found.end()
