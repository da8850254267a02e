"""The fits of a verification, on draws whose law is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tensorprog.verify.statistics import fit_limit, fit_rate, threshold

WIDTHS = (64, 256, 1024)


def draws(seed: int, limit: float, bias: float, spread: float, exponent: float = -0.5) -> dict[int, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {n: limit + bias / n + spread * n**exponent * generator.standard_normal(100) for n in WIDTHS}


def test_limits_are_unbiased_and_errors_right() -> None:
    """Over 400 data sets the z-scores have mean 0 and variance 1, both within 4.5 standard errors of 400 samples."""
    z = np.array([(fit.value - 2.0) / fit.error for fit in (fit_limit(draws(s, 2.0, 5.0, 1.0)) for s in range(400))])
    assert abs(z.mean()) < 4.5 / np.sqrt(400)
    assert abs(z.var() - 1) < 4.5 * np.sqrt(2 / 400)


def test_rate_covers_the_exponent() -> None:
    """The 99 % interval misses the true exponent in at most 12 of 400 data sets (probability of more below 1e-3)."""
    missed = sum(not fit_rate(draws(s, 1.0, 0.0, 1.0), 0.99).contains(-0.5) for s in range(400))
    assert missed <= stats.binom.ppf(0.999, 400, 0.01)


def test_rate_tells_other_exponents() -> None:
    """Fluctuations that fall as 1/n or not at all are not taken for n^-1/2."""
    assert not fit_rate(draws(0, 1.0, 0.0, 1.0, exponent=-1.0), 0.9999).contains(-0.5)
    assert not fit_rate(draws(0, 1.0, 0.0, 1.0, exponent=0.0), 0.9999).contains(-0.5)


def test_threshold_is_bonferroni() -> None:
    """One test at level 0.05 with many degrees of freedom: 1.96; twenty share the level."""
    assert threshold(1, 0.05, 10**6) == pytest.approx(stats.norm.ppf(0.975), abs=1e-5)
    assert threshold(20, 0.05, 10**6) == pytest.approx(stats.norm.ppf(1 - 0.00125), abs=1e-5)
