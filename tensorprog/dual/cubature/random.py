"""Randomized quasi-Monte Carlo in any dimension: scrambled Sobol points (Owen 1997), with a standard error.

Sixteen scramblings, always the same ones, give sixteen unbiased estimates; the error is three times the standard error
of their mean. Points are doubled until it is small. Where a function is zero at all points (the probability of a rare
event), the error is that of an event that may have been missed in so many trials.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt
from scipy import special
from scipy.stats import qmc

from tensorprog.dual.cubature.integrand import Estimate, Integrand
from tensorprog.dual.cubature.law import NormalForm

__all__ = ["random_estimate"]

Array = npt.NDArray[np.float64]

_SCRAMBLINGS = 16
_LEVELS = (8, 10, 12, 14)  # 2^level points in each scrambling
_TOLERANCE = 1e-4  # of the error, relative to E |f|
_STANDARD_ERRORS = 3.0
_RULE_OF_THREE = 3.0
_BLOCK = 1 << 18


def random_estimate(integrand: Integrand, form: NormalForm) -> Estimate:
    """Return the expectations under laws of one rank."""
    count, dimension = len(form.means), form.roots.shape[2]
    estimate = Estimate(np.zeros(count), np.full(count, np.inf), np.zeros(count))
    left = np.arange(count)
    for level in _LEVELS:
        points = _points(dimension, level)
        rows = max(1, _BLOCK // points[0].size)
        for start in range(0, len(left), rows):
            part = left[start : start + rows]
            estimate.value[part], estimate.error[part], estimate.scale[part] = _averages(
                integrand, form.rows(part), points
            )
        left = left[~(estimate.error[left] <= _TOLERANCE * estimate.scale[left])]
        if not left.size:
            break
    return estimate


def _averages(integrand: Integrand, form: NormalForm, points: tuple[Array, ...]) -> tuple[Array, Array, Array]:
    values = integrand(form, tuple(axis[None] for axis in points))
    means = values.mean(axis=2)
    deviation = means.std(axis=1, ddof=1) / math.sqrt(_SCRAMBLINGS)
    error, scale = _STANDARD_ERRORS * deviation, np.abs(values).mean(axis=(1, 2))
    unseen = scale == 0
    if unseen.any():
        size = (1 + np.abs(form.means).max(axis=1) + np.sqrt(np.sum(form.roots**2, axis=2)).max(axis=1)) ** 2
        error, scale = np.where(unseen, _RULE_OF_THREE / values[0].size * size, error), np.where(unseen, size, scale)
    return means.mean(axis=1), error, scale


@functools.lru_cache(8)
def _points(dimension: int, level: int) -> tuple[Array, ...]:
    """Return the coordinates of standard normal points, arrays (scramblings, points)."""
    found = []
    for seed in range(_SCRAMBLINGS):
        uniform = qmc.Sobol(dimension, scramble=True, rng=np.random.default_rng(seed)).random_base2(level)
        found.append(special.ndtri(np.clip(uniform, 2.0**-40, 1 - 2.0**-40)))
    stacked = np.stack(found)
    return tuple(np.ascontiguousarray(stacked[:, :, axis]) for axis in range(dimension))
