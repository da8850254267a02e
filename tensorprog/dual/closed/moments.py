"""Product moments E[uʲ A(u) vᵏ B(v)] of two centred Gaussians, A and B factors of the families.

`reduce` takes one step: it writes a moment as a linear combination of simpler ones. The steps are

    completing the square  exp(−α u² + β u + γ), on either side, is absorbed into the law, which stays Gaussian
    Stein's lemma          E[u F(u, v)] = q1 E[∂F/∂u] + c E[∂F/∂v], which removes one power; the derivative of a step
                           is a delta, and takes the expectation of the rest given that the step's argument is zero
    seeds                  what is left: gates and sines without powers (`dual.closed.seeds`), and polynomials

`dual.closed.derivation` follows the steps to the end, and keeps them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import sympy as sp

from tensorprog.dual.closed import relu, seeds
from tensorprog.dual.closed.families import FLAT, ONE, Erf, Factor, Gate, Quad, Sin, Step, shifted
from tensorprog.dual.closed.seeds import NoClosedForm
from tensorprog.dual.law import Law, standard, tidy
from tensorprog.dual.special import Bump

__all__ = ["Moment", "NoClosedForm", "Reduction", "reduce", "shift"]

ZERO = sp.Integer(0)
_DENSITY = 1 / sp.sqrt(2 * sp.pi)

STEIN = "Stein's lemma"
SQUARE = "completing the square"
INDEPENDENT = "independence"


@dataclass(frozen=True, slots=True)
class Moment:
    """exp(exponent) · E[u^j left(u) v^k right(v)] for (u, v) ~ `law`."""

    j: int
    left: Factor
    k: int
    right: Factor
    law: Law
    exponent: sp.Expr = ZERO

    @property
    def swapped(self) -> Moment:
        """The same with u and v exchanged."""
        return Moment(self.k, self.right, self.j, self.left, self.law.swapped, self.exponent)


@dataclass(frozen=True, slots=True)
class Reduction:
    """rest + Σ weight · Π moments, and the rule by which a moment is that."""

    rule: str
    terms: tuple[tuple[sp.Expr, tuple[Moment, ...]], ...] = field(default=())
    rest: sp.Expr = ZERO


def reduce(moment: Moment) -> Reduction:
    """Return a moment in terms of simpler ones.

    Raises:
        NoClosedForm: none is known.
    """
    left, right = moment.left, moment.right
    if len(left.gates) + len(right.gates) > 2:
        raise NoClosedForm
    if left.quad != FLAT or right.quad != FLAT:
        return _completed_square(moment)
    if moment.law.q1 == 0 and left != ONE:
        return _fixed(moment)
    if left == right == ONE:
        rest = sp.exp(moment.exponent) * polynomial_moment(moment.j, moment.k, moment.law)
        return Reduction("Isserlis' theorem", rest=rest)
    if moment.law.c == 0 and left != ONE and (right != ONE or moment.k):
        return _independent(moment)
    arc_cosine = _arc_cosine(moment)
    if arc_cosine is not None:
        return Reduction("arc-cosine kernel (Cho & Saul 2009)", rest=arc_cosine)
    if moment.j and not (moment.k and right == ONE):
        return _by_parts(moment)
    if moment.k:
        return _by_parts(moment.swapped)
    found = seeds.seed(left, right, moment.law, moment.exponent)
    return Reduction(found.name, rest=found.value)


def polynomial_moment(j: int, k: int, law: Law) -> sp.Expr:
    """Return E[uʲ vᵏ] = Σ_i i! C(j, i) C(k, i) (j−i−1)!! (k−i−1)!! q1^{(j−i)/2} q2^{(k−i)/2} cⁱ."""
    if (j + k) % 2:
        return ZERO
    total = ZERO
    for i in range(j % 2, min(j, k) + 1, 2):
        pairings = sp.factorial(i) * sp.binomial(j, i) * sp.binomial(k, i)
        pairings *= sp.factorial2(j - i - 1) * sp.factorial2(k - i - 1)
        total += pairings * law.q1 ** ((j - i) // 2) * law.q2 ** ((k - i) // 2) * law.c**i
    return total


def _fixed(moment: Moment) -> Reduction:
    """Return the moment of a variable that is zero: its function is a number."""
    weight = ZERO**moment.j * _at(moment.left, ZERO)
    return Reduction("a constant", ((weight, (replace(moment, j=0, left=ONE),)),))


def _independent(moment: Moment) -> Reduction:
    """Return the product of the two expectations."""
    one = Moment(moment.j, moment.left, 0, ONE, _alone(moment.law.q1), moment.exponent)
    other = Moment(moment.k, moment.right, 0, ONE, _alone(moment.law.q2))
    return Reduction(INDEPENDENT, ((sp.Integer(1), (one, other)),))


def _alone(q: sp.Expr) -> Law:
    """Return the law of one Gaussian of variance q."""
    return Law(q, ZERO, ZERO, ZERO)


def _completed_square(moment: Moment) -> Reduction:
    """Absorb exp(−α u² + β u + γ) and the same in v into the law: it stays Gaussian, with another mean.

    Σ̃ = (Σ⁻¹ + 2 diag(α))⁻¹, μ̃ = Σ̃ β, and the constant is exp(γ + β·Σ̃β/2)/√G, G = det(1 + 2 Σ diag(α)).
    """
    one, two, law = moment.left.quad, moment.right.quad, moment.law
    big = sp.together(1 + 2 * one.alpha * law.q1 + 2 * two.alpha * law.q2 + 4 * one.alpha * two.alpha * law.det)
    q1, q2 = sp.together(law.q1 + 2 * two.alpha * law.det), sp.together(law.q2 + 2 * one.alpha * law.det)
    tilted = Law(q1 / big, q2 / big, law.c / big, law.det / big)
    means = tilted.q1 * one.beta + tilted.c * two.beta, tilted.c * one.beta + tilted.q2 * two.beta
    exponent = one.gamma + two.gamma + (one.beta * means[0] + two.beta * means[1]) / 2
    if big != 1 and not (one.beta == two.beta == 0):
        exponent = sp.factor(sp.together(exponent))
    flat = replace(moment, left=replace(moment.left, quad=FLAT), right=replace(moment.right, quad=FLAT), law=tilted)
    terms = shift(replace(flat, exponent=moment.exponent + exponent), means)
    return Reduction(SQUARE, tuple((weight / sp.sqrt(big), (inner,)) for weight, inner in terms))


def shift(moment: Moment, means: tuple[sp.Expr, sp.Expr]) -> tuple[tuple[sp.Expr, Moment], ...]:
    """Return the moment for u, v of these means: by the binomial theorem and a shift of the factors."""
    m1, m2 = means
    left, right = shifted(moment.left, m1), shifted(moment.right, m2)
    return tuple(
        (
            m1**lost * m2**gone * sp.binomial(moment.j, lost) * sp.binomial(moment.k, gone),
            replace(moment, j=moment.j - lost, k=moment.k - gone, left=left, right=right),
        )
        for lost in range(moment.j + 1 if m1 != 0 else 1)
        for gone in range(moment.k + 1 if m2 != 0 else 1)
    )


def _arc_cosine(moment: Moment) -> sp.Expr | None:
    """Return the moment of one or two steps at the origin and powers, None for any other."""
    left, right = moment.left, moment.right
    if not _is_centred_step(left):
        return _arc_cosine(moment.swapped) if _is_centred_step(right) else None
    if right != ONE and not _is_centred_step(right):
        return None
    a = left.gates[0].a
    b = right.gates[0].a if right.gates else sp.Integer(1)
    law, front = moment.law.scaled(a, b), sp.exp(moment.exponent) / (a**moment.j * b**moment.k)
    if right == ONE:
        return front * relu.half_plane_moment(moment.j, moment.k, law)
    return front * relu.quadrant_moment(moment.j, moment.k, law)


def _is_centred_step(factor: Factor) -> bool:
    match factor:
        case Factor((Step(_, b),), quad, None):
            return quad == FLAT and bool(b == 0)
    return False


def _by_parts(moment: Moment) -> Reduction:
    """Remove one power of u."""
    law, lowered = moment.law, replace(moment, j=moment.j - 1)
    terms: list[tuple[sp.Expr, Moment]] = []
    if moment.j > 1:
        terms.append((law.q1 * (moment.j - 1), replace(lowered, j=moment.j - 2)))
    if moment.k and law.c != 0:
        terms.append((law.c * moment.k, replace(lowered, k=moment.k - 1)))
    for weight, factor in _slopes(moment.left):
        terms.append((law.q1 * weight, replace(lowered, left=factor)))
    for step, rest in _steps(moment.left):
        terms += _sliced(replace(lowered, left=rest), step, sp.sqrt(law.q1))
    if law.c != 0:
        for weight, factor in _slopes(moment.right):
            terms.append((law.c * weight, replace(lowered, right=factor)))
        for step, rest in _steps(moment.right):
            terms += _sliced(replace(lowered, right=rest).swapped, step, law.swapped.lean)
    return Reduction(STEIN, tuple((weight, (inner,)) for weight, inner in terms if weight != 0))


def _slopes(factor: Factor) -> Iterator[tuple[sp.Expr, Factor]]:
    """Yield the terms of the derivative of a product of error functions and a sine, weight by weight."""
    for i, gate in enumerate(factor.gates):
        if isinstance(gate, Erf):
            a, b = gate.a, gate.b
            bell = Quad(a**2, -2 * a * b, -(b**2))
            rest = factor.gates[:i] + factor.gates[i + 1 :]
            yield 2 * a / sp.sqrt(sp.pi), replace(factor, gates=rest, quad=factor.quad.times(bell))
    if factor.wave is not None:
        sign, ahead = _ahead(factor.wave)
        yield sign * factor.wave.w, replace(factor, wave=ahead)


def _ahead(wave: Sin) -> tuple[sp.Expr, Sin]:
    """Return sin(w u + b + π/2), as minus a sine where its phase would leave (−π, π)."""
    late = bool((wave.b - sp.pi / 2).is_nonnegative)
    return (
        (sp.Integer(-1), Sin(wave.w, wave.b - sp.pi / 2)) if late else (sp.Integer(1), Sin(wave.w, wave.b + sp.pi / 2))
    )


def _steps(factor: Factor) -> Iterator[tuple[Step, Factor]]:
    """Yield every step with the rest of the product."""
    for i, gate in enumerate(factor.gates):
        if isinstance(gate, Step):
            yield gate, replace(factor, gates=factor.gates[:i] + factor.gates[i + 1 :])


def _sliced(moment: Moment, step: Step, front: sp.Expr) -> list[tuple[sp.Expr, Moment]]:
    """Return front · √q1 E[δ(u − t) sign(a) …], t the kink of a step of u: what is left is an expectation of v.

    Given u = t, v has the mean c t/q1 and the variance Det/q1. `front` is √q1 before a derivative with respect to u,
    c/√q1 before one with respect to v.
    """
    law, place = moment.law, step.kink
    weight = front * sp.sign(step.a) * _DENSITY * place**moment.j * _at(moment.left, place)
    exponent = ZERO
    if moment.right.gates:  # they may be as small as the density is large
        exponent = tidy(moment.exponent - place**2 / (2 * law.q1))
    else:
        weight *= _density(moment.exponent, place, law.q1)
    rest = Moment(moment.k, moment.right, 0, ONE, _alone(law.residual), exponent)
    return (
        [(weight * part, inner) for part, inner in shift(rest, (law.c * place / law.q1, ZERO))] if weight != 0 else []
    )


def _density(exponent: sp.Expr, m: sp.Expr, v: sp.Expr) -> sp.Expr:
    """Return exp(exponent − m²/(2v))."""
    ratio = standard(m, v)
    return Bump(exponent, *ratio.args) if ratio != 0 else sp.exp(exponent)


def _at(factor: Factor, place: sp.Expr) -> sp.Expr:
    """Return the value of a factor at a place."""
    value = sp.Mul(*(_gate_at(gate, place) for gate in factor.gates))
    return value * (sp.sin(factor.wave.w * place + factor.wave.b) if factor.wave is not None else 1)


def _gate_at(gate: Gate, place: sp.Expr) -> sp.Expr:
    argument = gate.a * place + gate.b
    if isinstance(gate, Erf):
        return sp.erf(argument)
    if not argument.is_number:
        raise NoClosedForm
    return (1 + sp.sign(argument)) / 2
