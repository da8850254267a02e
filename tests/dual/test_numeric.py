"""The special functions against mpmath, and their scalar source against numpy."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import mpmath as mp
import numpy as np
import pytest

from tensorprog.dual.numeric import SOURCES, SPECIALS, angle, damped_sinh, determinant
from tensorprog.dual.special import Angle, Det

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


def fma(a: float, b: float, c: float) -> float:
    """Return a·b + c with one rounding."""
    return float(Fraction(a) * Fraction(b) + Fraction(c))


@pytest.mark.parametrize("kind", SOURCES)
def test_source_agrees_with_numpy(kind: type) -> None:
    for law in LAWS:
        names: dict[str, Any] = {"a": law[0], "b": law[1], "c": law[2], "s": 0.5, "math": math, "fma": fma}
        arguments = {1: ["a"], 2: ["c", "a"], 3: ["a", "b", "c"], 4: ["a", "b", "c", "s"]}[next(iter(kind.nargs))]
        values = [names[argument] for argument in arguments]
        if law[0] > 1e3 and len(values) == 1:
            continue
        if kind is Angle:
            names["d"] = float(SPECIALS[Det](*values))
            arguments = [*arguments, "d"]
        # The source is the project's own text, never a user's.
        actual = eval(SOURCES[kind].format(*arguments), names)
        assert actual == pytest.approx(float(SPECIALS[kind](*values)), rel=1e-14, abs=1e-300)


def test_nan_stays_nan() -> None:
    for kind, function in SPECIALS.items():
        arguments = [np.array([math.nan])] * next(iter(kind.nargs))
        assert np.isnan(function(*arguments)).all(), kind
