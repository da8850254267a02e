"""Lower sympy expressions over the limit's quantities to scalar expressions of the kernel IR.

Powers become products, quotients and square roots; numbers become the nearest double; everything else maps node for
node. The special functions of `dual.special` stay operators: they are the guards that keep ρ → ±1 exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import singledispatch

import sympy as sp
from sympy.core.function import AppliedUndef

from tensorprog.dual.numeric import SPECIALS
from tensorprog.kernel.axes import AxisTable, Sum
from tensorprog.kernel.ir import (
    AxisIndex,
    Const,
    Copy,
    Delta,
    Expectation,
    Index,
    Largest,
    Op,
    Parameter,
    Place,
    Position,
    Ref,
    Scalar,
    Softmax,
    Within,
)
from tensorprog.limit import equations
from tensorprog.limit.equations import X, Y

__all__ = ["EXPECTATIONS", "OPERATORS", "Program", "index_of", "lower_scalar", "place_of", "quantity"]

EXPECTATIONS: Mapping[str, int] = {"PairExpectation": 2, "PointExpectation": 1, "JointExpectation": 1}
"""The numerical expectations: how many of their leading arguments are names of functions."""

OPERATORS: Mapping[type[sp.Expr], str] = {
    sp.exp: "exp",
    sp.log: "log",
    sp.sin: "sin",
    sp.cos: "cos",
    sp.tan: "tan",
    sp.asin: "asin",
    sp.acos: "acos",
    sp.atan: "atan",
    sp.atan2: "atan2",
    sp.sinh: "sinh",
    sp.cosh: "cosh",
    sp.tanh: "tanh",
    sp.erf: "erf",
    sp.erfc: "erfc",
    sp.Abs: "abs",
    sp.sign: "sign",
    sp.Max: "max",
    sp.Min: "min",
    **{special: special.__name__ for special in SPECIALS},
}
"""The operator of every sympy function that the limit may contain."""


@dataclass(frozen=True, slots=True)
class Program:
    """Where an expression stands: `own` are the copies whose quantities the program defines, (X, X) or (X, Y).

    `indices` are those of the loops around it; `table` knows the axes.
    """

    own: tuple[sp.Symbol, sp.Symbol]
    indices: tuple[str, ...] = ()
    table: AxisTable = field(default_factory=AxisTable)

    def inside(self, index: str) -> Program:
        """Return the place in a loop over an index."""
        return Program(self.own, (*self.indices, index), self.table)

    def copy(self, copies: Iterable[sp.Basic]) -> Copy:
        """Return whose quantity it is that has these copies as arguments."""
        found = set(copies)
        if found == set(self.own):
            return Copy.OWN
        return Copy.LEFT if found == {X} else Copy.RIGHT


def index_of(argument: sp.Expr) -> Index:
    """Return an index: a number, a symbol, or a symbol plus a number."""
    offset, symbol = argument.as_coeff_Add()
    if symbol == 0:
        return Index(None, int(offset))
    if isinstance(symbol, sp.Symbol):
        return Index(symbol.name, int(offset))
    raise NotImplementedError(f"{argument} is not the index of a loop")


def place_of(argument: sp.Expr) -> Place:
    """Return a position: an affine expression in indices and sizes, with integer coefficients."""
    constant, terms = 0, []
    for symbol, coefficient in sp.sympify(argument).expand().as_coefficients_dict().items():
        if not coefficient.is_Integer or not (symbol == 1 or isinstance(symbol, sp.Symbol)):
            raise NotImplementedError(f"{argument} is not a position on an axis")
        if symbol == 1:
            constant = int(coefficient)
        elif coefficient:
            terms.append((symbol.name, int(coefficient)))
    return Place(constant, tuple(sorted(terms)))


def quantity(applied: sp.Expr, program: Program) -> Ref:
    """Return the reference that an applied function stands for: of loop indices, then positions, then copies."""
    name = applied.func.__name__
    copies = tuple(arg for arg in applied.args if arg in (X, Y))
    numbers = tuple(arg for arg in applied.args if arg not in (X, Y))
    steps = len(numbers) - program.table.rank(name)
    indices = tuple(index_of(arg) for arg in numbers[:steps])
    places = tuple(place_of(arg) for arg in numbers[steps:])
    return Ref(name + _transposed(copies), indices, program.copy(copies), places)


def _transposed(copies: tuple[sp.Expr, ...]) -> str:
    """Return a mark for quantities of (x′, x), which are not those of (x, x′)."""
    return "ᵀ" if copies == (Y, X) else ""


def lower_scalar(expr: sp.Expr, program: Program) -> Scalar:
    """Return the scalar expression with the value of `expr`."""
    return _lower(expr, program)


def _lower(expr: sp.Basic, program: Program) -> Scalar:
    """Return the scalar expression; every quantity has a sympy class of its own, too many to dispatch on."""
    return quantity(expr, program) if isinstance(expr, AppliedUndef) else _lower_node(expr, program)


def _is_literal(expr: sp.Basic) -> bool:
    """Return whether an expression is a number without functions that only kernels evaluate."""
    return bool(expr.is_number) and not expr.has(*SPECIALS)


@singledispatch
def _lower_node(expr: sp.Basic, program: Program) -> Scalar:
    if _is_literal(expr):
        return Const(float(expr))
    raise NotImplementedError(f"the kernel IR has no operator for {type(expr).__name__}: {expr}")


@_lower_node.register
def _(expr: sp.Number, program: Program) -> Scalar:
    return Const(float(expr))


@_lower_node.register
def _(expr: sp.Symbol, program: Program) -> Scalar:
    known = expr.name in program.indices or expr.name in program.table.indices
    return Position(expr.name) if known else Parameter(expr.name)


@_lower_node.register
def _(expr: sp.Add, program: Program) -> Scalar:
    """A sum; terms with a negative coefficient are subtracted."""
    positive: list[Scalar] = []
    negative: list[Scalar] = []
    for term in expr.as_ordered_terms():
        minus = term.could_extract_minus_sign() and term.as_coeff_Mul()[0].is_negative
        (negative if minus else positive).append(_lower(-term if minus else term, program))
    total = sum_of(positive) if positive else Op("neg", (negative.pop(0),))
    return Op("sub", (total, sum_of(negative))) if negative else total


@_lower_node.register
def _(expr: sp.Mul, program: Program) -> Scalar:
    if _is_literal(expr):
        return Const(float(expr))
    above: list[Scalar] = []
    below: list[Scalar] = []
    for factor in expr.as_ordered_factors():
        base, exponent = factor.as_base_exp()
        if exponent.is_Rational and exponent.is_negative and not base.is_number:
            below.append(_power(base, -exponent, program))
        else:
            above.append(_lower(factor, program))
    if above and above[0] == Const(-1.0):
        numerator: Scalar = Op("neg", (product_of(above[1:]),))
    else:
        numerator = product_of(above)
    return Op("div", (numerator, product_of(below))) if below else numerator


@_lower_node.register
def _(expr: sp.Pow, program: Program) -> Scalar:
    base, exponent = expr.as_base_exp()
    if _is_literal(expr):
        return Const(float(expr))
    if exponent.is_Rational and exponent.is_negative:
        return Op("div", (Const(1.0), _power(base, -exponent, program)))
    return _power(base, exponent, program)


def _power(base: sp.Expr, exponent: sp.Expr, program: Program) -> Scalar:
    """Return base^exponent, by multiplication and one square root if 2·exponent is a small natural number."""
    value = _lower(base, program)
    if not (exponent.is_Rational and exponent.is_nonnegative and exponent.q in (1, 2) and exponent.p <= 128):
        return Op("pow", (value, _lower(exponent, program)))
    whole, half = divmod(int(exponent.p), int(exponent.q))
    factors = [natural_power(value, whole)] if whole else []
    return product_of([*factors, *([Op("sqrt", (value,))] if half else [])])


def natural_power(value: Scalar, exponent: int) -> Scalar:
    """Return value^exponent for exponent ≥ 1, by repeated squaring."""
    if exponent == 1:
        return value
    root = natural_power(value, exponent // 2)
    return Op("mul", (root, root)) if exponent % 2 == 0 else Op("mul", (root, root, value))


def sum_of(terms: list[Scalar]) -> Scalar:
    """Return the sum, 0 if there is no term."""
    return (terms[0] if len(terms) == 1 else Op("add", tuple(terms))) if terms else Const(0.0)


def product_of(factors: list[Scalar]) -> Scalar:
    """Return the product, 1 if there is no factor."""
    return (factors[0] if len(factors) == 1 else Op("mul", tuple(factors))) if factors else Const(1.0)


@_lower_node.register(sp.Max)
@_lower_node.register(sp.Min)
def _(expr: sp.Max | sp.Min, program: Program) -> Scalar:
    return Op(OPERATORS[type(expr)], tuple(_lower(arg, program) for arg in sorted(expr.args, key=sp.default_sort_key)))


@_lower_node.register
def _(expr: sp.Function, program: Program) -> Scalar:
    name = type(expr).__name__
    if name in EXPECTATIONS:
        count = EXPECTATIONS[name]
        functions = tuple(str(arg) for arg in expr.args[:count])
        return Expectation(name, functions, tuple(_lower(arg, program) for arg in expr.args[count:]))
    if type(expr) not in OPERATORS:
        raise NotImplementedError(f"the kernel IR has no operator for {name}: {expr}")
    return Op(OPERATORS[type(expr)], tuple(_lower(arg, program) for arg in expr.args))


@_lower_node.register
def _(expr: sp.KroneckerDelta, program: Program) -> Scalar:
    first, second = expr.args[:2]
    return Delta(place_of(first), place_of(second))


@_lower_node.register
def _(expr: equations.Within, program: Program) -> Scalar:
    place, axis, copy = expr.args
    return Within(place_of(place), axis.name, Copy.OWN if program.own == (X, X) else program.copy((copy,)))


@_lower_node.register
def _(expr: equations.AxisSum, program: Program) -> Scalar:
    return Sum(_lower(expr.body, program), _bound(expr.indices, program))


@_lower_node.register
def _(expr: equations.Largest, program: Program) -> Scalar:
    return Largest(_lower(expr.body, program), _bound(expr.indices, program))


@_lower_node.register
def _(expr: equations.SoftmaxOver, program: Program) -> Scalar:
    (symbol,) = expr.indices
    return Softmax(_lower(expr.body, program), symbol.name)


def _bound(indices: Iterable[sp.Symbol], program: Program) -> tuple[AxisIndex, ...]:
    return tuple(program.table.indices[index.name] for index in indices)
