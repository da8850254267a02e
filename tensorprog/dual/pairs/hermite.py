"""Hermite coefficients of functions under many normal laws, with an estimate of their error.

a_k = E[f(m + √q z) h_k(z)], h_k the normalized Hermite polynomials. By Parseval, for another function with coefficients
b and correlation ρ, |Σ_{k≥K} a_k b_k ρᵏ| ≤ |ρ|^K √((E f² − Σ_{k<K} a_k²)(E g² − Σ_{k<K} b_k²)).

The integrals are composite Gauss–Legendre rules. Their error is judged by the highest Legendre coefficients of f on the
panels: if p is what the lower ones leave of f, then Σ_k δa_k² ≤ E p². Laws with a large error get finer panels. For
many laws of one mean they are interpolated in log q (`dual.pairs.octaves`).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tensorprog.dual.pairs.features import Features, Function, find_features, function
from tensorprog.dual.pairs.octaves import Fit, Nodes, find_fit, octaves
from tensorprog.dual.pairs.panels import Marks, find_marks, find_panels, parts, reaches, rule
from tensorprog.nonlin.expression import Expr

__all__ = ["HermiteFactors", "find_hermite_factors", "hermite_factors"]

Array = npt.NDArray[np.float64]
Shared = tuple[tuple[float, ...], tuple[tuple[float, float], ...], float]

_REACH = 13.0  # in standard deviations
_PANEL, _MOST_PANELS = 0.8, 1200  # the widest panel
_ORDER = 20
_WATCHED = 3  # how many of the highest Legendre coefficients tell the error
_FINENESS = (1.0, 2.0, 4.0)
_TOLERANCE = 1e-14  # an error, relative to √(E f²), for which panels are not made finer
_HOPELESS = 0.1  # the same for which they would not help
_ROUNDING = 8e-15  # in all coefficients together, relative to √(E f²)
_HARDEST = 2e-14  # an error, relative to √(E f²), with which laws are not interpolated


@dataclass(frozen=True, slots=True)
class HermiteFactors:
    """Hermite coefficients of a function under N laws.

    Attributes:
        coefficients: a[i, k] = E[f(mᵢ + √qᵢ z) h_k(z)], (N, degree).
        norms: E f(mᵢ + √qᵢ z)² = Σ_k a[i, k]², (N,).
        mirrored: E f(mᵢ + √qᵢ z) f(mᵢ − √qᵢ z) = Σ_k (−1)ᵏ a[i, k]², (N,); NaN where it is not known.
        errors: bounds of √(Σ_k δa_k²), (N,).
    """

    coefficients: Array
    norms: Array
    mirrored: Array
    errors: Array

    @staticmethod
    def empty(count: int, degree: int) -> HermiteFactors:
        """Return factors that are not known yet."""
        unknown = np.full(count, np.nan)
        return HermiteFactors(np.full((count, degree), np.nan), unknown, unknown.copy(), np.full(count, np.inf))

    def put(self, rows: Any, found: HermiteFactors) -> None:
        """Set the factors of some of the laws."""
        self.coefficients[rows], self.norms[rows] = found.coefficients, found.norms
        self.mirrored[rows], self.errors[rows] = found.mirrored, found.errors


def hermite_factors(f: Expr, m: Any, q: Any, degree: int, symbols: Mapping[str, Any]) -> tuple[Array, Array, Array]:
    """Return a[i, k] = E[f(mᵢ + √qᵢ z) h_k(z)] for k < degree, E f², and bounds of √(Σ_k δa_k²), for laws (N,)."""
    found = find_hermite_factors(f, m, q, degree, symbols)
    return found.coefficients, found.norms, found.errors


def find_hermite_factors(f: Expr, m: Any, q: Any, degree: int, symbols: Mapping[str, Any]) -> HermiteFactors:
    """Return the Hermite factors of f under the laws N(mᵢ, qᵢ), (N,)."""
    m, q = np.broadcast_arrays(np.atleast_1d(np.asarray(m, np.float64)), np.atleast_1d(np.asarray(q, np.float64)))
    factors, apart = HermiteFactors.empty(m.size, degree), np.full(m.size, True)
    for exponent, rows in octaves(m, q):
        fit = _fit(f, tuple(sorted(symbols.items())), float(m[0]), degree, exponent)
        if fit is not None:
            factors.put(rows, _interpolated(fit, q[rows]))
            apart[rows] = False
    (rows,) = np.nonzero(apart)
    if rows.size:
        factors.put(rows, _integrated(f, m[rows], q[rows], degree, symbols))
    return factors


@functools.lru_cache(256)
def _fit(f: Expr, symbols: tuple[tuple[str, Any], ...], m: float, degree: int, exponent: int) -> Fit | None:
    """Return coefficients, E f² and E f(m + s z) f(m − s z), one after another, as functions of q."""

    def nodes(q: Array) -> Nodes:
        found = _integrated(f, np.full(len(q), m), q, degree, dict(symbols))
        values = np.column_stack([found.coefficients, found.norms, found.mirrored])
        return Nodes(values, found.errors, np.sqrt(found.norms))

    return find_fit(exponent, nodes, _HARDEST)


def _interpolated(fit: Fit, q: Array) -> HermiteFactors:
    values = fit.at(q)
    coefficients, norms, mirrored = values[:, :-2], values[:, -2], values[:, -1]
    return HermiteFactors(coefficients, norms, mirrored, fit.error * np.sqrt(norms))


def _integrated(f: Expr, m: Array, q: Array, degree: int, symbols: Mapping[str, Any]) -> HermiteFactors:
    """Return the factors of a function by a quadrature for every law."""
    value, features = function(f, symbols), find_features(f, symbols)
    factors, left = HermiteFactors.empty(m.size, degree), np.arange(m.size)
    for fineness in _FINENESS:
        for part in parts(len(left), 256):
            rows = left[part]
            factors.put(rows, _find(value, features, m[rows], np.sqrt(q[rows]), degree, fineness))
        with np.errstate(all="ignore"):
            relative = factors.errors[left] / np.sqrt(factors.norms[left])
            left = left[(relative > _TOLERANCE) & (relative < _HOPELESS)]
    factors.errors[:] += _ROUNDING * np.sqrt(factors.norms)
    return factors


def _find(value: Function, features: Features, m: Array, s: Array, degree: int, fineness: float) -> HermiteFactors:
    marks = _mirrored(find_marks(features, m, s, _PANEL))
    shared = _shared_marks(marks)
    if shared is None:
        return _find_apart(value, marks, m, s, degree, fineness)
    z, weight, polynomials, reached = _table(shared, degree, fineness)
    with np.errstate(over="ignore", invalid="ignore"):
        values, mirrored = (value(m[:, None] + s[:, None] * place) for place in (z, -z))
        norms = values**2 @ weight
        errors = _unresolved(values, weight) if reached else np.sqrt(norms)
        return HermiteFactors(values @ polynomials, norms, (values * mirrored) @ weight, errors)


def _mirrored(marks: Marks) -> Marks:
    """Return the features of f(m + s z) and of f(m − s z), where they differ."""
    if not marks.kinks.any() and not marks.centres.any():
        return marks
    return marks.joined(Marks(-marks.kinks, -marks.centres, marks.widths, marks.panel))


def _unresolved(values: Array, weight: Array) -> Array:
    """Return about √(E p²), p what panels leave of a function, from values (N, nodes) and weights of the same nodes."""
    panels = np.reshape(values, (len(values), -1, _ORDER)) @ _highest()
    mass = np.reshape(weight, (*weight.shape[:-1], -1, _ORDER)).sum(axis=-1)
    return np.asarray(np.sqrt(np.sum(mass[..., None] * panels**2, axis=(-2, -1))))


@functools.cache
def _highest() -> Array:
    """Return the matrix (nodes, watched) from values on a panel to the highest orthonormal Legendre coefficients."""
    nodes, weights = np.polynomial.legendre.leggauss(_ORDER)
    degrees = np.arange(_ORDER - _WATCHED, _ORDER)
    polynomials = np.polynomial.legendre.legvander(nodes, _ORDER - 1)[:, degrees]
    return np.asarray(0.5 * weights[:, None] * polynomials * np.sqrt(2 * degrees + 1))


def _shared_marks(marks: Marks) -> Shared | None:
    """Return kinks, centres with widths, and the widest panel that serve all laws, None if there are none.

    The laws must agree in the places of the kinks, and in those of the centres within the widths. Widths and panels are
    rounded down to powers of two, so that the nodes of a law seldom depend on its neighbours.
    """
    widths = np.exp2(np.floor(np.log2(marks.widths.min(axis=0))))
    low, high = marks.centres.min(axis=0), marks.centres.max(axis=0)
    if (np.ptp(marks.kinks, axis=0) > 0).any() or (high - low > widths).any():
        return None
    centres = sorted({(place, width) for ends in (low, high) for place, width in zip(ends, widths, strict=True)})
    panel = _PANEL * 2.0 ** math.floor(math.log2(float(marks.panel.min()) / _PANEL))
    return tuple(sorted(set(marks.kinks[0].tolist()))), tuple(centres), panel


@functools.lru_cache(8)
def _table(shared: Shared, degree: int, fineness: float) -> tuple[Array, Array, Array, bool]:
    """Return nodes, weights, weighted values (nodes, degree) of the Hermite polynomials, and if panels sufficed."""
    kinks, bends, panel = shared
    centres, widths = (np.array([[bend[entry] for bend in bends]]) for entry in (0, 1))
    edges = find_panels(Marks(np.array([kinks]), centres, widths, np.array([panel])), _REACH, fineness, _MOST_PANELS)
    (z,), (weight,) = rule(edges, _ORDER)
    table = np.empty((len(z), degree))
    for k, polynomial in enumerate(_polynomials(z, degree)):
        table[:, k] = weight * polynomial
    return z, weight, table, bool(reaches(edges)[0])


def _polynomials(z: Array, degree: int) -> Iterator[Array]:
    """Yield the normalized Hermite polynomials below a degree."""
    before, now = np.zeros_like(z), np.ones_like(z)
    for k in range(degree):
        yield now
        before, now = now, (z * now - math.sqrt(k) * before) / math.sqrt(k + 1)


def _find_apart(value: Function, marks: Marks, m: Array, s: Array, degree: int, fineness: float) -> HermiteFactors:
    """Return the factors with nodes for every law, a few laws at a time."""
    factors = HermiteFactors.empty(len(m), degree)
    for part in parts(len(m), 16):
        edges = find_panels(marks.rows(part), _REACH, fineness, _MOST_PANELS)
        z, weight = rule(edges, _ORDER)
        with np.errstate(over="ignore", invalid="ignore"):
            values, mirrored = (value(m[part, None] + s[part, None] * place) for place in (z, -z))
            factors.mirrored[part] = np.sum(weight * values * mirrored, axis=1)
            factors.norms[part] = np.sum(weight * values * values, axis=1)
            factors.errors[part] = np.where(reaches(edges), _unresolved(values, weight), np.sqrt(factors.norms[part]))
        for k, polynomial in enumerate(_polynomials(z, degree)):
            factors.coefficients[part, k] = np.sum(weight * values * polynomial, axis=1)
    return factors
