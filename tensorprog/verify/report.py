"""The outcome of a verification: a table with a row per equation, verdicts, and what could have been seen."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from tensorprog.verify.statistics import Rate

__all__ = ["Row", "Verification"]

Array = npt.NDArray[np.float64]


WEAK = 0.2
"""The smallest error that can be found above which a report says that the run was weak."""


@dataclass(frozen=True, slots=True)
class Row:
    """One quantity: what the limit says, what was measured, and by how many standard errors its equation is off.

    `limit` and `measured` are averages over the entries; `error` is the factor by which the equation misses what it
    predicts from measured values, less one, with its `standard_error`; `worst` is the largest |z| of a single entry.
    """

    name: str
    line: int
    rule: str
    limit: float
    measured: float
    error: float
    standard_error: float
    z: float
    worst: float
    passed: bool


@dataclass(frozen=True)
class Verification:
    """The comparison of a limit with sampled networks.

    Attributes:
        table: one `Row` per equation that can be measured, and one per kernel.
        rate: the fitted exponent of the fluctuations of the kernels in n, with its confidence interval.
        passed: whether every row holds, and the rate is −1/2 within its interval.
        threshold: how many standard errors a row may be off.
        false_alarm: the probability with which a true limit fails.
        smallest_error: the smallest relative error in any one equation that this run finds with probability 0.95.
        widths: the widths that were sampled.
        samples: networks of the largest width; narrower ones are drawn more often.
        seconds: how long it took.
    """

    program: str
    table: tuple[Row, ...]
    rate: Rate
    passed: bool
    threshold: float
    false_alarm: float
    smallest_error: float
    widths: tuple[int, ...]
    samples: int
    seconds: float
    curves: Mapping[str, Mapping[int, Array]] = field(repr=False)

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        return "\n".join([self._title(), "", *_table(self.table), "", *self._summary()]) + "\n"

    @property
    def failures(self) -> tuple[Row, ...]:
        """The rows that do not hold."""
        return tuple(row for row in self.table if not row.passed)

    def plot(self, path: str | PathLike[str] | None = None) -> Any:
        """Draw the distance from the limit against the width; write it to `path` if one is given.

        Returns:
            The matplotlib figure.
        """
        convergence = importlib.import_module("tensorprog.plots.convergence")
        return convergence.plot_convergence(self, path)

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain Python data, for JSON."""
        rows = [{name: getattr(row, name) for name in Row.__slots__} for row in self.table]
        return {
            "program": self.program,
            "passed": self.passed,
            "rate": {"exponent": self.rate.exponent, "low": self.rate.low, "high": self.rate.high},
            "threshold": self.threshold,
            "false_alarm": self.false_alarm,
            "smallest_error": self.smallest_error,
            "widths": list(self.widths),
            "samples": self.samples,
            "table": rows,
        }

    def _title(self) -> str:
        widths = ", ".join(map(str, self.widths))
        networks = f"sampled networks of widths {widths}, {self.samples} of the widest"
        return f"{self.program}: limit against {networks} ({self.seconds:.1f} s)"

    def _summary(self) -> list[str]:
        verdict = "passed" if self.passed else f"FAILED: {', '.join(row.name for row in self.failures) or 'the rate'}"
        rate, percent = self.rate, 100 * self.smallest_error
        weak = ["that is weak: take larger widths or more samples"] if self.smallest_error > WEAK else []
        return [
            f"{verdict}; a row fails at |z| > {self.threshold:.2f}, a true limit with probability {self.false_alarm:g}",
            f"fluctuations fall as n^{rate.exponent:.3f} (confidence interval {rate.low:.3f} … {rate.high:.3f})",
            f"an error of {percent:.2g} % in any one equation would have been found with probability 0.95",
            *weak,
        ]


def _table(rows: Sequence[Row]) -> list[str]:
    head = f"{'quantity':<28}{'limit':>12}{'measured':>12}{'error':>11}{'s.e.':>10}{'z':>8}{'worst':>8}   line: rule"
    return [head, *(_line(row) for row in rows)]


def _line(row: Row) -> str:
    mark = " " if row.passed else "✗"
    values = f"{row.limit:>12.6g}{row.measured:>12.6g}{row.error:>11.1e}{row.standard_error:>10.1e}"
    return f"{row.name:<28}{values}{row.z:>8.2f}{row.worst:>8.2f} {mark} {row.line}: {row.rule}"
