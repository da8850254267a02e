"""Expressions as text of the language."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from enum import IntEnum

from tensorprog.nonlin.expression import Apply, Call, Expr, Number, Operand, Position, Symbol
from tensorprog.nonlin.traverse import fold

__all__ = ["text"]


class _Level(IntEnum):
    """Binding strength, weakest first."""

    SUM = 1
    PRODUCT = 2
    MINUS = 3
    POWER = 4
    ATOM = 5


_Piece = tuple[str, _Level]

_SUMS = {"add": "+", "sub": "-"}
_PRODUCTS = {"mul": "*", "div": "/", "floordiv": "//"}


def text(expr: Expr, names: Sequence[str]) -> str:
    """Return `expr` in the syntax of the language with no more parentheses than it needs; names[i] is Operand(i).

    The text parses back to the same expression, a negative number to the negation of a number.
    """
    return fold(expr, lambda node, args: _piece(node, args, names))[0]


def _within(piece: _Piece, level: _Level) -> str:
    return piece[0] if piece[1] >= level else f"({piece[0]})"


@functools.singledispatch
def _piece(node: Expr, args: tuple[_Piece, ...], names: Sequence[str]) -> _Piece:
    raise TypeError(f"cannot print {type(node).__name__}")


@_piece.register
def _(node: Number, args: tuple[_Piece, ...], names: Sequence[str]) -> _Piece:
    digits = repr(node.value)
    return digits, _Level.MINUS if digits.startswith("-") else _Level.ATOM


@_piece.register
def _(node: Symbol, args: tuple[_Piece, ...], names: Sequence[str]) -> _Piece:
    return node.name, _Level.ATOM


@_piece.register
def _(node: Position, args: tuple[_Piece, ...], names: Sequence[str]) -> _Piece:
    return node.axis, _Level.ATOM


@_piece.register
def _(node: Operand, args: tuple[_Piece, ...], names: Sequence[str]) -> _Piece:
    return names[node.index], _Level.ATOM


@_piece.register
def _(node: Call, args: tuple[_Piece, ...], names: Sequence[str]) -> _Piece:
    return _called(node.fn.name, args)


@_piece.register
def _(node: Apply, args: tuple[_Piece, ...], names: Sequence[str]) -> _Piece:
    if node.function in _SUMS:
        return f"{_within(args[0], _Level.SUM)} {_SUMS[node.function]} {_within(args[1], _Level.PRODUCT)}", _Level.SUM
    if node.function in _PRODUCTS:
        left, right = _within(args[0], _Level.PRODUCT), _within(args[1], _Level.MINUS)
        return f"{left} {_PRODUCTS[node.function]} {right}", _Level.PRODUCT
    if node.function == "neg":
        return f"-{_within(args[0], _Level.MINUS)}", _Level.MINUS
    if node.function == "pow":
        return f"{_within(args[0], _Level.ATOM)}^{_within(args[1], _Level.MINUS)}", _Level.POWER
    return _called(node.function, args)


def _called(name: str, args: tuple[_Piece, ...]) -> _Piece:
    return f"{name}({', '.join(arg[0] for arg in args)})", _Level.ATOM
