"""The normal form of a limit variable: Z^v = Σ_k c_k · Π_j f_kj(Z^{g_kj}, …), the g Gaussian.

Nonlinear maps of one Gaussian compose (`relu` of `erf(h)` is one function of h), products and sums of such are
expanded, and a linear map below a product is expanded too. What does not come apart into functions of one Gaussian
each, as relu(h + relu(g)), is one joint factor, a function of several. A product stays together in a joint factor if
it would come apart into dependent ones: (h − m) / √(h² + g²) is one function of (h, g, m).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import sympy as sp

from tensorprog.limit.product import ARGUMENT, Argument, Fixed, Joint, Product
from tensorprog.limit.scaling import UNIT, Asymptotics, Term
from tensorprog.limit.variables import Ref
from tensorprog.nonlin.expression import Apply, Call, Expr, Number, Operand, Position, operands, substitute, walk
from tensorprog.nonlin.simplify import simplify

__all__ = ["Inseparable", "Reader", "compose", "join", "products", "repeat"]


class Inseparable(Exception):
    """An expression is a function of several variables that does not come apart."""


@dataclass(frozen=True, slots=True)
class Reader:
    """How an expression's operands read: random ones are refs, deterministic ones have a value.

    `independent` tells whether two variables are.
    """

    refs: tuple[Ref, ...]
    random: frozenset[int]
    values: Mapping[int, Term]
    asymptotics: Asymptotics
    independent: Callable[[Ref, Ref], bool]


def products(expr: Expr, reader: Reader) -> tuple[Product, ...]:
    """Return `expr` as a sum of products of functions of one operand each, and of several where it must be.

    Raises:
        Inseparable: a width stands inside a function of several operands.
        ArithmeticError: a coefficient has no asymptotics.
    """
    chosen = reader.random.intersection(operands(expr))
    if not chosen:
        return (Product(reader.asymptotics.evaluate(expr, reader.values), {}),)
    if _is_univariate(expr, chosen) and not reader.asymptotics.has_width(expr):
        return _with_index_outside(expr, reader) or _univariate(expr, chosen, reader)
    if isinstance(expr, Call) and expr.fn.derivative is None:
        return products(_unfold(expr), reader)
    found = _expanded(expr, reader)
    return found if found is not None else (Product(UNIT, {}, (join(expr, reader),)),)


def _expanded(expr: Expr, reader: Reader) -> tuple[Product, ...] | None:
    """Return arithmetic as a sum of products, None if a product would fall into dependent factors of several."""
    if not isinstance(expr, Apply) or expr.function not in _EXPANSIONS:
        return None
    try:
        found = _EXPANSIONS[expr.function](expr.args, reader)
    except Inseparable:
        return None
    return found if all(_comes_apart(product, reader) for product in found) else None


def _comes_apart(product: Product, reader: Reader) -> bool:
    """Return whether a function of several variables is independent of the other factors."""
    parts = [*((ref,) for ref in product.factors), *(joint.refs for joint in product.joint)]
    mixed = range(len(product.factors), len(parts))
    return all(
        reader.independent(ref, other)
        for place in mixed
        for number, others in enumerate(parts)
        if number != place
        for ref in parts[place]
        for other in others
    )


def join(expr: Expr, reader: Reader) -> Joint:
    """Return `expr` as one function of its random operands and of the numbers in it.

    Raises:
        Inseparable: a width stands in it, beside a random operand.
        ArithmeticError: a number in it has no limit of order one.
    """
    arguments: list[Argument] = []

    def operand(argument: Argument) -> Operand:
        if argument not in arguments:
            arguments.append(argument)
        return Operand(arguments.index(argument))

    def place(node: Expr) -> Expr | None:
        if isinstance(node, Operand) and node.index in reader.random:
            return operand(reader.refs[node.index])
        if reader.asymptotics.is_constant(node):
            return None
        if not is_random(node):
            return _number_in(reader.asymptotics.evaluate(node, reader.values), operand)
        if isinstance(node, Apply) and node.function == "div" and not is_random(node.args[1]):
            return substitute(Apply("mul", (node.args[0], _reciprocal(node.args[1]))), place)
        return None

    def is_random(node: Expr) -> bool:
        return bool(reader.random.intersection(operands(node)))

    function = simplify(substitute(expr, place))
    return Joint(function, tuple(arguments))


def _number_in(term: Term, operand: Callable[[Fixed], Operand]) -> Expr:
    """Return a deterministic number inside a function: zero if it vanishes, a literal if it is an integer."""
    if term.is_unknown or (term.power > 0 and not term.vanishes):
        raise ArithmeticError(f"a function of something of order n^{term.power}")
    value = term.coefficient if term.power == 0 else sp.Integer(0)
    return Number(int(value)) if value.is_Integer else operand(Fixed(value))


def _univariate(expr: Expr, chosen: frozenset[int], reader: Reader) -> tuple[Product, ...]:
    (index,) = chosen
    return (Product(_one(reader), {reader.refs[index]: _in_argument(expr, index)}),)


def _with_index_outside(expr: Expr, reader: Reader) -> tuple[Product, ...] | None:
    """Return a function of one variable and of an index as a sum of products with the index in the coefficients."""
    if not any(isinstance(node, Position) for node in walk(expr)):
        return None
    if not isinstance(expr, Apply) or expr.function not in ("add", "sub", "neg", "mul", "div"):
        return None
    try:
        return _EXPANSIONS[expr.function](expr.args, reader)
    except Inseparable:
        return None


def _is_univariate(expr: Expr, chosen: frozenset[int]) -> bool:
    """Return whether `expr` reads one operand only, and that one is random."""
    return len(chosen) == 1 and operands(expr) == tuple(chosen)


def _in_argument(expr: Expr, index: int) -> Expr:
    return substitute(expr, lambda node: ARGUMENT if node == Operand(index) else None)


def _one(reader: Reader) -> Term:
    return reader.asymptotics.evaluate(Number(1))


def _unfold(call: Call) -> Expr:
    """Return the body of a user's function with its arguments in place."""
    return substitute(call.fn.body, lambda node: call.args[node.index] if isinstance(node, Operand) else None)


def _sum(args: tuple[Expr, ...], reader: Reader) -> tuple[Product, ...]:
    return tuple(product for arg in args for product in products(arg, reader))


def _negate(args: tuple[Expr, ...], reader: Reader) -> tuple[Product, ...]:
    return tuple(Product(-p.coefficient, p.factors, p.joint) for p in products(args[0], reader))


def _difference(args: tuple[Expr, ...], reader: Reader) -> tuple[Product, ...]:
    return products(args[0], reader) + _negate(args[1:], reader)


def _multiply(args: tuple[Expr, ...], reader: Reader) -> tuple[Product, ...]:
    left, right = (products(arg, reader) for arg in args)
    return tuple(a.times(b) for a in left for b in right)


def _divide(args: tuple[Expr, ...], reader: Reader) -> tuple[Product, ...]:
    return _multiply((args[0], _reciprocal(args[1])), reader)


def _reciprocal(expr: Expr) -> Expr:
    return Apply("div", (Number(1), expr))


def _invert(args: tuple[Expr, ...], reader: Reader) -> tuple[Product, ...]:
    """Return 1/expr: a number, a function of one variable, or a product of such."""
    below = products(args[1], reader)
    if len(below) != 1:
        raise Inseparable
    (product,) = below
    coefficient = reader.asymptotics.evaluate(_reciprocal(Operand(0)), {0: product.coefficient})
    joint = tuple(Joint(_reciprocal(j.function), j.arguments) for j in product.joint)
    return (Product(coefficient, {ref: _reciprocal(f) for ref, f in product.factors.items()}, joint),)


def _quotient(args: tuple[Expr, ...], reader: Reader) -> tuple[Product, ...]:
    if args[0] == Number(1):
        return _invert(args, reader)
    return _divide(args, reader)


def _power(args: tuple[Expr, ...], reader: Reader) -> tuple[Product, ...]:
    exponent = args[1]
    if not (isinstance(exponent, Number) and exponent.value == int(exponent.value) and 1 <= exponent.value <= 6):
        raise Inseparable
    return repeat(products(args[0], reader), int(exponent.value))


def repeat(once: tuple[Product, ...], times: int) -> tuple[Product, ...]:
    """Return the power of a sum of products, expanded."""
    result = once
    for _ in range(times - 1):
        result = tuple(a.times(b) for a in result for b in once)
    return result


_EXPANSIONS: Mapping[str, Callable[[tuple[Expr, ...], Reader], tuple[Product, ...]]] = {
    "add": _sum,
    "sub": _difference,
    "neg": _negate,
    "mul": _multiply,
    "div": _quotient,
    "pow": _power,
    "square": lambda args, reader: repeat(products(args[0], reader), 2),
    "cube": lambda args, reader: repeat(products(args[0], reader), 3),
}


def compose(outer: Expr, inner: Expr) -> Expr:
    """Return outer(inner(u)) as a function of u."""
    return substitute(outer, lambda node: inner if node == ARGUMENT else None)
