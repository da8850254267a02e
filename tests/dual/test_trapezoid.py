"""The trapezoidal rule for pairs of smooth functions, and shared nodes of Hermite factors."""

from __future__ import annotations

import math
from collections.abc import Callable

import mpmath as mp
import numpy as np
import numpy.typing as npt
import pytest

from tensorprog.dual.pairs.conditional import Conditional, conditional
from tensorprog.dual.pairs.features import Features, find_features, function
from tensorprog.dual.pairs.hermite import hermite_factors
from tensorprog.dual.pairs.quadrature import pair_quadrature
from tensorprog.dual.pairs.trapezoid import smooth_pairs
from tensorprog.nonlin.derivative import derivative
from tensorprog.nonlin.evaluate import evaluate
from tensorprog.nonlin.expression import Expr, Operand, apply

Array = npt.NDArray[np.float64]

U = Operand(0)
RHO = np.array([-1.0, -(1 - 1e-9), -0.7, 0.0, 0.3, 0.9, 0.99, 1 - 1e-6, 1.0])


def known(f: Expr) -> tuple[Callable[[Array], Array], Features]:
    """Return f as `smooth_pairs` takes it."""
    return function(f, {}), find_features(f, {})


def centred(q1: float, q2: float, rho: Array) -> Conditional:
    """Return laws of mean zero."""
    one, zero = np.ones_like(rho), np.zeros_like(rho)
    return conditional(zero, zero, q1 * one, q2 * one, rho * math.sqrt(q1 * q2))


@pytest.mark.parametrize(("q1", "q2"), [(1e-4, 0.3), (1.0, 1.0), (2.0, 9.0)])
def test_erf_against_williams(q1: float, q2: float) -> None:
    value, error, good = smooth_pairs(known(apply("erf", U)), known(apply("erf", U)), centred(q1, q2, RHO))
    expected = 2 / math.pi * np.arcsin(2 * RHO * math.sqrt(q1 * q2) / math.sqrt((1 + 2 * q1) * (1 + 2 * q2)))
    norm = math.sqrt(math.prod(2 / math.pi * math.asin(2 * q / (1 + 2 * q)) for q in (q1, q2)))
    assert good.all()
    np.testing.assert_allclose(value, expected, atol=1e-13 * norm, rtol=1e-13)
    assert (error <= 1e-12 * norm).all()


@pytest.mark.parametrize("name", ["tanh", "silu", "softplus", "sigmoid"])
@pytest.mark.parametrize("order", [0, 1])
def test_near_duplicates_against_polar_coordinates(name: str, order: int, polar: Callable[..., float]) -> None:
    expr = apply(name, U) if order == 0 else derivative(apply(name, U), 0)
    for q, rho in [(0.7, 0.999), (1.5, -0.99), (0.4, 1 - 1e-9)]:
        value, error, good = smooth_pairs(known(expr), known(expr), centred(q, q, np.array([rho])))
        expected = polar(*[lambda u: evaluate(expr, [u], {})] * 2, q, q, rho * q, 0.0, 0.0)
        assert good.all()
        assert float(value[0]) == pytest.approx(expected, abs=1e-11)
        assert float(error[0]) < 1e-11


@pytest.mark.parametrize("s", [0.01, 1.0, 5.0])
def test_tanh_on_the_diagonal_against_mpmath(s: float) -> None:
    """Also where one law is narrow, and the bend of the function is wide or sharp on its scale."""
    value, _, good = smooth_pairs(known(apply("tanh", U)), known(apply("tanh", U)), centred(s * s, s * s, np.ones(1)))
    with mp.workdps(25):
        cuts = [0, *(w / mp.mpf(s) for w in (1, 3, 9) if w / s < 14), 14]
        expected = 2 * mp.quad(lambda z: mp.tanh(s * z) ** 2 * mp.npdf(z), cuts)
    assert good.all()
    assert float(value[0]) == pytest.approx(float(expected), rel=1e-13)


def test_kinks_are_left_to_the_composite_rule() -> None:
    _, _, good = smooth_pairs(known(apply("relu", U)), known(apply("tanh", U)), centred(1.0, 1.0, RHO))
    assert not good.any()


def test_a_bend_that_takes_too_many_nodes_is_left_to_the_composite_rule() -> None:
    sharp = apply("tanh", 1e4 * U)
    law = centred(1.0, 1.0, RHO)
    assert not smooth_pairs(known(sharp), known(sharp), law)[2].any()
    value, _ = pair_quadrature(sharp, sharp, 0.0, 0.0, 1.0, 1.0, RHO, {})
    np.testing.assert_allclose(value, 2 / math.pi * np.arcsin(RHO), atol=1e-3)


def test_an_estimate_that_is_large_is_not_accepted() -> None:
    """A waves-free description of a fast wave: the two rules differ, and the values are refused."""
    wave, features = function(apply("cos", 40 * U), {}), find_features(apply("tanh", U), {})
    _, error, good = smooth_pairs((wave, features), (wave, features), centred(1.0, 1.0, np.array([0.999])))
    assert not good.any() and (error > 1e-6).all()


@pytest.mark.parametrize("name", ["tanh", "elu", "relu"])
def test_hermite_factors_do_not_depend_on_the_neighbours(name: str) -> None:
    """Alone, together (nodes in common) and with a law of another mean (nodes of its own where there is a kink)."""
    q = np.array([0.3, 1.0, 2.5])
    together, norms, _ = hermite_factors(apply(name, U), np.zeros(3), q, 64, {})
    mixed, _, _ = hermite_factors(apply(name, U), np.array([0.0, 0.0, 0.0, 0.7]), np.array([*q, 1.0]), 64, {})
    for row in range(3):
        alone, norm, _ = hermite_factors(apply(name, U), 0.0, q[row], 64, {})
        np.testing.assert_allclose(together[row], alone[0], atol=1e-13)
        np.testing.assert_allclose(mixed[row], alone[0], atol=1e-13)
        assert norms[row] == pytest.approx(norm[0], rel=1e-13)
