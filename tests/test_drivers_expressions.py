"""Conversion formulas: what they give, what is refused, and that nothing is ever executed."""

from __future__ import annotations

import contextlib
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from drivers.expressions import MAX_CHARS, ExpressionError, parse_expression


@pytest.mark.parametrize(
    ("text", "x", "value"),
    [
        ("x", 7.0, 7.0),
        ("x+6", 2.0, 8.0),
        ("x*100/128-100", 132.0, 3.125),
        ("(x-128)*100/128", 124.0, -3.125),
        ("14.7/x", 0.5, 29.4),
        ("1/(x*0.00048828125)", 2048.0, 1.0),
        (" x * 6.1035e-5 ", 1e5, 6.1035),
        ("10-4-3", 0.0, 3.0),
        ("16/4/2", 0.0, 2.0),
        ("2+3*4", 0.0, 14.0),
        ("-x^2", 3.0, -9.0),
        ("2^3^2", 0.0, 512.0),
        ("2^-1", 0.0, 0.5),
        ("--x", 4.0, 4.0),
        (".5*x", 4.0, 2.0),
        ("if(x>128, x-256, x)", 200.0, -56.0),
        ("if(x>128, x-256, x)", 100.0, 100.0),
        ("if(x==1,10,if(x==2,20,30))", 2.0, 20.0),
        ("x<=2", 2.0, 1.0),
        ("x!=2", 2.0, 0.0),
        ("BitWise(24, x, 1)", 255.0, 24.0),
        ("BitWise(1, x, 2)", 6.0, 7.0),
        ("BitWise(3, x, 3)", 5.0, 6.0),
        ("BitWise(4, x, 4)", 3.0, 48.0),
        ("BitWise(31, x, 4)", 1.0, -(2.0**31)),
        ("BitWise(1, x, 5)", -8.0, -4.0),
        ("BitWise(1, x, 6)", -8.0, 2147483644.0),
        ("BitWise(0, x, 7)", 5.0, -6.0),
        ("BitWise(0, x, 9)", 5.0, math.nan),
        ("1/x", 0.0, math.nan),
        ("x*1e999", 1.0, math.nan),
        ("x", math.inf, math.nan),
    ],
)
def test_values(text: str, x: float, value: float) -> None:
    assert float(parse_expression(text)(x)) == pytest.approx(value, nan_ok=True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "met 'its end'"),
        ("x*", "a number, x or ( is expected, met 'its end'"),
        ("(x", "')' is expected"),
        ("x)", "')' stands where nothing more is expected"),
        ("x x", "'x' stands where nothing more is expected"),
        ("y", "no name 'y'; known: x, if(…), BitWise(…)"),
        ("X", "no name 'X'"),
        ("eval(x)", "no name 'eval'"),
        ("__import__('os')", "belongs to no formula"),
        ("x.__class__", "'.' belongs to no formula"),
        ("if(x,1)", "',' is expected, met ')'"),
        ("if x", "'(' is expected"),
        ("BitWise(1,x,1,1)", "')' is expected, met ','"),
        ("x;1", "';' belongs to no formula"),
        ("x" + "+x" * MAX_CHARS, "at most 500"),
        ("(" * 60 + "x" + ")" * 60, "nested more than 50 deep"),
        ("-" * 400 + "x", "nested more than 50 deep"),
        ("2^" * 200 + "x", "nested more than 50 deep"),
        ("if(" * 100, "nested more than 50 deep"),
    ],
)
def test_what_is_no_formula(text: str, words: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_expression(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


NUMBERS = st.floats(-50.0, 50.0).map(lambda value: round(value, 3))
FORMULAS = st.recursive(
    st.one_of(st.just("x"), NUMBERS.map(lambda value: f"({value:.3f})")),
    lambda part: st.tuples(part, st.sampled_from("+-*/"), part).map(lambda of: f"({of[0]}{of[1]}{of[2]})"),
    max_leaves=12,
)


@example("(x/(x/(0.000)))", [1.0])
@given(FORMULAS, st.lists(NUMBERS, min_size=1, max_size=5))
def test_arithmetic_is_pythons_for_one_value_as_for_many(text: str, values: list[float]) -> None:
    formula = parse_expression(text)
    together = formula(np.array(values))
    for x, value in zip(values, together.tolist(), strict=True):
        try:
            expected = eval(text, {"__builtins__": {}}, {"x": x})
        except ZeroDivisionError:
            expected = math.nan
        assert value == pytest.approx(expected, nan_ok=True, rel=1e-12)
        assert float(formula(x)) == pytest.approx(value, nan_ok=True, rel=0.0)


@settings(max_examples=500)
@given(st.one_of(st.text(max_size=60), st.text("x0123456789.+-*/^(),<>=! eifBtW", max_size=60)))
def test_any_text_is_a_formula_or_a_sentence(text: str) -> None:
    with contextlib.suppress(ExpressionError):
        assert parse_expression(text)(np.array([0.0, 1.0, 255.0])).shape == (3,)
