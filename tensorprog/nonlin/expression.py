"""Expressions: the elementwise functions and the scalars of a tensor program, as data.

    Expr ::= Number | Symbol | Position | Operand | Apply(function, args) | Call(fn, args)

An expression is what one coordinate sees: `Operand(i)` is a coordinate of the i-th operand of the instruction that
holds the expression (or a scalar operand), `Symbol` a hyperparameter, a width or a size that the data binds, and
`Position` the value of an index. Nothing here evaluates; `nonlin.evaluate` and `nonlin.derivative` do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = [
    "ONE",
    "ZERO",
    "Apply",
    "Call",
    "Expr",
    "Fn",
    "Number",
    "Operand",
    "Position",
    "Symbol",
    "apply",
    "children",
    "operands",
    "rebuild",
    "substitute",
    "symbols",
    "walk",
]


@dataclass(frozen=True, slots=True)
class Expr:
    """The base of all expressions; arithmetic on them builds `Apply` nodes and never simplifies."""

    def __add__(self, other: Expr | float) -> Expr:
        return apply("add", self, other)

    def __radd__(self, other: Expr | float) -> Expr:
        return apply("add", other, self)

    def __sub__(self, other: Expr | float) -> Expr:
        return apply("sub", self, other)

    def __rsub__(self, other: Expr | float) -> Expr:
        return apply("sub", other, self)

    def __mul__(self, other: Expr | float) -> Expr:
        return apply("mul", self, other)

    def __rmul__(self, other: Expr | float) -> Expr:
        return apply("mul", other, self)

    def __truediv__(self, other: Expr | float) -> Expr:
        return apply("div", self, other)

    def __rtruediv__(self, other: Expr | float) -> Expr:
        return apply("div", other, self)

    def __pow__(self, other: Expr | float) -> Expr:
        return apply("pow", self, other)

    def __neg__(self) -> Expr:
        return apply("neg", self)


@dataclass(frozen=True, slots=True)
class Number(Expr):
    """A literal number; integers stay integers."""

    value: int | float


@dataclass(frozen=True, slots=True)
class Symbol(Expr):
    """A named number: a hyperparameter, a width, a size bound by the data, or `pi`."""

    name: str


@dataclass(frozen=True, slots=True)
class Position(Expr):
    """The value of an index: where on `axis` the coordinate stands."""

    axis: str


@dataclass(frozen=True, slots=True)
class Operand(Expr):
    """The i-th operand of the instruction (or the i-th variable of an `Fn`)."""

    index: int


@dataclass(frozen=True, slots=True)
class Apply(Expr):
    """A built-in function of expressions: arithmetic (`add sub mul div floordiv pow neg`) or a nonlinearity by name."""

    function: str
    args: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Fn:
    """An elementwise function of the user: `body` over Operand(0), …; `derivative` replaces its own in backprop."""

    name: str
    variables: tuple[str, ...]
    body: Expr
    derivative: Expr | None = None


@dataclass(frozen=True, slots=True)
class Call(Expr):
    """A user's function of expressions."""

    fn: Fn
    args: tuple[Expr, ...]


ZERO, ONE = Number(0), Number(1)


def _expr(value: Expr | float) -> Expr:
    return value if isinstance(value, Expr) else Number(value)


def apply(function: str, *args: Expr | float) -> Expr:
    """Return `function(args…)`, numbers lifted to expressions."""
    return Apply(function, tuple(_expr(arg) for arg in args))


def children(expr: Expr) -> tuple[Expr, ...]:
    """Return the immediate subexpressions."""
    return expr.args if isinstance(expr, Apply | Call) else ()


def rebuild(expr: Expr, args: tuple[Expr, ...]) -> Expr:
    """Return `expr` with other immediate subexpressions (the same object if none changed)."""
    if all(new is old for new, old in zip(args, children(expr), strict=True)):
        return expr
    return Apply(expr.function, args) if isinstance(expr, Apply) else Call(expr.fn, args)  # type: ignore[attr-defined]


def walk(expr: Expr) -> Iterator[Expr]:
    """Yield every subexpression, `expr` first."""
    stack = [expr]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(children(node)))


def operands(expr: Expr) -> tuple[int, ...]:
    """Return the operand indices that occur, ascending."""
    return tuple(sorted({node.index for node in walk(expr) if isinstance(node, Operand)}))


def symbols(expr: Expr) -> tuple[str, ...]:
    """Return the names of the symbols that occur, in order of first appearance."""
    return tuple(dict.fromkeys(node.name for node in walk(expr) if isinstance(node, Symbol)))


def substitute(expr: Expr, replace: Callable[[Expr], Expr | None]) -> Expr:
    """Return `expr` with each subexpression for which `replace` gives another replaced by it, outermost first."""
    new = replace(expr)
    if new is not None:
        return new
    return rebuild(expr, tuple(substitute(child, replace) for child in children(expr)))
