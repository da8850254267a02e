"""Expectations as functions of the variance, interpolated on octaves, against formulas and mpmath."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest

from tensorprog.dual.pairs.hermite import find_hermite_factors, hermite_factors
from tensorprog.dual.pairs.octaves import octaves
from tensorprog.dual.pairs.quadrature import point_quadrature
from tensorprog.nonlin.expression import Operand, apply
from tests.dual.test_quadrature import mean

U = Operand(0)
DEGREE = 192


def variances(low: float = 0.3, high: float = 5.0, count: int = 100) -> np.ndarray:
    """Return many variances in some octaves, their ends among them."""
    inner = np.random.default_rng(0).uniform(low, high, count - 3)
    return np.concatenate([[1.0, 2.0, math.nextafter(2.0, 0.0)], inner])


def hermite(k: int, z: np.ndarray) -> np.ndarray:
    """Return the normalized Hermite polynomial h_k by its recurrence."""
    before, now = np.zeros_like(z), np.ones_like(z)
    for j in range(k):
        before, now = now, (z * now - math.sqrt(j) * before) / math.sqrt(j + 1)
    return now


def test_octaves_are_taken_where_they_save_work() -> None:
    q = variances()
    found = dict(octaves(np.zeros(len(q)), q))
    assert set(found) == {-2, -1, 0, 1, 2}
    assert sorted(np.concatenate([*found.values()])) == [*range(len(q))]
    for exponent, rows in found.items():
        assert np.all((2.0**exponent <= q[rows]) & (q[rows] < 2.0 ** (exponent + 1)))
    assert not [*octaves(np.zeros(3), q[:3])]
    assert not [*octaves(np.arange(100.0), q)]
    assert not [*octaves(np.zeros(100), 2.0 ** np.arange(100))]
    with_zero = np.concatenate([[0.0], q])
    assert all(rows.min() > 0 for _, rows in octaves(np.zeros(101), with_zero))


def test_factors_of_a_step_beside_zero() -> None:
    """E[1(√q z > 1) h_k(z)] = n(c) h_{k−1}(c)/√k, c = 1/√q, n the standard normal density."""
    q = variances()
    c = 1 / np.sqrt(q)
    factors, norms, errors = hermite_factors(apply("step", U - 1), np.zeros(len(q)), q, DEGREE, {})
    for k in (1, 2, 7, 40, DEGREE - 1):
        expected = np.exp(-(c**2) / 2) / math.sqrt(2 * math.pi) * hermite(k - 1, c) / math.sqrt(k)
        np.testing.assert_allclose(factors[:, k], expected, rtol=0, atol=1e-14)
    expected = np.array([float(mp.erfc(x / mp.sqrt(2)) / 2) for x in c])
    np.testing.assert_allclose(factors[:, 0], expected, rtol=0, atol=1e-14)
    np.testing.assert_allclose(norms, expected, rtol=1e-13)
    assert np.all(errors < 1e-13)


def test_factors_of_a_wave() -> None:
    """E[sin(5√q z) h_k(z)] = ± (5√q)ᵏ exp(−25q/2)/√k! for odd k, 0 for even."""
    q = variances(0.05, 0.4)
    factors, _, errors = hermite_factors(apply("sin", 5 * U), np.zeros(len(q)), q, 60, {})
    k = np.arange(60)
    sign = np.array([0, 1, 0, -1])[k % 4]
    expected = sign * np.exp(
        k * np.log(5 * np.sqrt(q))[:, None] - 12.5 * q[:, None] - np.array([math.lgamma(j + 1) / 2 for j in k])
    )
    np.testing.assert_allclose(factors, expected, rtol=0, atol=3e-14)
    assert np.all(np.linalg.norm(factors - expected, axis=1) <= errors)


@pytest.mark.slow
def test_factors_of_tanh_against_mpmath() -> None:
    q = variances()
    found = find_hermite_factors(apply("tanh", U), np.full(len(q), 0.25), q, DEGREE, {})
    for row in (0, 2, 30):
        for k in (0, 3, 20):
            scale = mp.sqrt(mp.factorial(k) * mp.mpf(2) ** k)

            def integrand(u: mp.mpf, k: int = k, row: int = row, scale: mp.mpf = scale) -> mp.mpf:
                z = (u - mp.mpf(0.25)) / mp.sqrt(q[row])
                return mp.tanh(u) * mp.hermite(k, z / mp.sqrt(2)) / scale

            assert found.coefficients[row, k] == pytest.approx(float(mean(integrand, 0.25, q[row])), abs=1e-14)
        square = mean(lambda u: mp.tanh(u) ** 2, 0.25, q[row])
        mirrored = mean(lambda u: mp.tanh(u) * mp.tanh(0.5 - u), 0.25, q[row])
        assert found.norms[row] == pytest.approx(float(square), rel=1e-13)
        assert found.mirrored[row] == pytest.approx(float(mirrored), rel=1e-13)


@pytest.mark.parametrize("name", ["tanh", "softplus", "relu"])
def test_even_and_odd_squares_add_up_to_what_is_known_of_both(name: str) -> None:
    found = find_hermite_factors(apply(name, U), np.zeros(3), np.array([0.1, 0.2, 0.4]), DEGREE, {})
    squares = found.coefficients**2
    even, odd = (squares[:, parity::2].sum(axis=1) for parity in (0, 1))
    np.testing.assert_allclose((found.norms + found.mirrored) / 2, even, atol=1e-5 if name == "relu" else 1e-13)
    np.testing.assert_allclose((found.norms - found.mirrored) / 2, odd, atol=1e-13)


def test_points_of_many_laws_are_those_of_each() -> None:
    q = variances()
    values, errors = point_quadrature(apply("tanh", U) ** 2, 0.0, q, {})
    for row in (0, 2, 50):
        exact = float(mean(lambda u: mp.tanh(u) ** 2, 0.0, q[row]))
        assert abs(values[row] - exact) <= min(errors[row], 1e-14)


def test_a_growth_that_leaves_the_range_is_reported_for_many_laws() -> None:
    q = np.linspace(130.0, 160.0, 50)
    _, error = point_quadrature(apply("exp", U), 0.0, q, {})
    assert np.all(error > 1e-3 * np.exp(q / 2))
