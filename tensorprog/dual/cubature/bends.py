"""Where the expectation over the variables that are integrated in closed form bends, as a function of the others.

E[A(x) B(y) | w], (x, y) Gaussian with means μ(w), ν(w), bends where μ is at a kink t of A, on the scale of the standard
deviation of x; and, if x and y are strongly correlated, where the edge of A is at that of B: ν − t′ = β(μ − t), β the
regression of y on x, on the scale of what x leaves of y.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from tensorprog.dual.cubature.integrand import Integrand
from tensorprog.dual.cubature.law import NormalForm
from tensorprog.dual.values import determinant

__all__ = ["bends"]

Array = npt.NDArray[np.float64]

_GRID = np.linspace(-7.5, 7.5, 61)


def bends(integrand: Integrand, form: NormalForm) -> Iterator[tuple[Array, Array]]:
    """Yield places in the first normal variable, and widths: arrays (R,); an infinite width means no bend."""
    inner = integrand.plan.inner
    means = {number: mean for number in range(len(inner)) if (mean := _mean(integrand, form, number)) is not None}
    for number, mean in means.items():
        deviation = np.sqrt(np.maximum(form.rest[:, number, number], 0.0))
        for kink in inner[number].pieces.kinks:
            yield from _crossings(mean - kink, deviation)
        yield from _at_kinks(integrand, form, mean, deviation)
    if len(means) == 2:
        q1, q2, c = form.rest[:, 0, 0], form.rest[:, 1, 1], form.rest[:, 0, 1]
        proper = q1 > 0
        below = np.where(proper, q1, 1.0)
        slope = np.where(proper, c / below, 0.0)[:, None]
        left = np.sqrt(np.where(proper, determinant(q1, q2, c) / below, np.inf))
        for t1 in inner[0].pieces.kinks:
            for t2 in inner[1].pieces.kinks:
                yield from _crossings(means[1] - t2 - slope * (means[0] - t1), left)


def _mean(integrand: Integrand, form: NormalForm, number: int) -> Array | None:
    """Return the mean of an inner variable on the grid of the first normal variable, (R, grid).

    None if it depends on others.
    """
    position = len(integrand.plan.outer) + number
    shift = integrand.place(integrand.plan.inner[number].shift, form, (_GRID[None],))
    if shift is None or form.roots[:, position, 1:].any():
        return None
    return shift + form.values(position, (_GRID[None],))


def _crossings(values: Array, deviation: Array) -> Iterator[tuple[Array, Array]]:
    """Yield the first and the last place where a function on the grid changes its sign."""
    signs = np.sign(values)
    change = signs[:, :-1] * signs[:, 1:] < 0
    spacing = _GRID[1] - _GRID[0]
    found = change.any(axis=1)
    if not found.any():
        return
    row = np.arange(len(values))
    for index in (np.argmax(change, axis=1), change.shape[1] - 1 - np.argmax(change[:, ::-1], axis=1)):
        before, after = values[row, index], values[row, index + 1]
        rise = np.where(found, after - before, 1.0)
        at = _GRID[index] - spacing * before / rise
        yield np.where(found, at, 0.0), np.where(found, np.maximum(deviation * spacing / np.abs(rise), 1e-9), np.inf)


def _at_kinks(integrand: Integrand, form: NormalForm, mean: Array, deviation: Array) -> Iterator[tuple[Array, Array]]:
    """Yield the kinks of the mean."""
    steepest = np.abs(np.diff(mean, axis=1)).max(axis=1) / (_GRID[1] - _GRID[0])
    for kink in integrand.plan.kinks:
        position = integrand.plan.outer.index(kink.index)
        slope = form.roots[:, position, 0]
        target = integrand.place(kink.place, form)
        if target is None or form.roots[:, position, 1:].any() or not slope.any():
            continue
        moves = (slope != 0) & (steepest > 0)
        at = np.where(moves, (target - form.means[:, position]) / np.where(slope != 0, slope, 1.0), 0.0)
        width = np.where(moves, deviation / np.where(steepest > 0, steepest, 1.0), np.inf)
        yield at, np.where(np.abs(at) < 9.0, np.maximum(width, 1e-9), np.inf)
