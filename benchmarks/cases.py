"""What is measured: every case is a network, data and the program that it is compared with."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.networks import Attention, Cnn, Mlp, Network, NormMlp, ResidualMlp, Rnn, Transformer, WideResNet

__all__ = ["CASES", "GROWTHS", "NEURAL_TANGENTS", "NUMPY", "Case", "Growth", "inputs", "select"]

NEURAL_TANGENTS, NUMPY = "neural-tangents", "numpy"


@dataclass(frozen=True, slots=True)
class Case:
    """One line of the tables: kernels (N, N) of N samples of a shape, NNGP and NTK together.

    `aim` is the least ratio of times that is wanted. A large case is only run on request.
    """

    name: str
    network: Network
    samples: int
    shape: tuple[int, ...]
    rival: str = NEURAL_TANGENTS
    aim: float = 1.0
    large: bool = False

    @property
    def positions(self) -> int:
        """The number of positions of a sample: pixels, times, 1 for a vector."""
        return int(np.prod(self.shape[:-1], dtype=int))


@dataclass(frozen=True, slots=True)
class Growth:
    """A series of cases in which one number grows."""

    what: str
    cases: tuple[tuple[float, str], ...]


FEATURES = 32
AIMS = {1: 1.0, 3: 30.0, 10: 100.0, 100: 3000.0}
POOL_AIMS = {32: 20.0}


def _relu(depth: int, samples: int) -> Case:
    name = f"relu-mlp-{depth}-N{samples}"
    return Case(name, Mlp(depth, bias=0.0), samples, (FEATURES,), aim=AIMS.get(depth, 1.0), large=samples > 4000)


def _mlp(name: str, network: Network, samples: int, aim: float = 1.0) -> Case:
    return Case(f"{name}-N{samples}", network, samples, (FEATURES,), aim=aim)


def _cnn(readout: str, depth: int, edge: int) -> Case:
    network = Cnn(depth, "flatten" if readout == "flatten" else "pool")
    samples = {"flatten": {8: 256, 16: 128, 32: 64}, "pool": {8: 32, 16: 12, 32: 4}}[readout][edge]
    aim = 8.0 if readout == "flatten" else POOL_AIMS.get(edge, 1.0)
    return Case(f"cnn-{depth}-{readout}-{edge}x{edge}", network, samples, (edge, edge, 3), aim=aim)


CASES: tuple[Case, ...] = (
    *(_relu(depth, samples) for depth in (1, 3, 10, 100) for samples in (1000, 4000, 10000)),
    _relu(100, 300),
    _relu(30, 1000),
    _relu(3, 100),
    _relu(3, 2000),
    _mlp("relu-bias-mlp-3", Mlp(3), 2000, 30.0),
    _mlp("relu-bias-mlp-10", Mlp(10), 2000),
    _mlp("erf-mlp-3", Mlp(3, "erf"), 2000, 10.0),
    _mlp("gelu-mlp-3", Mlp(3, "gelu"), 2000, 10.0),
    _mlp("tanh-mlp-3", Mlp(3, "tanh"), 300, 300.0),
    _mlp("residual-mlp-8", ResidualMlp(8), 2000),
    _mlp("norm-mlp-4", NormMlp(4), 2000),
    *(_cnn(readout, depth, edge) for readout in ("flatten", "pool") for depth in (3, 10) for edge in (8, 16, 32)),
    Case("wide-resnet-1-16x16", WideResNet(1), 4, (16, 16, 3)),
    Case("wide-resnet-2-16x16", WideResNet(2), 4, (16, 16, 3)),
    Case("attention-T32", Attention(), 64, (32, 16)),
    Case("attention-T64", Attention(), 32, (64, 16)),
    *(Case(f"rnn-T{times}", Rnn(), 32, (times, 16), NUMPY) for times in (25, 50, 100)),
    Case("transformer-T32", Transformer(), 32, (32, 16), NUMPY),
    Case("transformer-T64", Transformer(), 16, (64, 16), NUMPY),
)

GROWTHS: tuple[Growth, ...] = (
    Growth("samples N, relu-mlp-3", tuple((n, f"relu-mlp-3-N{n}") for n in (100, 1000, 2000, 4000, 10000))),
    Growth("depth, relu MLP, N = 1000", tuple((depth, f"relu-mlp-{depth}-N1000") for depth in (1, 3, 10, 30, 100))),
    Growth("pixels, cnn-3-flatten", tuple((e * e, f"cnn-3-flatten-{e}x{e}") for e in (8, 16, 32))),
    Growth("pixels, cnn-3-pool", tuple((e * e, f"cnn-3-pool-{e}x{e}") for e in (8, 16, 32))),
    Growth("layers, cnn-flatten-16x16", tuple((d, f"cnn-{d}-flatten-16x16") for d in (3, 10))),
    Growth("times, rnn", tuple((t, f"rnn-T{t}") for t in (25, 50, 100))),
    Growth("positions, transformer", tuple((t, f"transformer-T{t}") for t in (32, 64))),
)


def inputs(case: Case) -> npt.NDArray[np.float64]:
    """Return the data of a case, (N, *shape): standard normal, always the same."""
    return np.random.default_rng(0).standard_normal((case.samples, *case.shape))


def select(patterns: Iterable[str], *, large: bool) -> tuple[Case, ...]:
    """Return the cases whose names match one of the patterns."""
    wanted = tuple(patterns)
    return tuple(
        case
        for case in CASES
        if (large or not case.large) and any(fnmatch.fnmatch(case.name, pattern) for pattern in wanted)
    )
