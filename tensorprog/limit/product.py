"""Products of functions of limit variables: what a normal form is a sum of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import sympy as sp

from tensorprog.limit.scaling import Term
from tensorprog.limit.variables import Ref
from tensorprog.nonlin.expression import Expr, Operand
from tensorprog.nonlin.simplify import simplify

__all__ = ["ARGUMENT", "Argument", "Fixed", "Joint", "Product"]

ARGUMENT = Operand(0)


@dataclass(frozen=True, slots=True)
class Fixed:
    """A number of the sample as an argument of a function: deterministic in the limit, a quantity of one copy."""

    value: sp.Expr


Argument: TypeAlias = Ref | Fixed


@dataclass(frozen=True, slots=True)
class Joint:
    """function(Z^{arguments}), over Operand(0), Operand(1), … in their order; a number stands for itself."""

    function: Expr
    arguments: tuple[Argument, ...]

    @property
    def refs(self) -> tuple[Ref, ...]:
        """The variables among the arguments."""
        return tuple(argument for argument in self.arguments if isinstance(argument, Ref))


@dataclass(frozen=True, slots=True)
class Product:
    """coefficient · Π_j factors[ref_j](Z^{ref_j}) · Π joint, every one of `factors` a function of Operand(0)."""

    coefficient: Term
    factors: Mapping[Ref, Expr]
    joint: tuple[Joint, ...] = ()

    @property
    def refs(self) -> tuple[Ref, ...]:
        """The variables that occur, each once."""
        return tuple(dict.fromkeys([*self.factors, *(ref for joint in self.joint for ref in joint.refs)]))

    def times(self, other: Product) -> Product:
        """Return the product of the two; functions of the same variable are multiplied."""
        factors = dict(self.factors)
        for ref, function in other.factors.items():
            factors[ref] = simplify(factors[ref] * function) if ref in factors else function
        return Product(self.coefficient * other.coefficient, factors, self.joint + other.joint)

    def slopes(self, ref: Ref, differentiate: Callable[[Expr, int], Expr]) -> tuple[Product, ...]:
        """Return ∂/∂Z^ref as a sum of products, one for every factor that reads it."""
        found = []
        if ref in self.factors:
            slope = simplify(differentiate(self.factors[ref], 0))
            found.append(replace(self, factors={**self.factors, ref: slope}))
        for number, joint in enumerate(self.joint):
            if ref in joint.arguments:
                slope = simplify(differentiate(joint.function, joint.arguments.index(ref)))
                changed = (*self.joint[:number], Joint(slope, joint.arguments), *self.joint[number + 1 :])
                found.append(replace(self, joint=changed))
        return tuple(found)
