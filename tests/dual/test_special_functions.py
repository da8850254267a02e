"""The functions around the normal distribution against their definitions in mpmath."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

from tensorprog.dual.distribution import bump, opening, orthant, standard, tail, wave_tail
from tensorprog.dual.special import Bump, Opening, Orthant, Standard, Tail, WaveTailIm, WaveTailRe
from tests.references import normal
from tests.references.normal_points import (
    BUMPS,
    ORTHANTS,
    SCALED_ORTHANTS,
    STANDARDS,
    TAILS,
    VARIANCES,
    WAVES,
    corner_distance,
    wave_rounding,
)

ANGLES = (0.0, 1e-12, 1e-3, 0.3, 0.99, 1.0, 1.01, 1.25, 1.26, math.pi / 2, 2.5, 3.14, math.pi)
DEVIATIONS = st.floats(-12, 12)
CORNERS = st.floats(1e-6, math.pi - 1e-6)


@pytest.mark.parametrize("point", STANDARDS)
def test_standard(point: tuple[float, float]) -> None:
    assert float(standard(*point)) == pytest.approx(float(normal.standard(*point)), rel=4e-16, abs=0)


@pytest.mark.parametrize("point", BUMPS)
def test_bump(point: tuple[float, float, float]) -> None:
    expected = normal.bump(*point)
    assert float(bump(*point)) == pytest.approx(float(expected), rel=1e-15 + 2e-16 * _depth(expected), abs=0)


@pytest.mark.parametrize("point", TAILS)
def test_tail(point: tuple[float, float]) -> None:
    expected = normal.tail(*point)
    assert float(tail(*point)) == pytest.approx(float(expected), rel=2e-15 + 2e-16 * _depth(expected), abs=0)


@pytest.mark.parametrize("theta", ANGLES)
def test_opening(theta: float) -> None:
    assert float(opening(theta)) == pytest.approx(float(normal.opening(theta)), rel=1.2e-15, abs=0)


@pytest.mark.parametrize("point", WAVES)
def test_wave_tail(point: tuple[float, float, float, float]) -> None:
    expected = complex(normal.wave_tail(*point))
    found = complex(*map(float, wave_tail(*point)))
    assert abs(found - expected) <= (5e-14 + wave_rounding(*point)) * abs(expected)


@pytest.mark.slow
@pytest.mark.parametrize("point", ORTHANTS)
def test_orthant(point: tuple[float, float, float]) -> None:
    assert float(orthant(0.0, *point)) == pytest.approx(float(normal.orthant(0.0, *point)), rel=0, abs=1e-15)


@pytest.mark.parametrize("point", ORTHANTS[::12])
def test_some_orthants(point: tuple[float, float, float]) -> None:
    test_orthant(point)


@pytest.mark.slow
@pytest.mark.parametrize("point", SCALED_ORTHANTS)
def test_scaled_orthant(point: tuple[float, float, float, float]) -> None:
    expected = float(normal.orthant(*point))
    bound = 4e-16 * (4 + corner_distance(*point[1:]) ** 2)
    assert float(orthant(*point)) == pytest.approx(expected, rel=bound, abs=1e-15)


@pytest.mark.parametrize("point", SCALED_ORTHANTS[::12])
def test_some_scaled_orthants(point: tuple[float, float, float, float]) -> None:
    test_scaled_orthant(point)


@given(DEVIATIONS, DEVIATIONS, CORNERS)
def test_orthants_are_symmetric(h: float, k: float, theta: float) -> None:
    assert orthant(0.0, h, k, theta) == orthant(0.0, k, h, theta)


@given(DEVIATIONS, DEVIATIONS, CORNERS)
def test_an_orthant_and_its_complement_are_a_half_plane(h: float, k: float, theta: float) -> None:
    both = orthant(0.0, h, k, theta) + orthant(0.0, h, -k, math.pi - theta)
    assert float(both) == pytest.approx(float(tail(0.0, h)), rel=0, abs=5e-15)


@given(DEVIATIONS, DEVIATIONS)
def test_orthants_at_the_ends(h: float, k: float) -> None:
    with mp.workdps(40):
        below = max(mp.mpf(0), normal.tail(0, h) + normal.tail(0, k) - 1)
    least = float(normal.tail(0.0, min(h, k)))
    assert float(orthant(0.0, h, k, 0.0)) == pytest.approx(least, rel=2e-15 + 2e-16 * _depth(least), abs=0)
    assert float(orthant(0.0, h, k, math.pi)) == pytest.approx(float(below), rel=0, abs=1e-15)
    assert float(orthant(0.0, h, k, math.pi / 2)) == pytest.approx(float(tail(0.0, h) * tail(0.0, k)), rel=0, abs=1e-15)


@given(DEVIATIONS, CORNERS, CORNERS)
def test_orthants_grow_with_the_correlation(h: float, first: float, second: float) -> None:
    narrow, wide = max(first, second), min(first, second)
    assert orthant(0.0, h, 0.5, narrow) <= orthant(0.0, h, 0.5, wide) + 1e-15


def test_orthants_of_points() -> None:
    assert orthant(0.0, 1e30, 1e30, 1.0) == 1.0
    assert orthant(0.0, -1e30, 1e30, 1.0) == orthant(5.0, -1e30, 0.3, 0.0) == 0.0
    for theta in (0.0, 1.0, 3.0, math.pi):
        assert orthant(0.0, 0.0, 0.0, theta) == (math.pi - theta) / (2 * math.pi)
        assert float(orthant(0.0, 1e30, 0.3, theta)) == pytest.approx(float(tail(0.0, 0.3)), rel=1e-15)


@pytest.mark.parametrize(("q1", "q2"), VARIANCES)
def test_scaled_orthants_of_parallel_vectors(q1: float, q2: float) -> None:
    """E[exp(u + v) 1{u < 0} 1{v < 0}] of v = au, a > 0, and of v = −au: that is 0."""
    a, b = math.sqrt(q1), math.sqrt(q2)
    along, against = 0.5 * (a + b) ** 2, 0.5 * (a - b) ** 2
    expected = float(normal.tail(along, -(a + b)))
    assert float(orthant(along, -(a + b), -(a + b), 0.0)) == pytest.approx(expected, rel=1e-15)
    assert float(orthant(against, b - a, a - b, math.pi)) == pytest.approx(0.0, abs=1e-15)


def test_arrays_are_broadcast() -> None:
    h, k = np.array([-1.0, 0.0, 2.0]), np.array([[0.5], [-3.0]])
    found = orthant(0.1, h, k, 1.0)
    assert found.shape == (2, 3)
    assert found[1, 2] == orthant(0.1, 2.0, -3.0, 1.0)


def test_exact_cases_are_simplified() -> None:
    e, h, theta = sp.symbols("e h theta")
    assert Standard(sp.Integer(0), h) == 0
    assert Bump(e, sp.Integer(0), h) == sp.exp(e)
    assert Tail(e, sp.Integer(0)) == sp.exp(e) / 2
    assert Orthant(e, 0, 0, theta) == sp.exp(e) * (sp.pi - theta) / (2 * sp.pi)
    assert Orthant(e, h, h, 0) == Tail(e, h)
    assert WaveTailRe(e, theta, h, 0) == sp.cos(theta) * Tail(e, h)
    assert WaveTailIm(e, 0, h, 0) == 0
    assert [Opening(angle) for angle in (sp.Integer(0), sp.pi / 2, sp.pi)] == [0, 1, sp.pi]


def _depth(value: object) -> float:
    """How far down a value is: an exponent of this size is rounded."""
    size = float(mp.log(mp.mpf(value))) if value != 0 else 0.0
    return abs(size)
