"""The statistics of a verification: the limit n → ∞ of a mean over draws, its standard error, and the rate.

A quantity measured on S networks at each of several widths n has mean a + b/n + O(1/n²) and a standard deviation s/√n.
Weighted least squares gives a with its standard error; under the null hypothesis (a = 0 for a residual) a/se(a) has
Student's t-distribution. The exponent of the standard deviation is fitted apart: it is −1/2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

__all__ = ["Fit", "Rate", "fit_limit", "fit_limits", "fit_rate", "threshold"]

Array = npt.NDArray[np.float64]

ROUNDING = 3e-6
"""The standard error below which single-precision rounding, relative to a quantity of order one, hides everything."""


@dataclass(frozen=True, slots=True)
class Fit:
    """The estimate of a limit n → ∞, its standard error, and the degrees of freedom of that."""

    value: float
    error: float
    freedom: int

    @property
    def z(self) -> float:
        """The estimate in standard errors."""
        return self.value / self.error


@dataclass(frozen=True, slots=True)
class Rate:
    """The exponent r of a fluctuation n^r, with a confidence interval."""

    exponent: float
    low: float
    high: float

    def contains(self, exponent: float) -> bool:
        """Return whether an exponent lies in the confidence interval."""
        return self.low <= exponent <= self.high


def fit_limit(draws: Mapping[int, Array]) -> Fit:
    """Return the intercept a of mean(n) = a + b/n by weighted least squares, weights n.

    Args:
        draws: width n -> the values of S draws.
    """
    (fit,) = fit_limits({width: values[:, None] for width, values in draws.items()}, np.ones(1))
    return fit


def fit_limits(draws: Mapping[int, Array], sizes: Array) -> tuple[Fit, ...]:
    """Return the intercepts of several quantities, each as `fit_limit` does.

    Args:
        draws: width n -> the values of S draws of all quantities, an array (S, quantities).
        sizes: how large the numbers are from which each quantity was computed, relative to its own unit.
    """
    n = np.concatenate([np.full(len(values), float(width)) for width, values in draws.items()])
    y = np.concatenate(list(draws.values()))
    design = np.stack([np.ones_like(n), 1 / n], axis=1)[:, : 1 + (len(draws) > 1)]
    root = np.sqrt(n)[:, None]
    scaled, target = design * root, y * root
    coefficients, *_ = np.linalg.lstsq(scaled, target, rcond=None)
    freedom = len(y) - scaled.shape[1]
    spreads = np.sum((target - scaled @ coefficients) ** 2, axis=0) / freedom
    errors = np.maximum(np.sqrt(spreads * np.linalg.inv(scaled.T @ scaled)[0, 0]), ROUNDING * sizes)
    return tuple(Fit(float(a), float(e), freedom) for a, e in zip(coefficients[0], errors, strict=True))


def fit_rate(draws: Mapping[int, Array], confidence: float) -> Rate:
    """Return the exponent of the standard deviation over draws as a power of n.

    log s has variance about (κ − 1)/(4 S) for draws of kurtosis κ, which is estimated from the pooled draws; the
    exponent is the slope of a weighted fit through the widths.
    """
    logs = np.log([float(width) for width in draws])
    spreads = np.log([float(np.std(values, ddof=1)) for values in draws.values()])
    pooled = np.concatenate([(values - values.mean()) / values.std() for values in draws.values()])
    kurtosis = max(float(np.mean(pooled**4)), 1.5)
    variances = np.array([(kurtosis - 1) / (4 * len(values)) for values in draws.values()])
    centred = logs - np.average(logs, weights=1 / variances)
    information = float(np.sum(centred**2 / variances))
    slope = float(np.sum(centred * spreads / variances)) / information
    reach = float(stats.norm.ppf((1 + confidence) / 2)) / np.sqrt(information)
    return Rate(slope, slope - reach, slope + reach)


def threshold(tests: int, false_alarm: float, freedom: int) -> float:
    """Return how many standard errors one of `tests` tests may be off if all together alarm falsely so seldom."""
    return float(stats.t.ppf(1 - false_alarm / (2 * max(tests, 1)), freedom))
