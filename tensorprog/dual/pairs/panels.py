"""The line cut into panels on which a function is smooth on the panel's own scale, for many normal laws at once.

Panels end at the kinks of a function, and shrink geometrically towards the places where it bends quickly.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tensorprog.dual.pairs.conditional import Conditional
from tensorprog.dual.pairs.features import Features

__all__ = ["MOST_PANELS", "REACH", "Marks", "find_marks", "find_panels", "parts", "reaches", "rule", "seen_through"]

Array = npt.NDArray[np.float64]

REACH = 9.5
"""The range of integration, in standard deviations."""

MOST_PANELS = 4000
"""The most panels of one law."""

_SIGHT = 18.0  # features beyond have no influence on panels within 13 standard deviations
_NARROWEST = 1e-9  # of the panels for waves


@dataclass(frozen=True, slots=True)
class Marks:
    """Features in the integration variable, one row per law: kinks, centres with widths, and the widest panel."""

    kinks: Array
    centres: Array
    widths: Array
    panel: Array

    def rows(self, part: slice) -> Marks:
        """Return those of some of the laws."""
        return Marks(self.kinks[part], self.centres[part], self.widths[part], self.panel[part])

    def joined(self, other: Marks) -> Marks:
        """Return both together."""
        return Marks(
            np.hstack([self.kinks, other.kinks]),
            np.hstack([self.centres, other.centres]),
            np.hstack([self.widths, other.widths]),
            np.minimum(self.panel, other.panel),
        )


def parts(size: int, length: int) -> list[slice]:
    """Return range(size) in parts of a length."""
    return [slice(start, min(start + length, size)) for start in range(0, size, length)]


def find_marks(features: Features, m: Array, s: Array, widest: float) -> Marks:
    """Return the features of u ↦ f(u) in terms of z, u = m + s z, s ≥ 0."""
    scale = np.maximum(s, 1e-300)[:, None]
    with np.errstate(over="ignore"):
        waves = 4 / np.maximum(features.frequency * s, 1e-300)
        kinks, centres = (features.kinks - m[:, None]) / scale, (features.centres - m[:, None]) / scale
        widths = features.widths / scale
    near, seen = (np.abs(places) < _SIGHT for places in (kinks, centres))
    kinks, centres = kinks[:, near.any(axis=0)], centres[:, seen.any(axis=0)]
    return Marks(kinks, centres, widths[:, seen.any(axis=0)], np.clip(waves, _NARROWEST, widest))


def seen_through(features: Features, law: Conditional, widest: float) -> Marks:
    """Return the features of z ↦ E_y ψ(m2 + s2 (ρ z + r y)): the kinks of ψ are smoothed to the width r/ρ."""
    size = np.abs(law.rho)
    slope = np.where(size < 1e-8, 1e-8, law.rho)
    marks, sign = find_marks(features, law.m2, law.s2 * np.abs(slope), widest), np.sign(slope)[:, None]
    blur = np.where(law.rest > 0, np.maximum(law.rest / np.maximum(size, 1e-8), 1e-12), np.inf)[:, None]
    kinks = sign * marks.kinks
    return Marks(
        kinks,
        np.hstack([sign * marks.centres, kinks]),
        np.hstack([marks.widths, np.broadcast_to(blur, kinks.shape)]),
        marks.panel,
    )


def find_panels(marks: Marks, reach: float, fineness: float = 1.0, most: int = MOST_PANELS) -> Array:
    """Return the ends of the panels, (N, P + 1): each panel is no wider than its distance to any centre, or its width.

    Ahead of a centre panels halve, behind it they double. `fineness` divides all of them. Rows with fewer panels end in
    panels of no width. Where more than `most` (times the fineness) are needed the last one is wide: `reaches` tells.
    """
    position = np.full(len(marks.panel), -reach)
    edges = [position]
    while len(edges) < most * fineness and (position < reach).any():
        position = np.minimum(_next_edge(marks, position, fineness), reach)
        edges.append(position)
    edges.append(np.full_like(position, reach))
    return np.stack(edges, axis=1)


def reaches(edges: Array) -> npt.NDArray[np.bool_]:
    """Return which laws got all the panels that they need."""
    return np.asarray(edges[:, -2] >= edges[:, -1])


def _next_edge(marks: Marks, position: Array, fineness: float) -> Array:
    here = position[:, None]
    distance = marks.centres - here
    allowed = np.maximum(marks.widths, np.where(distance > 0, 0.5 * distance, -distance))
    step = np.minimum(marks.panel, allowed.min(axis=1, initial=np.inf)) / fineness
    ahead = np.where(marks.kinks > here, marks.kinks, np.inf).min(axis=1, initial=np.inf)
    return np.minimum(position + step, np.maximum(ahead, position + 1e-14))


def rule(edges: Array, order: int) -> tuple[Array, Array]:
    """Return nodes and weights of the standard normal law on the panels, (N, P·order)."""
    nodes, weights = _legendre(order)
    half = 0.5 * np.diff(edges, axis=1)[:, :, None]
    middle = 0.5 * (edges[:, 1:] + edges[:, :-1])[:, :, None]
    z = (middle + half * nodes).reshape(len(edges), -1)
    weight = (half * weights).reshape(len(edges), -1)
    return z, weight * np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)


@functools.cache
def _legendre(order: int) -> tuple[Array, Array]:
    nodes, weights = np.polynomial.legendre.leggauss(order)
    return nodes, weights
