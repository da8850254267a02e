"""Rewriting expressions without changing their values (at infinite and undefined ones a rewrite may)."""

from __future__ import annotations

import math
from collections.abc import Callable

from tensorprog.nonlin.base import primitive
from tensorprog.nonlin.expression import ONE, ZERO, Apply, Call, Expr, Number, Operand, apply, rebuild
from tensorprog.nonlin.traverse import fold

__all__ = ["bind", "expand", "inline", "simplify"]


def simplify(expr: Expr) -> Expr:
    """Return `expr` with constants folded (exactly: 1/3 stays), the laws of 0 and 1 and of signs applied."""
    return fold(expr, _simplify_node)


def inline(expr: Expr) -> Expr:
    """Return `expr` with every call of an `Fn` replaced by its body."""

    def rule(node: Expr, args: tuple[Expr, ...]) -> Expr:
        return bind(inline(node.fn.body), args) if isinstance(node, Call) else rebuild(node, args)

    return fold(expr, rule)


def bind(expr: Expr, args: tuple[Expr, ...]) -> Expr:
    """Return `expr` with Operand(i) replaced by args[i]."""

    def rule(node: Expr, inner: tuple[Expr, ...]) -> Expr:
        return args[node.index] if isinstance(node, Operand) else rebuild(node, inner)

    return fold(expr, rule)


def expand(expr: Expr, name: str | None = None) -> Expr:
    """Return `expr` with functions replaced by what they mean in simpler ones: all that have an expansion, or one.

    What is left of all: arithmetic, step, erf, gauss, exp, log, sin, cos, sqrt, tanh, sigmoid, softplus, elu, delta.
    """

    def rule(node: Expr, args: tuple[Expr, ...]) -> Expr:
        new = rebuild(node, args)
        if not isinstance(new, Apply) or name not in (None, new.function):
            return new
        expansion = primitive(new.function).expansion
        return expand(expansion(*new.args), name) if expansion else new

    return fold(expr, rule)


def _simplify_node(node: Expr, args: tuple[Expr, ...]) -> Expr:
    new = rebuild(node, args)
    if not isinstance(new, Apply):
        return new
    law = _LAWS.get(new.function)
    return law(*new.args) if law else new


def _number(expr: Expr) -> int | float | None:
    return expr.value if isinstance(expr, Number) else None


def _parts(expr: Expr, function: str) -> tuple[Expr, ...] | None:
    return expr.args if isinstance(expr, Apply) and expr.function == function else None


def _add(left: Expr, right: Expr) -> Expr:
    a, b = _number(left), _number(right)
    if a is not None and b is not None:
        return Number(a + b)
    if a == 0:
        return right
    if b == 0:
        return left
    if negated := _parts(right, "neg"):
        return _subtract(left, negated[0])
    if negated := _parts(left, "neg"):
        return _subtract(right, negated[0])
    return _subtract(left, Number(-b)) if b is not None and b < 0 else left + right


def _subtract(left: Expr, right: Expr) -> Expr:
    a, b = _number(left), _number(right)
    if a is not None and b is not None:
        return Number(a - b)
    if b == 0:
        return left
    if a == 0:
        return _negate(right)
    if negated := _parts(right, "neg"):
        return _add(left, negated[0])
    return left + Number(-b) if b is not None and b < 0 else left - right


def _negate(arg: Expr) -> Expr:
    if (value := _number(arg)) is not None:
        return Number(-value)
    if negated := _parts(arg, "neg"):
        return negated[0]
    if (factors := _parts(arg, "mul")) and isinstance(factors[0], Number):
        return _multiply(Number(-factors[0].value), factors[1])
    return -arg


def _multiply(left: Expr, right: Expr) -> Expr:
    a, b = _number(left), _number(right)
    if a is not None and b is not None:
        return Number(a * b)
    if a == 0 or b == 0:
        return ZERO
    if a == 1:
        return right
    if b == 1:
        return left
    return _multiply_signed(left, right)


def _multiply_signed(left: Expr, right: Expr) -> Expr:
    """Return left · right with the sign outside and the number in front."""
    if negated := _parts(left, "neg"):
        return _negate(_multiply(negated[0], right))
    if negated := _parts(right, "neg"):
        return _negate(_multiply(left, negated[0]))
    if isinstance(right, Number):
        return _multiply(right, left)
    if isinstance(left, Number) and left.value == -1:
        return _negate(right)
    if (factors := _parts(left, "mul")) and isinstance(factors[0], Number):
        return _multiply(factors[0], _multiply(factors[1], right))
    if (factors := _parts(right, "mul")) and isinstance(factors[0], Number):
        return _multiply(_multiply(left, factors[0]), factors[1])
    return _multiply_fractions(left, right)


def _multiply_fractions(left: Expr, right: Expr) -> Expr:
    """Return left · right with a factor 1/c turned into a division by c."""
    if (fraction := _parts(right, "div")) and fraction[0] == ONE:
        return _divide(left, fraction[1])
    if (fraction := _parts(left, "div")) and fraction[0] == ONE:
        return _divide(right, fraction[1])
    return left * right


def _divide(left: Expr, right: Expr) -> Expr:
    a, b = _number(left), _number(right)
    if isinstance(a, int) and isinstance(b, int) and b != 0 and a % b == 0:
        return Number(a // b)
    if b == 1:
        return left
    if a == 0 and b != 0:
        return ZERO
    if negated := _parts(left, "neg"):
        return _negate(_divide(negated[0], right))
    return left / right


def _power(base: Expr, exponent: Expr) -> Expr:
    a, b = _number(base), _number(exponent)
    if b == 0:
        return ONE
    if b == 1:
        return base
    if isinstance(a, int) and isinstance(b, int) and 0 < b <= 64 and abs(a) < 1 << 16:
        return Number(a**b)
    return base**exponent


def _square_root(arg: Expr) -> Expr:
    value = _number(arg)
    if isinstance(value, int) and value >= 0 and math.isqrt(value) ** 2 == value:
        return Number(math.isqrt(value))
    return apply("sqrt", arg)


_LAWS: dict[str, Callable[..., Expr]] = {
    "add": _add,
    "sub": _subtract,
    "neg": _negate,
    "mul": _multiply,
    "div": _divide,
    "pow": _power,
    "sqrt": _square_root,
    "relu_k": lambda u, k: apply("step", u) if k == ZERO else apply("relu_k", u, k),
    "hermite": lambda u, k: ONE if k == ZERO else apply("hermite", u, k),
}
