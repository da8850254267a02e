"""Sizes that are given on the command line, in the place of data."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from tensorprog.core.bind import bind, bound_names
from tensorprog.core.ir import Core
from tensorprog.errors import DataError, Diagnostic

__all__ = ["check_sizes"]


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
