"""Sizes that are given on the command line, in the place of data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tensorprog.core import bind
from tensorprog.core.ir import Core

__all__ = ["check_sizes"]


def check_sizes(core: Core, sizes: Mapping[str, int], data: Any = None) -> None:
    """Check that every name of `sizes` is one that data bind, and that `data` (if there are any) agree.

    Raises:
        DataError: no data would bind the name (TP475), or the data bind it to another number.
    """
    bind.check_sizes(core, sizes)
    if sizes and data is not None:
        bind.bind(core, data, sizes, allow_nonfinite=True)
