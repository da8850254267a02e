"""Sizes that are given on the command line, in the place of data."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tensorprog.core.bind import bind, bound_names
from tensorprog.core.ir import Core, Input
from tensorprog.errors import DataError, Diagnostic
from tensorprog.nonlin.evaluate import evaluate_integer
from tensorprog.nonlin.expression import Expr, symbols
from tensorprog.nonlin.text import text

__all__ = ["check_sizes", "draw_samples"]


def check_sizes(core: Core, sizes: Mapping[str, int], data: Any = None) -> None:
    """Check that every name of `sizes` is one that data bind, and that `data` (if there are any) agree.

    Raises:
        DataError: no data would bind the name (TP475), or the data bind it to another number.
    """
    names = bound_names(core)
    for name in sizes:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            hint = f"did you mean {near[0]}?" if near else f"the data bind {', '.join(names) or 'no name'}"
            raise DataError(Diagnostic("TP475", f"{name!r} is not a size that data bind", hint=hint))
    if sizes and data is not None:
        bind(core, data, sizes, allow_nonfinite=True)


def draw_samples(core: Core, sizes: Mapping[str, int], count: int, seed: int = 0) -> dict[str, npt.NDArray[np.float64]]:
    """Return `count` standard-normal samples for every input, arrays (count, *axes, *shape).

    Raises:
        DataError: a size is neither a number nor in `sizes` (TP476).
    """
    random = np.random.default_rng(seed)
    known = {**core.symbols, **sizes}
    return {entry.name: random.standard_normal((count, *_shape(core, entry, known))) for entry in core.inputs}


def _shape(core: Core, entry: Input, known: Mapping[str, int | float]) -> tuple[int, ...]:
    extents = [core.axes[axis].extent for axis in entry.type.axes]
    dimension = [] if entry.type.dimension is None else [entry.type.dimension]
    return tuple(_size(entry, expr, known) for expr in (*extents, *dimension))


def _size(entry: Input, expr: Expr, known: Mapping[str, int | float]) -> int:
    if missing := [name for name in symbols(expr) if name not in known]:
        message = f"the size {missing[0]} of the input `{entry.name}` is not known without data"
        hint = f"give data, or the size, as in --dim {missing[0]}=5"
        raise DataError(Diagnostic("TP476", message, entry.span, hint))
    size = evaluate_integer(expr, known)
    if size < 1:
        raise DataError(Diagnostic("TP476", f"the size {text(expr, ())} of `{entry.name}` is {size}", entry.span))
    return size
