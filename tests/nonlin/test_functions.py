"""Values and derivatives of the elementwise functions against mpmath, finite differences and their conventions."""

from __future__ import annotations

import math
from collections.abc import Callable

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tensorprog.nonlin.base import Parity, Primitive, nearest, primitive, registry
from tensorprog.nonlin.derivative import derivative
from tensorprog.nonlin.evaluate import evaluate
from tensorprog.nonlin.expression import Apply, Expr, Number, Operand, apply
from tensorprog.nonlin.simplify import expand

REFERENCES: dict[str, Callable[[mpmath.mpf], mpmath.mpf]] = {
    "relu": lambda u: max(u, 0),
    "elu": lambda u: u if u > 0 else mpmath.expm1(u),
    "abs": abs,
    "sign": mpmath.sign,
    "step": lambda u: (1 + mpmath.sign(u)) / 2,
    "erf": mpmath.erf,
    "Phi": mpmath.ncdf,
    "gelu": lambda u: u * mpmath.ncdf(u),
    "gauss": lambda u: mpmath.exp(-(u**2)),
    "silu": lambda u: u / (1 + mpmath.exp(-u)),
    "sigmoid": lambda u: 1 / (1 + mpmath.exp(-u)),
    "tanh": mpmath.tanh,
    "softplus": lambda u: mpmath.log1p(mpmath.exp(u)),
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "exp": mpmath.exp,
    "square": lambda u: u**2,
    "cube": lambda u: u**3,
}
UNARY = sorted(REFERENCES)
POINTS = [-30.0, -4.5, -1.0, -0.3, -1e-9, 0.0, 1e-9, 0.7, 1.0, 3.25, 30.0]
U = Operand(0)
REAL = st.floats(-4, 4).filter(lambda value: abs(value) > 1e-3)


def unary(name: str) -> Expr:
    """Return the function as an expression in one operand, with its parameters set."""
    return apply(name, U, *{"leaky_relu": [0.2], "relu_k": [3], "hermite": [4]}.get(name, []))


@pytest.mark.parametrize("name", UNARY)
def test_value_agrees_with_mpmath(name: str) -> None:
    with mpmath.workdps(40):
        expected = [float(REFERENCES[name](mpmath.mpf(point))) for point in POINTS]
    actual = evaluate(unary(name), [np.array(POINTS)], {})
    conditioning = 1 + np.square(POINTS)  # of exp(−u²) with respect to u, about
    assert (np.abs(actual - expected) <= 4e-15 * conditioning * np.abs(expected)).all()


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept(name: str, dtype: type) -> None:
    operand = np.array(POINTS, dtype=dtype)
    assert evaluate(unary(name), [operand], {}).dtype == dtype
    assert evaluate(derivative(unary(name), 0) + 0 * U, [operand], {}).dtype == dtype


@pytest.mark.parametrize("name", [*UNARY, "relu_k", "leaky_relu", "hermite", "log", "sqrt"])
def test_nan_stays_nan(name: str) -> None:
    assert np.isnan(evaluate(unary(name), [np.array([np.nan])], {})).all()


@pytest.mark.parametrize("name", ["sigmoid", "softplus", "silu", "elu", "tanh", "gelu", "erf", "Phi", "gauss"])
def test_large_arguments_stay_finite_without_warnings(name: str) -> None:
    operand = np.array([-1e4, -800.0, 800.0, 1e4])
    assert np.isfinite(primitive(name).value(operand)).all()
    assert np.isfinite(evaluate(derivative(unary(name), 0), [operand], {})).all()


@given(REAL)
@pytest.mark.parametrize("name", [*UNARY, "relu_k", "leaky_relu", "hermite"])
def test_derivative_agrees_with_central_difference(name: str, point: float) -> None:
    step = 1e-5
    values = evaluate(unary(name), [np.array([point - step, point + step])], {})
    slope = evaluate(derivative(unary(name), 0), [np.array(point)], {})
    scale = 1 + abs(point) ** 3
    assert abs((values[1] - values[0]) / (2 * step) - slope) < 1e-7 * scale * math.exp(max(point, 0.0))


@given(st.floats(0.1, 5))
@pytest.mark.parametrize("name", ["log", "sqrt"])
def test_derivative_on_the_half_line(name: str, point: float) -> None:
    values = evaluate(unary(name), [np.array([point - 1e-5, point + 1e-5])], {})
    slope = evaluate(derivative(unary(name), 0), [np.array(point)], {})
    assert abs((values[1] - values[0]) / 2e-5 - slope) < 1e-6


@given(REAL, REAL)
@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "min", "max", "pow"])
def test_partial_derivatives_of_binary_functions(name: str, left: float, right: float) -> None:
    assume(abs(left - right) > 1e-3)
    left = abs(left) if name == "pow" else left
    expr = apply(name, Operand(0), Operand(1))
    for index in (0, 1):
        shift = np.array([-1e-6, 1e-6])
        arguments = [left + (index == 0) * shift, right + (index == 1) * shift]
        values = evaluate(expr, arguments, {})
        slope = evaluate(derivative(expr, index), [np.array(left), np.array(right)], {})
        assert (values[1] - values[0]) / 2e-6 == pytest.approx(float(slope), rel=1e-4, abs=1e-4)


@given(REAL)
@pytest.mark.parametrize("name", [name for name, record in registry().items() if record.parity is not Parity.NONE])
def test_parity(name: str, point: float) -> None:
    if registry()[name].internal:
        return
    value, mirrored = (evaluate(unary(name), [np.array(u)], {}) for u in (point, -point))
    assert mirrored == (value if registry()[name].parity is Parity.EVEN else -value)


@given(REAL)
@pytest.mark.parametrize("name", [name for name, record in registry().items() if record.expansion])
def test_expansion_has_the_same_value(name: str, point: float) -> None:
    expr = apply(name, U, Operand(1)) if name in ("min", "max") else unary(name)
    arguments = [np.array(point), np.array(0.5)]
    np.testing.assert_allclose(
        evaluate(expand(expr), arguments, {}), evaluate(expr, arguments, {}), rtol=1e-10, atol=1e-13
    )


def test_conventions_at_zero() -> None:
    zero = [np.array(0.0)]
    assert evaluate(apply("step", U), zero, {}) == 0.5
    assert evaluate(apply("sign", U), zero, {}) == 0
    assert evaluate(derivative(apply("relu", U), 0), zero, {}) == 0.5
    assert evaluate(U**0, zero, {}) == 1
    assert evaluate(apply("relu_k", U, 0), zero, {}) == 0.5
    assert derivative(apply("relu_k", U, 1), 0) == apply("step", U)
    assert derivative(apply("step", U), 0) == derivative(apply("sign", U), 0) == Number(0)
    assert evaluate(derivative(apply("max", U, 0), 0), zero, {}) == 0.5


@given(st.floats(-30, 30))
@pytest.mark.parametrize("name", [name for name, record in registry().items() if record.source])
def test_source_computes_the_value(name: str, point: float) -> None:
    record: Primitive = registry()[name]
    point = abs(point) + 0.1 if name in ("log", "sqrt", "pow") else point
    arguments = (point, {"relu_k": 3}.get(name, 1.5))[: record.arity]
    # The template is the project's own text, never a user's.
    actual = eval(record.source.format(*(f"({value!r})" for value in arguments)), {"math": math})
    assert actual == pytest.approx(float(record.value(*arguments)), rel=1e-13, abs=1e-15)


def test_nearest_name() -> None:
    assert nearest("rleu") == "relu"
    assert nearest("dleta") is None or nearest("dleta") != "delta"
    assert isinstance(apply("relu", U), Apply)
