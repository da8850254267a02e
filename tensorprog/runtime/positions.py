"""Inner products of data at positions: only those that a domain holds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from tensorprog.kernel.domain import Domain, Integers

__all__ = ["data_entries", "gram_diagonal", "gram_entries", "versine_diagonal", "versine_entries"]

Array = npt.NDArray[np.float64]

_LARGEST = 1 << 22
"""How many numbers of each side are laid out at once."""


def gram_entries(left: Array, right: Array, domain: Domain) -> Array:
    """Return ⟨u_p(x), v_q(x′)⟩ for the entries (p, q) of a domain, an array (N1, N2, entries).

    Args:
        left: the vectors u at all positions, (N1, *axes, d).
        right: the vectors v, (N2, *axes′, d).
        domain: over the axes of both.
    """
    found = np.empty((len(left), len(right), domain.count))
    for part, first, second in _aligned(left, right, domain):
        found[:, :, part] = np.einsum("ied,jed->ije", first, second)
    return found


def gram_diagonal(left: Array, right: Array, domain: Domain) -> Array:
    """Return ⟨u_p(x), v_q(x)⟩ for the entries (p, q) of a domain, an array (N, entries)."""
    found = np.empty((len(left), domain.count))
    for part, first, second in _aligned(left, right, domain):
        found[:, part] = np.einsum("ied,ied->ie", first, second)
    return found


def versine_entries(left: Array, right: Array, domain: Domain) -> Array:
    """Return ½‖u_p(x) − v_q(x′)‖² of unit vectors, as `gram_entries` does inner products."""
    found = np.empty((len(left), len(right), domain.count))
    for part, first, second in _aligned(left, right, domain):
        for row, vectors in enumerate(first):
            found[row, :, part] = 0.5 * np.sum((vectors - second) ** 2, axis=-1)
    return found


def versine_diagonal(left: Array, right: Array, domain: Domain) -> Array:
    """Return ½‖u_p(x) − v_q(x)‖² of unit vectors, as `gram_diagonal` does inner products."""
    found = np.empty((len(left), domain.count))
    for part, first, second in _aligned(left, right, domain):
        found[:, part] = 0.5 * np.sum((first - second) ** 2, axis=-1)
    return found


def data_entries(values: Array, domain: Domain) -> Array:
    """Return the entries (N, entries) of data (N, *axes)."""
    return values.reshape(len(values), -1)[:, _rows(domain, range(len(domain.axes)))]


def _aligned(left: Array, right: Array, domain: Domain) -> Iterator[tuple[slice, Array, Array]]:
    """Yield some entries at a time, and the vectors of both sides for them."""
    split, size = left.ndim - 2, left.shape[-1]
    rows, columns = _rows(domain, range(split)), _rows(domain, range(split, len(domain.axes)))
    first, second = (array.reshape(len(array), -1, size) for array in (left, right))
    step = max(1, _LARGEST // max(1, max(len(left), len(right)) * size))
    for start in range(0, domain.count, step):
        part = slice(start, min(start + step, domain.count))
        yield part, first[:, rows[part]], second[:, columns[part]]


def _rows(domain: Domain, dimensions: range) -> Integers:
    """Return for every entry the number of its position on some of the axes, row-major."""
    number = np.zeros(domain.count, dtype=np.int64)
    positions = domain.positions()
    for dimension in dimensions:
        start, extent = domain.ranges[dimension]
        number = number * extent + (positions[dimension] - start)
    return number
