"""Hermite series in several dimensions: E[φ(u) ψ(v)] of smooth φ and ψ, each of a few of the variables.

With u and v whitened, their cross-covariance becomes a matrix R. If R is diagonal, with entries ρ_i, as it is where
the variables of a sample belong to independent matrices, Mehler's formula holds for each coordinate:

    E[φ(u) ψ(v)] = Σ_α a_α b_α Π_i ρ_i^α_i,

a_α the coefficients of φ in products of Hermite polynomials. They belong to single samples; by Parseval, what lies
beyond degree K in any coordinate is at most max |ρ_i|^K √((E φ² − Σ a²)(E ψ² − Σ b²)).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tensorprog.dual.cubature.integrand import Estimate
from tensorprog.dual.cubature.law import Gaussians, by_rank
from tensorprog.dual.joint.terms import split_factors
from tensorprog.nonlin.evaluate import evaluate
from tensorprog.nonlin.expression import ONE, Expr, operands
from tensorprog.nonlin.simplify import simplify

__all__ = ["Halves", "find_halves", "series_estimate"]

Array = npt.NDArray[np.float64]

_MOST_VARIABLES = 2  # of each factor
_REACH = 14.0  # the Hermite polynomials of high degree reach far
_TOLERANCE = 1e-10
_DIAGONAL = 1e-13  # what may stand beside the diagonal of R
_REMEMBERED = 512  # laws with their coefficients, 75 or 300 KB each


@dataclass(frozen=True, slots=True)
class _Fineness:
    """The degree, and the steps of the trapezoidal rules that find and that check the coefficients."""

    degree: int
    steps: tuple[float, float]


_FINENESSES = (_Fineness(96, (0.14, 0.19)), _Fineness(192, (0.06, 0.08)))
_ROUNDING = 1e-14


@dataclass(frozen=True, slots=True)
class Halves:
    """f = φ(variables `left`) ψ(variables `right`)."""

    phi: Expr
    psi: Expr
    left: tuple[int, ...]
    right: tuple[int, ...]


@functools.lru_cache(256)
def find_halves(function: Expr) -> Halves | None:
    """Return a product of two functions of different variables as such, None for any other function."""
    bundles: list[tuple[set[int], Expr]] = []
    constant: Expr = ONE
    for factor in split_factors(function):
        used = set(operands(factor))
        if not used:
            constant = constant * factor
            continue
        for linked in [bundle for bundle in bundles if bundle[0] & used]:
            bundles.remove(linked)
            used, factor = used | linked[0], factor * linked[1]
        bundles.append((used, factor))
    if len(bundles) != 2 or max(len(used) for used, _ in bundles) > _MOST_VARIABLES:
        return None
    (left, phi), (right, psi) = bundles
    return Halves(simplify(constant * phi), psi, tuple(sorted(left)), tuple(sorted(right)))


def series_estimate(halves: Halves, laws: Gaussians) -> Estimate:
    """Return the expectations, with infinite errors where the series does not apply."""
    count = len(laws.means)
    estimate = Estimate(np.zeros(count), np.full(count, np.inf), np.ones(count))
    left = np.arange(count)
    for fineness in _FINENESSES:
        part = _estimate(halves, laws.rows(left), fineness)
        estimate.value[left], estimate.error[left], estimate.scale[left] = part.value, part.error, part.scale
        left = left[~(part.error <= _TOLERANCE * part.scale) & np.isfinite(part.error)]
        if not left.size:
            break
    return estimate


def _estimate(halves: Halves, laws: Gaussians, fineness: _Fineness) -> Estimate:
    count = len(laws.means)
    estimate = Estimate(np.zeros(count), np.full(count, np.inf), np.ones(count))
    one, other = (
        _Side(function, variables, laws, fineness)
        for function, variables in ((halves.phi, halves.left), (halves.psi, halves.right))
    )
    cross = laws.covariances[:, halves.left][:, :, halves.right]
    whitened = one.inverse @ cross @ other.inverse.transpose(0, 2, 1)
    for turned, psi in _orientations(whitened, other):
        size = min(turned.shape[1:])
        rho = np.clip(np.einsum("nii->ni", turned[:, :size, :size]), -1.0, 1.0)
        beside = np.abs(turned).sum(axis=(1, 2)) - np.abs(rho).sum(axis=1)
        (rows,) = np.nonzero((beside <= _DIAGONAL) & one.known & psi.known & np.isinf(estimate.error))
        for row in rows:
            found = _sum(one.factors[one.number[row]], psi.factors[psi.number[row]], rho[row])
            estimate.value[row], estimate.error[row], estimate.scale[row] = found
    return estimate


@dataclass(frozen=True, slots=True)
class _Factors:
    """Coefficients (K, K) or (K,), an estimate of the error of their norm, E φ², and what lies beyond degree K."""

    coefficients: Array
    error: float
    norm: float
    beyond: float


class _Side:
    """One of the functions under its laws, each of them once."""

    def __init__(self, function: Expr, variables: tuple[int, ...], laws: Gaussians, fineness: _Fineness) -> None:
        own = laws.only(list(variables))
        flat = np.hstack([own.means, own.covariances.reshape(len(own.means), -1)])
        _, first, number = np.unique(flat, axis=0, return_index=True, return_inverse=True)
        self.number = number.ravel()
        distinct = own.rows(first)
        size = len(variables)
        self.factors: list[_Factors | None] = [None] * len(first)
        inverses = np.zeros((len(first), size, size))
        for where, form in by_rank(distinct, size):
            if len(form.pivots) == size:
                inverses[where] = np.linalg.inv(form.roots)
                for law, mean, root in zip(where, form.means, form.roots, strict=True):
                    key = function, variables, tuple(mean.tolist()), tuple(root.ravel().tolist()), fineness
                    self.factors[law] = _find_factors(*key)
        self.inverse = inverses[self.number]
        self.known = np.array([factors is not None for factors in self.factors])[self.number]

    def exchanged(self) -> _Side:
        """Return the side with its two coordinates exchanged."""
        other = object.__new__(_Side)
        other.number, other.known, other.inverse = self.number, self.known, self.inverse[:, ::-1]
        other.factors = [
            None if factors is None else _Factors(factors.coefficients.T, factors.error, factors.norm, factors.beyond)
            for factors in self.factors
        ]
        return other


def _orientations(whitened: Array, side: _Side) -> Iterator[tuple[Array, _Side]]:
    yield whitened, side
    if whitened.shape[2] == _MOST_VARIABLES:
        yield whitened[:, :, ::-1], side.exchanged()


@functools.lru_cache(_REMEMBERED)
def _find_factors(
    function: Expr, variables: tuple[int, ...], mean: tuple[float, ...], root: tuple[float, ...], fineness: _Fineness
) -> _Factors:
    roots = np.reshape(root, (len(mean), len(mean)))
    fine, coarse = (
        _coefficients(function, variables, np.array(mean), roots, _polynomials(step, fineness.degree))
        for step in fineness.steps
    )
    coefficients, norm = fine
    error = math.sqrt(float(np.sum((coefficients - coarse[0]) ** 2))) + abs(norm - coarse[1]) / math.sqrt(norm or 1.0)
    beyond = max(norm - float(np.sum(coefficients**2)), 0.0) + 1e-15 * norm
    return _Factors(coefficients, error, norm, beyond)


def _coefficients(
    function: Expr, variables: tuple[int, ...], mean: Array, root: Array, rule: tuple[Array, Array, Array]
) -> tuple[Array, float]:
    """Return the coefficients by the trapezoidal rule, and E φ²."""
    line, weights, table = rule
    grids = np.meshgrid(*[line] * len(variables), indexing="ij")
    values = [np.zeros(1)] * (max(variables) + 1)
    for position, index in enumerate(variables):
        values[index] = mean[position] + sum(root[position, axis] * grid for axis, grid in enumerate(grids))
    found = np.broadcast_to(np.asarray(evaluate(function, values, {}), dtype=np.float64), grids[0].shape)
    if len(variables) == 1:
        return table.T @ found, float(weights @ found**2)
    return table.T @ found @ table, float(weights @ found**2 @ weights)


@functools.lru_cache(4)
def _polynomials(step: float, degree: int) -> tuple[Array, Array, Array]:
    """Return nodes, weights, and the weighted values (nodes, K) of the normalized Hermite polynomials."""
    count = math.ceil(_REACH / step)
    line = np.asarray(step * np.arange(-count, count + 1), np.float64)
    weights = step * np.exp(-0.5 * line * line) / math.sqrt(2 * math.pi)
    table: Array = np.empty((len(line), degree))
    before, now = np.zeros_like(line), np.ones_like(line)
    for k in range(degree):
        table[:, k] = weights * now
        before, now = now, (line * now - math.sqrt(k) * before) / math.sqrt(k + 1)
    return line, weights, table


def _sum(one: _Factors | None, other: _Factors | None, rho: Array) -> tuple[float, float, float]:
    """Return the sum of the series, its error, and √(E φ² E ψ²)."""
    assert one is not None and other is not None
    a, b = one.coefficients, other.coefficients
    degree = len(a)
    powers = [entry ** np.arange(degree) for entry in rho]
    if a.ndim == b.ndim == 2:
        value = powers[0] @ (a * b) @ powers[1]
    else:
        a, b = (x if x.ndim == 1 else x[:, 0] for x in (a, b))
        value = powers[0] @ (a * b)
    scale = math.sqrt(one.norm * other.norm)
    bound = float(np.abs(rho).max()) ** degree * math.sqrt(one.beyond * other.beyond)
    spread = one.error * math.sqrt(other.norm) + other.error * math.sqrt(one.norm)
    return float(value), bound + spread + _ROUNDING * scale, scale
