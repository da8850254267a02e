"""The error that a numerical expectation states against its true one, by iterated integrals in extended precision."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tensorprog.kernel.expectation import ROUNDING, Numerics
from tensorprog.kernel.ir import Expectation
from tensorprog.nonlin.derivative import derivative
from tensorprog.nonlin.evaluate import evaluate
from tensorprog.nonlin.expression import Expr, Operand, apply
from tests.dual.curves import ACTIVATIONS, Activation
from tests.dual.iterated import EXTENDED, Unresolved, expectation, hermite, mean, moment

pytestmark = pytest.mark.skipif(not EXTENDED, reason="the references need extended precision")

U = Operand(0)
GOAL = 1e-10
VARIANCES = [1e-3, 0.1, 1.0, 10.0, 1e3]
CORRELATIONS = [-1.0, -(1 - 1e-12), -0.999, -0.9, -0.3, 0.0, 0.5, 0.99, 0.999999, 1 - 1e-12, 1.0]
LAWS = [
    *((0.0, 0.0, q, q) for q in VARIANCES),
    (0.0, 0.0, 0.1, 10.0),
    (0.0, 0.0, 1e-3, 1e3),
    (0.3, -0.7, 1.0, 10.0),
    (1.0, 1.0, 1e-3, 1e-3),
    (2.0, -1.5, 1e3, 0.1),
]
"""Means and variances."""

Curve = Callable[[Any], Any]
Case = tuple[tuple[float, float, float, float], float]


def both(activation: Activation, order: int) -> tuple[Expr, Curve]:
    """Return φ or φ′, as the compiler has it and as the reference has it."""
    if order == 0:
        return activation.expr, activation.value
    return derivative(activation.expr, 0), activation.slope


def stated(f: Expr, shape: tuple[int, ...], law: tuple[float, ...], c: float) -> tuple[float, float]:
    """Return E[f(u) f(v)] and the stated error, by the way that arrays of a shape take."""
    numerics = Numerics({"f": f}, {})
    m1, m2, q1, q2 = law
    args = [np.full(shape, entry) for entry in (m1, m2, q1, q2, c)]
    value = numerics.expectation("K", Expectation("PairExpectation", ("f", "f"), ()), args)
    return float(value.reshape(())), numerics.errors["K"]


def check(f: Expr, curve: Curve, law: tuple[float, float, float, float], rho: float) -> None:
    """Check that the error is no worse than stated, and meets the goal, in a block (series) and alone (quadrature)."""
    m1, m2, q1, q2 = law
    c = rho * math.sqrt(q1 * q2)
    scale = math.sqrt(moment(curve, m1, q1) * moment(curve, m2, q2))
    true = expectation(curve, curve, (m1, m2), q1, q2, c)
    for shape in ((1, 1), (1,)):
        value, error = stated(f, shape, law, c)
        assert error <= GOAL, (law, rho, shape)
        assert abs(value - true) <= (error + ROUNDING) * scale, (law, rho, shape)


def representative(number: int) -> Iterator[Case]:
    """Return five laws with correlations, others for every number."""
    for entry in range(5):
        yield LAWS[(2 * entry + number) % len(LAWS)], CORRELATIONS[(5 * entry + 3 * number) % len(CORRELATIONS)]


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_some_pairs(name: str, order: int) -> None:
    number = 2 * list(ACTIVATIONS).index(name) + order
    for law, rho in representative(number):
        check(*both(ACTIVATIONS[name], order), law, rho)


@pytest.mark.slow
@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_all_pairs(name: str, order: int) -> None:
    for law, rho in itertools.product(LAWS, CORRELATIONS):
        check(*both(ACTIVATIONS[name], order), law, rho)


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_one_variable(name: str, order: int) -> None:
    """E φ, and E φ² on the diagonal."""
    f, curve = both(ACTIVATIONS[name], order)
    numerics = Numerics({"f": f, "f^2": f * f}, {})
    for m, q in [(0.0, 1e-3), (0.0, 1.0), (0.7, 10.0), (-2.0, 1e3)]:
        square = moment(curve, m, q)
        fourth = moment(lambda u: curve(u) ** 2, m, q)
        cases = [("f", mean(curve, m, q), math.sqrt(square)), ("f^2", square, math.sqrt(fourth))]
        for kind, true, scale in cases:
            value = numerics.expectation(kind, Expectation("PointExpectation", (kind,), ()), [np.array(m), np.array(q)])
            assert numerics.errors[kind] <= GOAL
            assert abs(float(value) - true) <= (numerics.errors[kind] + ROUNDING) * scale


@pytest.mark.parametrize(("m", "q"), [(0.0, 1e-3), (0.0, 1.0), (0.3, 10.0), (0.0, 1e3)])
@pytest.mark.parametrize("name", ["tanh", "softsign", "hard_tanh"])
def test_hermite_coefficients(name: str, m: float, q: float) -> None:
    """√Σ δa_k² for the degrees that are looked at, and the tails against Parseval's sum in extended precision."""
    f, curve = both(ACTIVATIONS[name], 0)
    factors = Numerics({"f": f}, {}).factors("f", np.array([m]), np.array([q]))
    norm = moment(curve, m, q)
    true = hermite(curve, m, q, 192)
    assert np.sqrt(np.sum((factors.coefficients[:, 0] - true) ** 2)) <= factors.error * math.sqrt(norm)
    for degree, tail in factors.tails.items():
        assert norm - np.sum(true[:degree] ** 2) <= tail[0] <= norm - np.sum(true[:degree] ** 2) + 3 * ROUNDING * norm


@pytest.mark.parametrize("rho", [-1.0, -0.4, 0.0, 0.7, 1.0])
def test_what_cannot_be_resolved_says_so(rho: float) -> None:
    """Waves of 10⁵ periods within a standard deviation, cut off by a kink."""
    f = apply("sin", apply("relu", 1e6 * U + 0.3)) * apply("softplus", U)
    _, error = stated(f, (1, 1), (0.0, 0.0, 1.0, 1.0), rho)
    assert error >= 0.1


affine = st.tuples(st.sampled_from([0.5, 1.0, -2.0, 3.0]), st.sampled_from([0.0, 0.5, -1.0, 2.0])).map(
    lambda pair: pair[0] * U + pair[1]
)
UNARY = ["tanh", "sigmoid", "silu", "softplus", "elu", "relu", "abs", "sin", "step"]


def extended(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    """Return compositions of expressions."""
    return st.one_of(
        st.builds(apply, st.sampled_from(UNARY), inner),
        st.builds(apply, st.sampled_from(["add", "sub", "mul", "max", "min"]), inner, inner),
    )


compositions = st.recursive(affine, extended, max_leaves=3)


def curve_of(f: Expr) -> Curve:
    """Return an expression as a function in extended precision."""

    def value(u: Any) -> Any:
        return np.broadcast_to(np.asarray(evaluate(f, (u,), {}), np.longdouble), np.shape(u))

    return value


def check_composition(f: Expr, law: tuple[float, float, float, float], rho: float) -> None:
    """Check a composition, unless it vanishes, or waves too fast for the reference."""
    curve = curve_of(f)
    try:
        assume(min(moment(curve, law[0], law[2]), moment(curve, law[1], law[3])) > 1e-6)
    except Unresolved:
        assume(False)
    check(f, curve, law, rho)


moderate = st.sampled_from([law for law in LAWS if max(law[2:]) <= 10])
SETTINGS: dict[str, Any] = {"deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=10, **SETTINGS)
@given(compositions, moderate, st.sampled_from(CORRELATIONS))
def test_compositions(f: Expr, law: tuple[float, float, float, float], rho: float) -> None:
    check_composition(f, law, rho)


@pytest.mark.slow
@settings(max_examples=300, **SETTINGS)
@given(compositions, moderate, st.sampled_from(CORRELATIONS))
def test_many_compositions(f: Expr, law: tuple[float, float, float, float], rho: float) -> None:
    check_composition(f, law, rho)
