"""The special functions against mpmath, and their scalar source against numpy."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest

from tensorprog.dual.numeric import SPECIALS, angle, damped_sinh, determinant

LAWS = [
    (1.0, 1.0, 1 - 1e-16),
    (3.1e8, 1.7e-8, 0.3),
    (0.1, 0.3, -0.1),
    (2.0, 2.0, 2.0),
    (1.0, 4.0, -2.0),
    (0.0, 1.0, 0.0),
]
LAWS += [(0.7, 0.9, float(np.nextafter(math.sqrt(0.63), 0)))]


@pytest.mark.parametrize("law", LAWS)
def test_determinant_is_exact(law: tuple[float, float, float]) -> None:
    q1, q2, c = (Fraction(entry) for entry in law)
    exact = max(q1 * q2 - c * c, Fraction(0))
    assert float(determinant(*law)) == pytest.approx(float(exact), rel=4e-16)


@pytest.mark.parametrize("law", LAWS)
def test_angle(law: tuple[float, float, float]) -> None:
    with mp.workdps(60):
        q1, q2, c = (mp.mpf(entry) for entry in law)
        degenerate = q1 * q2 == 0
        expected = mp.pi / 2 if degenerate else mp.acos(max(-1, min(1, c / mp.sqrt(q1 * q2))))
    assert float(angle(*law)) == pytest.approx(float(expected), rel=1e-15)


def test_damped_sinh_is_stable_at_both_ends() -> None:
    for q, c in [(1e-8, 0.7e-8), (1e8, 1e8 * (1 - 1e-12)), (2.0, -1.5)]:
        with mp.workdps(60):
            expected = mp.exp(-mp.mpf(q)) * mp.sinh(mp.mpf(c))
        assert float(damped_sinh(q, q, c, 1.0)) == pytest.approx(float(expected), rel=1e-13)


def test_nan_stays_nan() -> None:
    for kind, function in SPECIALS.items():
        arguments = [np.array([math.nan])] * next(iter(kind.nargs))
        assert np.isnan(function(*arguments)).all(), kind
