"""Expectations of two Gaussians as iterated integrals in extended precision, for the tests of stated errors.

Nothing here is shared with the code under test, and nothing is known of the functions but their values: v is the outer
variable and u the inner one, panels come from bisection until the highest Legendre coefficients of a function on every
panel vanish, what bisection cannot resolve is a kink, the nodes are Gauss–Legendre of order 24 computed to 30 digits,
and all arithmetic is that of `numpy.longdouble` (eps 1e-19 where the machine has one).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath as mp
import numpy as np

__all__ = ["EXTENDED", "Unresolved", "expectation", "hermite", "mean", "moment"]

Real = np.longdouble
Curve = Callable[[Any], Any]

EXTENDED = np.finfo(np.longdouble).eps < 1e-18
"""Whether the machine has more than double precision."""

_REACH, _PANEL, _ORDER = 10.5, 1.5, 24
_FAR = 14.0
_MOST = 600  # panels to be halved at once
_LADDER = np.array([0.0, 0.5, 1.0, 1.75, 2.75, 4.0, 6.0] + [8.0 * 1.7**k for k in range(60)])
_SIDES = np.array([-0.9999, 0.9999])  # seen from the nodes, nearly the ends of a panel


class Unresolved(ArithmeticError):
    """A function waves too fast for panels."""


@dataclass(frozen=True, slots=True)
class _Cuts:
    """The ends of panels on which a function is smooth, and those of them that are kinks."""

    ends: Any
    kinks: Any


def moment(f: Curve, m: float, q: float) -> float:
    """Return E f(m + √q z)²."""
    mean, deviation = np.array([m], Real), np.array([_root(q)], Real)
    return float(_inner(lambda u: f(u) ** 2, _cuts(f, m, _reach(q)), mean, deviation)[0])


def mean(f: Curve, m: float, q: float) -> float:
    """Return E f(m + √q z)."""
    return float(hermite(f, m, q, 1)[0])


def hermite(f: Curve, m: float, q: float, degree: int) -> Any:
    """Return E[f(m + √q z) h_k(z)] for k < degree, h_k the normalized Hermite polynomials."""
    cuts, deviation = _cuts(f, m, _reach(q)), _root(q)
    ends = np.concatenate([(cuts.ends - Real(m)) / deviation, np.arange(-_FAR, _FAR + 0.5, 0.5, dtype=Real)])
    (z,), (weight,) = _rule(np.unique(np.clip(ends, -_FAR, _FAR))[None, :])
    weighted = weight * f(Real(m) + deviation * z)
    found, before, now = np.empty(degree), np.zeros_like(z), np.ones_like(z)
    for k in range(degree):
        found[k] = np.sum(weighted * now)
        before, now = now, (z * now - np.sqrt(Real(k)) * before) / np.sqrt(Real(k + 1))
    return found


def expectation(phi: Curve, psi: Curve, means: tuple[float, float], q1: float, q2: float, c: float) -> float:
    """Return E[φ(u) ψ(v)] for (u, v) ~ N(means, [[q1, c], [c, q2]]), q1, q2 > 0, the five numbers taken as exact."""
    with mp.workdps(40):
        exact = mp.mpf(q1) * mp.mpf(q2) - mp.mpf(c) ** 2
        rest = _real(mp.sqrt(max(exact, 0) / mp.mpf(q2)))
        slope = _real(mp.mpf(c) / mp.sqrt(mp.mpf(q2)) if exact > 0 else mp.sign(c) * mp.sqrt(mp.mpf(q1)))
    own, other, s2 = _cuts(phi, means[0], _reach(q1)), _cuts(psi, means[1], _reach(q2)), _root(q2)
    places = [(other.ends - Real(means[1])) / s2, np.arange(-_REACH, _REACH + _PANEL, _PANEL, dtype=Real)]
    if slope:
        images = (own.ends - Real(means[0])) / slope, (own.kinks - Real(means[0])) / slope
        steps = rest / abs(slope) * _LADDER
        places += [images[0], *(kink + sign * steps for kink in images[1] for sign in (-1, 1))]
    inside = np.concatenate(places)
    z, weight = _rule(np.unique(np.clip(inside, -_REACH, _REACH))[None, :])
    inner = _inner(phi, own, Real(means[0]) + slope * z[0], np.full(z.shape[1], rest))
    return float(np.sum(weight[0] * psi(Real(means[1]) + s2 * z[0]) * inner))


def _inner(value: Curve, cuts: _Cuts, mean: Any, deviation: Any) -> Any:
    """Return E value(mean + deviation y) for arrays of laws."""
    if not np.any(deviation):
        return value(mean)
    plain = np.arange(-_REACH, _REACH + _PANEL, _PANEL, dtype=Real)
    sums = []
    for start in range(0, len(mean), 64):
        part = slice(start, start + 64)
        spread = _REACH * deviation[part].max()
        near = cuts.ends[(cuts.ends >= mean[part].min() - spread) & (cuts.ends <= mean[part].max() + spread)]
        scaled = (near - mean[part, None]) / deviation[part, None]
        ends = np.hstack([np.broadcast_to(plain, (len(scaled), len(plain))), scaled])
        y, weight = _rule(np.sort(np.clip(ends, -_REACH, _REACH), axis=1))
        sums.append(np.sum(weight * value(mean[part, None] + deviation[part, None] * y), axis=1))
    return np.concatenate(sums)


@functools.lru_cache(512)
def _cuts(f: Curve, m: float, reach: float) -> _Cuts:
    """Return the panels of a function within m ± reach."""
    far = np.concatenate([np.arange(0, 12, 0.75), 12 * 1.25 ** np.arange(40)])
    start = np.unique(np.clip(np.concatenate([-far, far, [m - reach, m + reach]]), m - reach, m + reach)).astype(Real)
    ends = _bisect(f, start, 1e-17)
    (narrow,) = np.nonzero(np.diff(ends) < 1e-12)
    groups = [group for group in np.split(narrow, np.nonzero(np.diff(narrow) > 1)[0] + 1) if len(group)]
    kinks = [ends[group[np.argmin(ends[group + 1] - ends[group])]] for group in groups]
    kinks += [end for end in start if _breaks(f, end)]
    if groups:
        ends = _bisect(f, np.unique(np.array([*start, *kinks], Real)), 1e-9)
    return _Cuts(ends, np.array(kinks, Real))


def _bisect(f: Curve, ends: Any, least: float) -> Any:
    """Return the ends of panels on which f is resolved, or which are of the least width.

    Raises:
        Unresolved: there are too many.
    """
    low, high, done = ends[:-1], ends[1:], [ends[-1:]]
    size = np.abs(f(ends)).max() + np.abs(f((low + high) / 2)).max()
    while len(low):
        if len(low) > _MOST:
            raise Unresolved
        middle, half = (low + high) / 2, (high - low) / 2
        highest = np.abs(f(middle[:, None] + half[:, None] * _NODES) @ _HIGHEST).max(axis=1)
        good = (highest <= 1e-16 * size) & ~_breaks_at_ends(f, middle, half, 1e-14 * size)
        good |= half <= least * np.maximum(1, np.abs(middle))
        done.append(low[good])
        low, high = (np.concatenate(pair) for pair in ((low[~good], middle[~good]), (middle[~good], high[~good])))
    return np.sort(np.concatenate(done))


def _breaks_at_ends(f: Curve, middle: Any, half: Any, most: Any) -> Any:
    """Return whether close to the ends of panels f is not what the nodes, which are farther from them, tell."""
    told = f(middle[:, None] + half[:, None] * _NODES) @ _NEAR_ENDS
    return np.abs(told - f(middle[:, None] + half[:, None] * _SIDES)).max(axis=1) > most


def _breaks(f: Curve, place: Any) -> bool:
    """Return whether f is not resolved by one panel across a place."""
    return bool(np.abs(f(place + Real(1e-3) * _NODES) @ _HIGHEST).max() > 1e-17 * (1e-3 + np.abs(f(place))))


def _rule(edges: Any) -> tuple[Any, Any]:
    """Return nodes and weights of the standard normal law on the panels between edges (N, P + 1)."""
    half = np.diff(edges, axis=1)[:, :, None] / 2
    middle = (edges[:, 1:] + edges[:, :-1])[:, :, None] / 2
    z = (middle + half * _NODES).reshape(len(edges), -1)
    weight = (half * _WEIGHTS).reshape(len(edges), -1)
    return z, weight * np.exp(-z * z / 2) / np.sqrt(2 * _real(mp.pi))


def _real(number: Any) -> Any:
    """Return a number of mpmath in extended precision."""
    with mp.workdps(40):
        high = float(number)
        return Real(high) + Real(float(number - high))


def _root(q: float) -> Any:
    return np.sqrt(Real(q))


def _reach(q: float) -> float:
    return _FAR * float(_root(q))


def _legendre() -> tuple[Any, Any, Any, Any]:
    """Return the nodes of Gauss and Legendre in extended precision, by Newton's iteration, and what `_bisect` needs.

    The matrices take the values at the nodes to the three highest Legendre coefficients of the interpolant, and to its
    values at `_SIDES`.
    """
    nodes, weights, highest, sides = [], [], [], []
    with mp.workdps(30):
        for start in np.polynomial.legendre.leggauss(_ORDER)[0]:
            x = mp.mpf(float(start))
            for _ in range(4):
                slope = _ORDER * (x * mp.legendre(_ORDER, x) - mp.legendre(_ORDER - 1, x)) / (x * x - 1)
                x -= mp.legendre(_ORDER, x) / slope
            nodes.append(_real(x))
            weights.append(_real(2 / ((1 - x * x) * slope**2)))
            highest.append([_real((k + mp.mpf(1) / 2) * mp.legendre(k, x)) for k in range(_ORDER - 3, _ORDER)])
            sides.append([_real(_kernel(x, mp.mpf(float(side)))) for side in _SIDES])
    scaled = np.array(weights, Real)[:, None]
    return np.array(nodes, Real), scaled[:, 0], scaled * np.array(highest, Real), scaled * np.array(sides, Real)


def _kernel(x: Any, y: Any) -> Any:
    """Return Σ_k (k + ½) P_k(x) P_k(y) for k below the order."""
    return sum((k + mp.mpf(1) / 2) * mp.legendre(k, x) * mp.legendre(k, y) for k in range(_ORDER))


_NODES, _WEIGHTS, _HIGHEST, _NEAR_ENDS = _legendre()
