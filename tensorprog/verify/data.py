"""Data for a verification that is given none."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from tensorprog.core.bind import bound_names
from tensorprog.core.ir import Axis, Core
from tensorprog.nonlin.evaluate import evaluate
from tensorprog.nonlin.expression import Expr, symbols

__all__ = ["default_data"]

Array = npt.NDArray[np.float64]

SAMPLES = 3
CORRELATION = 0.8
"""The correlation of two samples."""
NEAR = 0.5
"""The correlation of two places of one sample."""
DIMENSION = 8
EXTENTS = range(2, 65)
"""The extents that are tried for axes: the tangent of a variable costs a backward pass for each of its places.

The first has one position more than the others, so that axes that are mixed up show.
"""


def default_data(core: Core, seed: int, sizes: Mapping[str, int]) -> dict[str, Array]:
    """Return three samples for every input, standard-normal numbers; sizes that data would bind are `sizes`.

    Other dimensions are 8, and extents of axes as small as possible. Two samples have inner products of 0.8 of their
    squared norm, so that no kernel between two of them is small, and two places of a sample of about 0.5.
    """
    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2**31 - 1,)))
    known = _sizes(core, {**core.symbols, **sizes})
    return {item.name: _drawn(generator, *_shape(core, item.name, known)) for item in core.inputs}


def _drawn(generator: np.random.Generator, places: tuple[int, ...], shape: tuple[int, ...]) -> Array:
    if not places:
        return _correlated(generator, shape)
    count = math.prod(places)
    drawn = generator.standard_normal((SAMPLES, count, math.prod(shape)))
    mixed = np.einsum("ij,pq,jqc->ipc", _root(SAMPLES, CORRELATION), _root(count, NEAR), drawn)
    return np.asarray(mixed.reshape(SAMPLES, *places, *shape))


def _root(count: int, correlation: float) -> Array:
    """Return the Cholesky factor of the matrix with 1 on the diagonal and `correlation` off it."""
    return np.linalg.cholesky(correlation + (1 - correlation) * np.eye(count)).astype(np.float64)


def _correlated(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    size = math.prod(shape)
    drawn = generator.standard_normal((SAMPLES, size))
    if size >= SAMPLES:
        directions, _ = np.linalg.qr(drawn.T)
        drawn = np.sqrt(size) * _root(SAMPLES, CORRELATION) @ directions.T
    return drawn.reshape(SAMPLES, *shape)


def _sizes(core: Core, known: Mapping[str, float]) -> dict[str, float]:
    """Return a value for every size; extents as small as leave axes of the first two positions, and others one."""
    free = [name for name in bound_names(core) if name not in known]
    bound = {name for axis in core.axes.values() for name in _names(axis)}
    extents = [name for name in free if name in bound]
    sizes = {**dict.fromkeys(free, float(DIMENSION)), **known}
    if not extents:
        return sizes
    first, *others = extents
    tried = [{**sizes, first: extent + 1.0, **dict.fromkeys(others, float(extent))} for extent in EXTENTS]
    leasts = [
        {name: 2 if first in _names(axis) else 1 for name, axis in core.axes.items()},
        dict.fromkeys(core.axes, 1),
    ]
    for least in leasts:
        for candidate in tried:
            if all(_is_at_least(axis.extent, least[name], candidate) for name, axis in core.axes.items()):
                return candidate
    return tried[-1]


def _names(axis: Axis) -> tuple[str, ...]:
    return (*symbols(axis.start), *symbols(axis.extent))


def _is_at_least(extent: Expr, least: int, sizes: Mapping[str, float]) -> bool:
    return float(evaluate(extent, (), sizes)) >= least


def _shape(core: Core, name: str, sizes: Mapping[str, float]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the extents of the axes of an input, and the shape of what stands at every place."""
    kind = core.types[name]
    places = tuple(int(evaluate(core.axes[axis].extent, (), sizes)) for axis in kind.axes)
    return places, () if kind.dimension is None else (int(evaluate(kind.dimension, (), sizes)),)
