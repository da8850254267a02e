"""Hermite series for compiled code: Σ_k a_k b_k ρᵏ for a strip of entries, as long as the remainder allows."""

from __future__ import annotations

import math
from typing import Any

from numba import njit

__all__ = ["add_series", "series"]

_CHUNK = 32
"""How many entries get the same degree."""


@njit(error_model="numpy", fastmath={"contract"})
def series(
    a: Any, rest_a: Any, b: Any, rest_b: Any, start: int, stop: int, tolerance: float, rho: Any, value: Any, missed: Any
) -> float:
    """Fill value[s] = Σ_k a[k] b[k, start + s] rho[s]ᵏ for s < stop, and return the largest remainder's bound.

    The degree is the smallest of 8, 16, 32, 64, 128, 192 that leaves no more than the tolerance, for 32 neighbours
    together. Where there is none, missed[start + s] is set to 1, and value[s] is of no use.

    Args:
        a: the coefficients of the left sample, (192,).
        rest_a: its √(Σ_{k≥K} a_k² / Σ_k a_k²) for the six degrees K, (6,).
        b: the coefficients of the right samples, (192, N).
        rest_b: their remainders, (6, N).
        start: the first column.
        stop: the number of columns.
        tolerance: the largest remainder, relative to √(Σ_k a_k² · Σ_k b_k²).
        rho: the correlations, (stop,) or more.
        value: the sums, (stop,) or more.
        missed: marks of the left sample, (N,).
    """
    worst = 0.0
    for first in range(0, stop, _CHUNK):
        last = min(first + _CHUNK, stop)
        for s in range(first, last):
            square = rho[s] * rho[s]
            value[s] = square * square * square * square
        level, bound = 0, _largest(value, rest_a, rest_b, start, first, last, 0)
        while bound > tolerance and level < 5:
            level += 1
            for s in range(first, last):
                value[s] *= value[s] if level < 5 else math.sqrt(value[s])
            bound = _largest(value, rest_a, rest_b, start, first, last, level)
        if bound > tolerance:
            bound = 0.0
            for s in range(first, last):
                remainder = value[s] * (rest_a[5] * rest_b[5, start + s])
                if remainder > tolerance:
                    missed[start + s] = 1
                elif remainder > bound:
                    bound = remainder
        worst = max(worst, bound)
        for s in range(first, last):
            value[s] = 0.0
        degree = 8 << level if level < 5 else 192
        for k in range(degree - 8, -8, -8):
            a0, a1, a2, a3, a4, a5, a6, a7 = a[k], a[k + 1], a[k + 2], a[k + 3], a[k + 4], a[k + 5], a[k + 6], a[k + 7]
            for s in range(first, last):
                j = start + s
                r = rho[s]
                total = value[s] * r + a7 * b[k + 7, j]
                total = total * r + a6 * b[k + 6, j]
                total = total * r + a5 * b[k + 5, j]
                total = total * r + a4 * b[k + 4, j]
                total = total * r + a3 * b[k + 3, j]
                total = total * r + a2 * b[k + 2, j]
                total = total * r + a1 * b[k + 1, j]
                value[s] = total * r + a0 * b[k, j]
    return worst


@njit(error_model="numpy", fastmath={"contract"})
def _largest(power: Any, rest_a: Any, rest_b: Any, start: int, first: int, last: int, level: int) -> float:
    """Return the largest remainder of a chunk, whose |ρ|ᴷ are given."""
    largest = 0.0
    for s in range(first, last):
        remainder = power[s] * (rest_a[level] * rest_b[level, start + s])
        if remainder > largest:
            largest = remainder
    return largest


@njit(error_model="numpy", fastmath={"contract"})
def add_series(
    a: Any,
    rest_a: Any,
    b: Any,
    rest_b: Any,
    work: Any,
    missed: Any,
    worst: Any,
    left: int,
    right: int,
    rho: int,
    value: int,
    number: int,
    i: int,
    start: int,
    stop: int,
    tolerance: float,
) -> None:
    """Fill the strip work[value] with the series of the tables `left` and `right` at the correlations work[rho]."""
    coefficients, rests = (a[left, i], rest_a[left, i]), (b[right], rest_b[right])
    found = series(*coefficients, *rests, start, stop, tolerance, work[rho], work[value], missed[i])
    worst[number] = max(worst[number], found)
