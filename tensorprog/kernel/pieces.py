"""Kernels of one variable with itself, k(x, x'), with the versine of the angle between its two copies.

    versine of k = 1 − cos θ = 1 − k(x, x') / √(k(x, x) k(x', x'))

It obeys exact rules without cancellation: a positive factor leaves it alone; of a product of kernels it is a + b − ab;
and of a sum Σ_i s_i k_i, s_i = ±1, with the shares p_i(x)² = k_i(x, x) / Σ_i s_i k_i(x, x), it is

    Σ_i s_i p_i(x) p_i(x') v_i + ½ Σ_i s_i (p_i(x) − p_i(x'))²,

since Σ_i s_i p_i² = 1 at x and at x' (for two terms: Lagrange's identity).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import sympy as sp
from sympy.core.function import AppliedUndef

from tensorprog.dual.special import Share
from tensorprog.limit.equations import X, Y

__all__ = ["Piece", "Pieces", "Shared", "at_right", "diagonal"]

Shared = Callable[[sp.Expr, str], sp.Expr]
"""Given an expression in x and a name for what it is, returns the quantity of one sample that has its value."""

_HALF = sp.Rational(1, 2)


@dataclass(frozen=True, slots=True)
class Piece:
    """A kernel k(x, x'): itself, its versine, and 1 − |cos θ| where that is known, also for opposite x and x'."""

    value: sp.Expr
    versine: sp.Expr
    deviation: sp.Expr | None = None

    @property
    def diagonal(self) -> sp.Expr:
        """The variance k(x, x)."""
        return diagonal(self.value)

    @property
    def sine_squared(self) -> sp.Expr:
        """Sin² θ = v (2 − v), the same for 1 − |cos θ|."""
        versine = self.versine if self.deviation is None else self.deviation
        return versine * (2 - versine)


def diagonal(value: sp.Expr) -> sp.Expr:
    """Return an expression in x and x' at x' = x."""
    return value.xreplace({Y: X})


def at_right(value: sp.Expr) -> sp.Expr:
    """Return an expression in x at x'."""
    return value.xreplace({X: Y})


@dataclass(frozen=True)
class Pieces:
    """Takes expressions apart into kernels.

    Attributes:
        known: gives the kernel that an applied function of (x, x') is, None if its versine is not known.
        shared: names quantities of one sample.
        nonlinear: gives the versine of an expression that is a nonlinear function of one kernel, None if it is none.
        values: numbers for the constants, to tell signs; other symbols are sizes, which are positive.
    """

    known: Callable[[AppliedUndef], Piece | None]
    shared: Shared
    nonlinear: Callable[[sp.Expr], sp.Expr | None]
    values: Mapping[sp.Symbol, float]

    def single(self, expr: sp.Expr) -> sp.Expr | None:
        """Return what an expression is a positive multiple of, if it is one; terms of factor zero are left out."""
        terms = [term.as_independent(X, Y, as_Add=False) for term in sp.Add.make_args(expr)]
        nonzero = [(self.sign(factor), rest) for factor, rest in terms if self.sign(factor) != 0]
        return nonzero[0][1] if len(nonzero) == 1 and nonzero[0][0] == 1 else None

    def find(self, expr: sp.Expr) -> Piece | None:
        """Return the kernel that an expression is; None if it is none, or no rule gives its versine."""
        if not expr.has(X, Y):
            return Piece(expr, sp.Integer(0)) if self.sign(expr) in (0, 1) else None
        if isinstance(expr, AppliedUndef):
            return self.known(expr)
        versine = self.nonlinear(expr)
        if versine is not None:
            return Piece(expr, versine)
        match expr:
            case sp.Add():
                return self._sum(expr)
            case sp.Mul() | sp.Pow():
                return self._product(expr)
        return None

    def sign(self, coefficient: sp.Expr) -> int | None:
        """Return the sign of a constant, None if it is not known."""
        known = {symbol: sp.Float(value) for symbol, value in self.values.items()}
        sizes = {symbol: sp.Dummy(positive=True) for symbol in coefficient.free_symbols - known.keys()}
        sign = sp.sign(coefficient.xreplace({**known, **sizes}))
        return int(sign) if sign.is_Integer else None

    def _product(self, expr: sp.Expr) -> Piece | None:
        constant, rest = expr.as_independent(X, Y, as_Add=False)
        if self.sign(constant) != 1:
            return None
        left = sp.Mul(*(factor for factor in sp.Mul.make_args(rest) if not factor.has(Y)))
        right = sp.Mul(*(factor for factor in sp.Mul.make_args(rest) if not factor.has(X)))
        found = [] if left == right == 1 else [_outer(left, right)]
        for factor in (factor for factor in sp.Mul.make_args(rest) if factor.has(X) and factor.has(Y)):
            base, exponent = factor.as_base_exp()
            if not (exponent.is_Integer and exponent.is_positive):
                return None
            found += [self.find(base)] * int(exponent)
        pieces = [piece for piece in found if piece is not None]
        if len(pieces) < len(found):
            return None
        versine = pieces[0].versine
        for piece in pieces[1:]:
            versine = versine + piece.versine - versine * piece.versine
        varying = [piece for piece in pieces if piece.versine != 0]
        return Piece(expr, versine, varying[0].deviation if len(varying) == 1 else None)

    def _sum(self, expr: sp.Expr) -> Piece | None:
        """Return the kernel of a sum; a sum with negative terms must be one of which that is known otherwise."""
        signed = [self._signed(term) for term in sp.Add.make_args(expr)]
        terms = [(sign, piece) for sign, piece in signed if sign != 0]
        if any(piece is None for _, piece in signed) or not terms:
            return None
        if len(terms) == 1 and terms[0][1] is not None and terms[0][0] == 1:
            return Piece(expr, terms[0][1].versine, terms[0][1].deviation)
        total = sp.Integer(0)
        for sign, piece in terms:
            assert piece is not None
            share = self.shared(Share(piece.diagonal, diagonal(expr)), "share")
            total += sign * (share * at_right(share) * piece.versine + (share - at_right(share)) ** 2 * _HALF)
        return Piece(expr, total)

    def _signed(self, term: sp.Expr) -> tuple[int, Piece | None]:
        """Return the sign of a term, and the kernel that it is up to its sign."""
        sign = self.sign(term.as_independent(X, Y, as_Add=False)[0])
        return sign or 0, None if sign is None else self.find(sign * term if sign else sp.Integer(0))


def _outer(left: sp.Expr, right: sp.Expr) -> Piece | None:
    """Return the kernel f(x) f(x'), None if the two factors are not the same function."""
    if at_right(left) != right:
        return None
    versine = sp.Integer(0) if _is_positive(left) else 1 - sp.sign(left) * sp.sign(right)
    return Piece(left * right, versine)


def _is_positive(expr: sp.Expr) -> bool:
    """Tell whether an expression is a product of roots, which is positive wherever it is finite and not zero."""
    return all(_is_root(factor) for factor in sp.Mul.make_args(expr))


def _is_root(factor: sp.Expr) -> bool:
    _, exponent = factor.as_base_exp()
    return bool(exponent.is_Rational and (exponent.q == 2 or exponent.p % 2 == 0))
