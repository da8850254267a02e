"""The versine behind a nonlinearity whose dual is homogeneous in the standard deviations, as arc-cosine kernels are.

Such a dual is F = (q1 q2)^{k/2} f(θ), f a polynomial in θ, sin θ and cos θ. With cos θ = 1 − v the constant term of
1 − f(θ) / f(0) cancels symbolically. What is left is of first order in v, sin θ and θ, so that its rounding errors are
those of an angle, not of a cosine. Source of the kernels: Cho & Saul 2009.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import sympy as sp
from sympy.core.function import AppliedUndef

from tensorprog.dual.special import Angle, Det, Snapped
from tensorprog.limit.equations import X, Y

__all__ = ["Homogeneous", "Law", "contrast", "find_laws", "homogeneous"]

_ANGLE, _SINE, _VERSINE = sp.symbols("angle sine versine", positive=True)
_LEFT, _RIGHT = sp.symbols("left right", positive=True)


@dataclass(frozen=True, slots=True)
class Law:
    """The law of two centred Gaussians with second moments q1, q2 and c."""

    q1: sp.Expr
    q2: sp.Expr
    c: sp.Expr

    @property
    def angle(self) -> sp.Expr:
        """θ, as it stands in closed forms."""
        return Angle(self.q1, self.q2, self.c)


@dataclass(frozen=True, slots=True)
class Homogeneous:
    """A dual F = (q1 q2)^{degree/2} f(θ): f(0), and its versine 1 − f(θ)/f(0) as an expression in letters."""

    degree: int
    first: sp.Expr
    form: sp.Expr

    @property
    def is_odd(self) -> bool:
        """Whether F changes its sign with cos θ."""
        cosine = 1 - self.form
        return sp.expand(cosine + cosine.xreplace({_ANGLE: sp.pi - _ANGLE, _VERSINE: 2 - _VERSINE})) == 0

    def versine(self, angle: sp.Expr, sine: sp.Expr, versine: sp.Expr) -> sp.Expr:
        """Return the versine behind the nonlinearity, given θ, sin θ and 1 − cos θ before it.

        If F is odd, 1 − |cos θ| and the angle of |cos θ| give 1 − |cos| behind it.
        """
        return self.form.xreplace({_ANGLE: angle, _SINE: sine, _VERSINE: versine})


def find_laws(expr: sp.Expr) -> set[Law]:
    """Return the laws whose angles, or roots of determinants, occur in an expression."""
    found = {Law(*angle.args) for angle in expr.atoms(Angle)}
    roots = (power for power in expr.atoms(sp.Pow) if isinstance(power.base, Det) and not power.exp.is_Integer)
    return found | {Law(*power.base.args) for power in roots}


def homogeneous(expr: sp.Expr, law: Law) -> Homogeneous | None:
    """Return the dual that an expression is, None if it is not homogeneous, or reads more than the law."""
    size = _LEFT * _RIGHT
    plain = expr.xreplace({law.angle: _ANGLE, Det(law.q1, law.q2, law.c): (size * _SINE) ** 2})
    for moment, letter in ((law.c, size * (1 - _VERSINE)), (law.q1, _LEFT**2), (law.q2, _RIGHT**2)):
        plain = plain.xreplace(_solved(moment, letter))
    return None if plain.has(X, Y) else _homogeneous_in_letters(plain)


@functools.lru_cache(256)
def _homogeneous_in_letters(plain: sp.Expr) -> Homogeneous | None:
    try:
        polynomial = sp.Poly(sp.expand(plain), _LEFT, _RIGHT)
        (((degree, other), form),) = polynomial.terms()
        shape = sp.Poly(form, _ANGLE, _SINE, _VERSINE)
    except (sp.PolynomialError, ValueError):
        return None
    first = shape.coeff_monomial(1)
    if degree != other or _is_zero(first):
        return None
    terms = (-weight / first * _monomial(powers) for powers, weight in shape.terms() if any(powers))
    return Homogeneous(degree, first, sp.Add(*terms))


def contrast(expr: sp.Expr, law: Law, roots: tuple[sp.Expr, sp.Expr], versine: sp.Expr) -> sp.Expr | None:
    """Return a polynomial of the moments that vanishes at duplicates, such as q1 − c, without cancellation.

    With q1 = r², q2 = s², c = r s (1 − v) it is (r − s) A(r, s) + v B(r, s, v). None for any other expression.

    Args:
        expr: the expression.
        law: the moments.
        roots: r and s.
        versine: v.
    """
    det = (_LEFT * _RIGHT) ** 2 * _VERSINE * (2 - _VERSINE)
    expr = expr.replace(Snapped, lambda difference, size: difference).xreplace({Det(law.q1, law.q2, law.c): det})
    for moment, letter in ((law.c, _LEFT * _RIGHT * (1 - _VERSINE)), (law.q1, _LEFT**2), (law.q2, _RIGHT**2)):
        expr = expr.xreplace(_solved(moment, letter))
    if expr.has(X, Y) or not expr.is_polynomial(_LEFT, _RIGHT, _VERSINE):
        return None
    whole = sp.expand(sp.nsimplify(expr, rational=True))
    flat = whole.subs(_VERSINE, 0)
    quotient, rest = sp.div(sp.Poly(flat, _LEFT), sp.Poly(_LEFT - _RIGHT, _LEFT))
    if not rest.is_zero:
        return None
    found = (_LEFT - _RIGHT) * quotient.as_expr() + _VERSINE * sp.expand((whole - flat) / _VERSINE)
    return found.xreplace({_LEFT: roots[0], _RIGHT: roots[1], _VERSINE: versine})


def _is_zero(number: sp.Expr) -> bool:
    return bool(number.is_zero)


def _solved(moment: sp.Expr, letter: sp.Expr) -> dict[sp.Expr, sp.Expr]:
    """Return what stands for a quantity in an expression if the moment, linear in it, is called `letter`."""
    for atom in sorted(moment.atoms(AppliedUndef), key=str):
        slope = sp.diff(moment, atom) if moment != atom else sp.Integer(1)
        rest = sp.expand(moment - slope * atom)
        if not slope.has(atom) and not rest.has(atom):
            return {atom: sp.expand((letter - rest) / slope)}
    return {}


def _monomial(powers: tuple[int, ...]) -> sp.Expr:
    return sp.Mul(*(letter**power for letter, power in zip((_ANGLE, _SINE, _VERSINE), powers, strict=True)))
