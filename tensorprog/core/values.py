"""Arrays with named axes: how the operands of one instruction are laid side by side."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "Value", "align", "as_matrix", "broadcast_samples"]

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Value:
    """A variable at finite size: `array` has shape (N, *axes) for a scalar and (N, *axes, dimension) for a vector.

    N is 1 where the value is the same for all samples. Arrays may be read-only broadcast views; nothing writes to them.
    """

    array: Array
    axes: tuple[str, ...]
    vector: bool


def align(value: Value, axes: tuple[str, ...], vector: bool) -> Array:
    """Return a view of the array with the axes in the order of `axes`, length 1 on those that the value lacks.

    With `vector`, a scalar gets a last dimension of length 1, so that the results of one call broadcast together.
    """
    order = [value.axes.index(axis) for axis in axes if axis in value.axes]
    if len(order) != len(value.axes):
        raise ValueError(f"a variable over {value.axes} does not fit into the axes {axes}")
    tail = (len(value.axes) + 1,) if value.vector else ()
    array = value.array.transpose(0, *(place + 1 for place in order), *tail)
    spread: tuple[slice | None, ...] = tuple(slice(None) if axis in value.axes else None for axis in axes)
    array = array[(slice(None), *spread)]
    return array[..., None] if vector and not value.vector else array


def broadcast_samples(array: Array, samples: int) -> Array:
    """Return a view of `array` with `samples` samples, repeating a value that is the same for all."""
    return array if array.shape[0] == samples else np.broadcast_to(array, (samples, *array.shape[1:]))


def as_matrix(array: Array, samples: int) -> NDArray[np.float64]:
    """Return a value of every sample as a matrix (N, d) of float64, d = 1 for scalars."""
    flat = np.asarray(array, dtype=np.float64).reshape(array.shape[0], math.prod(array.shape[1:]))
    return np.ascontiguousarray(broadcast_samples(flat, samples), dtype=np.float64)
