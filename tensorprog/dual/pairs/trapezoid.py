"""Expectations of products of smooth functions by the trapezoidal rule, for many laws on common nodes.

The rule of step h integrates a function, analytic and bounded in the strip |Im z| < d, against the standard normal
density with an error of the order of exp(d²/2 − 2πd/h) (Trefethen & Weideman 2014, section 5, with the density on the
edge of the strip). So the step is chosen by the width of the narrowest bend, in each of the two directions; the error
is the difference to a coarser rule. Near ρ = ±1 the second direction is nearly flat, and takes a few dozen nodes.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tensorprog.dual.pairs.conditional import Conditional
from tensorprog.dual.pairs.features import Features

__all__ = ["smooth_pairs"]

Array = npt.NDArray[np.float64]
Function = Callable[[Array], Array]

_REACH = 9.5  # in standard deviations
_DIGITS = 33.0  # the error aimed at is exp(−33) = 5e-15
_WIDEST, _WIDE = 0.65, 4.4  # the widest step, and the width of the strip from which on it suffices
_MOST_NODES = 1 << 18  # in both directions together; the composite rule takes about as many
_COARSER = 1.15  # the ratio of the steps of the two rules
_TOLERANCE = 1e-12  # a larger error, relative to √(E φ² E ψ²), is not accepted
_BLOCK = 1 << 17  # how many integrand values are held at once


def smooth_pairs(
    first: tuple[Function, Features], second: tuple[Function, Features], law: Conditional
) -> tuple[Array, Array, npt.NDArray[np.bool_]]:
    """Return E[φ(u) ψ(v)], the estimates of the errors, and where they are small; elsewhere the values mean nothing."""
    value, error, good = np.zeros(len(law.rho)), np.zeros(len(law.rho)), np.zeros(len(law.rho), dtype=bool)
    if first[1].kinks.size or second[1].kinks.size:
        return value, error, good
    along = np.minimum(_step(first[1], law.s1), _step(second[1], law.s2 * np.abs(law.rho)))
    across = _step(second[1], law.s2 * law.rest)
    for steps in sorted({*zip(along.tolist(), across.tolist(), strict=True)}):
        if (2 * _REACH) ** 2 <= _MOST_NODES * steps[0] * steps[1]:
            (where,) = np.nonzero((along == steps[0]) & (across == steps[1]))
            value[where], error[where], good[where] = _common_step(first[0], second[0], law.rows(where), steps)
    return value, error, good


def _step(features: Features, s: Array) -> Array:
    """Return the step that u ↦ f(m + s z) needs, _WIDEST / √2ᵏ for some k, so that many laws have the same."""
    with np.errstate(divide="ignore"):
        strip = np.min(features.widths, initial=np.inf) / s
    strip = np.minimum(strip, _WIDE)
    waves = features.frequency * s / (2 * math.pi)
    needed = (_DIGITS + 0.5 * strip**2) / (2 * math.pi * np.maximum(strip, 1e-9)) + waves
    fineness = np.maximum(np.ceil(2 * np.log2(needed * _WIDEST) - 1e-6), 0.0)
    return np.asarray(_WIDEST * 2 ** (-0.5 * fineness))


@functools.lru_cache(64)
def _nodes(step: float) -> tuple[Array, Array]:
    """Return nodes and weights for the standard normal law."""
    count = math.ceil(_REACH / step)
    z = step * np.arange(-count, count + 1)
    weight: Array = step * np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    return np.asarray(z, np.float64), weight


def _common_step(
    phi: Function, psi: Function, law: Conditional, steps: tuple[float, float]
) -> tuple[Array, Array, npt.NDArray[np.bool_]]:
    """Return values, errors, and whether these are small, of laws that need the same steps."""
    rows = max(1, _BLOCK // (len(_nodes(steps[0])[0]) * len(_nodes(steps[1])[0])))
    parts = [law.rows(slice(start, start + rows)) for start in range(0, len(law.rho), rows)]
    coarse_steps = _COARSER * steps[0], _COARSER * steps[1]
    with np.errstate(over="ignore", invalid="ignore"):
        fine = np.concatenate([_sum(phi, psi, part, steps) for part in parts])
        coarse = np.concatenate([_sum(phi, psi, part, coarse_steps) for part in parts])
        scale = np.sqrt(_square(phi, law.m1, law.s1, steps[0]) * _square(psi, law.m2, law.s2, steps[0]))
        error = np.abs(fine - coarse)
        return fine, error, error <= _TOLERANCE * scale


def _sum(phi: Function, psi: Function, law: Conditional, steps: tuple[float, float]) -> Array:
    (z, along), (y, across) = _nodes(steps[0]), _nodes(steps[1])
    outer = phi(law.m1[:, None] + law.s1[:, None] * z) * along
    mean = law.m2[:, None] + (law.s2 * law.rho)[:, None] * z
    inner = psi(mean[:, :, None] + (law.s2 * law.rest)[:, None, None] * y)
    return np.einsum("nz,nz->n", outer, inner @ across)


def _square(f: Function, m: Array, s: Array, step: float) -> Array:
    """Return E f²."""
    z, weight = _nodes(step)
    value: Array = f(m[:, None] + s[:, None] * z) ** 2 @ weight
    return value
