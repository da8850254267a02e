"""Evaluation, simplification, calls and text of whole expressions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensorprog.nonlin.derivative import derivative, true_derivative
from tensorprog.nonlin.evaluate import evaluate, evaluate_integer
from tensorprog.nonlin.expression import ONE, ZERO, Call, Expr, Fn, Number, Operand, Position, Symbol, apply
from tensorprog.nonlin.simplify import inline, simplify
from tensorprog.nonlin.text import text

U, V = Operand(0), Operand(1)
SPIKE = Fn("spike", ("u",), apply("step", U), 1 / (1 + apply("abs", U)) ** 2)
SOFT = Fn("soft", ("u", "v"), apply("tanh", U) * V)

leaves = st.one_of(
    st.integers(-3, 3).map(Number), st.sampled_from([0.5, 2.5]).map(Number), st.sampled_from([U, V, Symbol("a")])
)


def grow(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    """Return expressions with one more node on top."""
    binary = st.builds(apply, st.sampled_from(["add", "sub", "mul"]), inner, inner)
    unary = st.builds(apply, st.sampled_from(["neg", "tanh", "relu", "cos"]), inner)
    power = st.builds(apply, st.just("pow"), inner, st.integers(0, 3).map(Number))
    quotient = st.builds(lambda a, b: a / (2 + apply("cos", b)), inner, inner)
    return st.one_of(binary, unary, power, quotient)


expressions = st.recursive(leaves, grow, max_leaves=12)
ARGUMENTS = [np.array([0.3, -1.2]), np.array([-0.7, 0.4])]


@given(expressions)
def test_simplify_keeps_the_value(expr: Expr) -> None:
    expected = evaluate(expr, ARGUMENTS, {"a": 0.6})
    np.testing.assert_allclose(evaluate(simplify(expr), ARGUMENTS, {"a": 0.6}), expected, rtol=1e-9, atol=1e-9)


@given(expressions)
def test_simplify_is_idempotent(expr: Expr) -> None:
    once = simplify(expr)
    assert simplify(once) == once


@given(expressions)
def test_derivative_agrees_with_central_difference(expr: Expr) -> None:
    smooth = text(expr, ["u", "v"]).count("relu") == 0
    slope = evaluate(derivative(expr, 0), ARGUMENTS, {"a": 0.6})
    values = [evaluate(expr, [ARGUMENTS[0] + shift, ARGUMENTS[1]], {"a": 0.6}) for shift in (-1e-6, 1e-6)]
    if smooth and np.max(np.abs(slope)) < 1e3:
        np.testing.assert_allclose((values[1] - values[0]) / 2e-6 + 0 * ARGUMENTS[0], slope, rtol=1e-3, atol=1e-3)


def test_calls_evaluate_and_inline() -> None:
    expr = Call(SOFT, (U + 1, Call(SPIKE, (V,))))
    expected = np.tanh(ARGUMENTS[0] + 1) * np.heaviside(ARGUMENTS[1], 0.5)
    np.testing.assert_allclose(evaluate(expr, ARGUMENTS, {}), expected, rtol=1e-15)
    np.testing.assert_allclose(evaluate(inline(expr), ARGUMENTS, {}), expected, rtol=1e-15)


def test_surrogate_and_true_derivative() -> None:
    expr = Call(SPIKE, (2 * U,))
    assert text(derivative(expr, 0), ["u"]) == "2 * (1 / (1 + abs(2 * u))^2)" or "abs" in text(
        derivative(expr, 0), ["u"]
    )
    assert true_derivative(expr, 0) == 2 * apply("delta", 2 * U)
    assert derivative(apply("step", U), 0) == true_derivative(apply("step", U), 0) == ZERO


def test_true_derivative_reaches_nested_functions() -> None:
    outer = Fn("outer", ("u",), Call(SPIKE, (U,)) * 3)
    assert true_derivative(Call(outer, (U,)), 0) == 3 * apply("delta", U)


def test_delta_has_no_value() -> None:
    with pytest.raises(ValueError, match="under expectations only"):
        evaluate(apply("delta", U), [0.0], {})


def test_deep_expressions() -> None:
    expr: Expr = U
    for _ in range(3000):
        expr = apply("add", expr, ONE)
    assert evaluate(expr, [0.5], {}) == 3000.5
    assert derivative(expr, 0) == ONE
    assert text(expr, ["u"]).startswith("u + 1 + 1")
    evaluate(simplify(expr), [0.5], {})


def test_shared_subexpressions_are_evaluated_once() -> None:
    expr: Expr = U
    for _ in range(200):
        expr = apply("mul", expr, expr) if expr is U else (expr + expr) / 2
    assert evaluate(expr, [2.0], {}) == 4.0


def test_positions_symbols_and_pi() -> None:
    assert evaluate(Position("t") * Symbol("a") + Symbol("pi"), [], {"a": 2.0}, {"t": 3}) == 6 + math.pi
    with pytest.raises(KeyError):
        evaluate(Symbol("missing"), [], {})


def test_integers_are_exact() -> None:
    assert evaluate_integer(apply("floordiv", Symbol("H") + 1, 2), {"H": 2**62}) == 2**61
    assert evaluate_integer(Number(6) / 2, {}) == 3
    with pytest.raises(ValueError, match="not an integer"):
        evaluate_integer(Number(7) / 2, {})
    with pytest.raises(ZeroDivisionError):
        evaluate(ONE / ZERO, [], {})
    assert evaluate(Number(9) ** Number(9**9), [], {}) == math.inf


def test_text_uses_no_needless_parentheses() -> None:
    assert text(-(U**2) + 2 * (U + V) ** -2, ["u", "v"]) == "-u^2 + 2 * (u + v)^-2"
    assert text(U - (V - 1), ["u", "v"]) == "u - (v - 1)"
    assert text(U / (V * 2) * 3, ["u", "v"]) == "u / (v * 2) * 3"
    assert text((-U) ** 2, ["u", "v"]) == "(-u)^2"
    assert text(U ** (V**2), ["u", "v"]) == "u^v^2"
    assert text((U**V) ** 2, ["u", "v"]) == "(u^v)^2"
    assert text(U * apply("floordiv", V, 2), ["u", "v"]) == "u * (v // 2)"
