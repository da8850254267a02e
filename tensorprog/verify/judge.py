"""From residuals to verdicts: a test per equation, and one per entry of it, with a joint probability of false alarm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from tensorprog.limit.equations import LimitSystem
from tensorprog.verify.plan import Check
from tensorprog.verify.report import Row, Verification
from tensorprog.verify.residuals import Residual
from tensorprog.verify.statistics import Fit, fit_limit, fit_rate, threshold

__all__ = ["judge"]

Array = npt.NDArray[np.float64]
Series = Mapping[int, Array]

RATE_CONFIDENCE = 0.9999
SMALL = 0.1
"""Errors are relative to the value of a quantity, or to this part of √(K_ii K_jj) where the value is smaller."""
POWER = 0.95
ROWS_SHARE = 0.8
"""The part of the probability of a false alarm that is given to whole equations; single entries have the rest."""


@dataclass(frozen=True, slots=True)
class _Test:
    """The relative residuals of one check.

    `mean` estimates the factor by which the equation is off: the residuals of all entries, weighted as an error of the
    form y = (1 + ε) F would show in them. `entries` has every entry for itself, relative to √(K_ii K_jj).
    """

    check: Check
    limit: float
    measured: Fit
    mean: Fit
    entries: tuple[Fit, ...]


def judge(
    name: str,
    system: LimitSystem,
    limit: tuple[Residual, ...],
    found: Mapping[int, tuple[Residual, ...]],
    samples: int,
    false_alarm: float,
    seconds: float,
) -> Verification:
    """Return the verdict on every equation that could be measured."""
    tests = [test for test in _tests(limit, found) if test is not None]
    freedom = tests[0].mean.freedom if tests else 1
    alarm = false_alarm - (1 - RATE_CONFIDENCE)
    bound = threshold(len(tests), ROWS_SHARE * alarm, freedom)
    entry_bound = threshold(sum(len(test.entries) for test in tests), (1 - ROWS_SHARE) * alarm, freedom)
    rows = tuple(_row(test, bound, entry_bound) for test in tests)
    curves = _curves(limit, found)
    rate = fit_rate(_kernel_curve(system, curves), RATE_CONFIDENCE)
    reach = bound + float(stats.norm.ppf(POWER))
    return Verification(
        program=name,
        table=rows,
        rate=rate,
        passed=bool(all(row.passed for row in rows) and rate.contains(-0.5)),
        threshold=bound,
        false_alarm=false_alarm,
        smallest_error=max((reach * test.mean.error for test in tests), default=float("nan")),
        widths=tuple(found),
        samples=samples,
        seconds=seconds,
        curves=curves,
    )


def _tests(limit: tuple[Residual, ...], found: Mapping[int, tuple[Residual, ...]]) -> Iterator[_Test | None]:
    for number, exact in enumerate(limit):
        draws = {width: residuals[number] for width, residuals in found.items()}
        if all(residual.measured is not None for residual in draws.values()):
            yield _test(exact, draws)


def _test(exact: Residual, draws: Mapping[int, Residual]) -> _Test | None:
    scale = _scale(exact.predicted[0])
    chosen = _entries(exact)
    if not chosen.any() or not np.isfinite(scale[chosen]).all():
        return None
    relative = {
        width: ((residual.measured - residual.predicted) / scale)[:, chosen]  # type: ignore[operator]
        for width, residual in draws.items()
    }
    pattern = (exact.predicted[0] / scale)[chosen]
    measured = {w: np.asarray(r.measured)[:, chosen].mean(axis=1) for w, r in draws.items()}
    entries = tuple(fit_limit({w: v[:, k] for w, v in relative.items()}) for k in range(int(chosen.sum())))
    weights = pattern / max(float(pattern @ pattern), SMALL**2 * len(pattern))
    mean = fit_limit({width: values @ weights for width, values in relative.items()})
    return _Test(exact.check, float(exact.predicted[0][chosen].mean()), fit_limit(measured), mean, entries)


def _scale(value: Array) -> Array:
    """Return the size to which residuals are relative: √(K_ii K_jj) for a matrix, |value| else, never 0."""
    size = np.sqrt(np.abs(np.outer(np.diag(value), np.diag(value)))) if value.ndim == 2 else np.abs(value)
    largest = float(np.max(size, initial=0.0))
    return np.maximum(size, largest * 1e-3 if largest > 0 else 1.0)


def _entries(exact: Residual) -> npt.NDArray[np.bool_]:
    """Return which entries count: all of one copy, those above the diagonal of a symmetric pair, off it of another."""
    value = exact.predicted[0]
    if value.ndim == 1:
        return np.ones(value.shape, dtype=bool)
    subject = exact.check.equation.subject
    off = ~np.eye(len(value), dtype=bool)
    is_symmetric = subject.right in (None, subject.left)
    return np.triu(off) if is_symmetric else off


def _row(test: _Test, bound: float, entry_bound: float) -> Row:
    worst = max(abs(entry.z) for entry in test.entries)
    return Row(
        name=test.check.label,
        line=test.check.equation.line,
        rule=test.check.equation.rule,
        limit=test.limit,
        measured=test.measured.value,
        error=test.mean.value,
        standard_error=test.mean.error,
        z=test.mean.z,
        worst=worst,
        passed=bool(abs(test.mean.z) <= bound and worst <= entry_bound),
    )


def _curves(limit: tuple[Residual, ...], found: Mapping[int, tuple[Residual, ...]]) -> dict[str, dict[int, Array]]:
    """Return, per quantity and width, the relative distance of every draw from the limit, averaged over entries."""
    curves: dict[str, dict[int, Array]] = {}
    for number, exact in enumerate(limit):
        chosen = _entries(exact)
        for width, residuals in found.items():
            measured = residuals[number].measured
            if measured is not None and chosen.any():
                distance = (measured - exact.predicted) / _scale(exact.predicted[0])
                curves.setdefault(exact.check.label, {})[width] = distance[:, chosen].mean(axis=1)
    return curves


def _kernel_curve(system: LimitSystem, curves: Mapping[str, Series]) -> Series:
    """Return the curve of a kernel of the first output, the NTK if it is there, else of the last quantity measured."""
    names = {f"{kind}_{output}(x, x')" for output, _ in system.results for kind in "KT"}
    moving = {label: curve for label, curve in curves.items() if all(v.std() > 1e-9 for v in curve.values())}
    kernels = [curve for label, curve in moving.items() if label in names]
    return kernels[-1] if kernels else list(moving.values())[-1]
