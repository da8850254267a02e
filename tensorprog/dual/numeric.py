"""How the special functions are computed: with numpy, for reference, and as scalar source for generated code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import sympy as sp

from tensorprog.dual.special import Angle, Atan2, DampedCosh, DampedExp, DampedSinh, Det, Expm1, Support

__all__ = ["SOURCES", "SPECIALS", "angle", "damped_cosh", "damped_exp", "damped_sinh", "determinant"]

_SPLITTER = 134217729.0  # 2^27 + 1


def _split(a: Any) -> tuple[Any, Any]:
    """Return the upper and lower half of the mantissa (Veltkamp)."""
    scaled = _SPLITTER * a
    high = scaled - (scaled - a)
    return high, a - high


def _product_error(a: Any, b: Any, product: Any) -> Any:
    """Return a·b − product, exactly (Dekker)."""
    a_high, a_low = _split(a)
    b_high, b_low = _split(b)
    return ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def determinant(q1: Any, q2: Any, c: Any) -> Any:
    """Return q1·q2 − c², at least 0, to two ulp of the result, in float64; NaN stays."""
    first, second = np.asarray(q1, np.float64) * q2, np.asarray(c, np.float64) * c
    with np.errstate(over="ignore", invalid="ignore"):
        low = _product_error(q1, q2, first) - _product_error(c, c, second)
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


SPECIALS: Mapping[type[sp.Function], Callable[..., Any]] = {
    Det: determinant,
    Angle: angle,
    Support: _support,
    Expm1: np.expm1,
    Atan2: np.arctan2,
    DampedSinh: damped_sinh,
    DampedCosh: damped_cosh,
    DampedExp: damped_exp,
}

# Scalar Python; the arguments are names (they occur several times). `fma(a, b, c)` is the fused a·b + c, and `{3}` in
# the source of Angle is Det of the same arguments.
SOURCES: Mapping[type[sp.Function], str] = {
    Det: "max(({0} * {1} - {2} * {2}) + (fma({0}, {1}, -({0} * {1})) - fma({2}, {2}, -({2} * {2}))), 0.0)",
    Angle: "(math.atan2(math.sqrt({3}), {2}) if {3} != 0.0 or {2} != 0.0 else 1.5707963267948966)",
    Support: "(1.0 if {0} > 0.0 else 0.0 * {0})",
    Expm1: "math.expm1({0})",
    Atan2: "math.atan2({0}, {1})",
    DampedSinh: "(math.copysign(0.5, -{2}) * math.exp(-0.5 * {3} * (({0} - abs({2})) + ({1} - abs({2}))))"
    " * math.expm1(-2.0 * {3} * abs({2})))",
    DampedCosh: "(0.5 * math.exp(-0.5 * {3} * (({0} - abs({2})) + ({1} - abs({2}))))"
    " * (1.0 + math.exp(-2.0 * {3} * abs({2}))))",
    DampedExp: "math.exp(-0.5 * {3} * (({0} - {2}) + ({1} - {2})))",
}
