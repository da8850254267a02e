"""The seeds of the calculus: expectations of gates and sines without powers, for two centred Gaussians.

    E step(u + b) = Φ(b/√q)                                 E erf(a u + b) = erf(b/√(1 + 2a² q))
    E[step step] = (π − θ)/2π                               Sheppard; with shifts Φ₂, the bivariate normal distribution
    E[erf(a u) erf(b v)] = (2/π) arcsin(…)                  Williams 1997; with shifts Φ₂
    E[sin(u + a) sin(v + b)]                                from the characteristic function
    E[gate(u) e^{i(w1 u + w2 v)}] = e^{−½ w·Σw} Φ(h + ik)      the complex error function: a tilt by an imaginary vector

A gate is the sign of a Gaussian variable s = a u + b + noise: erf(a u + b) = E sign(s) with noise of variance ½, step
has none. So two gates are an orthant of two Gaussians, whatever they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

from tensorprog.dual.closed.families import Erf, Factor, Gate, Sin, Step
from tensorprog.dual.law import Law, standard
from tensorprog.dual.special import (
    Atan2,
    DampedCosh,
    DampedExp,
    DampedSinh,
    Orthant,
    Tail,
    WaveTailIm,
    WaveTailRe,
)

__all__ = ["NoClosedForm", "Seed", "seed"]

ZERO, HALF = sp.Integer(0), sp.Rational(1, 2)


class NoClosedForm(Exception):
    """A moment that the seeds do not give."""


@dataclass(frozen=True, slots=True)
class Seed:
    """The value of an expectation, and what it is called."""

    value: sp.Expr
    name: str


def seed(left: Factor, right: Factor, law: Law, exponent: sp.Expr) -> Seed:
    """Return exp(exponent) · E[left(u) right(v)], factors without powers and exponentials.

    Raises:
        NoClosedForm: two gates beside a sine, or three gates.
    """
    waves = [wave for wave in (left.wave, right.wave) if wave is not None]
    match len(left.gates), len(right.gates):
        case 0, 0:
            return Seed(sp.exp(exponent) * _sines(left.wave, right.wave, law), _WAVE)
        case (1, 0) if waves:
            return Seed(_gate_and_waves(left.gates[0], left.wave, right.wave, law, exponent), _FADDEEVA)
        case (0, 1) if waves:
            return Seed(_gate_and_waves(right.gates[0], right.wave, left.wave, law.swapped, exponent), _FADDEEVA)
        case 1, 0:
            return _one_gate(left.gates[0], law.q1, exponent)
        case 0, 1:
            return _one_gate(right.gates[0], law.q2, exponent)
        case (1, 1) if not waves:
            return _two_gates(left.gates[0], right.gates[0], law, exponent)
        case (2, 0) if not waves:
            return _two_gates(left.gates[0], left.gates[1], Law(law.q1, law.q1, law.q1, ZERO), exponent)
        case (0, 2) if not waves:
            return _two_gates(right.gates[0], right.gates[1], Law(law.q2, law.q2, law.q2, ZERO), exponent)
    raise NoClosedForm


_WAVE = "characteristic function (Rahimi & Recht 2007)"
_FADDEEVA = "complex error function (Faddeeva)"
_NORMAL = "normal distribution"
_BIVARIATE = "bivariate normal distribution (Drezner & Wesolowsky 1990)"
_ARCSINE = "arcsine kernel (Williams 1997)"
_SHEPPARD = "orthant probability (Sheppard 1899)"


def _one_gate(gate: Gate, q: sp.Expr, exponent: sp.Expr) -> Seed:
    if isinstance(gate, Step):
        return Seed(HALF * sp.exp(exponent) if gate.b == 0 else Tail(exponent, _standard(gate, q)), _NORMAL)
    mean = sp.erf(gate.b / sp.sqrt(1 + 2 * gate.a**2 * q)) if gate.b != 0 else ZERO
    return Seed(sp.exp(exponent) * mean, _NORMAL)


def _standard(gate: Gate, q: sp.Expr) -> sp.Expr:
    """Return the mean of the variable whose sign the gate is, over its standard deviation."""
    if isinstance(gate, Step):
        return standard(gate.b, gate.a**2 * q)
    return sp.sqrt(2) * gate.b / sp.sqrt(1 + 2 * gate.a**2 * q)


def _two_gates(left: Gate, right: Gate, law: Law, exponent: sp.Expr) -> Seed:
    match left, right:
        case Step(), Step():
            return _two_steps(left, right, law, exponent)
        case Erf(), Erf():
            return _two_erfs(left, right, law, exponent)
        case Step(), Erf():
            return _step_and_erf(left, right, law, exponent)
        case _:
            return _two_gates(right, left, law.swapped, exponent)


def _two_steps(left: Step, right: Step, law: Law, exponent: sp.Expr) -> Seed:
    angle = law.scaled(left.a, right.a).angle
    if left.b == right.b == 0:
        return Seed(sp.exp(exponent) * (sp.pi - angle) / (2 * sp.pi), _SHEPPARD)
    return Seed(Orthant(exponent, _standard(left, law.q1), _standard(right, law.q2), angle), _BIVARIATE)


def _two_erfs(left: Erf, right: Erf, law: Law, exponent: sp.Expr) -> Seed:
    """Return E[erf(a u + ·) erf(b v + ·)].

    The determinant (1 + 2a² q1)(1 + 2b² q2) − 4a² b² c² is a sum of positive terms: no cancellation at ±1.
    """
    a, b = left.a, right.a
    root = sp.sqrt(1 + 2 * a**2 * law.q1 + 2 * b**2 * law.q2 + 4 * a**2 * b**2 * law.det)
    arc = Atan2(2 * a * b * law.c, root)
    if left.b == right.b == 0:
        return Seed(sp.exp(exponent) * 2 / sp.pi * arc, _ARCSINE)
    h, k = _standard(left, law.q1), _standard(right, law.q2)
    value = 4 * Orthant(exponent, h, k, sp.pi / 2 - arc) - 2 * Tail(exponent, h) - 2 * Tail(exponent, k)
    return Seed(value + sp.exp(exponent), _BIVARIATE)


def _step_and_erf(step: Step, erf: Erf, law: Law, exponent: sp.Expr) -> Seed:
    """Return E[step(a u + ·) erf(b v + ·)]; centred, atan2(√2 b c, √(q1 + 2b² Det))/π."""
    scaled, b = law.scaled(step.a, sp.Integer(1)), erf.a
    arc = Atan2(sp.sqrt(2) * b * scaled.c, sp.sqrt(scaled.q1 + 2 * b**2 * scaled.det))
    if step.b == erf.b == 0:
        return Seed(sp.exp(exponent) * arc / sp.pi, _ARCSINE)
    h, k = _standard(step, law.q1), _standard(erf, law.q2)
    return Seed(2 * Orthant(exponent, h, k, sp.pi / 2 - arc) - Tail(exponent, h), _BIVARIATE)


def _sines(left: Sin | None, right: Sin | None, law: Law) -> sp.Expr:
    """Return E[sin(w u + b) sin(w2 v + b2)].

    = exp(−(w² q1 + w2² q2)/2) (cos b cos b2 sinh(w w2 c) + sin b sin b2 cosh(w w2 c))
    """
    if left is None or right is None:
        wave, q = (left, law.q1) if left is not None else (right, law.q2)
        assert wave is not None
        return sp.sin(wave.b) * sp.exp(-(wave.w**2) * q / 2)
    w, b, w2, b2 = left.w, left.b, right.w, right.b
    if w == w2 or w == -w2:
        arguments = (law.q1, law.q2, law.c if w == w2 else -law.c, w**2)
    else:
        arguments = (w**2 * law.q1, w2**2 * law.q2, w * w2 * law.c, sp.Integer(1))
    odd, even = sp.cos(b) * sp.cos(b2), sp.sin(b) * sp.sin(b2)
    if odd == even:
        return odd * DampedExp(*arguments)
    result = odd * DampedSinh(*arguments) if odd != 0 else ZERO
    return result + even * DampedCosh(*arguments) if even != 0 else result


def _gate_and_waves(gate: Gate, own: Sin | None, other: Sin | None, law: Law, exponent: sp.Expr) -> sp.Expr:
    """Return E[gate(u) sin(own) sin(other)], the sines of u and of v: sin A sin B = ½ (cos(A − B) − cos(A + B))."""
    if own is not None and other is not None:
        difference = _tilted(gate, (own.w, -other.w), own.b - other.b, law, exponent)[0]
        return HALF * (difference - _tilted(gate, (own.w, other.w), own.b + other.b, law, exponent)[0])
    if own is not None:
        return _tilted(gate, (own.w, ZERO), own.b, law, exponent)[1]
    assert other is not None
    return _tilted(gate, (ZERO, other.w), other.b, law, exponent)[1]


def _tilted(
    gate: Gate, w: tuple[sp.Expr, sp.Expr], phase: sp.Expr, law: Law, exponent: sp.Expr
) -> tuple[sp.Expr, sp.Expr]:
    """Return real and imaginary part of E[gate(u) exp(i(w1 u + w2 v + phase))].

    The imaginary tilt moves the mean of (u, v) by i Σw, so that of the gate's variable in units of its deviation by ik.
    """
    damping = exponent - (w[0] ** 2 * law.q1 + 2 * w[0] * w[1] * law.c + w[1] ** 2 * law.q2) / 2
    h = _standard(gate, law.q1)
    if isinstance(gate, Step):
        k = sp.sign(gate.a) * (w[0] * sp.sqrt(law.q1) + (w[1] * law.lean if w[1] != 0 else 0))
        if h == 0:
            return _turned(sp.exp(damping) / 2, WaveTailIm(damping, ZERO, ZERO, k), phase)
        return WaveTailRe(damping, phase, h, k), WaveTailIm(damping, phase, h, k)
    k = sp.sqrt(2) * gate.a * (w[0] * law.q1 + w[1] * law.c) / sp.sqrt(1 + 2 * gate.a**2 * law.q1)
    if h == 0:
        return _turned(ZERO, 2 * WaveTailIm(damping, ZERO, ZERO, k), phase)
    real = 2 * WaveTailRe(damping, phase, h, k) - sp.exp(damping) * sp.cos(phase)
    return real, 2 * WaveTailIm(damping, phase, h, k) - sp.exp(damping) * sp.sin(phase)


def _turned(real: sp.Expr, imaginary: sp.Expr, phase: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """Return real and imaginary part of (real + i imaginary) exp(i phase)."""
    cos, sin = sp.cos(phase), sp.sin(phase)
    return real * cos - imaginary * sin, real * sin + imaginary * cos
