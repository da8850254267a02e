"""How much a case computes at least, by the textbook recursion: to set times in relation to the machine's peak.

What is counted are *dual activations*, E[φ(u) φ(v)] with E[φ′(u) φ′(v)], one for each distinct pair of samples, each
pair of positions that is needed, and each nonlinearity. One is taken to cost `FUSED` fused multiply-adds: for relu a
square root, an arccosine by a polynomial of degree 20, and the sums. Products of data count one for each feature. An
algorithm that needs fewer (a series that replaces the layers, say) may come out above the peak.
"""

from __future__ import annotations

from functools import singledispatch

from benchmarks.cases import Case
from benchmarks.networks import Attention, Cnn, Mlp, Network, NormMlp, ResidualMlp, Rnn, Transformer, WideResNet

__all__ = ["FUSED", "multiply_adds", "result_bytes"]

FUSED = 40


def multiply_adds(case: Case) -> float:
    """Return the number of fused multiply-adds of a case: about that, of its nonlinearities and products of data."""
    pairs = case.samples * (case.samples + 1) / 2
    positions = float(case.positions)
    data_pairs = positions if _is_flat(case.network) else positions * positions
    return pairs * (FUSED * duals(case.network, positions) + data_pairs * case.shape[-1])


def result_bytes(case: Case) -> float:
    """Return the size of NNGP and NTK in float64."""
    return 2.0 * 8.0 * case.samples**2


def _is_flat(network: Network) -> bool:
    return isinstance(network, Cnn) and network.readout == "flatten"


@singledispatch
def duals(network: Network, positions: float) -> float:
    """Return how many dual activations a pair of samples of so many positions needs."""
    raise NotImplementedError(type(network).__name__)


@duals.register(Mlp)
@duals.register(NormMlp)
def _(network: Mlp | NormMlp, positions: float) -> float:
    return network.depth


@duals.register
def _(network: ResidualMlp, positions: float) -> float:
    return network.depth + 1


@duals.register
def _(network: Cnn, positions: float) -> float:
    return network.depth * (positions if _is_flat(network) else positions**2)


@duals.register
def _(network: WideResNet, positions: float) -> float:
    """Two a block; the first of a block of stride 2 is of the finer grid."""
    p, q, r = positions**2, (positions / 4) ** 2, (positions / 16) ** 2
    same = 2 * (network.blocks - 1)
    return (2 + same) * p + (p + q) + same * q + (q + r) + same * r


@duals.register(Attention)
@duals.register(Rnn)
@duals.register(Transformer)
def _(network: Attention | Rnn | Transformer, positions: float) -> float:
    return positions**2
