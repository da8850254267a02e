"""Functions of piecewise polynomials, piece by piece: with kinks t₁ < t₂ < …,

    g(f(u)) = g(f₀(u)) + Σᵢ step(u − tᵢ) (g(fᵢ(u)) − g(fᵢ₋₁(u))).
"""

from __future__ import annotations

from collections.abc import Callable

import sympy as sp

from tensorprog.dual.families import FLAT, Factor, Form, Step, Term, add, multiply, scale

__all__ = ["by_pieces"]


def by_pieces(form: Form, function: Callable[[Form], Form | None]) -> Form | None:
    """Return g(f) of a function g of polynomials; None if f is not piecewise polynomial with kinks at numbers."""
    if not form or any(not _is_piecewise(term) for term in form):
        return None
    kinks = _kinks(form)
    if not kinks:
        return None
    values = [function(_between(form, low, high)) for low, high in zip([None, *kinks], [*kinks, None], strict=True)]
    result = values[0]
    for kink, before, after in zip(kinks, values, values[1:], strict=False):
        if result is None or before is None or after is None:
            return None
        jump = multiply(_opened(kink), add(after, scale(before, sp.Integer(-1))))
        result = None if jump is None else add(result, jump)
    return result


def _is_piecewise(term: Term) -> bool:
    factor = term.factor
    is_numeric = all(isinstance(gate, Step) and gate.a.is_number and gate.kink.is_number for gate in factor.gates)
    return is_numeric and factor.wave is None and factor.quad == FLAT


def _kinks(form: Form) -> list[sp.Expr]:
    found = {gate.kink for term in form for gate in term.factor.gates if isinstance(gate, Step)}
    return sorted(found, key=lambda kink: sp.Float(kink, 30))


def _between(form: Form, low: sp.Expr | None, high: sp.Expr | None) -> Form:
    """Return the polynomial that the function is between two neighbouring kinks."""
    return add(tuple(Term(term.coefficient * _height(term.factor, low, high), term.power, Factor()) for term in form))


def _height(factor: Factor, low: sp.Expr | None, high: sp.Expr | None) -> sp.Expr:
    height = sp.Integer(1)
    for gate in factor.gates:
        above = low is not None and bool(gate.kink <= low)  # the interval lies above the kink
        height *= int(above == bool(gate.a > 0))
    return height


def _opened(kink: sp.Expr) -> Form:
    return (Term(sp.Integer(1), 0, Factor((Step(sp.Integer(1), -kink),))),)
