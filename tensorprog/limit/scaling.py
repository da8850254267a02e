"""Powers of n: what a scalar expression is to leading order as the widths go to infinity.

A `Term` is c · n^p with c free of n. Sums keep the highest power: c₁ n^p + c₂ n^r = c₁ n^p + o(n^p) for p > r, and the
term that is dropped is reported to whoever listens. Yang, Tensor Programs IV (2011.14522) calls p the exponent of an
abc-parametrization; here every variance, rate and factor carries one.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import singledispatchmethod

import sympy as sp

from tensorprog.core.ir import Core, Parameter
from tensorprog.limit.sizes import Sizes
from tensorprog.nonlin.expression import Apply, Call, Expr, Number, Operand, Position, Symbol, walk
from tensorprog.nonlin.simplify import inline

__all__ = ["NOTHING", "UNIT", "Asymptotics", "Term", "constant_symbol"]


@dataclass(frozen=True, slots=True)
class Term:
    """coefficient · n^power, to leading order; `origin` is the parameter whose contribution has that power.

    Where `is_bound`, the coefficient is 0 and all that is known is that the quantity is o(n^power): the average of a
    vector of mean zero is o(1), so that √n times it has no limit that could be told.
    """

    coefficient: sp.Expr
    power: sp.Rational = field(default_factory=lambda: sp.Integer(0))
    origin: Parameter | None = field(default=None, compare=False)
    is_bound: bool = False

    def __mul__(self, other: Term) -> Term:
        """Return the product; an exact zero absorbs every power, o(n^p) c n^r is o(n^(p + r))."""
        if self.is_nothing or other.is_nothing:
            return NOTHING
        origin = self.origin if self.origin is not None else other.origin
        is_bound = self.is_bound or other.is_bound
        return Term(self.coefficient * other.coefficient, self.power + other.power, origin, is_bound)

    def __add__(self, other: Term) -> Term:
        """Return the sum to leading order."""
        if self.is_nothing or other.is_nothing:
            return other if self.is_nothing else self
        if self.power != other.power:
            return max(self, other, key=lambda term: term.power)
        if self.is_bound or other.is_bound:
            return other if self.is_bound else self
        total = self.coefficient + other.coefficient
        return Term(total, self.power, self.origin or other.origin, is_bound=bool(total == 0))

    def __neg__(self) -> Term:
        return replace(self, coefficient=-self.coefficient)

    def blame(self, parameter: Parameter) -> Term:
        """Return the same term as a contribution of `parameter`."""
        return replace(self, origin=parameter)

    @property
    def vanishes(self) -> bool:
        """Whether the coefficient is zero: the term is zero, or of lower order than n^power."""
        return bool(self.coefficient == 0)

    @property
    def is_nothing(self) -> bool:
        """Whether the term is exactly zero."""
        return self.vanishes and not self.is_bound

    @property
    def is_unknown(self) -> bool:
        """Whether a positive power of n stands before a limit of zero, so that nothing is known of the product."""
        return self.is_bound and bool(self.power > 0)


NOTHING = Term(sp.Integer(0))
UNIT = Term(sp.Integer(1))


def constant_symbol(name: str) -> sp.Expr:
    """Return the sympy name of a hyperparameter or size (π itself for `pi`)."""
    return sp.pi if name == "pi" else sp.Symbol(name)


def _number(value: float) -> sp.Expr:
    return sp.Integer(int(value)) if value == int(value) else sp.Float(value)


class Asymptotics:
    """Evaluates scalar expressions to leading order in the first width of a program.

    A hyperparameter whose value is 0 is replaced by 0, so that a term known to vanish does so in the formulas; all
    others stay symbols. `sizes` collects the symbols that the data bind.
    """

    def __init__(self, core: Core, sizes: Sizes | None = None) -> None:
        self._values: Mapping[str, float] = core.symbols
        self._widths: dict[str, Term] = {}
        self._positions: Mapping[sp.Symbol, sp.Expr] = {}
        self.sizes = sizes or Sizes(core)
        for width in core.widths:
            self._widths[width.name] = (
                Term(sp.Integer(1), sp.Integer(1)) if width.size is None else self.evaluate(width.size)
            )

    def evaluate(self, expr: Expr, operands: Mapping[int, Term] | None = None) -> Term:
        """Return `expr` to leading order, its operands given as terms.

        Raises:
            ArithmeticError: a function other than a power is applied to something that is not of order one.
        """
        return self._visit(expr, operands or {})

    def at(self, positions: Mapping[sp.Symbol, sp.Expr]) -> Asymptotics:
        """Return an evaluator that puts other values in place of the indices of loops."""
        placed = copy.copy(self)
        placed._positions = positions
        return placed

    def is_zero(self, expr: Expr) -> bool:
        """Return whether an expression without operands is zero for the given hyperparameters."""
        if any(isinstance(node, Operand) for node in walk(expr)):
            return False
        try:
            return self.evaluate(expr).is_nothing
        except ArithmeticError:
            return False

    def has_width(self, expr: Expr) -> bool:
        """Return whether a width occurs in an expression."""
        return any(isinstance(node, Symbol) and node.name in self._widths for node in walk(expr))

    def is_constant(self, expr: Expr) -> bool:
        """Return whether an expression is made of numbers and hyperparameters only."""
        known = {*self._values, "pi"}
        leaves = (node for node in walk(expr) if isinstance(node, Symbol | Operand | Position))
        return all(isinstance(node, Symbol) and node.name in known for node in leaves)

    def is_width(self, size: Expr) -> bool:
        """Return whether a dimension goes to infinity."""
        return isinstance(size, Symbol) and size.name in self._widths

    @singledispatchmethod
    def _visit(self, expr: Expr, operands: Mapping[int, Term]) -> Term:
        raise TypeError(f"no asymptotics for {type(expr).__name__}")

    @_visit.register
    def _(self, expr: Number, operands: Mapping[int, Term]) -> Term:
        return Term(_number(expr.value))

    @_visit.register
    def _(self, expr: Symbol, operands: Mapping[int, Term]) -> Term:
        if expr.name in self._widths:
            return self._widths[expr.name]
        if self._values.get(expr.name) == 0:
            return NOTHING
        is_size = expr.name not in self._values and expr.name != "pi"
        return Term(self.sizes.symbol(expr) if is_size else constant_symbol(expr.name))

    @_visit.register
    def _(self, expr: Position, operands: Mapping[int, Term]) -> Term:
        index = sp.Symbol(expr.axis)
        return Term(self._positions.get(index, index))

    @_visit.register
    def _(self, expr: Operand, operands: Mapping[int, Term]) -> Term:
        return operands[expr.index]

    @_visit.register
    def _(self, expr: Apply, operands: Mapping[int, Term]) -> Term:
        if expr.function == "floordiv" and self._is_size(expr):
            return Term(self.sizes.symbol(expr))
        args = [self._visit(arg, operands) for arg in expr.args]
        rule = _RULES.get(expr.function)
        return rule(*args) if rule is not None else self._function(expr, args)

    @_visit.register
    def _(self, expr: Call, operands: Mapping[int, Term]) -> Term:
        return self._visit(inline(expr), operands)

    def _is_size(self, expr: Expr) -> bool:
        """Return whether an expression is integer arithmetic over sizes that only the data bind."""
        names = {node.name for node in walk(expr) if isinstance(node, Symbol)}
        is_known = names <= self._values.keys()
        return not is_known and all(isinstance(node, Number | Symbol | Apply) for node in walk(expr))

    def _function(self, expr: Apply, args: list[Term]) -> Term:
        if any(arg.is_unknown or (arg.power != 0 and not arg.vanishes) for arg in args):
            power = next(arg.power for arg in args if arg.power)
            raise ArithmeticError(f"{expr.function} of something of order n^{power}")
        return Term(scalar_function(expr.function, [arg.coefficient for arg in args]))


def _divide(numerator: Term, denominator: Term) -> Term:
    if denominator.vanishes:
        raise ZeroDivisionError("a division by zero")
    return numerator * Term(1 / denominator.coefficient, -denominator.power, denominator.origin)


def _raise(base: Term, exponent: Term) -> Term:
    power = exponent.coefficient
    if base.vanishes:
        if power.is_positive:
            return replace(base, power=base.power * sp.nsimplify(power, rational=True)) if base.is_bound else NOTHING
        return Term(sp.Integer(1)) if power == 0 else _divide(Term(sp.Integer(1)), base)
    if exponent.power != 0 or (base.power != 0 and not power.is_number):
        raise ArithmeticError("an exponent that depends on the width")
    scaled = base.power if base.power == 0 else base.power * sp.nsimplify(power, rational=True)
    return Term(base.coefficient**power, scaled)


def scalar_function(name: str, args: list[sp.Expr]) -> sp.Expr:
    """Return an elementwise function of the language as sympy writes it, for scalars.

    Raises:
        ArithmeticError: the function has no such form.
    """
    if name not in _SCALARS:
        raise ArithmeticError(f"{name} of a scalar")
    return _SCALARS[name](*args)


_RULES: Mapping[str, Callable[..., Term]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a + (-b),
    "neg": lambda a: -a,
    "mul": lambda a, b: a * b,
    "div": _divide,
    "pow": _raise,
    "sqrt": lambda a: _raise(a, Term(sp.Rational(1, 2))),
    "square": lambda a: a * a,
    "cube": lambda a: a * a * a,
}

_SCALARS = {
    "exp": sp.exp,
    "log": sp.log,
    "sin": sp.sin,
    "cos": sp.cos,
    "tanh": sp.tanh,
    "erf": sp.erf,
    "abs": sp.Abs,
    "min": sp.Min,
    "max": sp.Max,
    "relu": lambda a: sp.Max(a, 0),
    "step": lambda a: (1 + sp.sign(a)) / 2,
    "relu_k": lambda a, k: (1 + sp.sign(a)) / 2 * a**k,
    "hermite": lambda a, k: sp.hermite(k, a / sp.sqrt(2)) / sp.sqrt(2**k * sp.factorial(k)),
    "sign": sp.sign,
    "sigmoid": lambda a: 1 / (1 + sp.exp(-a)),
    "softplus": lambda a: sp.log(1 + sp.exp(a)),
    "silu": lambda a: a / (1 + sp.exp(-a)),
    "gauss": lambda a: sp.exp(-(a**2)),
    "Phi": lambda a: (1 + sp.erf(a / sp.sqrt(2))) / 2,
    "gelu": lambda a: a * (1 + sp.erf(a / sp.sqrt(2))) / 2,
    "floordiv": lambda a, b: sp.floor(a / b),
    "leaky_relu": lambda a, s: sp.Max(a, 0) + s * sp.Min(a, 0),
    "elu": lambda a: sp.Max(a, 0) + sp.exp(sp.Min(a, 0)) - 1,
}
