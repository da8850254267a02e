"""Ratios of Gaussians: sums of products of lines, of steps of lines, and of powers of sums of squares.

    coefficient · Π_i ℓ_i(u) · Π_j step(a_j(u)) · Π_k Q_k(u)^{e_k},    Q_k(u) = ε_k + u⊤A_k u ≥ 0

with linear forms ℓ_i, a_j. Batch normalization gives such functions: step(a/√Q) = step(a), since √Q > 0, so that
relu(a/√Q) = a step(a) Q^{−½}, and its derivatives are of the same kind.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = [
    "Form",
    "NoRatio",
    "Ratio",
    "Sum",
    "Vector",
    "collected",
    "merged",
    "multiplied",
    "power_of",
    "raised",
    "settled",
]

Array = npt.NDArray[np.float64]

Vector: TypeAlias = tuple[float, ...]
"""The coefficients of a linear form Σ_i vector[i] · Operand(i)."""

_MOST_TERMS = 256


@dataclass(frozen=True, slots=True)
class Form:
    """constant + u⊤ matrix u, with constant ≥ 0 and a matrix that is positive semidefinite, of trace 1 or zero."""

    matrix: tuple[Vector, ...]
    constant: float

    @property
    def array(self) -> Array:
        """The matrix (k, k)."""
        return np.array(self.matrix)


@dataclass(frozen=True, slots=True)
class Ratio:
    """coefficient · Π lines · Π step(steps) · Π form^exponent over `powers`, which are sorted and merged."""

    coefficient: float
    lines: tuple[Vector, ...] = ()
    steps: frozenset[Vector] = frozenset()
    powers: tuple[tuple[Form, float], ...] = ()

    def times(self, other: Ratio) -> Ratio:
        """Return the product of two terms."""
        coefficient = self.coefficient * other.coefficient
        steps = self.steps | other.steps
        if any(_negative(step) in steps for step in steps):
            coefficient = 0.0
        return Ratio(coefficient, tuple(sorted(self.lines + other.lines)), steps, merged(self.powers + other.powers))

    @property
    def is_power(self) -> bool:
        """Whether it is a number times powers of forms."""
        return not self.lines and not self.steps


Sum: TypeAlias = tuple[Ratio, ...]
"""A sum of ratios."""


class NoRatio(Exception):
    """An expression is not a sum of ratios, or one of too many terms."""


def _negative(vector: Vector) -> Vector:
    return tuple(-entry + 0.0 for entry in vector)


def merged(powers: tuple[tuple[Form, float], ...]) -> tuple[tuple[Form, float], ...]:
    """Return powers with those of the same form multiplied."""
    totals: dict[Form, float] = {}
    for form, exponent in powers:
        totals[form] = totals.get(form, 0.0) + exponent
    kept = ((form, exponent) for form, exponent in totals.items() if exponent != 0)
    return tuple(sorted(kept, key=lambda power: (power[0].matrix, power[0].constant)))


def collected(terms: Sum) -> Sum:
    """Return a sum with equal terms added up, and terms that differ in their only lines.

    Raises:
        NoRatio: there are too many terms.
    """
    lines: dict[tuple[frozenset[Vector], tuple[tuple[Form, float], ...]], Array] = {}
    totals: dict[Ratio, float] = {}
    for term in terms:
        if len(term.lines) == 1:
            key = term.steps, term.powers
            lines[key] = lines.get(key, np.zeros(1)) + term.coefficient * np.array(term.lines[0])
        else:
            alone = replace(term, coefficient=1.0)
            totals[alone] = totals.get(alone, 0.0) + term.coefficient
    found = [replace(term, coefficient=total) for term, total in totals.items() if total != 0]
    for (steps, powers), vector in lines.items():
        if vector.any():
            found.append(Ratio(1.0, (tuple(vector.tolist()),), steps, powers))
    if len(found) > _MOST_TERMS:
        raise NoRatio
    return tuple(found)


def settled(term: Ratio) -> Iterator[Ratio]:
    """Yield a term as terms whose exponents are negative: Q^e = Q^{e − n} Q^n with n ≥ e, Q^n multiplied out."""
    for form, exponent in term.powers:
        if exponent > 0:
            whole = math.ceil(exponent)
            left = replace(term, powers=merged((*term.powers, (form, -float(whole)))))
            for part in multiplied((left,), raised(_written_out(form), whole)):
                yield from settled(part)
            return
    yield term


def _written_out(form: Form) -> Sum:
    """Return a form as a sum of squares."""
    values, vectors = np.linalg.eigh(form.array)
    squares = [
        Ratio(float(value), (tuple(vector.tolist()),) * 2)
        for value, vector in zip(values, vectors.T, strict=True)
        if value > 1e-14
    ]
    return (*squares, *((Ratio(form.constant),) if form.constant else ()))


def multiplied(left: Sum, right: Sum) -> Sum:
    """Return the product of two sums, multiplied out.

    Raises:
        NoRatio: there are too many terms.
    """
    if len(left) * len(right) > _MOST_TERMS**2:
        raise NoRatio
    return collected(tuple(a.times(b) for a in left for b in right))


def raised(base: Sum, order: int) -> Sum:
    """Return a power of a sum, multiplied out."""
    result: Sum = (Ratio(1.0),)
    for _ in range(order):
        result = multiplied(result, base)
    return result


def power_of(terms: Sum) -> Ratio:
    """Return a sum as a number times powers of forms.

    Raises:
        NoRatio: it is none.
    """
    if len(terms) == 1 and terms[0].is_power:
        return terms[0]
    powers = {term.powers for term in terms}
    if len(powers) != 1 or any(term.steps or len(term.lines) not in (0, 2) for term in terms):
        raise NoRatio
    constant, matrix = 0.0, np.zeros((1, 1))
    for term in terms:
        if not term.lines:
            constant += term.coefficient
        else:
            outer = term.coefficient * np.outer(term.lines[0], term.lines[1])
            matrix = matrix + 0.5 * (outer + outer.T)
    scale = float(np.trace(matrix))
    if scale <= 0 or constant < 0 or np.linalg.eigvalsh(matrix)[0] < -1e-12 * scale:
        raise NoRatio
    form = Form(tuple(map(tuple, (matrix / scale + 0.0).tolist())), constant / scale)
    return Ratio(scale, powers=merged((*next(iter(powers)), (form, 1.0))))
