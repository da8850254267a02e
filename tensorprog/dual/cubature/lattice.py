"""The trapezoidal rule in up to four dimensions, for smooth functions.

On a lattice of step h it integrates a function, analytic in a strip of width d about real space, against the normal
density with an error that falls like exp(−2πd/h) (Trefethen & Weideman 2014). The step is divided by √2 until values
agree; the error left is estimated by the pace at which they did.
"""

from __future__ import annotations

import functools
import itertools
import math

import numpy as np
import numpy.typing as npt

from tensorprog.dual.cubature.integrand import Estimate, Integrand
from tensorprog.dual.cubature.law import NormalForm

__all__ = ["MOST_DIMENSIONS", "lattice_estimate"]

Array = npt.NDArray[np.float64]

MOST_DIMENSIONS = 4
_REACHES = {1: 9.0, 2: 9.0, 3: 8.0, 4: 7.5}
_STEP = {1: 0.8, 2: 0.8, 3: 0.9, 4: 1.0}
_MOST_NODES = 600_000
_TOLERANCE = 1e-10
_ROUNDING = 1e-14
_SHELL, _BEYOND = 1.0, 0.01  # what lies beyond the ball is estimated by this part of its outermost shell
_BLOCK = 1 << 17


def lattice_estimate(integrand: Integrand, form: NormalForm) -> Estimate:
    """Return the expectations under laws of one rank, from 1 to 4."""
    count, dimension = len(form.means), form.roots.shape[2]
    values: list[Array] = [np.zeros(count)]
    error, scale = np.full(count, np.inf), np.zeros(count)
    left = np.arange(count)
    for number in itertools.count():
        step = _STEP[dimension] * 2 ** (-0.5 * number)
        if not left.size or (number > 2 and _count(dimension, step) > _MOST_NODES):
            break
        value = values[-1].copy()
        value[left], scale[left], beyond = _sums(integrand, form.rows(left), _nodes(dimension, step))
        values.append(value)
        if number > 1:
            first, second, third = (entry[left] for entry in values[-3:])
            error[left] = _remaining(first, second, third, scale[left]) + _BEYOND * beyond
            left = left[~(error[left] <= _TOLERANCE * scale[left])]
    return Estimate(values[-1], error + _ROUNDING * scale, scale)


def _remaining(first: Array, second: Array, third: Array, scale: Array) -> Array:
    """Return an estimate of the error of the last of three values.

    Relative to the scale the error of a step h is about e^(−a/h), and that of the next its power √2. Two values may
    agree by chance: so the last difference counts as no less than what the one before it lets expect.
    """
    size = np.where(scale > 0, scale, 1.0)
    before, now = np.abs(second - first) / size, np.abs(third - second) / size
    return np.asarray(2 * size * np.maximum(now, np.minimum(before, 1.0) ** 1.5) ** 1.25)


def _count(dimension: int, step: float) -> float:
    """Return about how many nodes a lattice has."""
    ball = math.pi ** (dimension / 2) / math.gamma(dimension / 2 + 1)
    return ball * (_REACHES[dimension] / step) ** dimension


@functools.lru_cache(16)
def _nodes(dimension: int, step: float) -> tuple[tuple[Array, ...], Array, Array]:
    """Return the points of the lattice in a ball, their weights, and those of the outermost shell."""
    reach = _REACHES[dimension]
    line = step * (np.arange(-math.ceil(reach / step), math.ceil(reach / step)) + 0.5)
    grid = np.meshgrid(*[line] * dimension, indexing="ij")
    square = sum(axis**2 for axis in grid)
    inside = square <= reach**2
    points = tuple(np.ascontiguousarray(axis[inside]) for axis in grid)
    weights = np.exp(-0.5 * square[inside])
    weights /= weights.sum()
    return points, weights, np.where(square[inside] > (reach - _SHELL) ** 2, weights, 0.0)


def _sums(
    integrand: Integrand, form: NormalForm, nodes: tuple[tuple[Array, ...], Array, Array]
) -> tuple[Array, Array, Array]:
    """Return E f, E |f|, and the part of the shell in it."""
    points, weights, outermost = nodes
    value, size, shell = (np.zeros(len(form.means)) for _ in range(3))
    length = min(len(weights), _BLOCK)
    rows = max(1, _BLOCK // length)
    for start in range(0, len(value), rows):
        part = slice(start, start + rows)
        laws = form.rows(part)
        for first in range(0, len(weights), length):
            some = slice(first, first + length)
            values = integrand(laws, tuple(axis[None, some] for axis in points))
            value[part] += np.sum(weights[some] * values, axis=1)
            size[part] += np.sum(weights[some] * np.abs(values), axis=1)
            shell[part] += np.sum(outermost[some] * np.abs(values), axis=1)
    return value, size, shell
