"""The special functions of compiled code against mpmath, at the ends where cancellation waits."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from numba import njit

from tensorprog.dual import numeric
from tensorprog.runtime import intrinsics

VARIANCES = (1e-8, 0.3, 1.0, 1e8)
CORRELATIONS = (-1.0, -1 + 1e-12, -0.5, 0.0, 1e-9, 0.5, 1 - 1e-12, 1.0)
LAWS = [(q1, q2, rho * np.sqrt(q1 * q2)) for q1 in VARIANCES for q2 in VARIANCES for rho in CORRELATIONS]


def _det(q1: float, q2: float, c: float) -> mpmath.mpf:
    return mpmath.mpf(q1) * q2 - mpmath.mpf(c) ** 2


@pytest.mark.parametrize("law", LAWS)
def test_det_is_right_to_rounding(law: tuple[float, float, float]) -> None:
    with mpmath.workdps(60):
        expected = max(float(_det(*law)), 0.0)
    assert intrinsics.det(*law) == pytest.approx(expected, rel=1e-15, abs=0)


@pytest.mark.parametrize("law", LAWS)
def test_angle_is_right_to_rounding(law: tuple[float, float, float]) -> None:
    with mpmath.workdps(60):
        expected = float(mpmath.atan2(mpmath.sqrt(max(_det(*law), mpmath.mpf(0))), law[2]))
    assert intrinsics.angle(*law) == pytest.approx(expected, rel=1e-15, abs=0)


def test_degenerate_laws() -> None:
    assert intrinsics.angle(0.0, 1.0, 0.0) == np.pi / 2
    assert (intrinsics.support(0.0), intrinsics.support(1e-300)) == (0.0, 1.0)
    assert np.isnan(intrinsics.support(np.nan))
    assert np.isnan(intrinsics.angle(np.nan, 1.0, 0.5))
    assert np.isnan(intrinsics.det(1.0, 1.0, np.nan))
    assert (intrinsics.sign(-2.0), intrinsics.sign(0.0), intrinsics.sign(3.0)) == (-1.0, 0.0, 1.0)


@pytest.mark.parametrize("name", ["damped_sinh", "damped_cosh", "damped_exp"])
@pytest.mark.parametrize("law", [law for law in LAWS if max(law) < 10])
def test_damped_functions_are_the_reference(name: str, law: tuple[float, float, float]) -> None:
    expected = getattr(numeric, name)(*law, 0.7)
    assert getattr(intrinsics, name)(*law, 0.7) == pytest.approx(float(expected), rel=1e-14, abs=1e-300)


def test_fma_rounds_once() -> None:
    a = 1.0 + 2.0**-30
    with mpmath.workdps(60):
        error = float(mpmath.mpf(a) * a - a * a)
    assert _fma(a, a, -(a * a)) == error != 0


def _fma(a: float, b: float, c: float) -> float:
    return njit(lambda x, y, z: intrinsics.fma(x, y, z))(a, b, c)
