"""Hermite factors of functions under the laws of samples, with bounds on what lies beyond every degree."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tensorprog.nonlin.expression import Expr

if TYPE_CHECKING:
    from tensorprog.dual.pairs.hermite import HermiteFactors

__all__ = ["DEGREES", "ROUNDING", "Factors", "find_factors"]

Array = npt.NDArray[np.float64]

DEGREES = (8, 16, 32, 64, 128, 192)
"""The numbers of Hermite coefficients among which every entry gets the smallest that its bound allows."""

ROUNDING = 4e-15
"""What rounding may do to an expectation, relative to √(E φ² · E ψ²): no error is stated to be less."""

_UNSURE, _HUGE = 1e-13, 1e200
"""An error of Hermite coefficients, relative to √(E φ²), with which they are not used; what their tails become."""


@dataclass(frozen=True, slots=True)
class Factors:
    """The Hermite coefficients (K, N) of a function under N laws, its norms E φ², and Σ_{k≥K} a_k² for `DEGREES`.

    The tails are bounds: Σ_{k≥K} a_k² is known to the accuracy of E φ² only. They are huge where the coefficients are
    not accurate, so that hardly any series meets its tolerance. `beyond` bounds the sums over k ≥ 192 of either parity,
    (2, N), even first. `error` is the largest √Σ δa_k², relative to √(E φ²).
    """

    coefficients: Array
    norms: Array
    tails: Mapping[int, Array]
    beyond: Array
    error: float


def find_factors(function: Expr, m: Array, q: Array, parameters: Mapping[str, float]) -> Factors:
    """Return the factors of a function under the laws N(m, q), (N,); they may be NaN or infinite."""
    found = _find_hermite_factors(function, m, q, parameters)
    coefficients, norms = found.coefficients, found.norms
    with np.errstate(all="ignore"):
        relative = found.errors / np.sqrt(norms)
        unsure, sums = relative > _UNSURE, coefficients**2 @ _summed()
        halves = np.stack([norms + found.mirrored, norms - found.mirrored]) / 2
        beyond = _beyond(np.where(np.isfinite(halves), halves, norms) - sums[:, :2].T, norms, unsure)
        rest = _beyond(norms - sums[:, 0] - sums[:, 1], norms, unsure)
        tails = {degree: rest + sums[:, place] for place, degree in enumerate(DEGREES, 2)}
    largest = np.max(relative, initial=0.0, where=np.isfinite(relative))
    return Factors(np.ascontiguousarray(coefficients.T), norms, tails, beyond, float(largest))


def _find_hermite_factors(function: Expr, m: Array, q: Array, parameters: Mapping[str, float]) -> HermiteFactors:
    from tensorprog.dual.pairs.hermite import HermiteFactors, find_hermite_factors

    finite = np.isfinite(m) & np.isfinite(q)
    if finite.all():
        return find_hermite_factors(function, m, q, DEGREES[-1], parameters)
    found = HermiteFactors.empty(len(m), DEGREES[-1])
    if finite.any():
        found.put(finite, find_hermite_factors(function, m[finite], q[finite], DEGREES[-1], parameters))
    return found


@functools.cache
def _summed() -> Array:
    """Return the matrix (192, ·) that sums what is even, what is odd, and what follows every degree."""
    k = np.arange(DEGREES[-1])
    return np.stack([k % 2 == 0, k % 2 == 1, *(k >= degree for degree in DEGREES)], axis=1).astype(np.float64)


def _beyond(difference: Array, norms: Array, unsure: Any) -> Array:
    """Return a bound on what is left of E φ², given the difference, which is rounded."""
    return np.where(unsure, _HUGE * norms, np.maximum(difference, 0.0) + ROUNDING * norms)
