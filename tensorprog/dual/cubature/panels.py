"""Composite Gauss–Legendre cubature in one or two dimensions, the lines cut at the kinks.

The last variable is integrated first: given the others, its kinks are at known places. Where a variable hardly varies
given the ones before it, its kinks are bends of the integral over it, and panels grow geometrically away from them.
The error is the difference of two orders of the rule; where it is not small panels are halved.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tensorprog.dual.cubature.bends import bends
from tensorprog.dual.cubature.integrand import Estimate, Integrand
from tensorprog.dual.cubature.law import NormalForm
from tensorprog.dual.pairs.panels import rule
from tensorprog.nonlin.expression import Expr, Number

__all__ = ["MOST_DIMENSIONS", "panel_estimate"]

Array = npt.NDArray[np.float64]

MOST_DIMENSIONS = 2
_REACH = 7.8
_ORDERS = (20, 16)
_GROWTH = 8.0  # of the panels away from a bend
_WIDE = 1.0  # bends of this width need no panels of their own
_NARROW = 1e-7  # as good as a kink
_TOLERANCE = 1e-8
_FINENESSES = (1, 2, 4)
_BLOCK = 1 << 15
_TYPICAL = 50  # nodes in a dimension, before they are known
_NEGLIGIBLE = 1e-16  # the weight of nodes that are left out
_FLOOR = 1e-10  # of the stated errors: agreement of the two orders may be luck


def panel_estimate(integrand: Integrand, form: NormalForm) -> Estimate:
    """Return the expectations under laws of one rank, the dimension."""
    count, dimension = len(form.means), form.roots.shape[2]
    value, error, scale = np.zeros(count), np.full(count, np.inf), np.zeros(count)
    left = np.arange(count)
    for fineness in _FINENESSES if dimension else _FINENESSES[:1]:
        rows = max(1, _BLOCK // (_TYPICAL * fineness) ** dimension)
        for start in range(0, len(left), rows):
            part = left[start : start + rows]
            laws = form.rows(part)
            value[part], scale[part] = _Levels(integrand, fineness, _ORDERS[0]).sums(laws)
            coarse, _ = _Levels(integrand, fineness, _ORDERS[1]).sums(laws)
            error[part] = np.abs(value[part] - coarse)
        left = left[~(error[left] <= _TOLERANCE * scale[left])]
        if not left.size:
            break
    return Estimate(value, error + _FLOOR * scale, scale)


@dataclass(frozen=True, slots=True)
class _Levels:
    integrand: Integrand
    fineness: int
    order: int

    def sums(self, form: NormalForm, weight: Array | float = 1.0) -> tuple[Array, Array]:
        """Return E f and E |f| times weights."""
        if not form.roots.shape[2]:
            value = weight * (self.integrand(form, ()) + np.zeros(len(form.means)))
            return value, np.abs(value)
        nodes, weights = rule(self._edges(form), self.order)
        weights *= np.broadcast_to(weight, len(nodes))[:, None]
        row, column = np.nonzero(weights > _NEGLIGIBLE)
        below = self.sums(form.given(row, nodes[row, column]), weights[row, column])
        return _row_sums(row, below[0], len(nodes)), _row_sums(row, below[1], len(nodes))

    def _edges(self, form: NormalForm) -> Array:
        """Return the ends of the panels for the first variable, (R, panels + 1)."""
        rows = len(form.means)
        columns = [np.full(rows, -_REACH), np.full(rows, _REACH)]
        for position, place in self._features():
            columns += self._cuts(form, position, place)
        for at, blur in bends(self.integrand, form):
            columns += _around(at, blur)
        edges = np.sort(np.stack(columns, axis=1), axis=1)
        return _divided(_without_empty(edges), self.fineness)

    def _cuts(self, form: NormalForm, position: int, place: Expr) -> list[Array]:
        """Return where a kink of one of the variables cuts the line, at ±reach where it does not."""
        slope = form.roots[:, position, 0]
        target = self.integrand.place(place, form) if slope.any() else None
        if target is None:
            return []
        size = np.abs(slope)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            at = np.where(size > 0, (target - form.means[:, position]) / slope, np.inf)
            blur = np.where(size > 0, self._blur(form, position) / size, np.inf)
        return _around(at, blur)

    def _features(self) -> list[tuple[int, Expr]]:
        """Return positions of variables and the places of their kinks."""
        plan = self.integrand.plan
        found = [(plan.outer.index(kink.index), kink.place) for kink in plan.kinks]
        for number, inner in enumerate(plan.inner):
            if isinstance(inner.shift, Number):
                found += [(len(plan.outer) + number, Number(place)) for place in inner.pieces.kinks]
        return found

    def _blur(self, form: NormalForm, position: int) -> Array:
        """Return the standard deviation of a variable given the first normal one."""
        later = np.sqrt(np.sum(form.roots[:, position, 1:] ** 2, axis=1))
        first = len(self.integrand.plan.outer)
        if position < first:
            return np.asarray(later)
        return np.hypot(later, np.sqrt(np.maximum(form.rest[:, position - first, position - first], 0.0)))


def _row_sums(row: npt.NDArray[np.intp], values: Array, count: int) -> Array:
    sums: npt.NDArray[Any] = np.bincount(row, values, minlength=count)
    return sums


def _around(at: Array, blur: Array) -> list[Array]:
    """Return where panels end because of kinks that are smoothed to a width; ±reach where none is needed."""
    at = np.clip(at, -_REACH, _REACH)
    sharp = blur < _NARROW
    cuts = [np.where(sharp, at, _REACH)] if sharp.any() else []
    bent = ~sharp & (blur < _WIDE)
    if bent.any():
        count = math.ceil(math.log(2 * _REACH / float(blur[bent].min()), _GROWTH))
        for power in range(count):
            away = np.where(bent, blur * _GROWTH**power, 2 * _REACH)
            cuts += [np.clip(at + away, -_REACH, _REACH), np.clip(at - away, -_REACH, _REACH)]
    return cuts


def _without_empty(edges: Array) -> Array:
    """Return the ends of panels without the panels that are empty in all rows."""
    kept = np.flatnonzero((np.diff(edges, axis=1) > 0).any(axis=0))
    return np.hstack([edges[:, :1], edges[:, 1 + kept]])


def _divided(edges: Array, parts: int) -> Array:
    """Return the ends of the panels cut into equal parts."""
    start, width = edges[:, :-1, None], np.diff(edges, axis=1)[:, :, None]
    inner = start + width * (np.arange(parts) / parts)
    return np.hstack([inner.reshape(len(edges), -1), edges[:, -1:]])
