"""The special functions in which closed forms are written, so that they can be evaluated without cancellation.

All take second moments of centred Gaussians u, v: q1 = E u², q2 = E v², c = E uv (covariances, if the means differ
from zero). They are opaque to sympy; `dual.numeric` says how each is computed.

    Det(q1, q2, c)      q1·q2 − c² ≥ 0, by an exact product
    Angle(q1, q2, c)    θ = arccos(c/√(q1·q2)) = atan2(√Det, c) in [0, π]; π/2 if q1 or q2 is 0
    Support(q)          1 if q > 0, 0 if q = 0
    Atan2(y, x)         the angle of the point (x, y), x ≥ 0; 0 at the origin
    DampedSinh(q1, q2, c, s), DampedCosh, DampedExp   exp(−s(q1 + q2)/2) times sinh(s c), cosh(s c), exp(s c); s > 0
    PairExpectation(φ, ψ, m1, m2, q1, q2, c)   E[φ(m1 + u) ψ(m2 + v)], by quadrature; φ, ψ name entries of `functions`
    PointExpectation(φ, m, q)                  E φ(m + u), by quadrature
"""

from __future__ import annotations

import sympy as sp

__all__ = [
    "Angle",
    "Atan2",
    "DampedCosh",
    "DampedExp",
    "DampedSinh",
    "Det",
    "Expm1",
    "PairExpectation",
    "PointExpectation",
    "Support",
]


class Det(sp.Function):
    """q1·q2 − c², the determinant of the covariance; exactly 0 where all three are one expression."""

    nargs = 3

    @classmethod
    def eval(cls, q1: sp.Expr, q2: sp.Expr, c: sp.Expr) -> sp.Expr | None:
        """Return 0 for Det(q, q, ±q), and q1·q2 for c = 0."""
        if q1 == q2 and c in (q1, -q1):
            return sp.Integer(0)
        return q1 * q2 if c == 0 else None


class Angle(sp.Function):
    """θ = atan2(√Det(q1, q2, c), c), π/2 where Det and c both vanish."""

    nargs = 3

    @classmethod
    def eval(cls, q1: sp.Expr, q2: sp.Expr, c: sp.Expr) -> sp.Expr | None:
        """Return π/2 for c = 0."""
        return sp.pi / 2 if c == 0 else None


class Support(sp.Function):
    """1 where a variance is positive, 0 where it vanishes: the law is a point there."""

    nargs = 1

    @classmethod
    def eval(cls, q: sp.Expr) -> sp.Expr | None:
        """Return the value for a number whose sign is known."""
        return None if not q.is_number or q.is_positive is None else sp.Integer(int(q.is_positive))


class Expm1(sp.Function):
    """exp(x) − 1 without cancellation near 0."""

    nargs = 1


class Atan2(sp.Function):
    """The angle of the point (x, y) with x ≥ 0, in [−π/2, π/2], for arcsines near ±1; 0 at the origin."""

    nargs = 2

    @classmethod
    def eval(cls, y: sp.Expr, x: sp.Expr) -> sp.Expr | None:
        """Return 0 for y = 0."""
        return sp.Integer(0) if y == 0 else None


class DampedSinh(sp.Function):
    """exp(−s(q1 + q2)/2) sinh(s c) = ½ sign(c) exp(−s((q1 − |c|) + (q2 − |c|))/2) (1 − exp(−2s|c|))."""

    nargs = 4

    @classmethod
    def eval(cls, q1: sp.Expr, q2: sp.Expr, c: sp.Expr, s: sp.Expr) -> sp.Expr | None:
        """Return (1 − exp(−2sq))/2 for q1 = q2 = c = q, and 0 for c = 0."""
        if c == 0:
            return sp.Integer(0)
        return -Expm1(-2 * s * c) / 2 if q1 == q2 == c else None


class DampedCosh(sp.Function):
    """exp(−s(q1 + q2)/2) cosh(s c) = ½ exp(−s((q1 − |c|) + (q2 − |c|))/2) (1 + exp(−2s|c|))."""

    nargs = 4

    @classmethod
    def eval(cls, q1: sp.Expr, q2: sp.Expr, c: sp.Expr, s: sp.Expr) -> sp.Expr | None:
        """Return 1 + (exp(−2sq) − 1)/2 for q1 = q2 = c = q, and exp(−s(q1 + q2)/2) for c = 0."""
        if c == 0:
            return sp.exp(-s * (q1 + q2) / 2)
        return 1 + Expm1(-2 * s * c) / 2 if q1 == q2 == c else None


class DampedExp(sp.Function):
    """exp(−s((q1 − c) + (q2 − c))/2), the Gaussian kernel of two random Fourier features."""

    nargs = 4

    @classmethod
    def eval(cls, q1: sp.Expr, q2: sp.Expr, c: sp.Expr, s: sp.Expr) -> sp.Expr | None:
        """Return 1 for q1 = q2 = c."""
        return sp.Integer(1) if q1 == q2 == c else None


class PairExpectation(sp.Function):
    """E[φ(m1 + u) ψ(m2 + v)] of two named functions, to be integrated numerically."""

    nargs = 7


class PointExpectation(sp.Function):
    """E φ(m + u) of one named function, to be integrated numerically."""

    nargs = 3
