"""The tangent kernel from Gram products: Σ_p lr_p ⟨∂f/∂p, ∂f′/∂p⟩ without ever forming the gradients of the samples.

The gradient of a matrix is a sum over its uses u and positions r of outer products dg_r ⊗ h_r. The inner product of
two such sums needs only ⟨dg_r, dg′_r′⟩ ⟨h_r, h′_r′⟩, for the pairs (r, r′) at which the weight is the same tensor
(Yang, Tensor Programs II, 2006.14548, equation 7; Novak et al. 2022, 2206.08720, for the cost).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tensorprog.core.indexing import Grid, locate
from tensorprog.core.ir import Core, Gradient
from tensorprog.core.values import Array, Value, align

__all__ = ["Use", "collect_use", "contract", "use_gradient"]

LARGEST_BLOCK = 1 << 24
"""Numbers in one Gram block; larger products are formed sample by sample."""


@dataclass(frozen=True, slots=True)
class Use:
    """One use of a parameter on one data set: its gradient is Σ_r rows_r ⊗ columns_r at every weight position.

    `places` maps the index of a weight position to the positions r of the use that read it. `rows` is (S, N, R, a) and
    `columns` (S, N, R, b), S the number of seeds (1 for the factor that does not depend on them).
    """

    places: Mapping[tuple[int, ...], NDArray[np.int64]]
    rows: Array
    columns: Array


def collect_use(
    gradient: Gradient, adjoints: Array, operand: Array | None, core: Core, grid: Grid, samples: int
) -> Use:
    """Return a use from the adjoints (S, N, *axes, [a]) of its result and the value (N, *axes, [b]) of its operand."""
    axes = gradient.axes
    kind = core.types[gradient.adjoint]
    back = adjoints if kind.dimension is not None else adjoints[..., None]
    back = np.broadcast_to(back, (back.shape[0], samples, *back.shape[2:]))
    left = back.reshape(back.shape[0], samples, -1, back.shape[-1])
    if operand is None:
        right = np.ones((1, samples, left.shape[2], 1), left.dtype)
    else:
        source = core.types[gradient.operand or ""]
        array = align(Value(operand, source.axes, source.dimension is not None), axes, vector=True)
        array = np.broadcast_to(array, (samples, *grid.shape(axes), array.shape[-1]))
        right = array.reshape(1, samples, -1, array.shape[-1])
    rows, columns = (right, left) if gradient.transposed else (left, right)
    return Use(_weight_places(gradient, core, grid), rows, columns)


def _weight_places(gradient: Gradient, core: Core, grid: Grid) -> dict[tuple[int, ...], NDArray[np.int64]]:
    """Return for each weight position, by its index values, the flat positions of the use at which it is read."""
    container, shape = core.parameters[gradient.parameter].axes, grid.shape(gradient.axes)
    offsets = locate(gradient.indices, container, gradient.axes, grid)
    count = int(np.prod(shape, dtype=np.int64))
    inside = np.ones(count, bool) if offsets.inside is None else np.broadcast_to(offsets.inside, shape).ravel()
    if not container:
        return {(): np.flatnonzero(inside)}
    starts = [grid.starts[axis] for axis in container]
    keys = np.stack(
        [np.broadcast_to(k, shape).ravel() + s for k, s in zip(offsets.offsets, starts, strict=True)], axis=1
    )
    distinct, inverse = np.unique(keys[inside], axis=0, return_inverse=True)
    places, which = np.flatnonzero(inside), inverse.ravel()
    return {tuple(key.tolist()): places[which == k] for k, key in enumerate(distinct)}


def contract(first: Use, second: Use, rates: Mapping[tuple[int, ...], float]) -> Array:
    """Return Σ_w rate_w ⟨gradient_w, gradient′_w⟩ over the weight positions w that both uses read, (S, N, S′, N′)."""
    seeds = [max(use.rows.shape[0], use.columns.shape[0]) for use in (first, second)]
    total = np.zeros((seeds[0], first.rows.shape[1], seeds[1], second.rows.shape[1]), first.rows.dtype)
    for key in first.places.keys() & second.places.keys():
        here, there = first.places[key], second.places[key]
        block = total.size * len(here) * len(there)
        step = max(1, first.rows.shape[1] * LARGEST_BLOCK // max(block, 1))
        for start in range(0, first.rows.shape[1], step):
            part = slice(start, start + step)
            grams = (
                _gram(first.rows[:, part], second.rows, here, there),
                _gram(first.columns[:, part], second.columns, here, there),
            )
            total[:, part] += rates[key] * np.einsum("snrtmq,snrtmq->sntm", *np.broadcast_arrays(*grams))
    return total


def _gram(first: Array, second: Array, here: NDArray[np.int64], there: NDArray[np.int64]) -> Array:
    """Return ⟨first_{s,n,r}, second_{t,m,q}⟩ as an array (s, n, r, t, m, q)."""
    x, y = (
        array if len(rows) == array.shape[2] else array[:, :, rows] for array, rows in ((first, here), (second, there))
    )
    product = x.reshape(-1, x.shape[-1]) @ y.reshape(-1, y.shape[-1]).T
    return product.reshape(*x.shape[:-1], *y.shape[:-1])


def use_gradient(use: Use, key: tuple[int, ...]) -> Array:
    """Return the gradient of one weight position through one use, (S, N, a, b)."""
    rows, columns = use.rows[:, :, use.places[key]], use.columns[:, :, use.places[key]]
    seeds = max(rows.shape[0], columns.shape[0])
    rows, columns = (np.broadcast_to(array, (seeds, *array.shape[1:])) for array in (rows, columns))
    product: Array = np.matmul(rows.swapaxes(-1, -2), columns)
    return product
