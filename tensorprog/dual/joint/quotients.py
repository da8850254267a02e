"""Expectations of ratios of centred Gaussians (`dual.joint.ratios`), such as batch normalization gives.

    E Π ℓ_i Π step(a_j) Q₁^{−p} Q₂^{−q} = 1/(Γ(p) Γ(q)) ∫∫ s^{p−1} t^{q−1} E[e^{−sQ₁ − tQ₂} Π ℓ_i Π step(a_j)] ds dt

Under the exponential the law is Gaussian again (`dual.joint.tilts`), and the expectation that remains is closed
(`dual.joint.wedges`). For one batch and relu these are the integrals of Yang et al. 2019 (A Mean Field Theory of Batch
Normalization, 1902.08129).

The step of the trapezoidal rule is halved until the sum and that over every second node agree. Where the step is h the
error is e^{−c/h}: that over every second node, which is the difference δ, is the root of it. What is stated is δ^{3/2},
δ relative to |E f|, and what rounding errors in the least eigenvalue λ of a covariance may do: E f goes like √λ where
it exists without that direction, else like log λ.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt

from tensorprog.dual.joint.poles import margins
from tensorprog.dual.joint.ratios import Form, Ratio, Vector
from tensorprog.dual.joint.reading import find_ratios
from tensorprog.dual.joint.tilts import Tilts, roots_of
from tensorprog.dual.joint.wedges import wedge_moment
from tensorprog.nonlin.expression import Expr

__all__ = ["quotient_estimate"]

Array = npt.NDArray[np.float64]
_Index = npt.NDArray[np.intp]

_STEPS = (1 / 4, 1 / 8, 1 / 16)
_ENOUGH = 1e-10
_ROUNDING, _NOISE = 4e-15, 4.0
_NEGLIGIBLE = math.log(1e-17)
_STRIDE = 4
_CHUNK, _HELD = 1 << 13, 1 << 21


def quotient_estimate(function: Expr, means: Array, covariances: Array) -> tuple[Array, Array, Array] | None:
    """Return E f(u) for u ~ N(0, C), an estimate of its error and a bound of E |f|; None if f is no sum of ratios.

    The value is NaN where the expectation does not exist.

    Args:
        function: f, over Operand(0), …, Operand(k − 1), without hyperparameters.
        means: shape (N, k); None is returned if one is not zero.
        covariances: C, shape (N, k, k), positive semidefinite.
    """
    laws, size = means.shape
    if means.any() or not laws:
        return None
    terms = find_ratios(function, size)
    if terms is None or not any(term.powers for term in terms):
        return None
    found = np.zeros((3, laws))
    rows = max(1, _HELD // (100 * size * size))
    for start in range(0, laws, rows):
        part = np.ascontiguousarray(covariances[start : start + rows])
        for term in terms:
            found[:, start : start + rows] += _term(term, part)
    return found[0], found[1], found[2]


def _term(term: Ratio, covariances: Array) -> Array:
    """Return the expectation of a ratio, its error, and a bound of that of its absolute value, (3, N)."""
    roots, least, noise = roots_of(covariances)
    found = np.full((3, len(roots)), np.nan)
    margin = margins(term, roots)
    doubt = (_ROUNDING + _NOISE * noise) * (1 + np.where(margin > 1, least**-0.5, 1 / least))
    (open_,) = np.nonzero(margin > 1e-9)
    found[1:, np.setdiff1d(np.arange(len(roots)), open_)] = np.inf
    for step in _STEPS if len(term.powers) == 2 else _STEPS[1:]:
        if not open_.size:
            break
        value, rough, scale, size = _summed(term, covariances[open_], step)
        beyond = _remainder(np.abs(value - rough), np.abs(value))
        found[:, open_] = value, beyond + doubt[open_] * size, scale
        open_ = open_[~(beyond <= _ENOUGH * scale)]
    return found


def _remainder(difference: Array, value: Array) -> Array:
    """Return δ √(δ/|E f|) for a difference δ of two sums, no more than δ, and δ itself unless it is small."""
    small = difference < 1e-3 * value
    return np.where(small, difference * np.sqrt(difference / np.where(small, value, 1.0)), difference)


def _summed(term: Ratio, covariances: Array, step: float) -> Array:
    """Return the trapezoidal sum, that over every second node, and bounds of E |f|, the second by Hölder; (4, N)."""
    forms = tuple(form for form, _ in term.powers)
    tilts = _tilts(covariances.tobytes(), covariances.shape, forms, step)
    integrand = _Integrand(term, tilts)
    laws = tilts.shape[0]
    total = np.zeros((4, laws))
    where = _active(integrand, tilts)
    for start in range(0, len(where[0]), _CHUNK):
        n, i, j = (index[start : start + _CHUNK] for index in where)
        value, size = integrand(n, i, j)
        even = (tilts.s.numbers[i] % 2 == 0) & (tilts.t.numbers[j] % 2 == 0)
        coarse = np.where(even, value * 2.0 ** len(forms), 0.0)
        scale = np.abs(value) if integrand.is_positive else size
        total += [np.bincount(n, entries, laws) for entries in (value, coarse, scale, size)]
    return total


@functools.lru_cache(8)
def _tilts(covariances: bytes, shape: tuple[int, ...], forms: tuple[Form, ...], step: float) -> Tilts:
    """Return the tilted laws: those of the functions of one kernel are mostly the same."""
    roots, _, _ = roots_of(np.frombuffer(covariances).reshape(shape))
    outer, inner = (None, *forms)[-2:] if len(forms) < 2 else forms
    return Tilts(roots, outer, inner, step)


class _Integrand:
    """The integrand at nodes, with the weights of the trapezoidal rule."""

    def __init__(self, term: Ratio, tilts: Tilts) -> None:
        self._tilts = tilts
        exponents = [-exponent for _, exponent in term.powers]
        self._p, self._q = [0.0, 0.0, *exponents][-2:]
        self._lines = [tilts.coordinates(line) for line in term.lines]
        self._steps = [tilts.coordinates(line) for line in sorted(term.steps)]
        self._log_factor = math.log(abs(term.coefficient)) - sum(math.lgamma(p) for p in exponents)
        self._sign = math.copysign(1.0, term.coefficient)
        self.is_positive = all(_is_on(line, term.steps) for line in term.lines)
        order = len(term.lines)
        self._moment = 2 ** (order / 2) * math.gamma((order + 1) / 2) / math.sqrt(math.pi)

    def _logarithm(self, n: _Index, i: _Index, j: _Index) -> tuple[Array, Array]:
        """Return the logarithm of everything but the moment, and the shrinking (…, m)."""
        tilts = self._tilts
        s, t = tilts.s.values, tilts.t.values
        one, other = np.minimum(n, len(s) - 1), np.minimum(n, len(t) - 1)
        squares = 1 / (1 + 2 * t[other, j][..., None] * tilts.spectrum[n, i])
        found = self._log_factor + tilts.log_volume[n, i] + 0.5 * np.log(squares.prod(axis=-1))
        if self._p:
            found = found + tilts.s.weights[one, i] + self._p * np.log(s[one, i])
        if self._q:
            found = found + tilts.t.weights[other, j] + self._q * np.log(t[other, j]) - t[other, j] * tilts.constant
        return found, np.sqrt(squares)

    def _sizes(self, lines: list[Array]) -> Array:
        """Return the bound E |z|^d Π √Var ℓ of the absolute moment (Hölder)."""
        bound: Array = np.full((), self._moment)
        for line in lines:
            bound = bound * np.sqrt(np.einsum("...m,...m->...", line, line))
        return bound

    def __call__(self, n: _Index, i: _Index, j: _Index) -> tuple[Array, Array]:
        """Return the terms of the sum at nodes, and bounds of those of the absolute value."""
        logarithm, shrunk = self._logarithm(n, i, j)
        lines, steps = ([line[n, i] * shrunk for line in part] for part in (self._lines, self._steps))
        weight = np.exp(logarithm)
        value = weight * wedge_moment(lines, steps)
        return self._sign * value, weight * self._sizes(lines)

    def log_bound(self, n: _Index, i: _Index, j: _Index) -> Array:
        """Return the logarithm of a bound of the integrand."""
        logarithm, shrunk = self._logarithm(n, i, j)
        with np.errstate(divide="ignore"):
            return np.asarray(logarithm + np.log(self._sizes([line[n, i] * shrunk for line in self._lines])))


def _is_on(line: Vector, steps: frozenset[Vector]) -> bool:
    """Return whether a line is a multiple of one of the steps', and has one sign where the step is not zero."""
    scaled = np.array(line) / np.abs(line).max()
    return any(np.abs(sign * scaled - step).max() < 1e-12 for step in steps for sign in (1.0, -1.0))


def _active(integrand: _Integrand, tilts: Tilts) -> tuple[_Index, ...]:
    """Return the nodes (n, i, j) that matter, told from every fourth of them."""
    laws, s, t = tilts.shape
    grids = [np.unique([*range(0, count, _STRIDE), count - 1]) for count in (s, t)]
    rows = np.arange(laws)[:, None, None]
    bound = integrand.log_bound(rows, grids[0][None, :, None], grids[1][None, None, :])
    bound = np.maximum(bound, -1e4)
    least = np.max(bound, axis=(1, 2), keepdims=True) + _NEGLIGIBLE
    for axis, (grid, count) in enumerate(zip(grids, (s, t), strict=True), start=1):
        bound = _interpolated(bound, grid, count, axis)
    return np.nonzero(bound >= np.maximum(least, -1e3))


def _interpolated(values: Array, grid: _Index, count: int, axis: int) -> Array:
    """Return values at places `grid` along an axis at all places 0, …, count − 1."""
    place = np.arange(count)
    above = np.clip(np.searchsorted(grid, place), 1, len(grid) - 1) if len(grid) > 1 else np.zeros(count, np.intp)
    below = np.maximum(above - 1, 0)
    width = np.maximum(grid[above] - grid[below], 1)
    share = ((place - grid[below]) / width).reshape(-1, *(1 for _ in range(values.ndim - 1 - axis)))
    return np.asarray(np.take(values, below, axis) * (1 - share) + np.take(values, above, axis) * share)
