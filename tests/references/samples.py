"""Small random data for the examples with axes: the same for all tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tests.references.kernels import Sample
from tests.references.points import Array

__all__ = ["LONGER", "SHAPES", "draw", "stacked"]

# The shape of one sample, and of one of other extents: of `graph` the numbers of nodes and of features.
SHAPES: Mapping[str, tuple[int, ...]] = {
    "attention": (4, 3),
    "batchnorm": (4, 5),
    "cnn": (4, 5, 2),
    "cnn1d": (9, 3),
    "cnn_flatten": (5, 4, 2),
    "deep_rnn": (4, 3),
    "deep_sets": (4, 3),
    "graph": (4, 3),
    "gru": (3, 2),
    "locally_connected": (5, 3),
    "lstm": (2, 2),
    "maxpool_cnn": (6, 3),
    "positional": (4, 3),
    "residual_cnn": (4, 3, 2),
    "rnn": (5, 3),
    "transformer": (4, 3),
}
LONGER: Mapping[str, tuple[int, ...]] = {
    "attention": (6, 3),
    "cnn": (5, 3, 2),
    "cnn1d": (12, 3),
    "cnn_flatten": (4, 7, 2),
    "deep_rnn": (6, 3),
    "deep_sets": (2, 3),
    "graph": (5, 3),
    "locally_connected": (7, 3),
    "maxpool_cnn": (9, 3),
    "positional": (6, 3),
    "residual_cnn": (3, 5, 2),
    "rnn": (7, 3),
    "transformer": (5, 3),
}


def draw(name: str, shape: tuple[int, ...], count: int, seed: int) -> list[Sample]:
    """Return samples of standard normal features, with edges in [0, 1] for a graph."""
    rng = np.random.default_rng(seed)
    if name == "graph":
        nodes = shape[0]
        return [{"A": rng.random((nodes, nodes)), "x": rng.standard_normal(shape)} for _ in range(count)]
    return [rng.standard_normal(shape) for _ in range(count)]


def stacked(samples: Sequence[Sample]) -> Array | dict[str, Array]:
    """Return samples as the data set that a kernel takes."""
    first = samples[0]
    if isinstance(first, Mapping):
        return {name: np.stack([sample[name] for sample in samples]) for name in first}
    return np.stack(list(samples))
