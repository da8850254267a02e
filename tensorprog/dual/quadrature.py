"""Expectations by composite Gauss–Legendre quadrature, for many laws at once, with an estimate of the error.

Two smooth functions are first tried with the trapezoidal rule (`dual.trapezoid`), which is cheaper.

The integration variables are standard normal: u = m1 + s1 z and v = m2 + s2 (ρ z + r y), r = √(1 − ρ²). The line is
cut at the kinks of the functions, and into panels that shrink geometrically towards the places where a function
bends quickly (near ρ = ±1 also towards the place where the other variable meets its kink), so that on every panel the
integrand is smooth on the panel's own scale. The error is the difference of two orders of the rule, plus a bound on
what lies outside the range.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tensorprog.dual.conditional import Conditional, conditional
from tensorprog.dual.features import Features, find_features, function
from tensorprog.dual.trapezoid import smooth_pairs
from tensorprog.nonlin.expression import Expr

__all__ = ["hermite_factors", "pair_quadrature", "point_quadrature"]

Array = npt.NDArray[np.float64]
Function = Callable[[Array], Array]

_REACH, _HERMITE_REACH = 9.5, 13.0  # in standard deviations
_PANEL, _HERMITE_PANEL = 2.0, 0.8  # the widest panels
_FINE, _COARSE, _HERMITE_ORDER = 14, 10, 20
_MOST_PANELS = 1200
_BLOCK = 1 << 21  # how many integrand values are held at once


@dataclass(frozen=True, slots=True)
class _Marks:
    """Features in the integration variable, one row per law: kinks, centres with widths, and the widest panel."""

    kinks: Array
    centres: Array
    widths: Array
    panel: Array

    def joined(self, other: _Marks) -> _Marks:
        """Return both together."""
        return _Marks(
            np.hstack([self.kinks, other.kinks]),
            np.hstack([self.centres, other.centres]),
            np.hstack([self.widths, other.widths]),
            np.minimum(self.panel, other.panel),
        )


def point_quadrature(f: Expr, m: Any, q: Any, symbols: Mapping[str, Any]) -> tuple[Array, Array]:
    """Return E f(m + √q z) and an estimate of its error, for arrays of laws of one shape."""
    m, q = np.broadcast_arrays(np.asarray(m, np.float64), np.asarray(q, np.float64))
    value, features = function(f, symbols), find_features(f, symbols)
    blocks = [_point(value, features, m.ravel()[part], np.sqrt(q.ravel()[part])) for part in _parts(m.size, 1 << 12)]
    return _assembled(blocks, m.shape)


def pair_quadrature(
    phi: Expr, psi: Expr, m1: Any, m2: Any, q1: Any, q2: Any, c: Any, symbols: Mapping[str, Any]
) -> tuple[Array, Array]:
    """Return E[φ(u) ψ(v)] and an estimate of its error, for arrays of laws (u, v) ~ N((m1, m2), [[q1, c], [c, q2]])."""
    arrays = np.broadcast_arrays(*(np.asarray(entry, np.float64) for entry in (m1, m2, q1, q2, c)))
    first = function(phi, symbols), find_features(phi, symbols)
    second = function(psi, symbols), find_features(psi, symbols)
    rows = [array.ravel() for array in arrays]
    blocks = [_pair(first, second, *(row[part] for row in rows)) for part in _parts(rows[0].size, 1 << 14)]
    return _assembled(blocks, arrays[0].shape)


def hermite_factors(f: Expr, m: Any, q: Any, degree: int, symbols: Mapping[str, Any]) -> tuple[Array, Array]:
    """Return a[i, k] = E[f(mᵢ + √qᵢ z) h_k(z)] for k < degree, and E f², for laws m, q of shape (N,).

    h_k are the normalized Hermite polynomials. By Parseval, for another function with factors b and correlation ρ,
    |Σ_{k≥K} a_k b_k ρᵏ| ≤ |ρ|^K √((E f² − Σ_{k<K} a_k²)(E g² − Σ_{k<K} b_k²)).
    """
    m, q = np.broadcast_arrays(np.atleast_1d(np.asarray(m, np.float64)), np.atleast_1d(np.asarray(q, np.float64)))
    value, features = function(f, symbols), find_features(f, symbols)
    factors, norms = np.empty((m.size, degree)), np.empty(m.size)
    for part in _parts(m.size, 256):
        factors[part], norms[part] = _hermite(value, features, m[part], np.sqrt(q[part]), degree)
    return factors, norms


def _parts(size: int, length: int) -> list[slice]:
    return [slice(start, min(start + length, size)) for start in range(0, size, length)]


def _assembled(blocks: list[tuple[Array, Array]], shape: tuple[int, ...]) -> tuple[Array, Array]:
    if not blocks:
        return np.zeros(shape), np.zeros(shape)
    values, errors = (np.concatenate(columns) for columns in zip(*blocks, strict=True))
    return values.reshape(shape), errors.reshape(shape)


@functools.cache
def _legendre(order: int) -> tuple[Array, Array]:
    nodes, weights = np.polynomial.legendre.leggauss(order)
    return nodes, weights


def _marks(features: Features, m: Array, s: Array, widest: float) -> _Marks:
    """Return the features of u ↦ f(u) in terms of z, u = m + s z."""
    scale = np.maximum(s, 1e-300)[:, None]
    with np.errstate(over="ignore"):
        waves = 4 / np.maximum(features.frequency * s, 1e-300)
        kinks, centres = (features.kinks - m[:, None]) / scale, (features.centres - m[:, None]) / scale
        return _Marks(kinks, centres, features.widths / scale, np.clip(waves, 2 * _REACH / 800, widest))


def _edges(marks: _Marks, reach: float) -> Array:
    """Return the ends of the panels, (N, P + 1): each panel is no wider than its distance to any centre, or its width.

    Ahead of a centre panels halve, behind it they double. Rows with fewer panels end in panels of no width.
    """
    position = np.full(len(marks.panel), -reach)
    edges = [position]
    while len(edges) < _MOST_PANELS and (position < reach).any():
        position = np.minimum(_next_edge(marks, position), reach)
        edges.append(position)
    edges.append(np.full_like(position, reach))
    return np.stack(edges, axis=1)


def _next_edge(marks: _Marks, position: Array) -> Array:
    here = position[:, None]
    distance = marks.centres - here
    allowed = np.maximum(marks.widths, np.where(distance > 0, 0.5 * distance, -distance))
    step = np.minimum(marks.panel, allowed.min(axis=1, initial=np.inf))
    ahead = np.where(marks.kinks > here, marks.kinks, np.inf).min(axis=1, initial=np.inf)
    return np.minimum(position + step, np.maximum(ahead, position + 1e-14))


def _rule(edges: Array, order: int) -> tuple[Array, Array]:
    """Return nodes and weights of the standard normal law on the panels, (N, P·order)."""
    nodes, weights = _legendre(order)
    half = 0.5 * np.diff(edges, axis=1)[:, :, None]
    middle = 0.5 * (edges[:, 1:] + edges[:, :-1])[:, :, None]
    z = (middle + half * nodes).reshape(len(edges), -1)
    weight = (half * weights).reshape(len(edges), -1)
    return z, weight * np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)


def _point(value: Function, features: Features, m: Array, s: Array) -> tuple[Array, Array]:
    edges = _edges(_marks(features, m, s, _PANEL), _REACH)
    fine, coarse = (_point_sum(value, m, s, edges, order) for order in (_FINE, _COARSE))
    result = np.where(s == 0, value(m), fine)
    return result, np.where(s == 0, 0.0, np.abs(fine - coarse) + _outside(value, m, s))


def _point_sum(value: Function, m: Array, s: Array, edges: Array, order: int) -> Array:
    z, weight = _rule(edges, order)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.sum(weight * value(m[:, None] + s[:, None] * z), axis=1)


def _outside(value: Function, m: Array, s: Array) -> Array:
    """Return about what the tails beyond the range contribute."""
    ends = np.abs(value(m - _REACH * s)) + np.abs(value(m + _REACH * s))
    return ends * math.exp(-0.5 * _REACH**2) / math.sqrt(2 * math.pi)


def _pair(
    first: tuple[Function, Features],
    second: tuple[Function, Features],
    m1: Array,
    m2: Array,
    q1: Array,
    q2: Array,
    c: Array,
) -> tuple[Array, Array]:
    law = conditional(m1, m2, q1, q2, c)
    value, error, good = smooth_pairs(first, second, law)
    for part in _parts(int(np.sum(~good)), 64):
        where = np.flatnonzero(~good)[part]
        value[where], error[where] = _composite(first, second, law.rows(where))
    outside = _outside(first[0], m1, law.s1) * (np.abs(second[0](m2)) + np.abs(second[0](m2 + law.s2)))
    return value, error + outside


def _composite(
    first: tuple[Function, Features], second: tuple[Function, Features], law: Conditional
) -> tuple[Array, Array]:
    seen = _seen_through(second[1], law.m2, law.s2, law.rho, law.rest)
    edges = _edges(_marks(first[1], law.m1, law.s1, _PANEL).joined(seen), _REACH)
    fine, coarse = (_pair_sum(first[0], second, law, edges, order) for order in (_FINE, _COARSE))
    return fine, np.abs(fine - coarse)


def _seen_through(features: Features, m2: Array, s2: Array, rho: Array, rest: Array) -> _Marks:
    """Return the features of z ↦ E_y ψ(m2 + s2 (ρ z + r y)): the kinks of ψ are smoothed to the width r/ρ."""
    size = np.abs(rho)
    slope = np.where(size < 1e-8, 1e-8, rho)
    marks = _marks(features, m2, s2 * slope, _PANEL) if (slope > 0).all() else _signed(features, m2, s2, slope)
    blur = np.maximum(rest / np.maximum(size, 1e-8), 1e-12)[:, None]
    smoothed = np.broadcast_to(blur, marks.kinks.shape)
    return _Marks(
        marks.kinks, np.hstack([marks.centres, marks.kinks]), np.hstack([marks.widths, smoothed]), marks.panel
    )


def _signed(features: Features, m2: Array, s2: Array, slope: Array) -> _Marks:
    """Return the marks for a slope of either sign."""
    marks = _marks(features, m2, s2 * np.abs(slope), _PANEL)
    sign = np.sign(slope)[:, None]
    return _Marks(sign * marks.kinks, sign * marks.centres, marks.widths, marks.panel)


def _pair_sum(
    phi: Function,
    second: tuple[Function, Features],
    law: Conditional,
    edges: Array,
    order: int,
) -> Array:
    """Return Σ_z weight φ(u) E[ψ(v) | z], a few laws at a time."""
    z, weight = _rule(edges, order)
    rows = max(1, _BLOCK // (z.shape[1] * 16 * order))
    sums = []
    for part in _parts(len(z), rows):
        inner = _inner(second, law.rows(part), z[part], order)
        with np.errstate(over="ignore", invalid="ignore"):
            values = phi(law.m1[part, None] + law.s1[part, None] * z[part])
            sums.append(np.sum(weight[part] * values * inner, axis=1))
    return np.concatenate(sums)


def _inner(second: tuple[Function, Features], law: Conditional, z: Array, order: int) -> Array:
    """Return E_y ψ(m2 + s2 (ρ z + r y)) for every z."""
    psi, features = second
    mean = (law.m2[:, None] + (law.s2 * law.rho)[:, None] * z).ravel()
    deviation = np.repeat(law.s2 * law.rest, z.shape[1])
    edges = _edges(_marks(features, mean, deviation, _PANEL), _REACH)
    return _point_sum(psi, mean, deviation, edges, order).reshape(z.shape)


def _hermite(value: Function, features: Features, m: Array, s: Array, degree: int) -> tuple[Array, Array]:
    shared = _shared_marks(_marks(features, m, s, _HERMITE_PANEL))
    if shared is None:
        return _hermite_apart(value, features, m, s, degree)
    z, weight, polynomials = _hermite_table(shared, degree)
    with np.errstate(over="ignore", invalid="ignore"):
        values = value(m[:, None] + s[:, None] * z)
        return values @ polynomials, values**2 @ weight


def _shared_marks(marks: _Marks) -> tuple[tuple[float, ...], tuple[tuple[float, float], ...], float] | None:
    """Return kinks, centres with widths, and the widest panel that serve all laws, None if there are none.

    The laws must agree in the places of the kinks, and in those of the centres within the widths. Widths and panels are
    rounded down to powers of two, so that the nodes of a law seldom depend on its neighbours.
    """
    widths = np.exp2(np.floor(np.log2(marks.widths.min(axis=0))))
    low, high = marks.centres.min(axis=0), marks.centres.max(axis=0)
    if (np.ptp(marks.kinks, axis=0) > 0).any() or (high - low > widths).any():
        return None
    centres = sorted({(place, width) for ends in (low, high) for place, width in zip(ends, widths, strict=True)})
    panel = _HERMITE_PANEL * 2.0 ** math.floor(math.log2(float(marks.panel.min()) / _HERMITE_PANEL))
    return tuple(marks.kinks[0].tolist()), tuple(centres), panel


@functools.lru_cache(8)
def _hermite_table(
    shared: tuple[tuple[float, ...], tuple[tuple[float, float], ...], float], degree: int
) -> tuple[Array, Array, Array]:
    """Return nodes and weights, and the weighted values (nodes, degree) of the Hermite polynomials there."""
    kinks, bends, panel = shared
    centres, widths = (np.array([[bend[entry] for bend in bends]]) for entry in (0, 1))
    edges = _edges(_Marks(np.array([kinks]), centres, widths, np.array([panel])), _HERMITE_REACH)
    (z,), (weight,) = _rule(edges, _HERMITE_ORDER)
    table = np.empty((len(z), degree))
    for k, polynomial in enumerate(_hermite_polynomials(z, degree)):
        table[:, k] = weight * polynomial
    return z, weight, table


def _hermite_polynomials(z: Array, degree: int) -> Iterator[Array]:
    """Yield the normalized Hermite polynomials below a degree."""
    before, now = np.zeros_like(z), np.ones_like(z)
    for k in range(degree):
        yield now
        before, now = now, (z * now - math.sqrt(k) * before) / math.sqrt(k + 1)


def _hermite_apart(value: Function, features: Features, m: Array, s: Array, degree: int) -> tuple[Array, Array]:
    """Return the factors with nodes for every law, a few laws at a time."""
    factors, norms = np.empty((len(m), degree)), np.empty(len(m))
    for part in _parts(len(m), 16):
        z, weight = _rule(_edges(_marks(features, m[part], s[part], _HERMITE_PANEL), _HERMITE_REACH), _HERMITE_ORDER)
        with np.errstate(over="ignore", invalid="ignore"):
            values = value(m[part, None] + s[part, None] * z)
        norms[part] = np.sum(weight * values * values, axis=1)
        for k, polynomial in enumerate(_hermite_polynomials(z, degree)):
            factors[part, k] = np.sum(weight * values * polynomial, axis=1)
    return factors, norms
