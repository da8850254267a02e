"""Functions of piecewise polynomials, piece by piece.

    g(f(u)) = g(f₀(u)) + Σᵢ step(u − tᵢ) (g(fᵢ(u)) − g(fᵢ₋₁(u)))

with kinks t₁ < t₂ < …, where all g(fᵢ) are polynomials; otherwise every piece keeps to its interval, so that exp(u)
for u < 0 stays small.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import sympy as sp

from tensorprog.dual.closed.families import FLAT, Factor, Form, Step, Term, add, multiply, scale

__all__ = ["by_pieces"]


def by_pieces(form: Form, function: Callable[[Form], Form | None]) -> Form | None:
    """Return g(f) of a function g of polynomials; None if f is not piecewise polynomial with kinks at numbers."""
    if not form or any(not _is_piecewise(term) for term in form):
        return None
    kinks = _kinks(form)
    if not kinks:
        return None
    values = [function(_between(form, low, high)) for low, high in zip([None, *kinks], [*kinks, None], strict=True)]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    if all(term.is_monomial for value in known for term in value):
        changes = [add(after, scale(before, sp.Integer(-1))) for before, after in itertools.pairwise(known)]
        return _summed(
            [known[0], *(multiply(_above(kink), change) for kink, change in zip(kinks, changes, strict=True))]
        )
    inside = [add(_above(low), scale(_above(high), sp.Integer(-1))) for low, high in itertools.pairwise(kinks)]
    intervals = [_below(kinks[0]), *inside, _above(kinks[-1])]
    return _summed([multiply(interval, value) for interval, value in zip(intervals, known, strict=True)])


def _summed(forms: list[Form | None]) -> Form | None:
    known = [form for form in forms if form is not None]
    return add(*known) if len(known) == len(forms) else None


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
        assert isinstance(gate, Step)
        above = low is not None and bool(gate.kink <= low)  # the interval lies above the kink
        height *= int(above == bool(gate.a > 0))
    return height


def _above(kink: sp.Expr) -> Form:
    return (Term(sp.Integer(1), 0, Factor((Step(sp.Integer(1), -kink),))),)


def _below(kink: sp.Expr) -> Form:
    return (Term(sp.Integer(1), 0, Factor((Step(sp.Integer(-1), kink),))),)
