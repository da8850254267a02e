"""The networks in neural-tangents (Novak et al. 2020, arXiv:1912.02803): imported in its interpreter only.

Nothing of tensorprog is imported here. Kernels are compiled by `jax.jit`, in double precision.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.networks import (
    BIAS,
    EPSILON,
    WEIGHT,
    Attention,
    Cnn,
    Mlp,
    Network,
    NormMlp,
    ResidualMlp,
    WideResNet,
)

__all__ = ["layer", "prepare", "warm_imports"]

Array = npt.NDArray[np.float64]
Layer = Any

NODES = 25
"""The order of the Gauss–Hermite rule of `ElementwiseNumerical` that its documentation recommends."""


def warm_imports() -> None:
    """Import all that building and compiling will import."""
    import jax
    import neural_tangents  # noqa: F401

    jax.config.update("jax_enable_x64", True)


def prepare(network: Network) -> Callable[[Array], tuple[Array, Array]]:
    """Return the NNGP and the NTK as a function of data (N, *shape): two arrays (N, N)."""
    import jax

    _, _, kernel = layer(network)
    compiled = jax.jit(lambda x: tuple(kernel(x, None, ("nngp", "ntk"))))

    def run(x: Array) -> tuple[Array, Array]:
        nngp, ntk = jax.block_until_ready(compiled(x))
        return np.asarray(nngp), np.asarray(ntk)

    return run


@singledispatch
def layer(network: Network) -> Layer:
    """Return a network as (init_fn, apply_fn, kernel_fn)."""
    raise NotImplementedError(type(network).__name__)


def _dense(weight: float = 1.0, bias: float = 0.0) -> Layer:
    from neural_tangents import stax

    return stax.Dense(1, W_std=sqrt(weight), b_std=sqrt(bias) if bias else None)


def _filters(weight: float = 1.0, bias: float = 0.0, strides: tuple[int, int] = (1, 1)) -> Layer:
    from neural_tangents import stax

    b_std = sqrt(bias) if bias else None
    return stax.Conv(1, (3, 3), strides=strides, padding="SAME", W_std=sqrt(weight), b_std=b_std)


def _activation(name: str) -> Layer:
    import jax.numpy as jnp
    from neural_tangents import stax

    known = {"relu": stax.Relu, "erf": stax.Erf, "gelu": stax.Gelu}
    return known[name]() if name in known else stax.ElementwiseNumerical(getattr(jnp, name), deg=NODES)


def _sum(*branches: Layer) -> Layer:
    from neural_tangents import stax

    return stax.serial(stax.FanOut(len(branches)), stax.parallel(*branches), stax.FanInSum())


@layer.register
def _(network: Mlp) -> Layer:
    from neural_tangents import stax

    hidden = [
        part for _ in range(network.depth) for part in (_dense(WEIGHT, network.bias), _activation(network.activation))
    ]
    return stax.serial(*hidden, _dense())


@layer.register
def _(network: ResidualMlp) -> Layer:
    from neural_tangents import stax

    branch = stax.serial(stax.Relu(), _dense(WEIGHT / network.depth, BIAS / network.depth))
    blocks = [_sum(stax.Identity(), branch) for _ in range(network.depth)]
    return stax.serial(_dense(WEIGHT, BIAS), *blocks, stax.Relu(), _dense())


@layer.register
def _(network: NormMlp) -> Layer:
    from neural_tangents import stax

    branch = stax.serial(stax.LayerNorm(eps=EPSILON), _dense(), stax.Relu(), _dense(WEIGHT))
    blocks = [_sum(stax.Identity(), branch) for _ in range(network.depth)]
    return stax.serial(_dense(WEIGHT, BIAS), *blocks, stax.LayerNorm(eps=EPSILON), _dense())


@layer.register
def _(network: Cnn) -> Layer:
    from neural_tangents import stax

    hidden = [part for _ in range(network.depth) for part in (_filters(WEIGHT, BIAS), stax.Relu())]
    readout = stax.Flatten() if network.readout == "flatten" else stax.GlobalAvgPool()
    return stax.serial(*hidden, readout, _dense())


def _block(strides: tuple[int, int], shortcut: Layer) -> Layer:
    from neural_tangents import stax

    return _sum(stax.serial(stax.Relu(), _filters(strides=strides), stax.Relu(), _filters()), shortcut)


@layer.register
def _(network: WideResNet) -> Layer:
    from neural_tangents import stax

    groups = []
    for strides in ((1, 1), (2, 2), (2, 2)):
        groups.append(_block(strides, _filters(strides=strides)))
        groups += [_block((1, 1), stax.Identity()) for _ in range(network.blocks - 1)]
    return stax.serial(_filters(), *groups, stax.GlobalAvgPool(), _dense())


@layer.register
def _(network: Attention) -> Layer:
    from neural_tangents import stax

    attention = stax.GlobalSelfAttention(1, n_chan_key=1, n_chan_val=1, n_heads=1, linear_scaling=True)
    return stax.serial(_dense(1.0, BIAS), _sum(stax.Identity(), attention), stax.Relu(), stax.GlobalAvgPool(), _dense())
