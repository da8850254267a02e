"""Hermite series over arrays for compiled code: Σ_k a_k(p) b_k(q) ρᵏ for the entries (p, q) of an array of one pair."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorprog.runtime.compiled import compiled
from tensorprog.runtime.simd import prefer_wide_vectors

__all__ = ["fill_series"]


@compiled("float64(float64[::1], int64, float64[::1], int64, float64[::1], int64)", fastmath={"contract", "reassoc"})
def _product(a: Any, p: int, b: Any, q: int, power: Any, degree: int) -> float:
    """Return Σ_k a[p + k] b[q + k] power[k] for k < degree."""
    prefer_wide_vectors()
    total = 0.0
    first, second = a[p : p + degree], b[q : q + degree]
    for k in range(degree):
        total += first[k] * second[k] * power[k]
    return total


@compiled("void(float64, int64, float64[::1])", fastmath={"contract"})
def _fill_powers(rho: float, degree: int, power: Any) -> None:
    """Set power[k] = ρᵏ for k < degree, or more of them."""
    prefer_wide_vectors()
    square = rho * rho
    fourth = square * square
    power[0], power[1], power[2], power[3] = 1.0, rho, square, square * rho
    power[4], power[5], power[6], power[7] = fourth, fourth * rho, fourth * square, fourth * (square * rho)
    known, top = 8, fourth * fourth
    while known < degree:
        low, high = power[:known], power[known : 2 * known]
        for k in range(known):
            high[k] = low[k] * top
        top *= top
        known *= 2


@compiled(
    "void(float64[::1], int64[::1], int64, int64, float64[::1], int64, int64, float64[::1], int64, int64,"
    " uint8[:, ::1], float64[::1], int64, int64, int64, float64)",
    fastmath={"contract"},
)
def fill_series(
    work: Any,
    tables: Any,
    target: int,
    count: int,
    a: Any,
    a_at: int,
    a_laws: int,
    b: Any,
    b_at: int,
    b_laws: int,
    missed: Any,
    worst: Any,
    number: int,
    i: int,
    j: int,
    tolerance: float,
) -> None:
    """Replace the covariances c(p, q) of an array by Σ_k a_k(p) b_k(q) ρᵏ.

    The degree is the smallest of 8, 16, 32, 64, 128, 192 that leaves no more than the tolerance. Where there is none,
    missed[i, j] is set to 1, and the value is of no use.

    Args:
        work: the covariances, and in their place the values.
        tables: the numbers of the laws of every entry.
        target: where the array starts.
        count: how many entries it has.
        a: the row of coefficients of the left sample: for a law 192 coefficients, the relative remainders for the six
            degrees, the deviation √q, and one number that is not used.
        a_at: where those for this array start.
        a_laws: where the numbers of laws start.
        b: the row of coefficients of the right sample.
        b_at: where those for this array start.
        b_laws: where the numbers of laws start.
        missed: the marks of pairs.
        worst: the largest remainder of every series.
        number: the number of this one.
        i: the left sample.
        j: the right sample.
        tolerance: the largest remainder, relative to √(Σ_k a_k² · Σ_k b_k²).
    """
    power = np.empty(256)
    largest = 0.0
    for entry in range(target, target + count):
        p, q = a_at + 200 * tables[a_laws + entry - target], b_at + 200 * tables[b_laws + entry - target]
        deviation = a[p + 198] * b[q + 198]
        rho = work[entry] / deviation
        rho = 1.0 if rho > 1.0 else -1.0 if rho < -1.0 else rho
        rho = 0.0 if deviation == 0.0 else rho
        size = rho * rho
        size *= size
        size *= size
        level, remainder = 0, size * (a[p + 192] * b[q + 192])
        while remainder > tolerance and level < 5:
            level += 1
            size *= size if level < 5 else math.sqrt(size)
            remainder = size * (a[p + 192 + level] * b[q + 192 + level])
        if remainder > tolerance:
            missed[i, j] = 1
        elif remainder > largest:
            largest = remainder
        degree = 8 << level if level < 5 else 192
        _fill_powers(rho, degree, power)
        work[entry] = _product(a, p, b, q, power, degree)
    if largest > worst[number]:
        worst[number] = largest
