"""Expressions without variables, as sympy numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction

import sympy as sp

from tensorprog.nonlin.expression import Number, Symbol

__all__ = ["FUNCTIONS", "number", "symbol"]

_DYADIC = 1 << 12  # a float with a denominator up to this is printed as a fraction


def number(node: Number) -> sp.Expr:
    """Return an integer or a simple binary fraction exactly as such, any other float with its own 53 bits."""
    if isinstance(node.value, int):
        return sp.Integer(node.value)
    if math.isfinite(node.value):
        fraction = Fraction(node.value)
        if fraction.denominator <= _DYADIC and abs(fraction.numerator) <= _DYADIC**2:
            return sp.Rational(fraction.numerator, fraction.denominator)
    return sp.Float(node.value)


def symbol(node: Symbol) -> sp.Expr:
    """Return π for `pi`, else the symbol of that name."""
    return sp.pi if node.name == "pi" else sp.Symbol(node.name)


FUNCTIONS: Mapping[str, Callable[[sp.Expr], sp.Expr]] = {
    "sqrt": sp.sqrt,
    "exp": sp.exp,
    "log": sp.log,
    "sin": sp.sin,
    "cos": sp.cos,
    "tanh": sp.tanh,
    "erf": sp.erf,
    "step": lambda x: (1 + sp.sign(x)) / 2,
    "gauss": lambda x: sp.exp(-(x**2)),
    "sigmoid": lambda x: 1 / (1 + sp.exp(-x)),
}
