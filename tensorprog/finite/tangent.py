"""Inner moments and tangents at finite width: what the limit's equations are checked against, one by one."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorprog.core.bind import check_pair
from tensorprog.core.values import Array
from tensorprog.errors import DataError, Diagnostic
from tensorprog.finite.network import FiniteNetwork, symmetrize
from tensorprog.finite.sweep import Sweep, pair_uses
from tensorprog.nonlin.evaluate import evaluate_integer

__all__ = ["mean", "second_moment", "tangent", "tangent_of_sweeps"]


def mean(network: FiniteNetwork, x: Any, name: str) -> Array:
    """Return (1/n) Σ_α v_α for a vector variable, (N, *axes); a scalar variable itself."""
    value = network.variables(x, (name,))[name]
    return value if network.core.types[name].dimension is None else np.asarray(value.mean(axis=-1))


def second_moment(network: FiniteNetwork, x1: Any, x2: Any, left: str, right: str) -> Array:
    """Return (1/n) Σ_α v_α(x1) w_α(x2) for vectors v = `left`, w = `right` of one width, (N1, N2, *axes, *axes′).

    For scalars n = 1: the product. `x2` may be None for `x1`.
    """
    v = network.variables(x1, (left,))[left]
    w = network.variables(x1 if x2 is None else x2, (right,))[right]
    if network.core.types[left].dimension is None and network.core.types[right].dimension is None:
        v, w = v[..., None], w[..., None]
    _check_dimensions(v.shape[-1], w.shape[-1], left, right)
    product = v.reshape(-1, v.shape[-1]) @ w.reshape(-1, w.shape[-1]).T / v.shape[-1]
    rank = v.ndim - 2
    moved = np.moveaxis(product.reshape(*v.shape[:-1], *w.shape[:-1]), rank + 1, 1)
    return symmetrize(moved, rank) if x2 is None and left == right else moved


def tangent(network: FiniteNetwork, x1: Any, x2: Any, left: str, right: str, probes: int = 1, seed: int = 0) -> Array:
    """Return an unbiased estimate of (1/n) Σ_α Σ_p lr_p ⟨∂v_α(x1)/∂p, ∂w_α(x2)/∂p⟩, (N1, N2, *axes, *axes′).

    v = `left` and w = `right` are vectors of one width n. With signs ξ_α = ±1, independent, E ξ_α ξ_β = δ_αβ, so that
    Σ_p lr_p ⟨∂(ξ·v)/∂p, ∂(ξ·w)/∂p⟩ has the sum over α as its mean (Hutchinson 1990); the result is an average over
    `probes` draws of ξ. The forward values are computed once. Scalars need no estimate: n = 1, one pass.

    Args:
        network: the network.
        x1: data of N1 samples.
        x2: data of N2 samples, or None for `x1`.
        left: the name of v.
        right: the name of w.
        probes: the number of draws of ξ.
        seed: the seed of ξ, which is independent of the parameters.
    """
    first = network.sweep(x1, left)
    second = first if x2 is None and left == right else network.sweep(x1 if x2 is None else x2, right)
    check_pair(first.binding, second.binding, network.core)
    return tangent_of_sweeps(first, second, probes, seed)


def tangent_of_sweeps(first: Sweep, second: Sweep, probes: int, seed: int) -> Array:
    """Return the estimate of `tangent` for forward values that are known already."""
    left, right, core = first.backward.variable, second.backward.variable, first.backward.core
    size = _dimension(first)
    _check_dimensions(size, _dimension(second), left, right)
    if size is None:
        return _tangent_of_seed(first, second, None)
    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(len(core.parameters), 0)))
    total = np.zeros(())
    for _ in range(probes):
        signs = (2 * generator.integers(0, 2, size, dtype=np.int8) - 1).astype(first.binding.dtype)
        total = total + _tangent_of_seed(first, second, signs)
    return np.asarray(total / (probes * size))


def _tangent_of_seed(first: Sweep, second: Sweep, weights: Array | None) -> Array:
    uses = first.uses(weights)
    if second is first:
        return symmetrize(pair_uses(first, uses, first, uses), len(first.shape()))
    return pair_uses(first, uses, second, second.uses(weights))


def _dimension(sweep: Sweep) -> int | None:
    dimension = sweep.backward.core.types[sweep.backward.variable].dimension
    return None if dimension is None else evaluate_integer(dimension, sweep.grid.sizes)


def _check_dimensions(first: int | None, second: int | None, left: str, right: str) -> None:
    if first != second:
        raise DataError(
            Diagnostic("TP412", f"`{left}` and `{right}` are vectors of different sizes: {first} and {second}")
        )
