"""How far data vectors are from parallel: 1 − |cos θ|, of near-parallel ones from their differences."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tensorprog.dual.distribution import product_error
from tensorprog.runtime.entry import Entry

__all__ = ["deviation_tile", "unit_vectors", "versine_tile"]

Array = npt.NDArray[np.float64]

_NEAR = 2.0**-12
"""Below it the inner product, whose last digits are lost, gives way to differences: θ is then below 0.022."""

_CHUNK = 1 << 20
"""How many numbers are held at a time."""

_fill = Entry("tensorprog.runtime.passes", "fill_deviations")


def deviation_tile(
    gram: Array, left: Array, right: Array, left_squares: Array, right_squares: Array, out: Array | None = None
) -> Array:
    """Return 1 − |cos θ| for all pairs of rows (N1, d) and (N2, d), 1 where one of them is zero.

    Near 0 it follows from sin² θ = ‖v − (⟨u, v⟩/‖u‖²) u‖² / ‖v‖², to about 1e-16 relative to itself; it is exactly 0
    if u is ±v or a power of two times it.

    Args:
        gram: the inner products, (N1, N2).
        left: the rows u.
        right: the rows v.
        left_squares: their ‖u‖², (N1,).
        right_squares: their ‖v‖², (N2,).
        out: the array to fill, (N1, N2) and contiguous; a new one by default.
    """
    deviation = np.empty(gram.shape) if out is None else out
    scales = _reciprocals(left_squares), _reciprocals(right_squares)
    if _fill(np.ascontiguousarray(gram), *scales, deviation, _NEAR):
        with np.errstate(all="ignore"):
            _refine(deviation, left, right)
    return deviation


def _reciprocals(squares: Array) -> Array:
    """Return 1/‖u‖, 0 for vectors that are zero."""
    with np.errstate(all="ignore"):
        return np.where(squares > 0.0, 1.0 / np.sqrt(squares), np.where(np.isnan(squares), squares, 0.0))


def _refine(deviation: Array, left: Array, right: Array) -> None:
    """Replace what is near 0 by what the differences of the rows give."""
    rows, columns = np.nonzero(deviation < _NEAR)
    step = max(_CHUNK // max(left.shape[1], 1), 1)
    for start in range(0, len(rows), step):
        i, j = rows[start : start + step], columns[start : start + step]
        deviation[i, j] = _from_differences(left[i], right[j])


def _from_differences(u: Array, v: Array) -> Array:
    """Return 1 − |cos θ| of rows (N, d) that are nearly parallel, by Gram–Schmidt with exact products, twice."""
    u, v = _scaled(u), _scaled(v)
    squares = _dot(u, u)
    slope = (_dot(u, v) / squares)[:, None]
    product = slope * u
    rest = (v - product) - product_error(slope, u, product)
    rest = rest - (_dot(u, rest) / squares)[:, None] * u
    sine_squared = _dot(rest, rest) / _dot(v, v)
    return np.asarray(sine_squared / (1.0 + np.sqrt(np.maximum(1.0 - sine_squared, 0.0))))


def _scaled(rows: Array) -> Array:
    """Return rows times powers of two, so that their largest entries are about 1."""
    _, exponents = np.frexp(np.max(np.abs(rows), axis=1, keepdims=True))
    return np.asarray(np.ldexp(rows, -exponents))


def _dot(u: Array, v: Array) -> Array:
    """Return ⟨u, v⟩ of rows, summed in the same order for all u and v: a multiple of v has that multiple of it."""
    return np.sum(u * v, axis=1)


def unit_vectors(vectors: Array) -> Array:
    """Return vectors u (…, d) as u/‖u‖, zero where u = 0: ½‖û − v̂‖² = 1 − cos θ, θ to about 1e-16."""
    largest = np.max(np.abs(vectors), axis=-1, keepdims=True, initial=0.0)
    with np.errstate(all="ignore"):
        scaled = vectors / np.where(largest > 0.0, largest, 1.0)
        return np.asarray(scaled / np.maximum(np.sqrt(np.sum(scaled * scaled, axis=-1, keepdims=True)), 1.0))


def versine_tile(left: Array, right: Array) -> Array:
    """Return ½‖u − v‖² for all pairs of unit vectors (N1, d) and (N2, d)."""
    return np.stack([0.5 * np.sum((row - right) ** 2, axis=1) for row in left])
