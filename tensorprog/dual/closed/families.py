"""The families of functions of one variable whose expectations close: sums of the following terms.

    coefficient · uᵏ · gates · exp(−α u² + β u + γ) · sin(w u + b)

A gate is step(a u + b) or erf(a u + b); a term has at most one sine, since products of sines are sums of sines. The
families are closed under products (of at most two gates) and under Gaussian integration by parts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeAlias

import sympy as sp

__all__ = [
    "FLAT",
    "ONE",
    "Erf",
    "Factor",
    "Form",
    "Gate",
    "Quad",
    "Sin",
    "Step",
    "Term",
    "add",
    "constant",
    "multiply",
    "scale",
    "shifted",
]

LARGEST_POWER = 40
_MOST_GATES = 2
ZERO, HALF = sp.Integer(0), sp.Rational(1, 2)


@dataclass(frozen=True, slots=True)
class Step:
    """step(a u + b), with step(0) = ½."""

    a: sp.Expr
    b: sp.Expr

    @property
    def kink(self) -> sp.Expr:
        """Where it jumps."""
        return -self.b / self.a


@dataclass(frozen=True, slots=True)
class Erf:
    """erf(a u + b)."""

    a: sp.Expr
    b: sp.Expr


Gate: TypeAlias = Step | Erf


@dataclass(frozen=True, slots=True)
class Sin:
    """sin(w u + b)."""

    w: sp.Expr
    b: sp.Expr


@dataclass(frozen=True, slots=True)
class Quad:
    """exp(−alpha u² + beta u + gamma)."""

    alpha: sp.Expr
    beta: sp.Expr
    gamma: sp.Expr

    def times(self, other: Quad) -> Quad:
        """Return the product of the two."""
        return Quad(self.alpha + other.alpha, self.beta + other.beta, self.gamma + other.gamma)


FLAT = Quad(ZERO, ZERO, ZERO)


@dataclass(frozen=True, slots=True)
class Factor:
    """The product of gates, an exponential and a sine, each of them optional."""

    gates: tuple[Gate, ...] = ()
    quad: Quad = FLAT
    wave: Sin | None = None


ONE = Factor()


@dataclass(frozen=True, slots=True)
class Term:
    """coefficient · u^power · factor(u)."""

    coefficient: sp.Expr
    power: int
    factor: Factor

    @property
    def is_monomial(self) -> bool:
        """Whether it is a power of u alone."""
        return self.factor == ONE


Form: TypeAlias = tuple[Term, ...]
Weighted: TypeAlias = tuple[tuple[sp.Expr, Factor], ...]


def constant(value: sp.Expr) -> Form:
    """Return the constant function (the empty sum for 0)."""
    return (Term(value, 0, ONE),) if value != 0 else ()


def add(*forms: Form) -> Form:
    """Return the sum, with equal terms added and zero ones dropped."""
    return _collect(term for form in forms for term in form)


def scale(form: Form, factor: sp.Expr) -> Form:
    """Return factor · form."""
    return _collect(replace(term, coefficient=term.coefficient * factor) for term in form)


def multiply(left: Form, right: Form) -> Form | None:
    """Return the product, None if it leaves the families."""
    products = [_product(a, b) for a in left for b in right]
    if any(product is None for product in products):
        return None
    return _collect(term for product in products if product is not None for term in product)


def _collect(terms: Iterable[Term]) -> Form:
    sums: dict[tuple[int, Factor], sp.Expr] = {}
    for term in terms:
        key = (term.power, term.factor)
        sums[key] = sp.expand(sums.get(key, ZERO) + term.coefficient)
    return tuple(Term(value, *key) for key, value in sums.items() if value != 0)


def _product(left: Term, right: Term) -> Form | None:
    coefficient, power = left.coefficient * right.coefficient, left.power + right.power
    gates = _gates(left.factor.gates, right.factor.gates, power)
    if any(len(found) > _MOST_GATES for _, found in gates) or power > LARGEST_POWER:
        return None
    quad = left.factor.quad.times(right.factor.quad)
    waves = _waves(left.factor.wave, right.factor.wave)
    return tuple(
        Term(coefficient * weight * amplitude, power, Factor(found, quad, wave))
        for weight, found in gates
        for amplitude, wave in waves
    )


def _waves(left: Sin | None, right: Sin | None) -> tuple[tuple[sp.Expr, Sin | None], ...]:
    """Return sin A · sin B = ½ sin(A − B + π/2) − ½ sin(A + B + π/2)."""
    if left is None or right is None:
        return ((sp.Integer(1), left or right),)
    difference = _wave(left.w - right.w, left.b - right.b + sp.pi / 2)
    total = _wave(left.w + right.w, left.b + right.b + sp.pi / 2)
    return ((HALF * difference[0], difference[1]), (-HALF * total[0], total[1]))


def _wave(w: sp.Expr, b: sp.Expr) -> tuple[sp.Expr, Sin | None]:
    return (sp.sin(b), None) if w == 0 else (sp.Integer(1), Sin(w, b))


def _gates(left: tuple[Gate, ...], right: tuple[Gate, ...], power: int) -> tuple[tuple[sp.Expr, tuple[Gate, ...]], ...]:
    """Return the product of all gates as a weighted sum of products of few."""
    found: tuple[tuple[sp.Expr, tuple[Gate, ...]], ...] = ((sp.Integer(1), left),)
    for gate in right:
        found = tuple(
            (weight * factor, gates) for weight, inner in found for factor, gates in _with_gate(inner, gate, power)
        )
    return found


def _with_gate(gates: tuple[Gate, ...], gate: Gate, power: int) -> tuple[tuple[sp.Expr, tuple[Gate, ...]], ...]:
    for i, other in enumerate(gates):
        if isinstance(gate, Step) and isinstance(other, Step):
            merged = _merged(other, gate, power)
            if merged is not None:
                rest = gates[:i] + gates[i + 1 :]
                return tuple((weight, _sorted((*rest, *steps))) for weight, steps in merged)
    return ((sp.Integer(1), _sorted((*gates, gate))),)


def _sorted(gates: tuple[Gate, ...]) -> tuple[Gate, ...]:
    return tuple(sorted(gates, key=lambda gate: (type(gate).__name__, str(gate.a), str(gate.b))))


def _merged(first: Step, second: Step, power: int) -> tuple[tuple[sp.Expr, tuple[Step, ...]], ...] | None:
    """Return the product of two steps as a sum of single ones; None if their order is not known.

    A step at the origin without a power of u in front stays with its like: step(0)² = ¼ counts where u is always 0.
    """
    if not (first.a.is_number and second.a.is_number) or (first.b == second.b == 0 and not power):
        return None
    ahead = _is_positive(second.kink - first.kink)
    if ahead is None:
        return None
    low, high = (first, second) if ahead else (second, first)
    if not (_points_up(low) ^ _points_up(high)):
        return ((sp.Integer(1), (high if _points_up(low) else low,)),)
    if _points_up(high):  # step(t1 − u) step(u − t2), t1 ≤ t2
        return ()
    return ((sp.Integer(1), (low,)), (sp.Integer(-1), (Step(-high.a, -high.b),)))


def _points_up(step: Step) -> bool:
    return bool(step.a.is_positive)


def _is_positive(value: sp.Expr) -> bool | None:
    """Return whether a number is not negative, None for an expression whose sign is not known."""
    if not value.is_number:
        return True if value == 0 else None
    return bool(value >= 0)


def shifted(factor: Factor, m: sp.Expr) -> Factor:
    """Return u ↦ factor(m + u)."""
    gates = tuple(type(gate)(gate.a, gate.b + gate.a * m) for gate in factor.gates)
    alpha, beta, gamma = factor.quad.alpha, factor.quad.beta, factor.quad.gamma
    quad = Quad(alpha, beta - 2 * alpha * m, gamma + beta * m - alpha * m**2)
    wave = factor.wave
    return Factor(gates, quad, Sin(wave.w, wave.b + wave.w * m) if wave is not None else None)
