"""Duals of random activations of the algebra, against quadrature with 30 digits.

The closed form is compared twice: in mpmath, where it must be exact, and as it is computed with doubles.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest
import sympy as sp
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import tensorprog as tp
from tensorprog.dual.expectation import PairLaw, coincident, pair, point
from tensorprog.nonlin.expression import Expr, Operand, apply
from tensorprog.nonlin.simplify import bind
from tests.dual.activations import ACTIVATIONS, PLAIN
from tests.dual.exact import integral, line_integral, meaning

LETTERS = sp.symbols("m1 m2 q1 q2 c")
LAW = PairLaw(*LETTERS)
CENTRED = PairLaw(sp.Integer(0), sp.Integer(0), *LETTERS[2:])
LAWS = [(0.0, 0.0, 0.75, 1.5, 0.5), (0.0, 0.0, 1.0, 0.5, -0.6), (0.3, -0.7, 1.2, 0.6, 0.4)]
EXACT, DOUBLE = mp.mpf(10) ** -17, 2e-12
QUICK = settings(
    deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None, phases=[Phase.generate]
)
Value = Callable[..., Any]


def nameless(expr: Expr) -> sp.Symbol:
    """Name every function alike."""
    return sp.Symbol("f")


def agree(expr: sp.Expr, expected: Any, value: Value, **values: float) -> None:
    """Assert that a closed form has a value, exactly and with doubles."""
    scale = 1 + abs(expected)
    assert abs(meaning(expr, **values) - expected) < EXACT * scale
    computed = float(np.ravel(value(expr, **{name: np.array([number]) for name, number in values.items()}))[0])
    assert abs(computed - float(expected)) < DOUBLE * float(scale)


def compare(phi: Expr, psi: Expr, law: tuple[float, ...], value: Value) -> None:
    """Compare E[φ(u) ψ(v)] with its integral, if it has a closed form."""
    is_centred = law[0] == law[1] == 0
    found = pair(phi, psi, CENTRED if is_centred else LAW, nameless)
    if found.error is None:
        values = dict(zip(("m1", "m2", "q1", "q2", "c"), law, strict=True))
        if is_centred:
            del values["m1"], values["m2"]
        agree(found.expr, integral(phi, psi, law), value, **values)  # type: ignore[arg-type]


@settings(QUICK, max_examples=16)
@given(PLAIN, PLAIN, st.sampled_from(LAWS))
def test_pairs_with_gates(value: Value, phi: Expr, psi: Expr, law: tuple[float, ...]) -> None:
    compare(phi, psi, law, value)


@settings(QUICK, max_examples=16)
@given(ACTIVATIONS, ACTIVATIONS, st.sampled_from(LAWS))
def test_pairs_with_waves(value: Value, phi: Expr, psi: Expr, law: tuple[float, ...]) -> None:
    compare(phi, psi, law, value)


@pytest.mark.slow
@settings(QUICK, max_examples=3000)
@given(ACTIVATIONS, ACTIVATIONS, st.sampled_from(LAWS))
def test_many_pairs(value: Value, phi: Expr, psi: Expr, law: tuple[float, ...]) -> None:
    compare(phi, psi, law, value)


@settings(QUICK, max_examples=40)
@given(ACTIVATIONS, st.sampled_from([(0.0, 0.75), (0.0, 2.0), (-0.7, 0.6)]))
def test_means(value: Value, phi: Expr, law: tuple[float, float]) -> None:
    m, q = law
    found = point(phi, sp.Symbol("m1") if m else sp.Integer(0), sp.Symbol("q1"), nameless)
    assert found.error is None
    agree(found.expr, line_integral(phi, m, q), value, **({"m1": m} if m else {}), q1=q)


POINTS = st.sampled_from([(0.0, 0.75), (0.4, 1.2)])


@settings(QUICK, max_examples=10)
@given(ACTIVATIONS, ACTIVATIONS, POINTS)
def test_one_variable(value: Value, phi: Expr, psi: Expr, law: tuple[float, float]) -> None:
    compare_equal(phi, psi, law, value)


@pytest.mark.slow
@settings(QUICK, max_examples=200)
@given(ACTIVATIONS, ACTIVATIONS, POINTS)
def test_one_variable_of_many(value: Value, phi: Expr, psi: Expr, law: tuple[float, float]) -> None:
    compare_equal(phi, psi, law, value)


def compare_equal(phi: Expr, psi: Expr, law: tuple[float, float], value: Value) -> None:
    """Compare E[φ(u) ψ(u)] with its integral, and with the pair of equal variables."""
    m, q = law
    expected = line_integral(phi * psi, m, q)
    symbols = (sp.Symbol("m1") if m else sp.Integer(0), sp.Symbol("q1"))
    found = coincident(phi, psi, *symbols, nameless)
    if found.error is None:
        agree(found.expr, expected, value, **({"m1": m} if m else {}), q1=q)
    both = pair(phi, psi, LAW, nameless)
    if both.error is None:
        values = {"m1": m, "m2": m, "q1": q, "q2": q, "c": q}
        computed = value(both.expr, **{name: np.array([number]) for name, number in values.items()})
        assert float(np.ravel(computed)[0]) == pytest.approx(float(expected), rel=1e-11, abs=1e-11)


@settings(QUICK, max_examples=15)
@given(ACTIVATIONS, ACTIVATIONS)
def test_opposite_variables(value: Value, phi: Expr, psi: Expr) -> None:
    compare_opposite(phi, psi, value)


@pytest.mark.slow
@settings(QUICK, max_examples=200)
@given(ACTIVATIONS, ACTIVATIONS)
def test_opposite_variables_of_many(value: Value, phi: Expr, psi: Expr) -> None:
    compare_opposite(phi, psi, value)


def compare_opposite(phi: Expr, psi: Expr, value: Value) -> None:
    """Compare E[φ(u) ψ(−u)], as the pair of correlation −1, with its integral."""
    found = pair(phi, psi, CENTRED, nameless)
    if found.error is None:
        expected = line_integral(phi * bind(psi, (-Operand(0),)), 0.0, 0.75)
        computed = value(found.expr, q1=np.array([0.75]), q2=np.array([0.75]), c=np.array([-0.75]))
        assert float(np.ravel(computed)[0]) == pytest.approx(float(expected), rel=1e-11, abs=1e-11)


@pytest.mark.parametrize("name", ["relu", "elu", "gelu", "hard_tanh", "gabor", "usin"])
@pytest.mark.parametrize("q", [1e-3, 1.0, 1e3])
def test_ends_of_the_range(name: str, q: float, value: Value) -> None:
    """Variances far from 1: φ(u) with itself and with φ(−u), relative to E φ²."""
    u = Operand(0)
    phi = {
        "relu": apply("relu", u),
        "elu": apply("elu", u),
        "gelu": apply("gelu", u),
        "hard_tanh": apply("min", apply("max", u, -1.0), 1.0),
        "gabor": apply("gauss", u) * apply("sin", 2 * u + 0.25),
        "usin": u * apply("sin", u),
    }[name]
    found = pair(phi, phi, CENTRED, nameless)
    assert found.error is None
    norm = float(line_integral(phi * phi, 0.0, q))
    for sign, other in ((1, phi), (-1, bind(phi, (-u,)))):
        expected = float(line_integral(phi * other, 0.0, q))
        computed = value(found.expr, q1=np.array([q]), q2=np.array([q]), c=np.array([sign * q]))
        assert float(np.ravel(computed)[0]) == pytest.approx(expected, abs=1e-12 * norm)


@pytest.mark.parametrize(
    ("text", "phi"),
    [
        ("relu(u + 1)", lambda u: max(u + 1, 0)),
        ("elu(u + 1)", lambda u: u + 1),
        ("u * sin(u + 1)", lambda u: u * math.sin(u + 1)),
        ("gelu(u - 1)", lambda u: (u - 1) * math.erfc((1 - u) / math.sqrt(2)) / 2),
        ("step(u - 0.5) * exp(u)", lambda u: float(u > 0.5) * math.exp(u)),
    ],
)
def test_a_variable_of_variance_zero_is_its_mean(text: str, phi: Callable[[float], float]) -> None:
    centred, shifted = tp.dual_activation(text), tp.dual_activation(text, mean=True)
    mean = float(tp.dual_activation(text, "1")(2.0, 1.0, 0.0))
    assert float(centred(0.0, 2.0, 0.0)) == pytest.approx(phi(0.0) * mean, rel=1e-14)
    assert float(centred(2.0, 0.0, 0.0)) == pytest.approx(phi(0.0) * mean, rel=1e-14)
    assert float(shifted(0.0, 2.0, 0.0, m1=0.75)) == pytest.approx(phi(0.75) * mean, rel=1e-14)
