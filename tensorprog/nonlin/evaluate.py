"""Values of expressions, with numpy."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from tensorprog.nonlin.base import primitive
from tensorprog.nonlin.expression import Apply, Call, Expr, Number, Operand, Position, Symbol
from tensorprog.nonlin.traverse import fold

__all__ = ["evaluate", "evaluate_integer"]

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class _Scope:
    operands: Sequence[Any]
    symbols: Mapping[str, Any]
    positions: Mapping[str, Any]


def evaluate(
    expr: Expr, operands: Sequence[Any], symbols: Mapping[str, Any], positions: Mapping[str, Any] = _NOTHING
) -> Any:
    """Return the value of `expr`: an array where an operand or position is one, else a Python number.

    Arrays broadcast as in numpy and keep their dtype; overflow gives infinities and undefined values NaN, silently.

    Raises:
        KeyError: a symbol or position without a value.
        ZeroDivisionError: a division by zero among numbers alone.
    """
    with np.errstate(all="ignore"):
        return _evaluate(expr, _Scope(operands, symbols, positions))


def evaluate_integer(expr: Expr, symbols: Mapping[str, Any]) -> int:
    """Return the exact integer value of a size or an index.

    Raises:
        ValueError: the value is not an integer.
        KeyError, ZeroDivisionError: as in `evaluate`.
    """
    value = evaluate(expr, (), symbols)
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(f"{value!r} is not an integer")
    return int(value)


def _evaluate(expr: Expr, scope: _Scope) -> Any:
    return fold(expr, lambda node, args: _value(node, args, scope))


@functools.singledispatch
def _value(node: Expr, args: tuple[Any, ...], scope: _Scope) -> Any:
    raise TypeError(f"cannot evaluate {type(node).__name__}")


@_value.register
def _(node: Number, args: tuple[Any, ...], scope: _Scope) -> Any:
    return node.value


@_value.register
def _(node: Symbol, args: tuple[Any, ...], scope: _Scope) -> Any:
    return math.pi if node.name == "pi" else scope.symbols[node.name]


@_value.register
def _(node: Position, args: tuple[Any, ...], scope: _Scope) -> Any:
    return scope.positions[node.axis]


@_value.register
def _(node: Operand, args: tuple[Any, ...], scope: _Scope) -> Any:
    return scope.operands[node.index]


@_value.register
def _(node: Apply, args: tuple[Any, ...], scope: _Scope) -> Any:
    value = primitive(node.function).value(*args)
    return value.item() if all(isinstance(arg, int | float) for arg in args) and hasattr(value, "item") else value


@_value.register
def _(node: Call, args: tuple[Any, ...], scope: _Scope) -> Any:
    return _evaluate(node.fn.body, _Scope(args, scope.symbols, scope.positions))
