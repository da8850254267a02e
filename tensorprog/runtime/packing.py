"""The quantities and features of a sample in one row, as compiled code for programs over axes reads them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tensorprog.codegen.source import lay_out
from tensorprog.kernel.domain import Domain
from tensorprog.kernel.interpret import Samples

__all__ = ["Packing", "dense_places", "pack_rows"]

Array = npt.NDArray[np.float64]


@dataclass(slots=True)
class Packing:
    """Where everything lies in the row of a sample.

    `ranges` are the bounds of the loop indices of quantities; `dense` ones are stored with all positions of their
    dimensions. Features of a gram are stored position by position.
    """

    domains: Mapping[str, Domain]
    ranges: Mapping[str, tuple[tuple[int, int], ...]]
    dense: frozenset[str]
    offsets: dict[str, int] = field(default_factory=dict)
    features: dict[str, int] = field(default_factory=dict)
    length: int = 0

    def count(self, name: str) -> int:
        """Return how many entries a quantity has at each value of its loop indices."""
        domain = self.domains.get(name)
        if domain is None or not domain.axes:
            return 1
        return math.prod(extent for _, extent in domain.ranges) if name in self.dense else domain.count

    def add(self, name: str) -> int:
        """Return where a quantity starts."""
        if name not in self.offsets:
            self.offsets[name] = self.length
            slots = lay_out([name], self.ranges).count
            self.length += slots * self.count(name)
        return self.offsets[name]

    def add_features(self, name: str, size: int) -> int:
        """Return where the features of a gram start; there are `size` numbers."""
        if name not in self.features:
            self.features[name] = self.length
            self.length += size
        return self.features[name]


def pack_rows(packing: Packing, samples: Samples, features: Mapping[str, Array], rows: slice) -> Array:
    """Return the rows of some samples, an array (samples, length)."""
    count = len(range(*rows.indices(samples.count)))
    packed = np.zeros((count, max(packing.length, 1)))
    for name, start in packing.features.items():
        flat = features[name][rows].reshape(count, -1)
        packed[:, start : start + flat.shape[1]] = flat
    for name, start in packing.offsets.items():
        size = packing.count(name)
        layout = lay_out([name], packing.ranges)
        for row, _, indices in layout.rows():
            if (name, indices) in samples.values:
                where = start + row * size
                packed[:, where : where + size] = _entries(packing, name, samples.values[name, indices][rows], size)
    return packed


def _entries(packing: Packing, name: str, values: Array, size: int) -> Array:
    """Return the values of a quantity as they are stored, (samples, size)."""
    values = values.reshape(len(values), -1)
    if name not in packing.dense:
        return values
    domain = packing.domains[name]
    full = np.zeros((len(values), size))
    full[:, dense_places(domain)] = values
    return full


def dense_places(domain: Domain) -> npt.NDArray[np.int64]:
    """Return where each entry of a domain stands among all positions of its dimensions, row-major."""
    number = np.zeros(domain.count, dtype=np.int64)
    for positions, (start, extent) in zip(domain.positions(), domain.ranges, strict=True):
        number = number * extent + (positions - start)
    return number
