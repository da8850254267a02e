"""Sums of composite rules with estimates of their errors: differences of two orders, panel by panel, and rounding."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tensorprog.dual.pairs.features import Function
from tensorprog.dual.pairs.panels import REACH, parts, rule

__all__ = [
    "COARSE",
    "FINE",
    "UNRESOLVED",
    "Attempt",
    "Sums",
    "deviation",
    "judged",
    "outside",
    "point_sums",
    "refined",
    "summed",
]

Array = npt.NDArray[np.float64]
Rows: TypeAlias = npt.NDArray[np.int64]

FINE, COARSE = 14, 10
"""The orders of the two rules."""

UNRESOLVED = 4.0
"""The error that is stated where there cannot be as many panels as are needed, relative to √(E φ² E ψ²)."""

_FINENESS = (1.0, 2.0, 4.0)
_TOLERANCE = 5e-12  # a larger error, relative to √(E φ² E ψ²), is worth finer panels
_ROUNDING = 1e-15  # of a term of a sum

Attempt: TypeAlias = Callable[[Rows, float], tuple[Array, Array, Array]]
"""From numbers of laws and the fineness of the panels to values, errors and scales."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over panels (N, P), and Σ |term| (N,)."""

    panels: Array
    size: Array


def summed(terms: Array, order: int) -> Sums:
    """Return the sums of terms (N, P·order)."""
    return Sums(terms.reshape(len(terms), -1, order).sum(axis=2), np.abs(terms).sum(axis=1))


def judged(fine: Sums, coarse: Sums, least: Array) -> tuple[Array, Array]:
    """Return the finer of two sums, and its error, which is no smaller than `least`."""
    differences = np.abs(fine.panels - coarse.panels).sum(axis=1)
    return fine.panels.sum(axis=1), np.maximum(differences + _ROUNDING * fine.size, least)


def refined(attempt: Attempt, count: int, length: int) -> tuple[Array, Array]:
    """Return values and errors, with finer panels where the error is large, `length` laws at a time.

    Of the attempts at a law the one with the least error counts. There is none but the first where the error is as
    large as the scale.
    """
    value, error, left = np.zeros(count), np.full(count, np.inf), np.arange(count)
    for fineness in _FINENESS:
        missed = [left[:0]]
        for part in parts(len(left), length):
            rows = left[part]
            found, estimate, scale = attempt(rows, fineness)
            better = ~(estimate >= error[rows])
            value[rows[better]], error[rows[better]] = found[better], estimate[better]
            missed.append(rows[(estimate > _TOLERANCE * scale) & (estimate < scale)])
        left = np.concatenate(missed)
    return value, error


def point_sums(value: Function, m: Array, s: Array, edges: Array, order: int) -> Sums:
    """Return the sums for E f(m + s z) on panels (N, P + 1)."""
    z, weight = rule(edges, order)
    with np.errstate(over="ignore", invalid="ignore"):
        return summed(weight * value(m[:, None] + s[:, None] * z), order)


def deviation(value: Function, m: Array, s: Array, edges: Array) -> Array:
    """Return √(E f²)."""
    z, weight = rule(edges, FINE)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(np.sqrt(np.sum(weight * value(m[:, None] + s[:, None] * z) ** 2, axis=1)))


def outside(value: Function, m: Array, s: Array) -> Array:
    """Return about what the tails beyond the range contribute to E |f|."""
    ends = np.abs(value(m - REACH * s)) + np.abs(value(m + REACH * s))
    return ends * math.exp(-0.5 * REACH**2) / math.sqrt(2 * math.pi)
