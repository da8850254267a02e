"""The special functions in which closed forms are written, so that they can be evaluated without cancellation.

All take second moments of centred Gaussians u, v: q1 = E u², q2 = E v², c = E uv (covariances, if the means differ
from zero). They are opaque to sympy; `dual.numeric` says how each is computed.

    Det(q1, q2, c)      q1·q2 − c² ≥ 0, by an exact product
    Angle(q1, q2, c)    θ = arccos(c/√(q1·q2)) = atan2(√Det, c) in [0, π]; π/2 if q1 or q2 is 0
    Support(q)          1 if q > 0, 0 if q = 0
    Atan2(y, x)         the angle of the point (x, y), x ≥ 0; 0 at the origin
    DampedSinh(q1, q2, c, s), DampedCosh, DampedExp   exp(−s(q1 + q2)/2) times sinh(s c), cosh(s c), exp(s c); s > 0
    Opening(θ)          sin θ − θ cos θ, for θ in [0, π]
    Standard(m, v)      m/√v, v ≥ 0, clipped to ±1e30; 0 for m = 0: the standardized mean of a Gaussian
    Bump(e, m, v)       exp(e − m²/(2v)); exp(e) for m = v = 0, and 0 for v = 0 otherwise
    Tail(e, h)          exp(e) Φ(h), Φ the standard normal distribution function
    Orthant(e, h, k, θ) exp(e) Φ₂(h, k; cos θ) = exp(e) P(X > −h, Y > −k), (X, Y) standard normal, correlation cos θ
    WaveTailRe(e, j, h, k), WaveTailIm   the parts of exp(e + ij) Φ(h + ik), Φ(z) = erfc(−z/√2)/2 for complex z
    Arc(t, c, s)        the angle θ in [0, π] with cos θ = ±(1 − t), the sign that of c; π/2 if s = 0
    Sine(s)             √s, 0 for s < 0: sin θ from a sin² θ with rounding errors
    Versine(t, c)       1 − cos θ from t = 1 − |cos θ| and the sign of c
    Shortfall(a, b, c)  1 − c/(a b), 1 if a or b is 0: 1 − cos θ from standard deviations a and b
    Share(a, q)         √(a/q), 0 unless a and q are positive
    Either(s, a, b)     a if s > 0, else b
    Near(v), Far(v)     1 and 0 for a versine v < 2⁻¹⁶, 0 and v for others
    Gap(a, b)           (a − b)²/2
    NearDet(q1, q2, c, v), NearAngle   Det and Angle, for v < 2⁻¹⁶ from the versine v = 1 − c/√(q1·q2)
    PairExpectation(φ, ψ, m1, m2, q1, q2, c)   E[φ(m1 + u) ψ(m2 + v)], by quadrature; φ, ψ name entries of `functions`
    PointExpectation(φ, m, q)                  E φ(m + u), by quadrature
    JointExpectation(f, m_1, …, m_k, c_11, …, c_kk)   E f(u_1, …, u_k), by cubature
"""

from __future__ import annotations

import math

import sympy as sp

__all__ = [
    "Angle",
    "Arc",
    "Atan2",
    "Bump",
    "Clipped",
    "DampedCosh",
    "DampedExp",
    "DampedSinh",
    "Det",
    "Either",
    "Expm1",
    "Far",
    "Gap",
    "JointExpectation",
    "Near",
    "NearAngle",
    "NearDet",
    "Opening",
    "Orthant",
    "PairExpectation",
    "PointExpectation",
    "Reciprocal",
    "Share",
    "Shortfall",
    "Sine",
    "Snapped",
    "Standard",
    "Support",
    "Tail",
    "Versine",
    "WaveTailIm",
    "WaveTailRe",
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


class Opening(sp.Function):
    """sin θ − θ cos θ, for θ in [0, π]."""

    nargs = 1
    is_real = True

    @classmethod
    def eval(cls, angle: sp.Expr) -> sp.Expr | None:
        """Return the value for the angles 0, π/2 and π."""
        return {sp.Integer(0): sp.Integer(0), sp.pi / 2: sp.Integer(1), sp.pi: sp.pi}.get(angle)


class Standard(sp.Function):
    """m/√v for v ≥ 0, clipped to ±1e30; 0 for m = 0, whatever v is."""

    nargs = 2
    is_real = True

    @classmethod
    def eval(cls, m: sp.Expr, v: sp.Expr) -> sp.Expr | None:
        """Return 0 for m = 0."""
        return sp.Integer(0) if m == 0 else None


class Snapped(sp.Function):
    """m, a sum whose terms have absolute values of the sum s; 0 where it is no larger than their rounding errors."""

    nargs = 2
    is_real = True


class Clipped(sp.Function):
    """m, kept within ±s, s ≥ 0."""

    nargs = 2
    is_real = True


class Reciprocal(sp.Function):
    """1/q; 0 for q = 0, where what it stands beside vanishes."""

    nargs = 1
    is_real = True


class Bump(sp.Function):
    """exp(e − m²/(2v)), of e and m²/(2v) that may both be large; exp(e) for m = v = 0, and 0 for v = 0 otherwise."""

    nargs = 3
    is_real = True

    @classmethod
    def eval(cls, e: sp.Expr, m: sp.Expr, v: sp.Expr) -> sp.Expr | None:
        """Return exp(e) for m = 0."""
        return sp.exp(e) if m == 0 else None


class Tail(sp.Function):
    """exp(e) Φ(h), Φ the standard normal distribution function; e may be large where Φ(h) is small."""

    nargs = 2
    is_real = True

    @classmethod
    def eval(cls, e: sp.Expr, h: sp.Expr) -> sp.Expr | None:
        """Return exp(e)/2 for h = 0."""
        return sp.exp(e) / 2 if h == 0 else None


class Orthant(sp.Function):
    """exp(e) Φ₂(h, k; cos θ) = exp(e) P(X > −h, Y > −k), (X, Y) standard normal of correlation cos θ, 0 ≤ θ ≤ π."""

    nargs = 4
    is_real = True

    @classmethod
    def eval(cls, e: sp.Expr, h: sp.Expr, k: sp.Expr, angle: sp.Expr) -> sp.Expr | None:
        """Return exp(e) (π − θ)/2π for h = k = 0, and Φ(h) for equal h, k and θ = 0."""
        if h == k == 0:
            return sp.exp(e) * (sp.pi - angle) / (2 * sp.pi)
        return Tail(e, h) if h == k and angle == 0 else None


class WaveTailRe(sp.Function):
    """Re exp(e + ij) Φ(h + ik), Φ(z) = erfc(−z/√2)/2 for complex z."""

    nargs = 4
    is_real = True

    @classmethod
    def eval(cls, e: sp.Expr, j: sp.Expr, h: sp.Expr, k: sp.Expr) -> sp.Expr | None:
        """Return exp(e) cos(j) Φ(h) for k = 0."""
        return sp.cos(j) * Tail(e, h) if k == 0 else None


class WaveTailIm(sp.Function):
    """Im exp(e + ij) Φ(h + ik), Φ(z) = erfc(−z/√2)/2 for complex z."""

    nargs = 4
    is_real = True

    @classmethod
    def eval(cls, e: sp.Expr, j: sp.Expr, h: sp.Expr, k: sp.Expr) -> sp.Expr | None:
        """Return exp(e) sin(j) Φ(h) for k = 0."""
        return sp.sin(j) * Tail(e, h) if k == 0 else None


class Arc(sp.Function):
    """The angle θ in [0, π] with cos θ = ±(1 − t), the sign that of c; π/2 if s, the product of deviations, is 0."""

    nargs = 3
    is_real = True


class Sine(sp.Function):
    """√s for s ≥ 0, and 0 below: sin θ from a sin² θ with rounding errors."""

    nargs = 1
    is_real = True


class Versine(sp.Function):
    """1 − cos θ, given t = 1 − |cos θ| and a covariance c with the sign of cos θ."""

    nargs = 2
    is_real = True


class Shortfall(sp.Function):
    """1 − c/(a b), the versine by subtraction from the standard deviations a and b; 1 if one of them is 0."""

    nargs = 3
    is_real = True


class Share(sp.Function):
    """√(a/q), the root of the share of a in q; 0 unless both are positive."""

    nargs = 2
    is_real = True


class Either(sp.Function):
    """Either(s, a, b): a if s > 0, else b."""

    nargs = 3
    is_real = True


class Near(sp.Function):
    """1 for v < 2⁻¹⁶, else 0: whether a versine from second moments is too small to be exact."""

    nargs = 1
    is_real = True


class Far(sp.Function):
    """0 for v < 2⁻¹⁶, else v."""

    nargs = 1
    is_real = True


class Gap(sp.Function):
    """(a − b)²/2."""

    nargs = 2
    is_real = True


class NearDet(sp.Function):
    """q1·q2 − c², as q1·q2·v(2 − v) where the versine v = 1 − c/√(q1·q2) is below 2⁻¹⁶."""

    nargs = 4
    is_real = True


class NearAngle(sp.Function):
    """θ = atan2(√NearDet(q1, q2, c, v), c), π/2 where both vanish."""

    nargs = 4
    is_real = True


class PairExpectation(sp.Function):
    """E[φ(m1 + u) ψ(m2 + v)] of two named functions, to be integrated numerically."""

    nargs = 7


class PointExpectation(sp.Function):
    """E φ(m + u) of one named function, to be integrated numerically."""

    nargs = 3


class JointExpectation(sp.Function):
    """E f(u_1, …, u_k) of one named function, to be integrated numerically.

    The arguments are the name, k means, and the upper triangle of the covariance matrix, row by row.
    """

    @staticmethod
    def dimension(count: int) -> int:
        """Return k for the number k + k(k + 1)/2 of means and covariances."""
        return (math.isqrt(9 + 8 * count) - 3) // 2
