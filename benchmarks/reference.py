"""The reference algorithms: NNGP and NTK of every network by its textbook recursion, in plain numpy.

They use nothing of tensorprog. On a few samples they are the witness of every result; for networks that no other
program covers they are what is timed beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch

import numpy as np

from benchmarks.moments import Array, Moments, activated, biased, data, dense, erf_dual, normalized, plus, variances
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

__all__ = ["kernels", "prepare", "warm_imports"]


def warm_imports() -> None:
    """Nothing more is imported."""


def prepare(network: Network) -> Callable[[Array], tuple[Array, Array]]:
    """Return the NNGP and the NTK as a function of data (N, *shape): two arrays (N, N)."""
    return lambda x: kernels(network, x)


def kernels(network: Network, x: Array) -> tuple[Array, Array]:
    """Return the NNGP and the NTK of data (N, *shape): two arrays (N, N)."""
    f = output(network, x)
    return f.k.mean(axis=(2, 3)), f.t.mean(axis=(2, 3))


@singledispatch
def output(network: Network, x: Array) -> Moments:
    """Return the moments of the outputs: their mean over positions is the kernel."""
    raise NotImplementedError(type(network).__name__)


def _first(x: Array, bias: float = BIAS) -> Moments:
    return biased(data(x[:, None, :], WEIGHT), bias)


@output.register
def _(network: Mlp, x: Array) -> Moments:
    h = _first(x, network.bias)
    for _ in range(network.depth - 1):
        h = biased(dense(activated(h, network.activation), WEIGHT), network.bias)
    return dense(activated(h, network.activation), 1.0)


@output.register
def _(network: ResidualMlp, x: Array) -> Moments:
    h = _first(x)
    for _ in range(network.depth):
        h = plus(h, biased(dense(activated(h, "relu"), WEIGHT / network.depth), BIAS / network.depth))
    return dense(activated(h, "relu"), 1.0)


@output.register
def _(network: NormMlp, x: Array) -> Moments:
    h = _first(x)
    for _ in range(network.depth):
        h = plus(h, dense(activated(dense(normalized(h, EPSILON), 1.0), "relu"), WEIGHT))
    return dense(normalized(h, EPSILON), 1.0)


def _filtered(k: Array, extents: tuple[int, int], stride: int = 1) -> Array:
    """Return the mean over the offsets of a 3×3 filter, the same in both copies, with zeros outside.

    At stride 1 the offsets are -1, 0, 1; at stride 2 (of even extents) 0, 1, 2: the padding "SAME" of XLA.
    """
    count, (height, width) = len(k), extents
    before = 1 if stride == 1 else 0
    grid = k.reshape(count, count, height, width, height, width)
    padded = np.pad(grid, [(0, 0), (0, 0), *[(before, 2 - before)] * 4])
    rows, columns = height // stride, width // stride
    total = np.zeros((count, count, rows, columns, rows, columns))
    for i in range(3):
        for j in range(3):
            down, right = slice(i, i + height, stride), slice(j, j + width, stride)
            total += padded[:, :, down, right, down, right]
    return (total / 9).reshape(count, count, rows * columns, rows * columns)


def _convolved(h: Moments, extents: tuple[int, int], weight: float, stride: int = 1) -> Moments:
    return Moments(*(weight * _filtered(part, extents, stride) for part in (h.k, h.k + h.t)))


def _image(x: Array, weight: float) -> Moments:
    """The first filters on images (N, H, W, c)."""
    samples, height, width, channels = x.shape
    pixels = data(x.reshape(samples, height * width, channels), weight)
    k = _filtered(pixels.k, (height, width))
    return Moments(k, k)


@output.register
def _(network: Cnn, x: Array) -> Moments:
    extents = x.shape[1], x.shape[2]
    h = biased(_image(x, WEIGHT), BIAS)
    for _ in range(network.depth - 1):
        h = biased(_convolved(activated(h, "relu"), extents, WEIGHT), BIAS)
    f = dense(activated(h, "relu"), 1.0)
    if network.readout == "pool":
        return f
    return Moments(*(np.einsum("abpp->abp", part)[..., None] for part in (f.k, f.t)))


@output.register
def _(network: WideResNet, x: Array) -> Moments:
    extents = x.shape[1], x.shape[2]
    h = _image(x, 1.0)
    for stride in (1, 2, 2):
        for block in range(network.blocks):
            step = stride if block == 0 else 1
            branch = _convolved(activated(h, "relu"), extents, 1.0, step)
            h = h if block else _convolved(h, extents, 1.0, step)
            extents = extents[0] // step, extents[1] // step
            h = plus(h, _convolved(activated(branch, "relu"), extents, 1.0))
    return dense(h, 1.0)


def _attended(h: Moments, u: Moments) -> Moments:
    """Attention with its shortcut, h_i + O Σ_j softmax_j(⟨Q u_i, Q u_j⟩/n) U u_j, matrices of variance 1/n.

    The scores are the moments of u in one sample.
    """
    scores = np.einsum("aapq->apq", u.k)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    mixed = Moments(*(weights[:, None] @ part @ weights[None].swapaxes(-1, -2) for part in (u.k, u.t)))
    return plus(h, dense(dense(mixed, 1.0), 1.0))


@output.register
def _(network: Attention, x: Array) -> Moments:
    h = biased(data(x, 1.0), BIAS)
    return dense(activated(_attended(h, h), "relu"), 1.0)


@output.register
def _(network: Transformer, x: Array) -> Moments:
    h = biased(data(x, 1.0), 0.1)
    y = _attended(h, normalized(h, 1e-6))
    hidden = biased(dense(normalized(y, 1e-6), 1.0), 0.1)
    z = plus(y, dense(activated(hidden, "relu"), 2.0))
    return dense(normalized(z, 1e-6), 1.0)


@output.register
def _(network: Rnn, x: Array) -> Moments:
    """K[t, t′] follows from K[t - 1, t′ - 1]: all pairs whose smaller time is t at once."""
    samples, times, _ = x.shape
    inputs = biased(data(x, 1.0), 0.1).k
    left, right = variances(_rnn_variances(inputs))
    k, t = np.empty((2, samples, samples, times, times))
    for s in range(times):
        for row, column in ((slice(s, s + 1), slice(s, times)), (slice(s + 1, times), slice(s, s + 1))):
            here = (..., row, column)
            before = (..., slice(row.start - 1, row.stop - 1), slice(column.start - 1, column.stop - 1))
            pre, tangent = (inputs[here], inputs[here])
            if s:
                pre, tangent = pre + k[before], tangent + k[before] + t[before]
            k[here], slopes = erf_dual(pre, left[:, :, row], right[..., column])
            t[here] = slopes * tangent
    return dense(Moments(k, t), 1.0)


def _rnn_variances(inputs: Array) -> Array:
    """Return E[(W s + U x + b)²] on the diagonal of an array like `inputs`."""
    variance = np.zeros_like(inputs)
    state = np.zeros(len(inputs))
    for time in range(inputs.shape[2]):
        variance_now = np.einsum("aa->a", inputs[:, :, time, time]) + state
        np.einsum("aa->a", variance[:, :, time, time])[:] = variance_now
        state = 2 / np.pi * np.arcsin(2 * variance_now / (1 + 2 * variance_now))
    return variance
