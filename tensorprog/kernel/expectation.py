"""Numerical expectations over blocks of pairs: a Hermite series where its remainder is bounded, else quadrature.

Mehler: with a_k = E[φ(m₁ + √q₁ z) h_k(z)] and b_k likewise for ψ, h_k the normalized Hermite polynomials,
E[φ(u) ψ(v)] = Σ_k a_k b_k ρᵏ, and by Parseval what lies beyond degree K is at most |ρ|^K √(Σ_{k≥K} a_k² Σ_{k≥K} b_k²).
The coefficients belong to single samples, so a block costs one polynomial in ρ per entry. Entries whose bound is above
the tolerance are integrated in two dimensions, or in one around a closed form. The rules of integration, with sympy and
scipy behind some of them, are imported when the first expectation asks for them: most programs have none.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tensorprog.kernel.factors import DEGREES, ROUNDING, Factors, find_factors
from tensorprog.kernel.ir import JOINT, Expectation
from tensorprog.nonlin.expression import Expr

__all__ = ["DEGREES", "TOLERANCE", "Factors", "Laws", "Numerics"]

Array = npt.NDArray[np.float64]

TOLERANCE = 1e-12
"""The largest remainder of a series, relative to √(E φ² · E ψ²), at which it is used."""

_CHUNK = 4096
"""How many pairs are integrated at once."""

_REMEMBERED = 1 << 16
"""How many laws are remembered with their Hermite coefficients, 1.6 KB each."""


@dataclass(frozen=True, slots=True)
class Laws:
    """Means and variances of normal laws, (laws,), and for every entry the number of its law."""

    mean: Array
    variance: Array
    numbers: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Entries:
    """Expectations that are wanted: the factors a[i], b[j] at the correlation rho, and the norm √(E φ² · E ψ²)."""

    a: Factors
    b: Factors
    i: npt.NDArray[np.int64]
    j: npt.NDArray[np.int64]
    rho: Array
    scale: Array


class Numerics:
    """Computes numerical expectations, and remembers the largest error seen, by the name of the quantity.

    Errors are relative to √(E φ² · E ψ²), those of a joint expectation to E |f|. Hermite factors are remembered by the
    laws that they belong to.
    """

    def __init__(self, functions: Mapping[str, Expr], parameters: Mapping[str, float]) -> None:
        self.functions, self.parameters = functions, parameters
        self.errors: dict[str, float] = {}
        self._factors: dict[tuple[str, bytes, bytes], Factors] = {}
        self._laws, self._coefficients = 0, 0.0
        self._lock = threading.Lock()

    def expectation(self, name: str, node: Expectation, args: Sequence[Any]) -> Array:
        """Return the expectation `node` under the laws `args` (broadcast against each other), NaN where they are."""
        functions = tuple(self.functions[function] for function in node.functions)
        laws = [np.asarray(arg, dtype=np.float64) for arg in args]
        if node.kind == "PointExpectation":
            value, error, scale = self._point(functions[0], laws)
        elif node.kind == JOINT:
            from tensorprog.kernel.joint import joint_expectation

            value, error, scale = joint_expectation(functions[0], laws, self.parameters)
        elif _is_outer(laws):
            value, error, scale = self._block(node.functions, laws)
        else:
            value, error, scale = self._pairs(functions[0], functions[1], laws)
        self._note(name, error, scale)
        return value

    def _note(self, name: str, error: Array, scale: Array) -> None:
        relative = error[scale > 0] / scale[scale > 0]
        self._remember(name, float(np.max(relative, initial=0.0, where=np.isfinite(relative))))

    def remember(self, name: str, remainder: float) -> None:
        """Note the largest remainder of the series for a quantity, relative to √(E φ² · E ψ²)."""
        self._remember(name, remainder + 2 * self._coefficients + ROUNDING)

    def _remember(self, name: str, error: float) -> None:
        with self._lock:
            self.errors[name] = max(error, self.errors.get(name, 0.0))

    def _point(self, function: Expr, laws: list[Array]) -> tuple[Array, Array, Array]:
        from tensorprog.dual.pairs.quadrature import point_quadrature

        shape = np.broadcast_shapes(*(law.shape for law in laws))
        m, q = (np.broadcast_to(law, shape).ravel() for law in laws)
        value, error = _over_finite((m, q), lambda m, q: point_quadrature(function, m, q, self.parameters))
        scale = np.sqrt(_norms(function, m, q, self.parameters))
        return value.reshape(shape), error + ROUNDING * scale, scale

    def _pairs(self, phi: Expr, psi: Expr, laws: list[Array]) -> tuple[Array, Array, Array]:
        """Integrate pair by pair."""
        shape = np.broadcast_shapes(*(law.shape for law in laws))
        m1, m2, q1, q2, c = (np.broadcast_to(law, shape).ravel() for law in laws)
        value, error = self._integrate(phi, psi, (m1, m2, q1, q2, c))
        scale = np.sqrt(_norms(phi, m1, q1, self.parameters) * _norms(psi, m2, q2, self.parameters))
        return value.reshape(shape), error + ROUNDING * scale, scale

    def _integrate(self, phi: Expr, psi: Expr, laws: tuple[Array, ...]) -> tuple[Array, Array]:
        def integrate(m1: Array, m2: Array, q1: Array, q2: Array, c: Array) -> tuple[Array, Array]:
            from tensorprog.dual.pairs.quadrature import pair_quadrature
            from tensorprog.dual.pairs.slices import find_slice, sliced_quadrature

            if (inner := find_slice(phi, psi)) is not None:
                return sliced_quadrature(phi, psi, inner, m1, m2, q1, q2, c, self.parameters)
            if (inner := find_slice(psi, phi)) is not None:
                return sliced_quadrature(psi, phi, inner, m2, m1, q2, q1, c, self.parameters)
            return pair_quadrature(phi, psi, m1, m2, q1, q2, c, self.parameters)

        return _over_finite(laws, integrate)

    def _block(self, names: tuple[str, ...], laws: list[Array]) -> tuple[Array, Array, Array]:
        """Return the expectations of a block (N1, N2) whose laws are those of its rows and columns."""
        rows, columns = _block_shape(laws)
        m1, q1 = (np.broadcast_to(law, (rows, 1)).ravel() for law in (laws[0], laws[2]))
        m2, q2 = (np.broadcast_to(law, (1, columns)).ravel() for law in (laws[1], laws[3]))
        a, b = self.factors(names[0], m1, q1), self.factors(names[1], m2, q2)
        c = np.broadcast_to(laws[4], (rows, columns))
        rho, scale = _correlation(c, q1, q2), np.sqrt(np.outer(a.norms, b.norms))
        value, error = np.full(rho.shape, np.nan), np.zeros(rho.shape)
        i, j = np.nonzero(np.isfinite(rho) & np.isfinite(scale))
        entries = _Entries(a, b, i, j, rho[i, j], scale[i, j])
        value[i, j], error[i, j], missed = _sum_series(entries)
        i, j = i[missed], j[missed]
        pair = (m1[i], m2[j], q1[i], q2[j], c[i, j])
        value[i, j], error[i, j] = self._integrate(self.functions[names[0]], self.functions[names[1]], pair)
        return value, error + ROUNDING * scale, scale

    def entries(self, name: str, node: Expectation, left: Laws, right: Laws, c: Array) -> Array:
        """Return the expectation `node` of two variables with covariances `c`, an array of any shape."""
        phi, psi = (self.functions[function] for function in node.functions)
        shape = np.broadcast_shapes(left.numbers.shape, right.numbers.shape, c.shape)
        i, j = (np.broadcast_to(laws.numbers, shape).ravel() for laws in (left, right))
        c = np.broadcast_to(c, shape).ravel()
        if len(left.mean) > c.size or len(right.mean) > c.size:
            laws = [left.mean[i], right.mean[j], left.variance[i], right.variance[j], c]
            value, error, scale = self._pairs(phi, psi, laws)
        else:
            value, error, scale = self._entries(node.functions, left, right, i, j, c)
        self._note(name, error, scale)
        return value.reshape(shape)

    def _entries(
        self, names: tuple[str, ...], left: Laws, right: Laws, i: Any, j: Any, c: Array
    ) -> tuple[Array, Array, Array]:
        a, b = self.factors(names[0], left.mean, left.variance), self.factors(names[1], right.mean, right.variance)
        q1, q2 = left.variance[i], right.variance[j]
        deviation = np.sqrt(q1) * np.sqrt(q2)
        with np.errstate(all="ignore"):
            rho = np.where(deviation == 0, 0.0, np.clip(c / deviation, -1.0, 1.0))
        scale = np.sqrt(a.norms[i] * b.norms[j])
        value, error = np.full(c.shape, np.nan), np.zeros(c.shape)
        (finite,) = np.nonzero(np.isfinite(rho) & np.isfinite(scale))
        entries = _Entries(a, b, i[finite], j[finite], rho[finite], scale[finite])
        value[finite], error[finite], missed = _sum_series(entries)
        rest = finite[missed]
        pair = (left.mean[i[rest]], right.mean[j[rest]], q1[rest], q2[rest], c[rest])
        value[rest], error[rest] = self._integrate(self.functions[names[0]], self.functions[names[1]], pair)
        return value, error + ROUNDING * scale, scale

    def factors(self, name: str, m: Array, q: Array) -> Factors:
        """Return the Hermite factors of a function under the laws N(m, q)."""
        key = name, m.tobytes(), q.tobytes()
        found = self._factors.get(key)
        if found is None:
            found = find_factors(self.functions[name], m, q, self.parameters)
            self._keep(key, found)
        return found

    def _keep(self, key: tuple[str, bytes, bytes], factors: Factors) -> None:
        """Remember factors, and forget the oldest ones where there are too many."""
        with self._lock:
            self._factors[key] = factors
            self._coefficients = max(factors.error, self._coefficients)
            self._laws += len(factors.norms)
            while self._laws > _REMEMBERED and len(self._factors) > 1:
                oldest = next(iter(self._factors))
                self._laws -= len(self._factors.pop(oldest).norms)


def _is_outer(laws: list[Array]) -> bool:
    """Tell whether the first law belongs to rows and the second to columns of a block."""
    if max(law.ndim for law in laws) < 2:
        return False
    rows = all(law.ndim < 2 or law.shape[1] == 1 for law in (laws[0], laws[2]))
    return rows and all(law.ndim < 2 or law.shape[0] == 1 for law in (laws[1], laws[3]))


def _block_shape(laws: list[Array]) -> tuple[int, int]:
    rows, columns = np.broadcast_shapes(*(law.shape for law in laws))
    return rows, columns


def _correlation(c: Array, q1: Array, q2: Array) -> Array:
    """Return ρ = c / √(q₁ q₂) within [−1, 1], 0 where a variance vanishes."""
    deviation = np.outer(np.sqrt(q1), np.sqrt(q2))
    with np.errstate(all="ignore"):
        return np.where(deviation == 0, 0.0, np.clip(c / deviation, -1.0, 1.0))


def _norms(function: Expr, m: Array, q: Array, parameters: Mapping[str, float]) -> Array:
    """Return E f² under the laws N(m, q)."""
    from tensorprog.dual.pairs.hermite import hermite_factors

    def integrate(m: Array, q: Array) -> tuple[Array, Array]:
        _, norms, _ = hermite_factors(function, m, q, 1, parameters)
        return norms, np.zeros_like(norms)

    return _over_finite((m, q), integrate)[0]


def _sum_series(entries: _Entries) -> tuple[Array, Array, npt.NDArray[np.int64]]:
    """Return values and bounds of their errors, and the numbers of the entries that no degree is exact enough for."""
    a, b, i, j = entries.a, entries.b, entries.i, entries.j
    value, error = np.full(len(i), np.nan), np.zeros(len(i))
    left = np.arange(len(i))
    for degree in DEGREES:
        tails = np.sqrt(a.tails[degree])[i[left]] * np.sqrt(b.tails[degree])[j[left]]
        bound = np.abs(entries.rho[left]) ** degree * tails
        small = bound <= TOLERANCE * entries.scale[left]
        done = left[small]
        value[done] = _series(a, b, i[done], j[done], entries.rho[done], degree)
        error[done] = bound[small] + (a.error + b.error) * entries.scale[done]
        left = left[~small]
    return value, error, left


def _series(a: Factors, b: Factors, i: Any, j: Any, rho: Array, degree: int) -> Array:
    """Return Σ_{k < degree} a_k b_k ρᵏ for the entries (i, j)."""
    total = np.zeros(rho.shape)
    for k in reversed(range(degree)):
        total = total * rho + a.coefficients[k][i] * b.coefficients[k][j]
    return total


def _over_finite(laws: tuple[Array, ...], integrate: Callable[..., tuple[Array, Array]]) -> tuple[Array, Array]:
    """Return values and errors of `integrate`, in chunks, NaN where a law is not finite."""
    value, error = np.full(laws[0].shape, np.nan), np.zeros(laws[0].shape)
    (where,) = np.nonzero(np.all([np.isfinite(law) for law in laws], axis=0))
    for start in range(0, len(where), _CHUNK):
        chunk = where[start : start + _CHUNK]
        value[chunk], error[chunk] = integrate(*(law[chunk] for law in laws))
    return value, error
