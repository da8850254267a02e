"""The law of two centred Gaussians, and the quantities that closed forms are made of."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import sympy as sp

from tensorprog.dual.special import Angle, Det, Snapped, Standard, Support

__all__ = ["DET", "LETTERS", "Law", "law", "standard", "tidy"]

LETTERS = tuple(sp.Dummy(name, real=True, positive=name[0] == "q" or None) for name in ("m1", "m2", "q1", "q2", "c"))
"""Means, variances and covariance of the law under which closed forms are derived."""

DET = sp.Dummy("d", positive=True)
"""Its determinant; positive, as the variances, so that roots simplify."""


@functools.lru_cache(4096)
def standard(m: sp.Expr, v: sp.Expr) -> sp.Expr:
    """Return m/√v without divisions inside, so that it is exact where numerator and denominator vanish together.

    Near a correlation of ±1 a conditional variance Det/q1 is small, and a conditional mean with it: q2 − c²/q1 is
    Det/q1, not a difference that cancels.
    """
    (top, bottom), (above, below) = sp.fraction(sp.together(m)), sp.fraction(sp.together(v))
    return Standard(_without_rounding(_in_determinant(top), above), sp.factor_terms(above * bottom**2 / below))


def _without_rounding(difference: sp.Expr, variance: sp.Expr) -> sp.Expr:
    """Return a sum over the root of a variance that vanishes with it, as 0 where only rounding is left of both."""
    terms = sp.Add.make_args(sp.expand(difference))
    if len(terms) < 2 or not variance.has(DET):
        return difference
    return Snapped(difference, sp.Add(*map(sp.Abs, terms)))


@functools.lru_cache(4096)
def tidy(expr: sp.Expr) -> sp.Expr:
    """Return a rational expression of the letters with its numerator in terms of the determinant."""
    top, bottom = sp.fraction(sp.together(expr))
    return expr if bottom == 1 else _in_determinant(top) / bottom


def _in_determinant(polynomial: sp.Expr) -> sp.Expr:
    _, _, q1, q2, c = LETTERS
    return sp.factor_terms(sp.expand(sp.expand(polynomial).subs(q1 * q2, DET + c**2)))


@dataclass(frozen=True, slots=True)
class Law:
    """(u, v) ~ N(0, [[q1, c], [c, q2]]) with det = q1·q2 − c²."""

    q1: sp.Expr
    q2: sp.Expr
    c: sp.Expr
    det: sp.Expr

    @property
    def swapped(self) -> Law:
        """The law of (v, u)."""
        return Law(self.q2, self.q1, self.c, self.det)

    @property
    def sign(self) -> int:
        """1 if v is u itself, −1 if v is −u, 0 otherwise."""
        if self.q1 != self.q2:
            return 0
        return {self.q1: 1, -self.q1: -1}.get(self.c, 0)

    @property
    def angle(self) -> sp.Expr:
        """θ, the angle between u and v; π/2 where one of them vanishes."""
        support = Support(self.q1)
        if not self.sign and self.c.could_extract_minus_sign():
            return sp.pi - Angle(self.q1, self.q2, -self.c)
        return {0: Angle(self.q1, self.q2, self.c), 1: sp.pi / 2 * (1 - support), -1: sp.pi / 2 * (1 + support)}[
            self.sign
        ]

    @property
    def cosine(self) -> sp.Expr:
        """The correlation cos θ, 0 where u or v vanishes."""
        return self.sign * Support(self.q1) if self.sign else sp.cos(self.angle)

    @property
    def sine(self) -> sp.Expr:
        """Sin θ = √(1 − cos² θ)."""
        return 1 - Support(self.q1) if self.sign else sp.sin(self.angle)

    @property
    def lean(self) -> sp.Expr:
        """c/√q1, the covariance of v with the standardized u."""
        return self.c / sp.sqrt(self.q1)

    @property
    def residual(self) -> sp.Expr:
        """Det/q1, the variance of v given u."""
        return self.det / self.q1

    def scaled(self, a: sp.Expr, b: sp.Expr) -> Law:
        """Return the law of (a u, b v)."""
        return Law(a**2 * self.q1, b**2 * self.q2, a * b * self.c, a**2 * b**2 * self.det)


def law(q1: sp.Expr, q2: sp.Expr, c: sp.Expr) -> Law:
    """Return the law with these second moments."""
    return Law(q1, q2, c, Det(q1, q2, c))
