"""Hermite series for compiled code: Σ_k a_k b_k ρᵏ for a strip of entries, as long as the remainder allows.

The even and the odd powers are summed apart, each as far as its own remainder needs: of an odd function (tanh) nothing
is left of the one, of a function that is even but for a multiple of u (SiLU, softplus) one term of the other.
"""

from __future__ import annotations

from typing import Any

from tensorprog.runtime.compiled import compiled
from tensorprog.runtime.horner import always_inline, correlate, sum_parities
from tensorprog.runtime.series_layout import HALF, LANES, LAST, LEVELS, SCALE, STEP

__all__ = ["add_series"]


@compiled(
    "Tuple((int64, float64))(float64[::1], float64[::1], int64, float64, float64, float64)", fastmath={"contract"}
)
def _find_level(rests: Any, others: Any, at: int, power: float, step: float, tolerance: float) -> Any:
    """Return how many times STEP terms are needed, and what they leave, `power` for none and `step` times less each."""
    level, remainder = 0, power * (rests[at] * others[at])
    while remainder > tolerance and level < LEVELS - 1:
        level += 1
        power *= step
        remainder = power * (rests[at + level] * others[at + level])
    return level, remainder


@compiled("float64(float64[::1], float64, float64[::1], float64, uint8[::1])", fastmath={"contract"})
def _mark(rho: Any, rest: float, others: Any, tolerance: float, missed: Any) -> float:
    """Mark the entries for which all terms are not enough, and return the largest remainder of the others."""
    largest = 0.0
    for s in range(missed.shape[0]):
        power, remainder = rho[s] * rho[s], rest * others[s]
        power *= power * power
        for _ in range(5):
            power *= power
        remainder *= power
        if remainder > tolerance:
            missed[s] = 1
        elif remainder > largest:
            largest = remainder
    return largest


@compiled(
    "void(float64[:, :, ::1], float64[:, :, ::1], float64[:, :, :, ::1], float64[:, :, ::1], float64[:, ::1],"
    " uint8[:, ::1], float64[::1], int64, int64, int64, int64, int64, int64, int64, int64, float64)",
    fastmath={"contract"},
)
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
    covariance: int,
    value: int,
    number: int,
    i: int,
    start: int,
    stop: int,
    tolerance: float,
) -> None:
    """Fill the strip work[value] with the series of the tables `left` and `right` at the covariances of another.

    For 32 neighbours together the numbers of terms are the smallest that leave no more than half of the tolerance each.
    Where there is none, missed[i, start + s] is set to 1, and the value is of no use. The largest remainder goes to
    worst[number].

    Args:
        a: for every table and left sample the even coefficients, the odd ones, 1/√q, and the relative remainder
            √(Σ_{k≥192} a_k² / Σ_k a_k²), (N1, tables, 194).
        rest_a: the remainders of the even series by the number of terms 0, 4, …, 96, then of the odd one, (N1, …, 50).
        b: the numbers of the right samples, 32 together, (N2/32, tables, 194, 32).
        rest_b: the largest remainders of 32 samples, (N2/32, tables, 50).
        work: strips of 32, 64, … entries.
        missed: marks of pairs, (N1, N2).
        worst: the largest remainder of every series.
        left: the table of the left sample.
        right: the table of the right sample.
        covariance: the strip of the covariances.
        value: the strip to fill.
        number: the number of the series.
        i: the left sample.
        start: the right sample of the first entry of the strips, a multiple of 32.
        stop: how many entries there are.
        tolerance: the largest remainder, relative to √(Σ_k a_k² · Σ_k b_k²).
    """
    always_inline()
    row, rests = a[i, left], rest_a[i, left]
    strip, covariances = work[value], work[covariance]
    largest = worst[number]
    for first in range(0, stop, LANES):
        place = (start + first) // LANES
        block, others = b[place, right], rest_b[place, right]
        size = correlate(covariances, first, row[SCALE], block[SCALE], strip)
        step = size * size
        step *= step
        step *= step
        even, left_out = _find_level(rests, others, 0, 1.0, step, 0.5 * tolerance)
        odd, remainder = _find_level(rests, others, LEVELS, size, step, 0.5 * tolerance)
        remainder += left_out
        if remainder > tolerance:
            even = odd = LEVELS - 1
            marks = missed[i, start + first : start + min(first + LANES, stop)]
            remainder = _mark(strip[first:], row[LAST], block[LAST], tolerance, marks)
        if remainder > largest:
            largest = remainder
        sum_parities(row, block, HALF, STEP * even, STEP * odd, strip, first)
    worst[number] = largest
