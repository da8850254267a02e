"""The normal form of a limit variable: Z^v = Σ_k c_k · Π_j f_kj(Z^{g_kj}), the g Gaussian and the f of one variable.

Nonlinear maps of one Gaussian compose (`relu` of `erf(h)` is one function of h), products and sums of such are
expanded, and a linear map below a product is expanded too. What does not come apart into functions of one Gaussian
each, as relu(h + relu(g)), has no normal form here and is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tensorprog.limit.scaling import Asymptotics, Term
from tensorprog.limit.variables import Ref
from tensorprog.nonlin.expression import Apply, Call, Expr, Number, Operand, Position, operands, substitute, walk
from tensorprog.nonlin.simplify import simplify

__all__ = ["ARGUMENT", "Inseparable", "Product", "Reader", "compose", "products", "repeat"]

ARGUMENT = Operand(0)


class Inseparable(Exception):
    """An expression is a function of several variables that does not come apart."""


@dataclass(frozen=True, slots=True)
class Product:
    """coefficient · Π_j factors[ref_j](Z^{ref_j}), every factor a function of Operand(0)."""

    coefficient: Term
    factors: Mapping[Ref, Expr]

    def times(self, other: Product) -> Product:
        """Return the product of the two; functions of the same variable are multiplied."""
        factors = dict(self.factors)
        for ref, function in other.factors.items():
            factors[ref] = simplify(factors[ref] * function) if ref in factors else function
        return Product(self.coefficient * other.coefficient, factors)


@dataclass(frozen=True, slots=True)
class Reader:
    """How an expression's operands read: random ones are refs, deterministic ones have a value."""

    refs: tuple[Ref, ...]
    random: frozenset[int]
    values: Mapping[int, Term]
    asymptotics: Asymptotics


def products(expr: Expr, reader: Reader) -> tuple[Product, ...]:
    """Return `expr` as a sum of products of functions of one operand each.

    Raises:
        Inseparable: it is not such a sum.
        ArithmeticError: a coefficient has no asymptotics.
    """
    chosen = reader.random.intersection(operands(expr))
    if not chosen:
        return (Product(reader.asymptotics.evaluate(expr, reader.values), {}),)
    if _is_univariate(expr, chosen) and not reader.asymptotics.has_width(expr):
        return _with_index_outside(expr, reader) or _univariate(expr, chosen, reader)
    if isinstance(expr, Call) and expr.fn.derivative is None:
        return products(_unfold(expr), reader)
    if not isinstance(expr, Apply) or expr.function not in _EXPANSIONS:
        raise Inseparable
    return _EXPANSIONS[expr.function](expr.args, reader)


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
    return tuple(Product(-p.coefficient, p.factors) for p in products(args[0], reader))


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
    return (Product(coefficient, {ref: _reciprocal(f) for ref, f in product.factors.items()}),)


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
