"""Conditions on places as text."""

from __future__ import annotations

from collections.abc import Mapping

from tensorprog.codegen.arrays.context import Context
from tensorprog.kernel.ir import AxisIndex, Delta, Within

__all__ = ["write_condition"]


def write_condition(context: Context, condition: Delta | Within, values: Mapping[str, str]) -> str:
    """Return a condition as a Python expression; `values` are the variables of the indices."""
    if isinstance(condition, Delta):
        return f"{context.place(condition.left, values)} == {context.place(condition.right, values)}"
    index = AxisIndex("", condition.axis, condition.copy)
    start, extent = context.start_of(index), context.extent_of(index)
    return f"{start} <= {context.place(condition.place, values)} < {start} + {extent}"
