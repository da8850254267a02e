"""Moments of centred Gaussian variables beyond the edges of one or two of them.

    E ℓ_1 ⋯ ℓ_n step(a) step(b)

With X = a/√E a², Y = b/√E b² of correlation cos θ, S = (X + Y)/(2 cos θ/2) and D = (X − Y)/(2 sin θ/2) are independent
standard normal variables, and X, Y > 0 is the wedge |arg(S + iD)| < w = (π − θ)/2. The Wick product of lines has the
conditional expectation :Π ℓ: → Σ Π_{i ∈ I} E[ℓ_i S] Π_{j ∉ I} E[ℓ_j D] He_{|I|}(S) He_{n−|I|}(D) (Janson 1997, Gaussian
Hilbert Spaces, Theorems 3.9 and 4.9), so that the moment is a sum over pairings of some of the lines, of

    E[He_i(S) He_j(D) 1_wedge] = (1/π) Σ_m c_m sin(m w)/m,

c_m the cosine coefficients of ∫ R e^{−R²/2} He_i(R cos φ) He_j(R sin φ) dR. What multiplies D vanishes with θ, so that
nothing is lost where a and b are one variable.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from numpy.polynomial import hermite_e

__all__ = ["wedge_moment"]

Array = npt.NDArray[np.float64]


def wedge_moment(lines: Sequence[Array], steps: Sequence[Array]) -> Array:
    """Return E Π_i ℓ_i Π_j step(a_j) for at most two steps.

    Args:
        lines: variables as vectors (…, m): their inner products are their covariances.
        steps: likewise; one that is zero counts as independent of everything, with step(0) = ½.
    """
    match len(steps):
        case 0:
            return _Whole(lines).moment()
        case 1:
            return _Half(lines, _unit(steps[0])).moment()
        case _:
            return _Wedge(lines, _unit(steps[0]), _unit(steps[1])).moment()


def _dot(x: Array, y: Array) -> Array:
    return np.asarray(np.einsum("...m,...m->...", x, y))


def _unit(x: Array) -> Array:
    norm = np.sqrt(_dot(x, x))[..., None]
    return np.asarray(np.divide(x, norm, out=np.zeros_like(x), where=norm > 0))


class _Whole:
    """No step: Isserlis' theorem."""

    def __init__(self, lines: Sequence[Array]) -> None:
        self._lines = lines
        self._products: dict[tuple[int, int], Array] = {}

    def moment(self) -> Array:
        """Return the expectation of the product of all lines."""
        value = self._sum(tuple(range(len(self._lines))), ())
        return np.zeros(()) if value is None else value

    def _covariance(self, i: int, j: int) -> Array:
        found = self._products.get((i, j))
        if found is None:
            found = self._products[i, j] = _dot(self._lines[i], self._lines[j])
        return found

    def _sum(self, left: tuple[int, ...], open_: tuple[int, ...]) -> Array | None:
        """Return the sum over pairings of the lines `left`; those in `open_` stay unpaired."""
        if not left:
            return self._unpaired(open_)
        first, *others = left
        total = self._sum(tuple(others), (*open_, first))
        for other in others:
            rest = self._sum(tuple(i for i in others if i != other), open_)
            if rest is not None:
                term = self._covariance(first, other) * rest
                total = term if total is None else total + term
        return total

    def _unpaired(self, open_: tuple[int, ...]) -> Array | None:
        """Return the expectation of the Wick product of some lines; None for zero."""
        return None if open_ else np.ones(())


class _Half(_Whole):
    """One step: E[He_i(S) step(S)] = He_{i−1}(0)/√(2π)."""

    def __init__(self, lines: Sequence[Array], unit: Array) -> None:
        super().__init__(lines)
        self._slopes = [_dot(line, unit) for line in lines]

    def _unpaired(self, open_: tuple[int, ...]) -> Array | None:
        order = len(open_)
        if not order:
            return np.full((), 0.5)
        value = float(hermite_e.hermeval(0.0, [0.0] * (order - 1) + [1.0])) / math.sqrt(2 * math.pi)
        if value == 0:
            return None
        return functools.reduce(lambda product, i: product * self._slopes[i], open_, np.full((), value))


class _Wedge(_Whole):
    """Two steps: E[He_i(S) He_j(D) 1_wedge]."""

    def __init__(self, lines: Sequence[Array], first: Array, second: Array) -> None:
        super().__init__(lines)
        total, change = first + second, first - second
        one = (_dot(first, first) > 0) != (_dot(second, second) > 0)
        above, across = (np.where(one, math.sqrt(2), np.sqrt(_dot(x, x))) for x in (total, change))
        angle = np.where((above == 0) & (across == 0), math.pi / 2, 2 * np.arctan2(across, above))
        self._width = 0.5 * (math.pi - angle)
        self._along = [_over(_dot(line, total), above) for line in lines]
        self._across = [_over(_dot(line, change), across) for line in lines]
        self._sines: dict[int, Array] = {}
        self._moments: dict[tuple[int, int], Array] = {}

    def _moment(self, i: int, j: int) -> Array:
        """Return E[He_i(S) He_j(D) 1_wedge]."""
        found = self._moments.get((i, j))
        if found is None:
            found = self._width / math.pi if i + j == 0 else np.zeros(())
            for m, coefficient in _cosines(i, j):
                if m not in self._sines:
                    self._sines[m] = np.sin(m * self._width)
                found = found + (coefficient / (m * math.pi)) * self._sines[m]
            self._moments[i, j] = found
        return found

    def _unpaired(self, open_: tuple[int, ...]) -> Array | None:
        # by_order[j]: the sum over choices of j lines that go with D
        by_order = [np.ones(())]
        for i in open_:
            along, across = self._along[i], self._across[i]
            longer = [value * along for value in by_order] + [np.zeros(())]
            for j, value in enumerate(by_order):
                longer[j + 1] = longer[j + 1] + value * across
            by_order = longer
        order = len(open_)
        total = np.zeros(())
        for j in range(0, order + 1, 2):
            total = total + by_order[j] * self._moment(order - j, j)
        return total


def _over(value: Array, norm: Array) -> Array:
    return np.asarray(np.divide(value, norm, out=np.zeros_like(value), where=norm > 0))


@functools.lru_cache(64)
def _cosines(i: int, j: int) -> tuple[tuple[int, float], ...]:
    """Return (m, c_m), m > 0, of ∫ R e^{−R²/2} He_i(R cos φ) He_j(R sin φ) dR = c_0 + Σ_m c_m cos(m φ), j even."""
    count = 4 * (i + j + 1)
    angles = 2 * math.pi * np.arange(count) / count
    first, second = (hermite_e.herme2poly([0.0] * order + [1.0]) for order in (i, j))
    values = np.zeros(count)
    for a, p in enumerate(first):
        for b, q in enumerate(second):
            radial = 2.0 ** ((a + b) / 2) * math.gamma(1 + (a + b) / 2)
            values += p * q * radial * np.cos(angles) ** a * np.sin(angles) ** b
    spectrum = np.fft.rfft(values).real * 2 / count
    return tuple((m, float(c)) for m, c in enumerate(spectrum) if m and abs(c) > 1e-12)
