"""Expectations by composite Gauss–Legendre quadrature, for many laws at once, with an estimate of the error.

Two smooth functions are first tried with the trapezoidal rule (`dual.pairs.trapezoid`), which is cheaper.

The integration variables are standard normal: u = m1 + s1 z and v = m2 + s2 (ρ z + r y), r = √(1 − ρ²). The line is
cut at the kinks of the functions, and into panels that shrink geometrically towards the places where a function
bends quickly (near ρ = ±1 also towards the place where the other variable meets its kink), so that on every panel the
integrand is smooth on the panel's own scale. The error is the sum over the panels of the differences between two orders
of the rule, so that they cannot cancel, plus what rounding does to the sum and a bound on what lies outside the range.
Laws with a large error get finer panels; where these are more than can be afforded, the error is 4 √(E φ² E ψ²).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tensorprog.dual.pairs.conditional import Conditional, conditional
from tensorprog.dual.pairs.estimates import (
    COARSE,
    FINE,
    UNRESOLVED,
    Sums,
    deviation,
    judged,
    outside,
    point_sums,
    refined,
    summed,
)
from tensorprog.dual.pairs.features import Features, Function, find_features, function
from tensorprog.dual.pairs.octaves import Fit, Nodes, find_fit, octaves
from tensorprog.dual.pairs.panels import REACH, find_marks, find_panels, parts, reaches, rule, seen_through
from tensorprog.dual.pairs.trapezoid import smooth_pairs
from tensorprog.nonlin.expression import Expr

__all__ = ["pair_quadrature", "point_quadrature"]

Array = npt.NDArray[np.float64]

_PANEL = 2.0  # the widest panel
_BLOCK = 1 << 21  # how many integrand values are held at once
_MOST_NODES = 1 << 27  # of one law; 2 seconds
_HARDEST = 2e-13  # an error, relative to √(E f²), with which laws are not interpolated


def point_quadrature(f: Expr, m: Any, q: Any, symbols: Mapping[str, Any]) -> tuple[Array, Array]:
    """Return E f(m + √q z) and an estimate of its error, for arrays of laws of one shape.

    For many laws of one mean they are interpolated in log q (`dual.pairs.octaves`).
    """
    m, q = np.broadcast_arrays(np.asarray(m, np.float64), np.asarray(q, np.float64))
    m, q, shape = m.ravel(), q.ravel(), m.shape
    values, errors, apart = np.empty(m.size), np.empty(m.size), np.full(m.size, True)
    for exponent, rows in octaves(m, q):
        fit = _fit(f, tuple(sorted(symbols.items())), float(m[0]), exponent)
        if fit is not None:
            values[rows], scale = fit.at(q[rows]).T
            errors[rows], apart[rows] = fit.error * scale, False
    value, features = function(f, symbols), find_features(f, symbols)
    (rows,) = np.nonzero(apart)
    blocks = [_point(value, features, m[rows[part]], np.sqrt(q[rows[part]])) for part in parts(len(rows), 1 << 12)]
    values[rows], errors[rows] = _assembled(blocks, rows.shape)
    return values.reshape(shape), errors.reshape(shape)


@functools.lru_cache(256)
def _fit(f: Expr, symbols: tuple[tuple[str, Any], ...], m: float, exponent: int) -> Fit | None:
    """Return E f and √(E f²) as functions of q."""
    value, features = function(f, dict(symbols)), find_features(f, dict(symbols))

    def nodes(q: Array) -> Nodes:
        means, roots = np.full(len(q), m), np.sqrt(q)
        found, errors = _point(value, features, means, roots)
        scale = deviation(value, means, roots, find_panels(find_marks(features, means, roots, _PANEL), REACH))
        return Nodes(np.column_stack([found, scale]), errors, scale)

    return find_fit(exponent, nodes, _HARDEST)


def pair_quadrature(
    phi: Expr, psi: Expr, m1: Any, m2: Any, q1: Any, q2: Any, c: Any, symbols: Mapping[str, Any]
) -> tuple[Array, Array]:
    """Return E[φ(u) ψ(v)] and an estimate of its error, for arrays of laws (u, v) ~ N((m1, m2), [[q1, c], [c, q2]])."""
    arrays = np.broadcast_arrays(*(np.asarray(entry, np.float64) for entry in (m1, m2, q1, q2, c)))
    first = function(phi, symbols), find_features(phi, symbols)
    second = function(psi, symbols), find_features(psi, symbols)
    rows = [array.ravel() for array in arrays]
    blocks = [_pair(first, second, *(row[part] for row in rows)) for part in parts(rows[0].size, 1 << 14)]
    return _assembled(blocks, arrays[0].shape)


def _assembled(blocks: list[tuple[Array, Array]], shape: tuple[int, ...]) -> tuple[Array, Array]:
    if not blocks:
        return np.zeros(shape), np.zeros(shape)
    values, errors = (np.concatenate(columns) for columns in zip(*blocks, strict=True))
    return values.reshape(shape), errors.reshape(shape)


def _point(value: Function, features: Features, m: Array, s: Array) -> tuple[Array, Array]:
    def attempt(rows: npt.NDArray[np.int64], fineness: float) -> tuple[Array, Array, Array]:
        edges = find_panels(find_marks(features, m[rows], s[rows], _PANEL), REACH, fineness)
        fine, coarse = (point_sums(value, m[rows], s[rows], edges, order) for order in (FINE, COARSE))
        scale = deviation(value, m[rows], s[rows], edges)
        return *judged(fine, coarse, np.where(reaches(edges), 0.0, UNRESOLVED * scale)), scale

    result, error = refined(attempt, len(m), 1 << 10)
    return np.where(s == 0, value(m), result), np.where(s == 0, 0.0, error + outside(value, m, s))


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
    (left,) = np.nonzero(~good)
    value[left], error[left] = refined(
        lambda rows, fineness: _composite(first, second, law.rows(left[rows]), fineness), len(left), 64
    )
    beyond = outside(first[0], m1, law.s1) * (np.abs(second[0](m2)) + np.abs(second[0](m2 + law.s2)))
    return value, error + beyond


def _composite(
    first: tuple[Function, Features], second: tuple[Function, Features], law: Conditional, fineness: float
) -> tuple[Array, Array, Array]:
    """Return values, errors, and √(E φ² E ψ²)."""
    own, other = find_marks(first[1], law.m1, law.s1, _PANEL), find_marks(second[1], law.m2, law.s2, _PANEL)
    scale = deviation(first[0], law.m1, law.s1, find_panels(own, REACH))
    scale = scale * deviation(second[0], law.m2, law.s2, find_panels(other, REACH))
    edges = find_panels(own.joined(seen_through(second[1], law, _PANEL)), REACH, fineness)
    across = find_panels(find_marks(second[1], law.m2, law.s2 * law.rest, _PANEL), REACH, fineness)
    if edges.shape[1] * across.shape[1] * FINE**2 > _MOST_NODES:
        return np.zeros(len(scale)), UNRESOLVED * scale, scale
    fine, coarse = (_pair_sums(first[0], second, law, edges, order, fineness) for order in (FINE, COARSE))
    return *judged(fine, coarse, np.where(reaches(edges), 0.0, UNRESOLVED * scale)), scale


def _pair_sums(
    phi: Function, second: tuple[Function, Features], law: Conditional, edges: Array, order: int, fineness: float
) -> Sums:
    """Return Σ_z weight φ(u) E[ψ(v) | z], a few laws at a time."""
    z, weight = rule(edges, order)
    mean = law.m2[:, None] + (law.s2 * law.rho)[:, None] * z
    deviation = np.broadcast_to((law.s2 * law.rest)[:, None], z.shape)
    inner = _inner(second, mean.ravel(), deviation.ravel(), order, fineness).reshape(z.shape)
    with np.errstate(over="ignore", invalid="ignore"):
        return summed(weight * phi(law.m1[:, None] + law.s1[:, None] * z) * inner, order)


def _inner(second: tuple[Function, Features], mean: Array, deviation: Array, order: int, fineness: float) -> Array:
    """Return E_y ψ(mean + deviation y), a few at a time."""
    psi, features = second
    sums: list[Array] = []
    rows = 1 << 12
    for part in parts(len(mean), rows):
        edges = find_panels(find_marks(features, mean[part], deviation[part], _PANEL), REACH, fineness)
        few = max(1, _BLOCK // (edges.shape[1] * order))
        for piece in parts(len(edges), few):
            law = mean[part][piece], deviation[part][piece]
            sums.append(point_sums(psi, *law, edges[piece], order).panels.sum(axis=1))
    return np.concatenate(sums)
