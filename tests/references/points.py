"""Kernels over points, by hand: the layers of networks with axes in plain numpy, on all pairs of points at once.

A point is a sample and a position in it. `Moments` has two matrices over all points of a data set,

    k[p, q] = lim E[h_p h_q]                          one coordinate of h at the points p and q
    t[p, q] = lim Σ_w lr_w ⟨∂h_p/∂w, ∂h_q/∂w⟩

and a layer maps one `Moments` to another. All index arithmetic is in matrices of zeros and ones, or of coefficients,
that are filled position by position. Everything is in NTK parametrization: the rate of a weight is its variance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

__all__ = [
    "Grid",
    "Moments",
    "biased",
    "convolved",
    "data_layer",
    "dense",
    "erf",
    "gather",
    "gram",
    "larger",
    "local",
    "mixed",
    "normalized",
    "pooled",
    "relu",
    "softmax",
    "within",
]

Array = npt.NDArray[np.float64]
Position = tuple[int, ...]


@dataclass(frozen=True)
class Grid:
    """The points of samples: for every sample the extents of its axes."""

    extents: tuple[Position, ...]

    @classmethod
    def of(cls, samples: Sequence[Array], dimension: int = 1) -> Grid:
        """Return the points of data of shape (*axes, c), or (*axes) if the dimension is 0."""
        return cls(tuple(x.shape[: x.ndim - dimension] for x in samples))

    def map(self, change: Callable[..., Position]) -> Grid:
        """Return the grid with the extents change(*extents)."""
        return Grid(tuple(change(*extents) for extents in self.extents))

    @property
    def points(self) -> list[tuple[int, Position]]:
        """Sample and position, in row-major order."""
        return [
            (sample, position)
            for sample, extents in enumerate(self.extents)
            for position in product(*map(range, extents))
        ]


@dataclass(frozen=True)
class Moments:
    """Second moments k and tangents t over all points."""

    k: Array
    t: Array

    def __add__(self, other: Moments) -> Moments:
        """Return the moments of the sum of two vectors that are independent."""
        return Moments(self.k + other.k, self.t + other.t)

    def __mul__(self, factor: Array | float) -> Moments:
        return Moments(self.k * factor, self.t * factor)


def gram(samples: Sequence[Array]) -> Array:
    """Return ⟨x_p, x_q⟩ / c over all points, for samples of shape (*axes, c)."""
    rows = np.concatenate([x.reshape(-1, x.shape[-1]) for x in samples])
    return rows @ rows.T / rows.shape[1]


def data_layer(product: Array) -> Moments:
    """W x with weights of variance 1: the moment and the tangent are both ⟨x, x′⟩ / c."""
    return Moments(product, product)


def dense(h: Moments, variance: float) -> Moments:
    """W h, the same W at every point."""
    return Moments(variance * h.k, variance * (h.t + h.k))


def biased(h: Moments, variance: float) -> Moments:
    """h + b, the same b at every point."""
    return Moments(h.k + variance, h.t + variance)


def gather(outer: Grid, inner: Grid, place: Callable[..., Position], circular: bool = False) -> Array:
    """Return G with G[o, i] = 1 where i is the point at place(*position of o) in the same sample, else 0."""
    column = {point: number for number, point in enumerate(inner.points)}
    matrix = np.zeros((len(outer.points), len(column)))
    for row, (sample, position) in enumerate(outer.points):
        read = place(*position)
        if circular:
            read = tuple(e % extent for e, extent in zip(read, inner.extents[sample], strict=True))
        if (sample, read) in column:
            matrix[row, column[sample, read]] = 1.0
    return matrix


def mixed(h: Moments, matrix: Array) -> Moments:
    """Σ_i A[o, i] h_i: a linear map of points, with fixed coefficients."""
    return Moments(matrix @ h.k @ matrix.T, matrix @ h.t @ matrix.T)


def convolved(h: Moments, offsets: Sequence[Array], variance: float) -> Moments:
    """Σ_k C[k] h[place_k], one matrix `gather` per k: a weight C[k] meets only itself, in both copies."""
    parts = [mixed(dense(h, variance), offset) for offset in offsets]
    return Moments(sum(part.k for part in parts), sum(part.t for part in parts))


def larger(h: Moments, first: Array, second: Array) -> Moments:
    """max(u, v) = s + |d| of two reads of h, s = (u + v)/2 and d = (u − v)/2; E[s |d|] = 0.

    E|d d′| = (2/π) (√Δ + c arcsin ρ) with c = √(q q′) ρ and Δ = q q′ − c²; E[sign d sign d′] = (2/π) arcsin ρ.
    """
    s, d = mixed(h, (first + second) / 2), mixed(h, (first - second) / 2)
    scale = np.sqrt(np.outer(np.diag(d.k), np.diag(d.k)))
    root = np.sqrt(np.maximum((scale - d.k) * (scale + d.k), 0.0))
    arc = np.arctan2(d.k, root)
    return s + Moments(2 / np.pi * (root + d.k * arc), 2 / np.pi * arc * d.t)


def pooled(grid: Grid) -> Array:
    """Return the matrix of the mean over all positions of a sample."""
    matrix = np.zeros((len(grid.extents), len(grid.points)))
    for column, (sample, _) in enumerate(grid.points):
        matrix[sample, column] = 1 / np.prod(grid.extents[sample])
    return matrix


def local(h: Moments, grid: Grid) -> Moments:
    """The same vector with weights that are independent at different positions: [position = position′] h."""
    positions = [position for _, position in grid.points]
    return h * np.array([[float(p == q) for q in positions] for p in positions])


def within(grid: Grid, entry: Callable[[int, Position, Position], float]) -> Array:
    """Return the block-diagonal matrix with entry(sample, position, position′) inside a sample, 0 between samples."""
    matrix = np.zeros((len(grid.points), len(grid.points)))
    for (row, (sample, p)), (column, (other, q)) in product(enumerate(grid.points), repeat=2):
        if sample == other:
            matrix[row, column] = entry(sample, p, q)
    return matrix


def softmax(scores: Array, grid: Grid) -> Array:
    """Return the matrix a_ij = softmax_j(s_ij) inside a sample, of scores over all points."""
    same = within(grid, lambda *_: 1.0)
    largest = np.where(same > 0, scores, -np.inf).max(axis=1, keepdims=True)
    powers = same * np.exp(np.where(same > 0, scores - largest, 0.0))
    return powers / powers.sum(axis=1, keepdims=True)


def normalized(h: Moments, eps: float = 1e-6) -> Moments:
    """Layer normalization of a vector of mean zero: h / √(E h² + ε)."""
    scale = 1 / np.sqrt(np.diag(h.k) + eps)
    return h * np.outer(scale, scale)


def relu(h: Moments) -> Moments:
    """Arc-cosine kernels of orders 1 and 0 (Cho & Saul 2009)."""
    scale = np.sqrt(np.outer(np.diag(h.k), np.diag(h.k)))
    root = np.sqrt(np.maximum((scale - h.k) * (scale + h.k), 0.0))
    angle = np.arctan2(root, h.k)
    return Moments((root + (np.pi - angle) * h.k) / (2 * np.pi), h.t * (np.pi - angle) / (2 * np.pi))


def erf(h: Moments) -> Moments:
    """E[erf erf′] = 2/π asin(2 c / √((1 + 2 q)(1 + 2 q′))) (Williams 1997), and its derivative in c."""
    scale = np.outer(1 + 2 * np.diag(h.k), 1 + 2 * np.diag(h.k))
    slope = 4 / (np.pi * np.sqrt(scale - 4 * h.k**2))
    return Moments(2 / np.pi * np.arcsin(2 * h.k / np.sqrt(scale)), h.t * slope)
