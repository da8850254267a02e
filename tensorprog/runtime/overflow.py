"""Which quantity of a kernel program is the first that is not finite, and for which samples."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tensorprog.errors import DataError, Diagnostic
from tensorprog.kernel.interpret import Samples, interpret_pair
from tensorprog.kernel.ir import Statement, definitions
from tensorprog.runtime.backends import Run

__all__ = ["Nonfinite", "describe_overflow", "describe_sample"]


@dataclass(frozen=True, slots=True)
class Nonfinite:
    """An observer of programs that notes which quantities are not finite."""

    found: list[str] = field(default_factory=list)

    def __call__(self, name: str, indices: tuple[int, ...], value: Any) -> None:
        """Look at the value of one definition."""
        if not name.startswith("%") and not np.all(np.isfinite(value)):
            self.found.append(_written(name, indices))


def describe_overflow(run: Run, row: int, column: int, dtype: np.dtype[Any]) -> DataError:
    """Return the error (TP454) for an entry that is not finite: it names the first quantity that is not."""
    second = "x1" if run.right is run.left else "x2"
    for samples, place, argument in ((run.left.samples, row, "x1"), (run.right.samples, column, second)):
        name = _first_in_samples(samples, place)
        if name is not None:
            return _error(f"{name} is not finite for sample {place} of {argument}", _line(run.ir.sample, name))
    name = _first_in_pair(run, row, column)
    where = f"for sample {row} of x1 and sample {column} of {second}"
    if name is None:
        return _error(f"the result is too large for {dtype} {where}", "")
    return _error(f"{name} is not finite {where}", _line(run.ir.pair, name))


def describe_sample(seen: Nonfinite, statements: tuple[Statement, ...], place: int) -> DataError:
    """Return the error (TP454) for a diagonal that is not finite, `seen` being an observer of the sample program."""
    name = seen.found[0] if seen.found else "the result"
    return _error(f"{name} is not finite for sample {place} of x1", _line(statements, name))


def _error(message: str, line: str) -> DataError:
    hint = "smaller data or variances, or allow_nonfinite=True to see which entries are finite"
    return DataError(Diagnostic("TP454", message + line, hint=hint))


def _first_in_samples(samples: Samples, place: int) -> str | None:
    for (name, indices), values in samples.values.items():
        if not name.startswith("%") and not np.isfinite(values[place]).all():
            return _written(name, indices)
    return None


def _first_in_pair(run: Run, row: int, column: int) -> str | None:
    rows, columns = slice(row, row + 1), slice(column, column + 1)
    seen = Nonfinite()
    grams = run.grams(rows, columns)
    left, right = (
        samples.block(part, frozenset(name for name, _ in samples.values))
        for samples, part in ((run.left.samples, rows), (run.right.samples, columns))
    )
    interpret_pair(run.ir, grams, left, right, run.parameters, run.numerics, seen, run.space)
    return seen.found[0] if seen.found else None


def _written(name: str, indices: tuple[int, ...]) -> str:
    return f"{name}[{', '.join(map(str, indices))}]" if indices else name


def _line(statements: tuple[Statement, ...], written: str) -> str:
    name = written.partition("[")[0]
    for definition in definitions(statements):
        if definition.name == name and definition.note is not None:
            return f" (line {definition.note.line})"
    return ""
