"""Arc-cosine moments: polynomials of two Gaussians on a half-plane or a quadrant.

    E[step(u) uʲ step(v) vᵏ] = q1^{j/2} q2^{k/2} J_jk(θ)         θ the angle between u and v
    E[step(u) uʲ vᵏ]         = q1^{j/2} q2^{k/2} L_jk(θ)

J_jk is (π − θ) times a polynomial in cos θ plus a polynomial in sin θ and cos θ; both follow by Gaussian integration by
parts from J_00 = (π − θ)/(2π). Source: Cho & Saul 2009 for j = k; the mixed orders are derived here in the same way.
"""

from __future__ import annotations

import functools

import sympy as sp

from tensorprog.dual.law import Law
from tensorprog.dual.special import Support

__all__ = ["half_moment", "half_plane_moment", "quadrant_moment"]

_SIN, _COS, _OPEN = sp.symbols("sin cos open", positive=True)  # sin θ, cos θ and π − θ
_DENSITY = 1 / sp.sqrt(2 * sp.pi)  # of a standard normal variable at 0


def half_moment(k: int) -> sp.Expr:
    """Return E[step(z) zᵏ] = 2^{k/2 − 1} Γ((k + 1)/2)/√π for a standard normal z."""
    return sp.Integer(2) ** (sp.Rational(k, 2) - 1) * sp.gamma(sp.Rational(k + 1, 2)) / sp.sqrt(sp.pi)


def quadrant_moment(j: int, k: int, law: Law) -> sp.Expr:
    """Return E[step(u) uʲ step(v) vᵏ]."""
    if law.sign and j == k == 0:
        return (1 + law.sign * Support(law.q1)) / 4
    return _with_dimensions(_quadrant(j, k), j, k, law)


def half_plane_moment(j: int, k: int, law: Law) -> sp.Expr:
    """Return E[step(u) uʲ vᵏ]."""
    return _with_dimensions(_half_plane(j, k), j, k, law)


@functools.cache
def _quadrant(j: int, k: int) -> sp.Expr:
    """Return J_jk."""
    if j < k:
        return _quadrant(k, j)
    if j == 0:
        return _OPEN / (2 * sp.pi)
    if j == 1 and k == 0:
        return (1 + _COS) * _DENSITY / 2
    if k == 0:
        return sp.expand((j - 1) * _quadrant(j - 2, 0) + _COS * _DENSITY * half_moment(j - 1) * _SIN ** (j - 1))
    if j == 1:
        return sp.expand(_DENSITY * half_moment(1) * _SIN + _COS * _quadrant(0, 0))
    return sp.expand((j - 1) * _quadrant(j - 2, k) + _COS * k * _quadrant(j - 1, k - 1))


@functools.cache
def _half_plane(j: int, k: int) -> sp.Expr:
    """Return L_jk."""
    if k == 0:
        return half_moment(j)
    before = (k - 1) * _half_plane(j, k - 2) if k > 1 else sp.Integer(0)
    inner = j * _half_plane(j - 1, k - 1) if j else _slice_moment(k - 1)
    return sp.expand(before + _COS * inner)


def _slice_moment(m: int) -> sp.Expr:
    """Return E[δ(u) vᵐ] for unit variances: the density times a moment of N(0, sin² θ)."""
    return _DENSITY * sp.factorial2(m - 1) * _SIN**m if m % 2 == 0 else sp.Integer(0)


def _with_dimensions(unit: sp.Expr, j: int, k: int, law: Law) -> sp.Expr:
    """Return q1^{j/2} q2^{k/2} · unit, in √Det and c instead of sin θ and cos θ wherever that needs no division."""
    polynomial = sp.Poly(unit, _SIN, _COS, _OPEN)
    return sp.Add(
        *(
            weight * _monomial(j, k, powers, law)
            for powers, weight in zip(polynomial.monoms(), polynomial.coeffs(), strict=True)
        )
    )


def _monomial(j: int, k: int, powers: tuple[int, ...], law: Law) -> sp.Expr:
    sines, cosines, opens = powers
    if law.sign:  # θ is 0 or π; where the variance vanishes, so does the whole
        opening = sp.pi if law.sign > 0 else sp.Integer(0)
        return law.q1 ** sp.Rational(j + k, 2) * sp.Integer(0) ** sines * law.sign**cosines * opening**opens
    opening = (sp.pi - law.angle) ** opens
    spare = min(j, k) - sines - cosines
    if spare < 0:
        scale = sp.sqrt(law.q1) ** j * sp.sqrt(law.q2) ** k
        return scale * law.sine**sines * law.cosine**cosines * opening
    scale = sp.sqrt(law.q1) ** (j - sines - cosines) * sp.sqrt(law.q2) ** (k - sines - cosines)
    return scale * sp.sqrt(law.det) ** sines * law.c**cosines * opening
