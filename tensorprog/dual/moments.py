"""Product moments E[uʲ A(u) vᵏ B(v)] of two centred Gaussians, A and B factors of the normal form.

Powers are removed by Gaussian integration by parts (Stein's lemma),

    E[u F(u, v)] = q1 E[∂F/∂u] + c E[∂F/∂v],

Gaussian and exponential factors are absorbed into the law (`tilt`), and what remains are the seeds E[A(u) B(v)].
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import sympy as sp

from tensorprog.dual import relu
from tensorprog.dual.law import Law
from tensorprog.dual.normal_form import ONE, Erf, Factor, One, Quad, Sin, Step
from tensorprog.dual.special import Atan2, DampedCosh, DampedExp, DampedSinh

__all__ = ["NoClosedForm", "product_moment", "shift", "shifted_moment"]

ZERO = sp.Integer(0)
Recursion = Callable[[int, Factor, int, Factor], sp.Expr]


class NoClosedForm(Exception):
    """A pair of factors whose expectation is not elementary."""


def product_moment(j: int, left: Factor, k: int, right: Factor, law: Law) -> sp.Expr:
    """Return E[uʲ A(u) vᵏ B(v)] for (u, v) ~ `law`.

    Raises:
        NoClosedForm: none is known.
    """
    match left, right:
        case (Quad(), _) | (_, Quad()):
            return _tilted(j, left, k, right, law)
        case Step(), Step():
            return _quadrant(j, left, k, right, law)
        case Step(), One():
            return _half_plane(j, left, k, law)
        case (One() | Erf(), Step()) | (One(), Erf() | Sin()):
            return product_moment(k, right, j, left, law.swapped)
        case Step(), Erf():
            return _half_plane_erf(j, left, k, right, law)
        case (One(), One()) | (Erf(), Erf() | One()) | (Sin(), Sin() | One()):
            return _by_parts(j, left, k, right, law)
        case _:
            raise NoClosedForm


def _by_parts(j: int, left: Factor, k: int, right: Factor, law: Law) -> sp.Expr:
    """Remove one power of u, or of v if there is none of u."""
    if j == 0 and k == 0:
        return _seed(left, right, law)
    if j == 0:
        return _by_parts(k, right, j, left, law.swapped)
    result = law.c * k * product_moment(j - 1, left, k - 1, right, law) if k and law.c != 0 else ZERO
    if j > 1:
        result += law.q1 * (j - 1) * product_moment(j - 2, left, k, right, law)
    slope, derivative = _derivative(left)
    if slope != 0:
        result += law.q1 * slope * product_moment(j - 1, derivative, k, right, law)
    slope, derivative = _derivative(right)
    if slope != 0 and law.c != 0:
        result += law.c * slope * product_moment(j - 1, left, k, derivative, law)
    return result


@functools.singledispatch
def _derivative(factor: Factor) -> tuple[sp.Expr, Factor]:
    """Return F′ as a weight and a factor."""
    raise NoClosedForm


@_derivative.register
def _(factor: One) -> tuple[sp.Expr, Factor]:
    return ZERO, ONE


@_derivative.register
def _(factor: Erf) -> tuple[sp.Expr, Factor]:
    a, b = factor.a, factor.b
    return 2 * a / sp.sqrt(sp.pi), Quad(a**2, -2 * a * b, -(b**2))


@_derivative.register
def _(factor: Sin) -> tuple[sp.Expr, Factor]:
    return factor.w, Sin(factor.w, factor.b + sp.pi / 2)


def _seed(left: Factor, right: Factor, law: Law) -> sp.Expr:
    """Return E[A(u) B(v)]."""
    match left, right:
        case One(), One():
            return sp.Integer(1)
        case (Erf(a, b), One()) | (One(), Erf(a, b)):
            return _erf_mean(a, b, law.q1 if isinstance(left, Erf) else law.q2)
        case (Sin(w, b), One()) | (One(), Sin(w, b)):
            return sp.sin(b) * sp.exp(-(w**2) * (law.q1 if isinstance(left, Sin) else law.q2) / 2)
        case Erf(a, b), Erf(a2, b2) if b == b2 == 0:
            return 2 / sp.pi * Atan2(2 * a * a2 * law.c, _erf_root(a, a2, law))
        case Sin(w, b), Sin(w2, b2):
            return _sines(w, b, w2, b2, law)
        case _:
            raise NoClosedForm


def _erf_mean(a: sp.Expr, b: sp.Expr, q: sp.Expr) -> sp.Expr:
    """Return E erf(a u + b)."""
    return sp.erf(b / sp.sqrt(1 + 2 * a**2 * q)) if b != 0 else ZERO


def _erf_root(a: sp.Expr, b: sp.Expr, law: Law) -> sp.Expr:
    """Return √((1 + 2a² q1)(1 + 2b² q2) − 4a² b² c²): Williams 1997, without the cancellation of the arcsine at ±1."""
    return sp.sqrt(1 + 2 * a**2 * law.q1 + 2 * b**2 * law.q2 + 4 * a**2 * b**2 * law.det)


def _sines(w: sp.Expr, b: sp.Expr, w2: sp.Expr, b2: sp.Expr, law: Law) -> sp.Expr:
    """Return E[sin(w u + b) sin(w2 v + b2)] from the moment generating function.

    = exp(−(w² q1 + w2² q2)/2) (cos b cos b2 sinh(w w2 c) + sin b sin b2 cosh(w w2 c))
    """
    if w == w2 or w == -w2:
        arguments = (law.q1, law.q2, law.c if w == w2 else -law.c, w**2)
    else:
        arguments = (w**2 * law.q1, w2**2 * law.q2, w * w2 * law.c, sp.Integer(1))
    odd, even = sp.cos(b) * sp.cos(b2), sp.sin(b) * sp.sin(b2)
    if odd == even:
        return odd * DampedExp(*arguments)
    result = odd * DampedSinh(*arguments) if odd != 0 else ZERO
    return result + even * DampedCosh(*arguments) if even != 0 else result


def _centred(step: Step) -> sp.Expr:
    """Return the slope of a step at zero; a shifted one needs the bivariate normal distribution."""
    if step.b != 0:
        raise NoClosedForm
    return step.a


def _quadrant(j: int, left: Step, k: int, right: Step, law: Law) -> sp.Expr:
    a, b = _centred(left), _centred(right)
    return relu.quadrant_moment(j, k, law.scaled(a, b)) / (a**j * b**k)


def _half_plane(j: int, left: Step, k: int, law: Law) -> sp.Expr:
    a = _centred(left)
    return relu.half_plane_moment(j, k, law.scaled(a, sp.Integer(1))) / a**j


def _half_plane_erf(j: int, left: Step, k: int, right: Erf, law: Law) -> sp.Expr:
    """Return E[uʲ step(a u) vᵏ erf(b v)]; seed ½ E[sign(u) erf(b v)] = atan2(√2 b c, √(q1 + 2b² Det))/π."""
    a = _centred(left)
    if right.b != 0:
        raise NoClosedForm
    scaled = law.scaled(a, sp.Integer(1))
    return _step_erf(j, k, right, scaled) / a**j


def _step_erf(j: int, k: int, erf: Erf, law: Law) -> sp.Expr:
    if j == k == 0:
        b = erf.a
        return Atan2(sp.sqrt(2) * b * law.c, sp.sqrt(law.q1 + 2 * b**2 * law.det)) / sp.pi
    step, (slope, gauss) = Step(sp.Integer(1), ZERO), _derivative(erf)
    density = 1 / sp.sqrt(2 * sp.pi)
    if j:
        result = law.q1 * (j - 1) * _step_erf(j - 2, k, erf, law) if j > 1 else ZERO
        result += sp.sqrt(law.q1) * density * _slice(k, erf, law) if j == 1 else ZERO
        result += law.c * k * _step_erf(j - 1, k - 1, erf, law) if k else ZERO
        return result + law.c * slope * product_moment(j - 1, step, k, gauss, law)
    result = law.q2 * (k - 1) * _step_erf(0, k - 2, erf, law) if k > 1 else ZERO
    result += law.q2 * slope * product_moment(0, step, k - 1, gauss, law)
    return result + sp.sqrt(law.q2) * law.cosine * density * _slice(k - 1, erf, law)


def _slice(k: int, factor: Factor, law: Law) -> sp.Expr:
    """Return E[vᵏ B(v)] for v given u = 0, of variance q2 sin² θ."""
    variance = law.q2 * law.sine**2
    return product_moment(k, factor, 0, ONE, Law(variance, ZERO, ZERO, ZERO))


def _tilted(j: int, left: Factor, k: int, right: Factor, law: Law) -> sp.Expr:
    """Absorb exp(−α u² + β u + γ) and the same in v into the law: it stays Gaussian, with another mean.

    Σ̃ = (Σ⁻¹ + 2 diag(α))⁻¹, μ̃ = Σ̃ β, and the constant is exp(γ + β·Σ̃β/2)/√G, G = det(1 + 2 Σ diag(α)).
    """
    (a1, b1, g1), (a2, b2, g2) = _exponents(left), _exponents(right)
    big = sp.together(1 + 2 * a1 * law.q1 + 2 * a2 * law.q2 + 4 * a1 * a2 * law.det)
    q1, q2 = sp.together(law.q1 + 2 * a2 * law.det), sp.together(law.q2 + 2 * a1 * law.det)
    tilted = Law(q1 / big, q2 / big, law.c / big, law.det / big)
    means = tilted.q1 * b1 + tilted.c * b2, tilted.c * b1 + tilted.q2 * b2
    exponent = g1 + g2 + (b1 * means[0] + b2 * means[1]) / 2
    rest = (ONE if isinstance(left, Quad) else left), (ONE if isinstance(right, Quad) else right)
    moment = shifted_moment(j, rest[0], k, rest[1], means, tilted)
    if big == 1 or b1 == b2 == 0:
        return sp.exp(exponent) * moment / sp.sqrt(big)
    return sp.exp(sp.factor(sp.together(exponent))) * moment / sp.sqrt(big)


def _exponents(factor: Factor) -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    return (factor.alpha, factor.beta, factor.gamma) if isinstance(factor, Quad) else (ZERO, ZERO, ZERO)


def shifted_moment(j: int, left: Factor, k: int, right: Factor, means: tuple[sp.Expr, sp.Expr], law: Law) -> sp.Expr:
    """Return E[uʲ A(u) vᵏ B(v)] for u, v of these means: by the binomial theorem and a shift of A and B."""
    m1, m2 = means
    moved = shift(left, m1), shift(right, m2)
    total = ZERO
    for lost in range(j + 1 if m1 != 0 else 1):
        for gone in range(k + 1 if m2 != 0 else 1):
            weight = sp.binomial(j, lost) * m1**lost * sp.binomial(k, gone) * m2**gone
            total += weight * product_moment(j - lost, moved[0], k - gone, moved[1], law)
    return total


@functools.singledispatch
def shift(factor: Factor, m: sp.Expr) -> Factor:
    """Return u ↦ F(m + u)."""
    return factor


@shift.register
def _(factor: Step, m: sp.Expr) -> Factor:
    return Step(factor.a, factor.b + factor.a * m)


@shift.register
def _(factor: Erf, m: sp.Expr) -> Factor:
    return Erf(factor.a, factor.b + factor.a * m)


@shift.register
def _(factor: Sin, m: sp.Expr) -> Factor:
    return Sin(factor.w, factor.b + factor.w * m)


@shift.register
def _(factor: Quad, m: sp.Expr) -> Factor:
    alpha, beta, gamma = factor.alpha, factor.beta, factor.gamma
    return Quad(alpha, beta - 2 * alpha * m, gamma + beta * m - alpha * m**2)
