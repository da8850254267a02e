"""From residuals to verdicts: a test per equation, and one per entry of it, with a joint probability of false alarm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from tensorprog.limit.equations import LimitSystem
from tensorprog.verify.deviations import Deviation, Standard
from tensorprog.verify.plan import Check
from tensorprog.verify.report import Row, Verification
from tensorprog.verify.statistics import Fit, fit_limit, fit_limits, fit_rate, threshold

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
    limit: tuple[Standard, ...],
    found: Mapping[int, tuple[Deviation | None, ...]],
    samples: int,
    false_alarm: float,
    seconds: float,
) -> Verification:
    """Return the verdict on every equation that could be measured."""
    tests = list(_tests(limit, found))
    freedom = tests[0].mean.freedom if tests else 1
    alarm = false_alarm - (1 - RATE_CONFIDENCE)
    bound = threshold(len(tests), ROWS_SHARE * alarm, freedom)
    entry_bound = threshold(sum(len(test.entries) for test in tests), (1 - ROWS_SHARE) * alarm, freedom)
    rows = tuple(_row(test, bound, entry_bound) for test in tests)
    curves = _curves(limit, found)
    rate = fit_rate(_kernel_curve(system, limit, curves), RATE_CONFIDENCE)
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


def _tests(limit: tuple[Standard, ...], found: Mapping[int, tuple[Deviation | None, ...]]) -> Iterator[_Test]:
    for number, standard in enumerate(limit):
        draws = {width: part for width, parts in found.items() if (part := parts[number]) is not None}
        if len(draws) == len(found) and standard.is_usable:
            yield _test(standard, draws)


def _test(standard: Standard, draws: Mapping[int, Deviation]) -> _Test:
    pattern = standard.pattern
    weights = pattern / max(float(pattern @ pattern), SMALL**2 * len(pattern))
    return _Test(
        standard.check,
        standard.limit,
        fit_limit({width: part.measured for width, part in draws.items()}),
        fit_limit({width: part.relative @ weights for width, part in draws.items()}),
        fit_limits({width: part.relative for width, part in draws.items()}, standard.sizes),
    )


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


def _curves(
    limit: tuple[Standard, ...], found: Mapping[int, tuple[Deviation | None, ...]]
) -> dict[str, dict[int, Array]]:
    """Return, per quantity and width, the relative distance of every draw from the limit, averaged over entries."""
    curves: dict[str, dict[int, Array]] = {}
    for number, standard in enumerate(limit):
        for width, parts in found.items():
            part = parts[number]
            if part is not None:
                curves.setdefault(standard.check.label, {})[width] = part.distance
    return curves


def _kernel_curve(system: LimitSystem, limit: tuple[Standard, ...], curves: Mapping[str, Series]) -> Series:
    """Return the curve of a kernel of the first output, the NTK if it is there, else of the last quantity measured."""
    names = {f"{kind}_{output}" for output, _ in system.results for kind in "KT"}
    checks = [standard.check for standard in limit]
    labels = {check.label for check in checks if check.is_pair and check.equation.name in names}
    moving = {label: curve for label, curve in curves.items() if all(v.std() > 1e-9 for v in curve.values())}
    kernels = [curve for label, curve in moving.items() if label in labels]
    return kernels[-1] if kernels else list(moving.values())[-1]
