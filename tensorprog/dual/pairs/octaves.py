"""Expectations under the laws N(m, q) as functions of q: interpolated on octaves [2ᵉ, 2ᵉ⁺¹] where there are many laws.

E[f(m + √q z) h_k(z)] = ∫ f(x) h_k((x − m)/√q) exp(−(x − m)²/(2q)) dx / √(2πq) is analytic in log q where
|Im log q| < π/2, whatever f is, if it grows slower than the Gaussian falls: so Chebyshev interpolation converges
geometrically (Trefethen 2013, "Approximation theory and approximation practice", theorem 8.2). The octaves do not
depend on the laws that are asked for. What interpolation leaves is judged by the highest Chebyshev coefficients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.polynomial import chebyshev

__all__ = ["AMPLIFICATION", "Fit", "Nodes", "find_fit", "octaves"]

Array = npt.NDArray[np.float64]

AMPLIFICATION = 4.0
"""By how much interpolation amplifies errors at the nodes, at most: Lebesgue's constant of 48 nodes is 3.5."""

_COUNTS = (16, 24, 32, 48)
_WATCHED = 2  # how many of the highest coefficients tell the error
_TOLERANCE = 1e-14  # what interpolation may leave, relative to the scale


@dataclass(frozen=True, slots=True)
class Nodes:
    """What is known at the nodes of an octave: values (nodes, C), their errors (nodes,), and the scale of both."""

    values: Array
    errors: Array
    scale: Array


@dataclass(frozen=True, slots=True)
class Fit:
    """The Chebyshev coefficients (K, C) of functions of log q on one octave, and their error relative to the scale."""

    exponent: int
    coefficients: Array
    error: float

    def at(self, q: Array) -> Array:
        """Return the values (N, C) for some q of this octave."""
        basis = chebyshev.chebvander(_place(q, self.exponent), len(self.coefficients) - 1)
        return np.asarray(basis @ self.coefficients)


def octaves(m: Array, q: Array) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    """Yield exponents e with the numbers of the laws in [2ᵉ, 2ᵉ⁺¹], where that saves work: many laws, of one mean."""
    if len(q) < _COUNTS[0] or (m != m[0]).any():
        return
    _, exponents = np.frexp(q)
    found = np.unique(exponents[q > 0])
    if len(found) * _COUNTS[0] <= len(q):
        yield from ((int(exponent) - 1, np.nonzero((exponents == exponent) & (q > 0))[0]) for exponent in found)


def find_fit(exponent: int, nodes: Callable[[Array], Nodes], hardest: float) -> Fit | None:
    """Return the interpolation on an octave, None if it is not accurate, or the values have errors above `hardest`.

    Args:
        exponent: the octave is [2ᵉ, 2ᵉ⁺¹].
        nodes: finds what is interpolated for given q.
        hardest: an error relative to the scale.
    """
    for count in _COUNTS:
        places = np.cos(np.pi * (np.arange(count) + 0.5) / count)
        found = nodes(np.ldexp(np.exp2(0.5 * (places + 1)), exponent))
        with np.errstate(all="ignore"):
            given = float(np.max(found.errors / found.scale))
        if not given <= hardest:
            return None
        basis = chebyshev.chebvander(places, count - 1)
        coefficients = (2 / count) * (basis.T @ found.values)
        coefficients[0] /= 2
        left = float(np.linalg.norm(coefficients[-_WATCHED:], axis=1).max() / found.scale.min())
        if left <= _TOLERANCE:
            return Fit(exponent, coefficients, AMPLIFICATION * given + left)
    return None


def _place(q: Array, exponent: int) -> Array:
    """Return where q lies on its octave, in [−1, 1]."""
    return np.clip(2 * np.log2(np.ldexp(q, -exponent)) - 1, -1, 1)
