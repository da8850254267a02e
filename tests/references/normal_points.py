"""Where the functions around the normal distribution are tested: the middle, the tails, the ends, exact zeros."""

from __future__ import annotations

import itertools
import math

__all__ = [
    "BUMPS",
    "ORTHANTS",
    "SCALED_ORTHANTS",
    "STANDARDS",
    "TAILS",
    "VARIANCES",
    "WAVES",
    "corner_distance",
    "wave_rounding",
]

STANDARDS = [
    (1.5, 2.0), (-3.0, 1e-300), (0.0, 1.0), (0.0, 0.0), (1.0, 0.0), (-1.0, 0.0), (1e-200, 1e-310), (1.0, 1e-70),
]  # fmt: skip

BUMPS = [
    (0.0, 1.0, 2.0), (-1.0, 0.0, 1.0), (2.0, 0.0, 0.0), (2.0, 1.0, 0.0), (700.0, 37.0, 0.97), (1e3, 1.4e3, 980.0),
    (5e4, -1e-3, 1e-11), (0.0, 1e-160, 1e-319), (0.3, -1e150, 1e300), (1.0, 1e-30, 1e-80), (-700.0, 1.0, 3.0),
]  # fmt: skip

TAILS = [
    *itertools.product((0.0, -3.0, 2.0), (-35.0, -7.0, -2.0, -0.4, -1e-9, 0.0, 1e-3, 1.0, 6.0, 40.0, 1e30)),
    (450.0, -30.0), (800.0, -40.0), (5e5, -1e3), (0.0, -1e30), (600.0, 1.0), (-600.0, 5.0),
]  # fmt: skip

WAVES = [
    *itertools.product((0.0, -1.0), (0.0, 2.0), (-8.0, -1.0, -1e-9, 0.5, 3.0), (-6.0, -0.3, 1e-8, 1.0, 4.7)),
    (-200.0, 3.0, -2.0, 20.0), (-800.0, 40.0, 0.0, 40.0), (300.0, -5.0, -25.0, 1.0), (-5e3, 0.1, 3.0, -100.0),
    (400.0, 900.0, -30.0, -30.0), (0.0, 0.0, -9.5, -1e-12), (-1.5e6, 0.3, -1e3, 2e3),
]  # fmt: skip

_PAIRS = [
    (0.0, 0.0), (-1e-9, 0.0), (0.0, -0.7), (0.4, -0.4), (-0.3, -0.3), (1.0, -0.2), (-1.0, 0.2), (2.0, 1.5),
    (-2.5, -1.0), (3.0, -2.9), (-3.0, 2.9), (-2.1, 1.9), (1e-7, 2.0), (-6.0, -5.5), (7.0, -6.5), (12.0, 0.1),
    (-40.0, 39.0), (40.0, -38.0), (-30.0, -30.0), (1.0, 1.0 + 1e-9), (-5.0, 5.0), (1e-3, -2e-3),
]  # fmt: skip
_ANGLES = [1e-12, 1e-5, 0.02, 0.4, 1.0, math.pi / 2, 2.2, 3.0, math.pi - 1e-5, math.pi - 1e-12]

ORTHANTS = [(h, k, theta) for h, k in _PAIRS for theta in _ANGLES]


def corner_distance(h: float, k: float, theta: float) -> float:
    """How far the corner of the orthant is, at most, from the middle of the law."""
    return math.hypot(0.5 * (h - k) / math.sin(theta / 2), 0.5 * (h + k) / math.cos(theta / 2))


def wave_rounding(e: float, j: float, h: float, k: float) -> float:
    """The relative error of exp(e + ij) Φ(h + ik) if its exponent and its phase j − hk are rounded."""
    exponent = e if h > 0 and h * h > k * k else e + 0.5 * (k * k - h * h)
    return 3e-16 * (abs(exponent) + abs(j - h * k) + abs(j))


def _scaled(q1: float, q2: float, rho: float) -> tuple[float, float, float, float]:
    """The orthant of E[exp(u + v) 1{u < 0} 1{v < 0}]."""
    c, theta = rho * math.sqrt(q1 * q2), math.acos(rho)
    return 0.5 * (q1 + q2 + 2 * c), -(q1 + c) / math.sqrt(q1), -(q2 + c) / math.sqrt(q2), theta


SCALED_ORTHANTS = [
    _scaled(q1, q2, rho)
    for q1, q2 in itertools.combinations_with_replacement((0.01, 1.0, 7.0, 60.0, 1e3), 2)
    for rho in (-1 + 1e-4, -0.9, -0.4, 0.0, 0.5, 0.99, 1 - 1e-9)
]
SCALED_ORTHANTS += [(1.5, 1.0, 2.0, 0.7), (-2.0, 0.5, -0.2, 2.5), (30.0, -7.0, 8.0, 1.0), (3.0, -2.0, 2.1, 1e-3)]

VARIANCES = [(0.01, 0.01), (2.0, 2.0), (1e3, 1e3), (0.3, 0.4), (7.0, 60.0), (1e3, 1e-3), (1e3, 999.0)]
