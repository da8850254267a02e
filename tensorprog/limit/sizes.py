"""Sizes that the data bind, as symbols: those of x, and primed those of x' where extents of axes may differ."""

from __future__ import annotations

from collections.abc import Mapping

import sympy as sp

from tensorprog.core.ir import Core
from tensorprog.nonlin.expression import Apply, Expr, Symbol, substitute, symbols
from tensorprog.nonlin.text import text

__all__ = ["PRIME", "Sizes"]

PRIME = "′"
"""What marks the indices and the sizes of the second copy."""


class Sizes:
    """The sizes of one program that occur in its limit.

    `known` maps a symbol to the expression that the data bind, `right` the same of the second copy.
    """

    def __init__(self, core: Core) -> None:
        extents = [expr for axis in core.axes.values() for expr in (axis.start, axis.extent)]
        self._varying = {name for expr in extents for name in symbols(expr)} - {*core.symbols, "pi"}
        self._twins: dict[sp.Symbol, sp.Symbol] = {}
        self.known: dict[sp.Symbol, Expr] = {}
        self.right: dict[sp.Symbol, Expr] = {}

    def symbol(self, expr: Expr) -> sp.Symbol:
        """Return the symbol of a size: a name, or integer arithmetic that has no closed form, as (H + 1) // 2."""
        symbol = sp.Symbol(_name(expr))
        self.known[symbol] = expr
        if self._varying.intersection(symbols(expr)) and symbol not in self._twins:
            twin = sp.Symbol(_name(substitute(expr, self._primed)))
            self._twins[symbol], self.right[twin] = twin, expr
        return symbol

    def _primed(self, node: Expr) -> Expr | None:
        return Symbol(node.name + PRIME) if isinstance(node, Symbol) and node.name in self._varying else None

    @property
    def twins(self) -> Mapping[sp.Symbol, sp.Symbol]:
        """The symbols of the second copy, by those of the first."""
        return self._twins


def _name(expr: Expr) -> str:
    return f"({text(expr, ())})" if isinstance(expr, Apply) else text(expr, ())
