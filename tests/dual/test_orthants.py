"""Orthant probabilities and products of gates against exact values, and against one-dimensional integrals in mpmath.

If all correlations are l_i l_j, the variables are independent given z: P(X > 0) is E Π Φ((m_i + l_i z)/√(1 − l_i²)).
The steps of a symmetric random walk stay positive with probability C(2n, n)/4ⁿ (Sparre Andersen 1954).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import mpmath as mp
import numpy as np
import numpy.typing as npt
import pytest

from tensorprog.dual.joint.gates import gate_estimate, gate_expectation, gates
from tensorprog.dual.joint.orthants import bivariate, gate_probability, orthant_probability
from tensorprog.nonlin.derivative import derivative
from tensorprog.nonlin.expression import ONE, Call, Expr, Fn, Number, Operand, Symbol, apply

Array = npt.NDArray[np.float64]

EXACT = 2e-14
"""What up to four variables are computed to; the correlations here stay away from ±1."""


def expectation(function: Callable[[mp.mpf], mp.mpf]) -> float:
    """Return E function(z) for a standard normal z."""
    with mp.workdps(20):
        cuts = [-12, -6, -3, -1, 1, 3, 6, 12]
        return float(mp.quad(lambda z: mp.npdf(z) * function(z), cuts))


def one_factor(m: Array, loads: Array) -> float:
    """Return P(X > 0) for X_i = m_i + l_i z + √(1 − l_i²) ε_i."""
    terms = [(mp.mpf(a), mp.mpf(b)) for a, b in zip(m, loads, strict=True)]
    return expectation(lambda z: mp.fprod(mp.ncdf((a + b * z) / mp.sqrt(1 - b * b)) for a, b in terms))


def correlations(loads: Array) -> Array:
    found = np.outer(loads, loads)
    np.fill_diagonal(found, 1.0)
    return found


@pytest.mark.parametrize("rho", [-0.9999, -0.7, 0.0, 0.3, 0.99, 0.999999])
def test_two_variables(rho: float) -> None:
    points = [(0.0, 0.0), (0.0, 1.3), (-0.4, 0.0), (1.1, 1.1), (1.0, -1.0), (-2.5, -2.4), (-6.0, 3.0), (0.5, 8.0)]
    h, k = np.array(points).T
    with mp.workdps(30):
        root = mp.sqrt(1 - mp.mpf(rho) ** 2)
        for (a, b), found in zip(points, bivariate(h, k, np.full(len(h), rho)), strict=True):
            edge = min(max(a / rho if rho else 0.0, -14.0), b)
            cuts = sorted({-14.0, max(edge - 0.1, -14.0), edge, min(edge + 0.1, b), b})
            true = mp.quad(lambda y, a=a: mp.npdf(y) * mp.ncdf((a - rho * y) / root), cuts)
            assert abs(found - true) < 3e-16


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_few_variables_are_exact(size: int) -> None:
    rng = np.random.default_rng(size)
    loads, m = rng.uniform(-0.95, 0.95, (4, size)), rng.normal(size=(4, size))
    m[0] = 0
    value, error = orthant_probability(m, np.stack([correlations(row) for row in loads]))
    true = np.array([one_factor(*pair) for pair in zip(m, loads, strict=True)])
    assert np.all(np.abs(value - true) <= EXACT)
    assert np.all(error <= 1e-12)


def test_three_centred_variables_follow_the_arcsine_formula() -> None:
    law = np.array([[1.0, 0.3, -0.5], [0.3, 1.0, 0.2], [-0.5, 0.2, 1.0]])
    value, _ = orthant_probability(np.zeros((1, 3)), law[None])
    assert value[0] == pytest.approx(1 / 8 + (math.asin(0.3) + math.asin(-0.5) + math.asin(0.2)) / (4 * math.pi), 1e-15)


@pytest.mark.parametrize(("size", "least"), [(3, 2e-15), (4, 1e-13), (5, 1e-12), (6, 3e-5), (9, 3e-5)])
def test_a_random_walk_stays_positive(size: int, least: float) -> None:
    places = np.arange(1, size + 1)
    law = np.minimum.outer(places, places).astype(float)
    value, error = orthant_probability(np.zeros((1, size)), law[None])
    true = math.comb(2 * size, size) / 4**size
    assert abs(value[0] - true) <= max(error[0], 1e-15)
    assert error[0] <= least


@pytest.mark.parametrize("size", [6, pytest.param(8, marks=pytest.mark.slow)])
def test_the_stated_error_of_many_variables_holds(size: int) -> None:
    rng = np.random.default_rng(size)
    loads, m = rng.uniform(-0.9, 0.9, (5, size)), rng.normal(size=(5, size))
    value, error = orthant_probability(m, np.stack([correlations(row) for row in loads]))
    true = np.array([one_factor(*pair) for pair in zip(m, loads, strict=True)])
    assert np.all(np.abs(value - true) <= 2 * error)  # an estimate: three standard errors from eight samples
    assert np.mean(np.abs(value - true) <= error) >= 0.8
    assert error.max() <= 3e-6
    again, _ = orthant_probability(m, np.stack([correlations(row) for row in loads]))
    assert np.array_equal(value, again)


def test_gates_of_one_sample_against_itself() -> None:
    """E Φ(z)² Φ(z′)² by doubled variables, whose covariance is singular."""
    one, two = 1.7, -0.6
    pair = np.array([one, two, one, two])
    means = np.array([0.4, -0.2, 0.4, -0.2])
    value, error = gate_probability(means[None], np.outer(pair, pair)[None], [1, 1, 1, 1])
    true = expectation(lambda z: mp.ncdf(means[0] + one * z) ** 2 * mp.ncdf(means[1] + two * z) ** 2)
    assert abs(value[0] - true) < EXACT
    assert error[0] < 1e-12


def test_complements_and_error_functions_are_signs() -> None:
    loads, means = np.array([0.8, -1.3, 2.0]), np.array([0.1, 0.5, -0.4])
    value, _ = gate_probability(means[None], np.outer(loads, loads)[None], [1, -1, math.sqrt(2)])

    def product(z: mp.mpf) -> mp.mpf:
        a, b, c = (m + load * z for m, load in zip(means, loads, strict=True))
        return mp.ncdf(a) * (1 - mp.ncdf(b)) * (1 + mp.erf(c)) / 2

    true = expectation(product)
    assert abs(value[0] - true) < EXACT


def gate(u: Expr) -> Expr:
    """Return (1 + erf(u))/2 as a user's function."""
    return Call(Fn("gate", ("u",), (ONE + apply("erf", Operand(0))) / 2), (u,))


A, B, C = Operand(0), Operand(1), Operand(2)

# A function, how many products of gates it is, and the same in mpmath.
PRODUCTS = {
    "gates and a complement": (
        (ONE - gate(A)) * gate(B) * (ONE - apply("Phi", C)),
        1,
        lambda a, b, c: (1 - mp.erf(a)) / 2 * (1 + mp.erf(b)) / 2 * (1 - mp.ncdf(c)),
    ),
    "a squared gate, and a bias": (
        apply("square", gate(A + ONE)) * gate(Symbol("beta") * B - Number(0.3)),
        1,
        lambda a, b, c: ((1 + mp.erf(a + 1)) / 2) ** 2 * (1 + mp.erf(0.7 * b - 0.3)) / 2,
    ),
    "a sum": (
        gate(A) * gate(B) + Number(2) * (ONE - gate(A)) - apply("erf", C) / 3,
        4,
        lambda a, b, c: (1 + mp.erf(a)) * (1 + mp.erf(b)) / 4 + (1 - mp.erf(a)) - mp.erf(c) / 3,
    ),
    "derivatives": (
        derivative(gate(A), 0) * derivative(apply("Phi", B), 1) * gate(C),
        1,
        lambda a, b, c: mp.exp(-(a**2)) / mp.sqrt(mp.pi) * mp.npdf(b) * (1 + mp.erf(c)) / 2,
    ),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_of_gates(name: str) -> None:
    function, count, value = PRODUCTS[name]
    terms = gates(function, 3, {"beta": 0.7})
    assert terms is not None
    assert len(terms) == count
    loads, means = np.array([0.8, -1.3, 0.5]), np.array([0.1, 0.5, -0.4])
    found, error = gate_expectation(terms, means[None], np.outer(loads, loads)[None])
    true = expectation(lambda z: value(*(m + load * z for m, load in zip(means, loads, strict=True))))
    assert abs(found[0] - true) < EXACT
    assert error[0] < 1e-12
    estimate = gate_estimate(function, means[None], np.outer(loads, loads)[None], {"beta": 0.7})
    assert estimate is not None
    assert estimate[0][0] == pytest.approx(found[0], rel=1e-15)
    size = expectation(lambda z: abs(value(*(m + load * z for m, load in zip(means, loads, strict=True)))))
    assert estimate[2][0] == pytest.approx(size, rel=1e-12) if count == 1 else estimate[2][0] > size


@pytest.mark.parametrize(
    "function",
    [
        apply("tanh", A),
        A * apply("Phi", A),
        apply("Phi", A * B),
        apply("Phi", A) / apply("Phi", B),
        apply("sigmoid", A),
    ],
)
def test_other_functions_are_left_alone(function: Expr) -> None:
    assert gates(function, 2, {}) is None
    assert gate_estimate(function, np.zeros((1, 2)), np.eye(2)[None], {}) is None
