"""The networks of the benchmarks, as data: each side builds its own form of them.

All are in NTK parametrization. Unless said otherwise weights have the variance `WEIGHT`/fan-in and biases `BIAS`, and
the readout has weights of variance 1/fan-in and no bias. A nonlinearity stands before the readout.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

__all__ = [
    "BIAS",
    "EPSILON",
    "WEIGHT",
    "Activation",
    "Attention",
    "Cnn",
    "Mlp",
    "Network",
    "NormMlp",
    "ResidualMlp",
    "Rnn",
    "Transformer",
    "WideResNet",
    "decode",
    "encode",
]

WEIGHT = 2.0
BIAS = 0.1
EPSILON = 1e-6
"""What layer normalization adds to the variance."""

Activation = Literal["relu", "erf", "gelu", "tanh"]


@dataclass(frozen=True, slots=True)
class Mlp:
    """`depth` hidden layers h = W φ(h) + b, with biases of a variance of its own; of variance 0 there are none.

    With relu and without biases the kernels are homogeneous: functions of an angle, but for norms.
    """

    depth: int
    activation: Activation = "relu"
    bias: float = BIAS


@dataclass(frozen=True, slots=True)
class ResidualMlp:
    """h = h + W relu(h) + b, `depth` times, both variances divided by the depth (He et al. 2016, activation first)."""

    depth: int


@dataclass(frozen=True, slots=True)
class NormMlp:
    """h = h + W2 relu(W1 norm(h)), `depth` times, W1 of variance 1/fan-in; the readout is of norm(h)."""

    depth: int


@dataclass(frozen=True, slots=True)
class Cnn:
    """`depth` layers of 3×3 filters with zero padding and relu, read at every position or as the mean of all."""

    depth: int
    readout: Literal["flatten", "pool"]


@dataclass(frozen=True, slots=True)
class WideResNet:
    """Three groups of `blocks` residual blocks, the second and the third of stride 2, read as the mean of positions.

    A block is h + C2 relu(C1 relu(h)), its shortcut C0 h where it is the first of a group. Filters have no biases and
    the variance 1/fan-in, there is no nonlinearity before the mean (Zagoruyko & Komodakis 2016; the network of the
    README of neural-tangents). Extents must be divisible by 4.
    """

    blocks: int


@dataclass(frozen=True, slots=True)
class Attention:
    """y = h + O Σ_j softmax_j(⟨Q h_i, Q h_j⟩/n) U h_j on h = E x + b, relu, mean over positions.

    E, Q, U and O have the variance 1/fan-in.
    """


@dataclass(frozen=True, slots=True)
class Rnn:
    """The first output of `examples/rnn.tp`: an Elman network with erf, the mean of its states over time."""


@dataclass(frozen=True, slots=True)
class Transformer:
    """`examples/transformer.tp`: one encoder layer, normalization first."""


Network = Mlp | ResidualMlp | NormMlp | Cnn | WideResNet | Attention | Rnn | Transformer

_KINDS = {kind.__name__: kind for kind in Network.__args__}


def encode(network: Network) -> str:
    """Return a network as one line of JSON."""
    return json.dumps({"kind": type(network).__name__, **asdict(network)})


def decode(text: str) -> Network:
    """Return the network that `encode` wrote."""
    fields = json.loads(text)
    kind = _KINDS[fields.pop("kind")]
    network: Network = kind(**fields)
    return network
