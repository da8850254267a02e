"""Numerical expectations against mpmath, closed formulas and an independent two-dimensional rule."""

from __future__ import annotations

import math
from collections.abc import Callable

import mpmath as mp
import numpy as np
import pytest

from tensorprog.dual.pairs.hermite import hermite_factors
from tensorprog.dual.pairs.quadrature import pair_quadrature, point_quadrature
from tensorprog.nonlin.evaluate import evaluate
from tensorprog.nonlin.expression import Expr, Operand, Symbol, apply

U = Operand(0)
VARIANCES = [1e-3, 0.3, 1.0, 40.0, 1e3]
CORRELATIONS = [-1.0, -(1 - 1e-12), -0.97, -0.5, 0.0, 0.2, 0.9, 1 - 1e-6, 1 - 1e-12, 1.0]
SMOOTH = {
    "tanh": mp.tanh,
    "silu": lambda u: u / (1 + mp.exp(-u)),
    "softplus": lambda u: mp.log1p(mp.exp(u)) if u < 100 else u + mp.exp(-u),
    "sigmoid": lambda u: 1 / (1 + mp.exp(-u)),
    "elu": lambda u: u if u > 0 else mp.expm1(u),
}


def clipped(bound: float) -> Expr:
    """Return the hard tanh, max(−b, min(b, u))."""
    return apply("max", apply("min", U, bound), -bound)


@pytest.mark.parametrize("name", SMOOTH)
def test_point_against_mpmath(name: str) -> None:
    function = SMOOTH[name]
    for m, q in [(0.0, 1e-3), (0.0, 1.0), (0.5, 40.0), (-2.0, 1e3)]:
        s = math.sqrt(q)
        value, error = point_quadrature(apply(name, U), m, q, {})
        assert abs(float(value) - mean(function, m, q)) <= 1e-12 * (1 + s)
        assert float(error) <= 1e-11 * (1 + s)


def mean(function: Callable[[mp.mpf], mp.mpf], m: float, q: float) -> mp.mpf:
    """Return E f(m + √q z) by mpmath, the range split about the bend at zero."""
    with mp.workdps(25):
        s = mp.sqrt(q)
        cuts = {mp.mpf(cut) for cut in (-14, -7, -2, 0, 2, 7, 14)} | {(w - m) / s for w in (-9, -3, 0, 3, 9)}
        return mp.quad(lambda z: function(m + s * z) * mp.npdf(z), sorted(cut for cut in cuts if abs(cut) <= 14))


@pytest.mark.parametrize("q1", VARIANCES)
@pytest.mark.parametrize("q2", VARIANCES)
def test_pair_of_erf_against_williams(q1: float, q2: float) -> None:
    rho = np.array(CORRELATIONS)
    c = rho * math.sqrt(q1 * q2)
    value, error = pair_quadrature(apply("erf", U), apply("erf", U), 0.0, 0.0, q1, q2, c, {})
    with mp.workdps(40):
        expected = [
            float(2 / mp.pi * mp.asin(2 * mp.mpf(float(e)) / mp.sqrt((1 + 2 * mp.mpf(q1)) * (1 + 2 * mp.mpf(q2)))))
            for e in c
        ]
    norm = math.sqrt(math.prod(2 / math.pi * math.asin(2 * q / (1 + 2 * q)) for q in (q1, q2)))
    assert np.max(np.abs(value - expected)) < 1e-12 * norm
    assert np.max(error) < 1e-11 * norm


@pytest.mark.parametrize("q1", VARIANCES)
def test_pair_of_relu_against_cho_and_saul(q1: float) -> None:
    q2, theta = 0.7 * q1, np.arccos(CORRELATIONS)
    value, error = pair_quadrature(
        apply("relu", U), apply("relu", U), 0.0, 0.0, q1, q2, math.sqrt(q1 * q2) * np.cos(theta), {}
    )
    expected = math.sqrt(q1 * q2) * (np.sin(theta) + (math.pi - theta) * np.cos(theta)) / (2 * math.pi)
    assert np.max(np.abs(value - expected)) < 1e-12 * q1
    assert np.max(error) < 1e-11 * q1


@pytest.mark.parametrize("name", ["tanh", "silu", "softplus", "sigmoid"])
def test_pair_of_smooth_functions(name: str, polar: Callable[..., float]) -> None:
    expr = apply(name, U)
    for q1, q2, rho, m1, m2 in [(1.0, 1.0, 0.5, 0, 0), (0.5, 1.5, -0.9, 0.3, -0.2), (0.8, 0.8, 1.0, 0, 0)]:
        c = rho * math.sqrt(q1 * q2)
        value, error = pair_quadrature(expr, expr, m1, m2, q1, q2, c, {})
        expected = polar(*[lambda u: evaluate(expr, [u], {})] * 2, q1, q2, c, m1, m2)
        assert float(value) == pytest.approx(expected, abs=1e-11)
        assert float(error) < 1e-11


@pytest.mark.parametrize("rho", [-0.9999, -0.4, 0.0, 0.3, 0.95, 1 - 1e-7])
def test_shifted_jumps_against_the_bivariate_normal(rho: float) -> None:
    a, b, q1, q2 = 0.7, -0.4, 1.5, 0.8
    step1, step2 = apply("step", U - a), apply("step", U - b)
    value, error = pair_quadrature(step1, step2, 0.0, 0.0, q1, q2, rho * math.sqrt(q1 * q2), {})
    with mp.workdps(25):
        r, start, knee = mp.sqrt(1 - mp.mpf(rho) ** 2), a / mp.sqrt(q1), b / mp.sqrt(q2)
        cuts = [start, 12]
        if rho:
            cuts += [knee / rho + w * r / rho for w in (-9, -3, 0, 3, 9)]
        expected = mp.quad(
            lambda z: mp.npdf(z) * mp.ncdf((rho * z - knee) / r), sorted(cut for cut in cuts if start <= cut <= 12)
        )
    assert float(value) == pytest.approx(float(expected), abs=1e-11)
    assert float(error) < 1e-9


@pytest.mark.parametrize("bound", [0.5, 2.0])
def test_hard_tanh_on_the_diagonal(bound: float) -> None:
    q = np.array([1e-2, 1.0, 100.0])
    value, _ = pair_quadrature(clipped(bound), clipped(bound), 0.0, 0.0, q, q, q, {})
    with mp.workdps(25):
        expected = []
        for entry in q:
            t = bound / mp.sqrt(entry)
            inside = entry * (mp.erf(t / mp.sqrt(2)) - 2 * t * mp.npdf(t))
            expected.append(float(inside + bound**2 * mp.erfc(t / mp.sqrt(2))))
    np.testing.assert_allclose(value, expected, rtol=1e-12)


def test_pair_of_kinks_is_symmetric_and_bounded() -> None:
    rho = np.linspace(-1, 1, 21)
    value, error = pair_quadrature(clipped(1.0), apply("elu", U), 0.2, -0.1, 1.2, 0.6, rho * math.sqrt(0.72), {})
    swapped, _ = pair_quadrature(apply("elu", U), clipped(1.0), -0.1, 0.2, 0.6, 1.2, rho * math.sqrt(0.72), {})
    assert np.max(np.abs(value - swapped)) < 1e-11
    assert np.max(error) < 1e-9


OTHERS = {
    "rational": (1 / (1 + U**2), lambda u: 1 / (1 + u**2)),
    "root": (apply("sqrt", 0.01 + (U - 1) ** 2), lambda u: mp.sqrt(mp.mpf(0.01) + (u - 1) ** 2)),
    "surrogate": (1 / (1 + apply("abs", U)) ** 2, lambda u: 1 / (1 + abs(u)) ** 2),
    "gabor": (apply("exp", -(U**2)) * apply("cos", 3 * U), lambda u: mp.exp(-(u**2)) * mp.cos(3 * u)),
    "composed": (apply("tanh", U**2 - 1), lambda u: mp.tanh(u**2 - 1)),
    "mish": (U * apply("tanh", apply("softplus", U)), lambda u: u * mp.tanh(SMOOTH["softplus"](u))),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_functions_against_mpmath(name: str) -> None:
    expr, function = OTHERS[name]
    for m, q in [(0.0, 0.5), (0.3, 40.0), (0.0, 1e3)]:
        value, error = point_quadrature(expr, m, q, {})
        expected = mean(function, m, q)
        assert abs(float(value) - expected) <= 1e-10 * (1 + abs(expected))
        assert abs(float(value) - expected) <= float(error) + 1e-14 * (1 + abs(expected))


def test_zero_variance() -> None:
    value, error = point_quadrature(apply("tanh", U), 0.4, 0.0, {})
    assert float(value) == math.tanh(0.4)
    assert float(error) == 0
    pairs, _ = pair_quadrature(apply("tanh", U), apply("sign", U), 0.4, 0.0, 0.0, [0.0, 1.0], 0.0, {})
    np.testing.assert_allclose(pairs, 0, atol=1e-15)


def test_symbols_reach_the_functions() -> None:
    value, _ = point_quadrature(Symbol("a") * apply("sin", Symbol("w") * U) ** 2, 0.0, 1.0, {"a": 2.0, "w": 9.0})
    assert float(value) == pytest.approx(1 - math.exp(-162), rel=1e-12)


def test_a_growth_that_leaves_the_range_is_reported() -> None:
    _, error = point_quadrature(apply("exp", U), 0.0, 144.0, {})
    assert float(error) > 1e-3 * math.exp(72)


def test_hermite_factors_of_the_exponential() -> None:
    """E[exp(√q z) h_k(z)] = exp(q/2) q^{k/2}/√k!."""
    q = np.array([0.2, 1.0, 2.0])
    factors, norms, _ = hermite_factors(apply("exp", U), np.zeros(3), q, 40, {})
    k = np.arange(40)
    expected = np.exp(q[:, None] / 2) * q[:, None] ** (k / 2) / np.sqrt([float(math.factorial(i)) for i in k])
    np.testing.assert_allclose(factors, expected, atol=1e-12)
    np.testing.assert_allclose(norms, np.exp(2 * q), rtol=1e-12)


def test_hermite_series_sums_to_the_pair() -> None:
    q = np.array([0.5, 1.5])
    factors, norms, _ = hermite_factors(apply("tanh", U), np.zeros(2), q, 192, {})
    for rho in (-0.8, 0.3, 0.9):
        series = np.sum(factors[0] * factors[1] * rho ** np.arange(192))
        value, _ = pair_quadrature(*[apply("tanh", U)] * 2, 0.0, 0.0, q[0], q[1], rho * math.sqrt(0.75), {})
        assert series == pytest.approx(float(value), abs=1e-12)
    assert (np.abs(norms - np.sum(factors**2, axis=1)) < 1e-5).all()
