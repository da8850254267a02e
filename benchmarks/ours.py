"""The networks as programs, run by the generated code: imported in the processes that are measured."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from benchmarks.clock import shares
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
    Rnn,
    Transformer,
    WideResNet,
)

if TYPE_CHECKING:
    from tensorprog.runtime.gram import Kernel
    from tensorprog.runtime.per_extent import KernelPerExtent

__all__ = ["Run", "prepare", "program", "warm_imports"]

Array = npt.NDArray[np.float64]

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"

HEAD = "program bench\nwidth n\n"
VECTOR = f"{HEAD}input x : (d)\n"
IMAGE = f"{HEAD}axis i : H\naxis j : W\naxis k : -1..1\naxis l : -1..1\ninput x[i, j] : (c)\n"
SEQUENCE = f"{HEAD}axis i : T\naxis j : T\ninput x[i] : (c)\n"
READOUT = "param V : (1, n) ~ N(0, 1 / n)\n"


def warm_imports() -> None:
    """Import all that a derivation and a compilation will import."""
    import lark  # noqa: F401
    import numba  # noqa: F401
    import scipy.special  # noqa: F401
    import sympy  # noqa: F401

    import tensorprog  # noqa: F401


@dataclass(frozen=True, slots=True)
class Run:
    """The NNGP and the NTK as a function of data (N, *shape): two arrays (N, N)."""

    kernel: Kernel | KernelPerExtent

    def __call__(self, x: Array) -> tuple[Array, Array]:
        """Return the kernels."""
        found = self.kernel(x, get=("nngp", "ntk"))
        return found.nngp, found.ntk

    def profile(self, x: Array) -> dict[str, float]:
        """Return the shares of the time of a call in one thread, by module."""
        threads, self.kernel.threads = self.kernel.threads, 1
        try:
            return shares(lambda: self(x))
        finally:
            self.kernel.threads = threads


def prepare(network: Network) -> Run:
    """Return the compiled kernel of a network."""
    import tensorprog as tp

    return Run(tp.parse(program(network)).compile())


@singledispatch
def program(network: Network) -> str:
    """Return the text of a network."""
    raise NotImplementedError(type(network).__name__)


def _repeated(times: int, body: str) -> str:
    return f"for m in 1..{times} {{\n{body}}}\n" if times else ""


def _layer(matrix: str, columns: str, vector: str, operand: str, bias: float) -> str:
    """A layer, h = matrix @ operand + vector, with no vector where its variance is 0."""
    weights = f"param {matrix} : (n, {columns}) ~ N(0, {WEIGHT} / {columns})\n"
    if not bias:
        return f"{weights}h = {matrix} @ {operand}\n"
    return f"{weights}param {vector} : (n) ~ N(0, {bias})\nh = {matrix} @ {operand} + {vector}\n"


DATA_LAYER = _layer("W0", "d", "b0", "x", BIAS)


@program.register
def _(network: Mlp) -> str:
    phi = network.activation
    first = _layer("W0", "d", "b0", "x", network.bias)
    layers = _repeated(network.depth - 1, _layer("W", "n", "b", f"{phi}(h)", network.bias))
    return f"{VECTOR}{first}{layers}{READOUT}output f = V @ {phi}(h)\n"


@program.register
def _(network: ResidualMlp) -> str:
    layer = (
        f"param W : (n, n) ~ N(0, {WEIGHT} / ({network.depth} * n))\n"
        f"param b : (n) ~ N(0, {BIAS} / {network.depth})\nh = h + W @ relu(h) + b\n"
    )
    return f"{VECTOR}{DATA_LAYER}{_repeated(network.depth, layer)}{READOUT}output f = V @ relu(h)\n"


NORM = f"m0 = avg(h)\nv0 = avg((h - m0)^2)\ny = (h - m0) / sqrt(v0 + {EPSILON})\n"


@program.register
def _(network: NormMlp) -> str:
    layer = (
        f"param W1 : (n, n) ~ N(0, 1 / n)\nparam W2 : (n, n) ~ N(0, {WEIGHT} / n)\n{NORM}h = h + W2 @ relu(W1 @ y)\n"
    )
    return f"{VECTOR}{DATA_LAYER}{_repeated(network.depth, layer)}{NORM}{READOUT}output f = V @ y\n"


@program.register
def _(network: Cnn) -> str:
    first = (
        f"param C0[k, l] : (n, c) ~ N(0, {WEIGHT} / (9 * c))\nparam b0 : (n) ~ N(0, {BIAS})\n"
        "h[i, j] = sum[k, l](C0[k, l] @ x[i + k, j + l]) + b0\n"
    )
    layer = (
        f"param C[k, l] : (n, n) ~ N(0, {WEIGHT} / (9 * n))\nparam b : (n) ~ N(0, {BIAS})\n"
        "a[i, j] = relu(h[i, j])\nh[i, j] = sum[k, l](C[k, l] @ a[i + k, j + l]) + b\n"
    )
    readouts = {
        "flatten": "param V[i, j] : (1, n) ~ N(0, 1 / (H * W * n))\noutput f = sum[i, j](V[i, j] @ relu(h[i, j]))\n",
        "pool": f"{READOUT}output f = V @ mean[i, j](relu(h[i, j]))\n",
    }
    return IMAGE + first + _repeated(network.depth - 1, layer) + readouts[network.readout]


PIXELS, GRIDS = ("i", "j"), (("o", "p"), ("t", "u"), ("v", "w"))
"""The axes of the images and of the three groups of a residual network."""


def _filters(name: str, columns: str = "n") -> str:
    return f"param {name} : (n, {columns}) ~ N(0, 1 / (9 * {columns}))\n"


def _block(place: tuple[str, str]) -> str:
    """A block with the identity as its shortcut, at the positions `place`."""
    i, j = place
    return (
        f"{_filters('C[k, l]')}{_filters('D[k, l]')}a[{i}, {j}] = relu(h{i}[{i}, {j}])\n"
        f"g[{i}, {j}] = sum[k, l](C[k, l] @ a[{i} + k, {j} + l])\nb[{i}, {j}] = relu(g[{i}, {j}])\n"
        f"h{i}[{i}, {j}] = h{i}[{i}, {j}] + sum[k, l](D[k, l] @ b[{i} + k, {j} + l])\n"
    )


def _first_block(source: tuple[str, str], place: tuple[str, str], stride: int) -> str:
    """The first block of a group: it reads the positions `source`, by filters of stride 1 or 2, and writes `place`."""
    (p, q), (i, j) = source, place
    r, s = ("k", "l") if stride == 1 else ("r", "s")
    at = f"[{i} + k, {j} + l]" if stride == 1 else f"[2 * {i} + r, 2 * {j} + s]"
    return (
        f"{_filters(f'C{i}[{r}, {s}]')}{_filters(f'D{i}[k, l]')}{_filters(f'S{i}[{r}, {s}]')}"
        f"a{i}[{p}, {q}] = relu(h{p}[{p}, {q}])\ng{i}[{i}, {j}] = sum[{r}, {s}](C{i}[{r}, {s}] @ a{i}{at})\n"
        f"b{i}[{i}, {j}] = relu(g{i}[{i}, {j}])\n"
        f"h{i}[{i}, {j}] = sum[{r}, {s}](S{i}[{r}, {s}] @ h{p}{at}) + sum[k, l](D{i}[k, l] @ b{i}[{i} + k, {j} + l])\n"
    )


@program.register
def _(network: WideResNet) -> str:
    axes = "".join(
        f"axis {i} : H // {factor}\naxis {j} : W // {factor}\n" for (i, j), factor in zip(GRIDS, (1, 2, 4), strict=True)
    )
    data = f"{_filters('E[k, l]', 'c')}hi[i, j] = sum[k, l](E[k, l] @ x[i + k, j + l])\n"
    groups = "".join(
        _first_block(source, place, stride) + _repeated(network.blocks - 1, _block(place))
        for source, place, stride in ((PIXELS, GRIDS[0], 1), (GRIDS[0], GRIDS[1], 2), (GRIDS[1], GRIDS[2], 2))
    )
    return f"{IMAGE}{axes}axis r : 3\naxis s : 3\n{data}{groups}{READOUT}output f = V @ mean[v, w](hv[v, w])\n"


@program.register
def _(network: Attention) -> str:
    params = (
        f"param E : (n, c) ~ N(0, 1 / c)\nparam b : (n) ~ N(0, {BIAS})\nparam Q : (n, n) ~ N(0, 1 / n)\n"
        "param U : (n, n) ~ N(0, 1 / n)\nparam O : (n, n) ~ N(0, 1 / n)\n"
    )
    body = (
        "h[i] = E @ x[i] + b\ns[i, j] = dot(Q @ h[i], Q @ h[j]) / n\na[i, j] = softmax[j](s[i, j])\n"
        "y[i] = h[i] + O @ sum[j](a[i, j] * (U @ h[j]))\n"
    )
    return f"{SEQUENCE}{params}{READOUT}{body}output f = V @ mean[i](relu(y[i]))\n"


@program.register
def _(network: Rnn) -> str:
    return (EXAMPLES / "rnn.tp").read_text(encoding="utf-8")


@program.register
def _(network: Transformer) -> str:
    return (EXAMPLES / "transformer.tp").read_text(encoding="utf-8")
