"""Which quantity of a kernel program is the first that is not finite, and for which samples."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorprog.errors import DataError, Diagnostic
from tensorprog.kernel.interpret import Samples, interpret_pair
from tensorprog.kernel.ir import Statement, lets
from tensorprog.runtime.backends import Run
from tensorprog.runtime.features import gram_tile

__all__ = ["describe_overflow"]


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


def _error(message: str, line: str) -> DataError:
    hint = "smaller data or variances, or allow_nonfinite=True to see which entries are finite"
    return DataError(Diagnostic("TP454", message + line, hint=hint))


def _first_in_samples(samples: Samples, place: int) -> str | None:
    for (name, indices), values in samples.values.items():
        if not name.startswith("%") and not np.isfinite(values[place]):
            return _written(name, indices)
    return None


def _first_in_pair(run: Run, row: int, column: int) -> str | None:
    rows, columns = slice(row, row + 1), slice(column, column + 1)
    found: list[str] = []

    def observe(name: str, indices: tuple[int, ...], value: Any) -> None:
        if not name.startswith("%") and not np.all(np.isfinite(value)):
            found.append(_written(name, indices))

    grams = {name: gram_tile(run.left.left[name][rows], run.right.right[name][columns]) for name in run.ir.grams}
    left, right = (
        samples.block(part, frozenset(name for name, _ in samples.values))
        for samples, part in ((run.left.samples, rows), (run.right.samples, columns))
    )
    interpret_pair(run.ir, grams, left, right, run.parameters, run.numerics, observe)
    return found[0] if found else None


def _written(name: str, indices: tuple[int, ...]) -> str:
    return f"{name}[{', '.join(map(str, indices))}]" if indices else name


def _line(statements: tuple[Statement, ...], written: str) -> str:
    name = written.partition("[")[0]
    for let in lets(statements):
        if let.name == name and let.note is not None:
            return f" (line {let.note.line})"
    return ""
