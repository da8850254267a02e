"""How the special functions are computed with numpy: their reference; `runtime` has them for compiled code.

They go by name here, so that to compute one takes no sympy; `dual.numeric` has them by their classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tensorprog.dual.distribution import bump, opening, orthant, product_error, standard, tail, wave_tail

__all__ = ["VALUES", "angle", "damped_cosh", "damped_exp", "damped_sinh", "determinant"]


def determinant(q1: Any, q2: Any, c: Any) -> Any:
    """Return q1·q2 − c², at least 0, to two ulp of the result, in float64; NaN stays."""
    first, second = np.asarray(q1, np.float64) * q2, np.asarray(c, np.float64) * c
    with np.errstate(over="ignore", invalid="ignore"):
        low = product_error(q1, q2, first) - product_error(c, c, second)
    return np.maximum((first - second) + np.where(np.isfinite(low), low, 0.0), 0.0)


def angle(q1: Any, q2: Any, c: Any) -> Any:
    """Return θ = atan2(√(q1·q2 − c²), c), π/2 if both vanish."""
    root = np.sqrt(determinant(q1, q2, c))
    return np.where((root == 0) & (np.asarray(c) == 0), np.pi / 2, np.arctan2(root, c))


def damped_sinh(q1: Any, q2: Any, c: Any, s: Any) -> Any:
    """Return exp(−s(q1 + q2)/2) sinh(s c) without cancellation, for |c| ≤ √(q1·q2)."""
    size = np.abs(c)
    return -0.5 * np.sign(c) * np.exp(-0.5 * s * ((q1 - size) + (q2 - size))) * np.expm1(-2 * s * size)


def damped_cosh(q1: Any, q2: Any, c: Any, s: Any) -> Any:
    """Return exp(−s(q1 + q2)/2) cosh(s c) without cancellation, for |c| ≤ √(q1·q2)."""
    size = np.abs(c)
    return 0.5 * np.exp(-0.5 * s * ((q1 - size) + (q2 - size))) * (1 + np.exp(-2 * s * size))


def damped_exp(q1: Any, q2: Any, c: Any, s: Any) -> Any:
    """Return exp(−s((q1 − c) + (q2 − c))/2), for |c| ≤ √(q1·q2)."""
    return np.exp(-0.5 * s * ((q1 - c) + (q2 - c)))


def _support(q: Any) -> Any:
    """Return 1 for q > 0, 0 for q = 0, NaN for NaN."""
    return np.where(np.isnan(q), q, np.asarray(q) > 0)


def _wave_tail_re(e: Any, j: Any, h: Any, k: Any) -> Any:
    return wave_tail(e, j, h, k)[0]


def _wave_tail_im(e: Any, j: Any, h: Any, k: Any) -> Any:
    return wave_tail(e, j, h, k)[1]


def _turn(y: Any, x: Any) -> Any:
    """Return the angle of the point (x, y), y ≥ 0, π/2 at the origin."""
    return np.where((np.asarray(y) == 0) & (np.asarray(x) == 0), np.pi / 2, np.arctan2(y, x))


def _arc(t: Any, c: Any, s: Any) -> Any:
    """Return arccos(1 − t), its supplement where c < 0, π/2 where s = 0; without cancellation for t near 0 and 2."""
    far = np.asarray(t) > 1
    near = np.maximum(np.where(far, 2.0 - t, t), 0.0)
    angle = 2 * np.arcsin(np.sqrt(0.5 * near))
    found = np.where(far != (np.asarray(c) < 0), np.pi - angle, angle)
    return np.where(np.asarray(s) == 0, np.pi / 2, found)


def _sine(square: Any) -> Any:
    """Return √s, 0 for s < 0."""
    return np.sqrt(np.maximum(square, 0.0))


def _versine(t: Any, c: Any) -> Any:
    """Return t where c ≥ 0, 2 − t where c < 0."""
    return np.where(np.asarray(c) < 0, 2.0 - t, t)


def _shortfall(a: Any, b: Any, c: Any) -> Any:
    """Return 1 − c/(a b), 1 where a or b is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.asarray(a * b) == 0, 1.0, 1.0 - c / (a * b))


def _share(a: Any, q: Any) -> Any:
    """Return √(a/q), 0 where a or q is not positive."""
    empty = (np.asarray(a) <= 0) | (np.asarray(q) <= 0)
    return np.sqrt(np.where(empty, 0.0, a) / np.where(empty, 1.0, q))


_NEAR = 2.0**-16


def _near(v: Any) -> Any:
    """Return 1 where v < 2⁻¹⁶, else 0; NaN stays."""
    return np.where(np.isnan(v), v, np.where(np.asarray(v) < _NEAR, 1.0, 0.0))


def _far(v: Any) -> Any:
    """Return 0 where v < 2⁻¹⁶, else v."""
    return np.where(np.asarray(v) < _NEAR, 0.0, v)


def _gap(a: Any, b: Any) -> Any:
    """Return (a − b)²/2."""
    return 0.5 * (np.asarray(a) - b) ** 2


def _near_determinant(q1: Any, q2: Any, c: Any, v: Any) -> Any:
    """Return q1·q2 − c², from the versine v where that is below 2⁻¹⁶."""
    exact = np.maximum(v, 0.0)
    return np.where(np.asarray(v) < _NEAR, q1 * q2 * exact * (2.0 - exact), determinant(q1, q2, c))


def _near_angle(q1: Any, q2: Any, c: Any, v: Any) -> Any:
    """Return atan2(√det, c), π/2 if both vanish."""
    return _turn(np.sqrt(_near_determinant(q1, q2, c, v)), c)


def _reciprocal(q: Any) -> Any:
    """Return 1/q, 0 for q = 0."""
    q = np.asarray(q, np.float64)
    return np.divide(1.0, q, out=np.zeros_like(q), where=q != 0)


def _snapped(m: Any, s: Any) -> Any:
    """Return m, 0 where |m| ≤ 8 ε s."""
    return np.where(np.abs(m) <= 8 * np.finfo(np.float64).eps * np.asarray(s), 0.0, m)


def _clipped(m: Any, s: Any) -> Any:
    """Return m within ±s."""
    return np.clip(m, -np.asarray(s), s)


def _either(s: Any, a: Any, b: Any) -> Any:
    """Return a where s > 0, else b."""
    return np.where(np.asarray(s) > 0, a, b)


VALUES: Mapping[str, Callable[..., Any]] = {
    "Det": determinant,
    "Angle": angle,
    "Support": _support,
    "Expm1": np.expm1,
    "Atan2": np.arctan2,
    "DampedSinh": damped_sinh,
    "DampedCosh": damped_cosh,
    "DampedExp": damped_exp,
    "Arc": _arc,
    "Sine": _sine,
    "Versine": _versine,
    "Shortfall": _shortfall,
    "Share": _share,
    "Either": _either,
    "Near": _near,
    "Far": _far,
    "Gap": _gap,
    "NearDet": _near_determinant,
    "NearAngle": _near_angle,
    "Opening": opening,
    "Reciprocal": _reciprocal,
    "Snapped": _snapped,
    "Clipped": _clipped,
    "Standard": standard,
    "Bump": bump,
    "Tail": tail,
    "Orthant": orthant,
    "WaveTailRe": _wave_tail_re,
    "WaveTailIm": _wave_tail_im,
}
"""What computes every special function, by the name of its class in `dual.special`."""
