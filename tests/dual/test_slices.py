"""Closed conditional expectations inside one-dimensional integrals, against integrals in extended precision."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sympy as sp

from tensorprog.dual.pairs.slices import Slice, find_slice, sliced_quadrature
from tensorprog.nonlin.expression import Expr, Operand, apply
from tests.dual.iterated import EXTENDED, expectation, moment

U = Operand(0)
RELU = apply("relu", U)
CASES: dict[str, tuple[Expr, Callable[[Any], Any]]] = {
    "sin(relu(u))": (apply("sin", RELU), lambda u: np.sin(np.maximum(u, 0))),
    "relu(u) sin(u)": (RELU * apply("sin", U), lambda u: np.maximum(u, 0) * np.sin(u)),
}
CORRELATIONS = np.array([-1.0, -0.999, -0.3, 0.0, 0.5, 0.99, 1 - 1e-12, 1.0])


@pytest.mark.skipif(not EXTENDED, reason="the references need extended precision")
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("law", [(0.0, 0.0, 1.0, 1.0), (0.3, -0.7, 1.0, 10.0), (0.0, 0.0, 1e-3, 0.1)])
def test_error_is_no_worse_than_stated(name: str, law: tuple[float, float, float, float]) -> None:
    f, curve = CASES[name]
    inner = find_slice(f, f)
    assert inner is not None
    m1, m2, q1, q2 = law
    c = CORRELATIONS * math.sqrt(q1 * q2)
    rows = [np.full(c.shape, entry) for entry in law]
    value, error = sliced_quadrature(f, f, inner, *rows, c, {})
    scale = math.sqrt(moment(curve, m1, q1) * moment(curve, m2, q2))
    true = [expectation(curve, curve, (m1, m2), q1, q2, float(entry)) for entry in c]
    assert (error <= 1e-10 * scale).all()
    assert (np.abs(value - true) <= error + 4e-15 * scale).all()


def test_fast_waves() -> None:
    """At inputs so large that there are hundreds of periods within a standard deviation."""
    f = apply("sin", RELU)
    inner = find_slice(f, f)
    assert inner is not None
    one = np.ones(1)
    value, error = sliced_quadrature(f, f, inner, 0 * one, 0 * one, 1e4 * one, 1e4 * one, 1e4 * one, {})
    assert float(value[0]) == pytest.approx((1 - math.exp(-2e4)) / 4, abs=1e-12)  # E sin² = (1 − E cos 2u)/2, halved
    assert error[0] < 1e-10


def test_pairs_with_closed_forms_and_smooth_ones_are_left_to_quadrature() -> None:
    assert find_slice(RELU, RELU) is None
    assert find_slice(apply("Phi", U) ** 2, apply("Phi", U) ** 2) is None
    assert find_slice(apply("softplus", RELU), apply("softplus", RELU)) is None


def test_a_wrong_closed_form_is_not_used() -> None:
    """It is compared with quadrature, which takes its place."""
    f = apply("sin", RELU)
    law = [np.zeros(2), np.zeros(2), np.ones(2), np.ones(2), np.array([0.3, 0.9])]
    right = find_slice(f, f)
    assert right is not None
    value, error = sliced_quadrature(f, f, Slice(right.expr + sp.Rational(1, 1000)), *law, {})
    expected, _ = sliced_quadrature(f, f, right, *law, {})
    np.testing.assert_allclose(value, expected, rtol=0, atol=1e-12)
    assert (error < 1e-10).all()
