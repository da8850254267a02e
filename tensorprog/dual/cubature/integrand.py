"""The function that is integrated numerically, in terms of independent standard normal variables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tensorprog.dual.cubature.gates import pair_moment, single_moment
from tensorprog.dual.cubature.law import Gaussians, NormalForm
from tensorprog.dual.cubature.plan import Plan
from tensorprog.nonlin.evaluate import evaluate
from tensorprog.nonlin.expression import Expr, operands

__all__ = ["Estimate", "Integrand", "join"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """Values of E f, estimates of their errors, and E |f|; arrays (N,)."""

    value: Array
    error: Array
    scale: Array


def join(parts: list[tuple[npt.NDArray[np.intp], Estimate]], count: int) -> Estimate:
    """Return the estimates of all laws from those of some."""
    joined = Estimate(*(np.full(count, np.nan) for _ in range(3)))
    for where, part in parts:
        joined.value[where], joined.error[where], joined.scale[where] = part.value, part.error, part.scale
    return joined


@dataclass(frozen=True, slots=True)
class Integrand:
    """f after the variables of `plan.inner` are integrated out, as a function of z.

    The normal forms that it takes are those of the variables `order`.
    """

    plan: Plan
    size: int

    @property
    def order(self) -> list[int]:
        """The variables, those that are integrated numerically first."""
        return [*self.plan.outer, *(inner.index for inner in self.plan.inner)]

    def laws(self, laws: Gaussians) -> Gaussians:
        """Return the laws of the variables in this order."""
        return laws.only(self.order)

    def __call__(self, form: NormalForm, z: tuple[Array, ...]) -> Array:
        """Return the values at z, arrays that broadcast against (N, 1, …) each."""
        values = self.operands(form, z)
        rest = np.asarray(evaluate(self.plan.rest, values, {}), dtype=np.float64)
        return np.asarray(rest * self._inner(form, z, values))

    def operands(self, form: NormalForm, z: tuple[Array, ...]) -> list[Array]:
        """Return the variables by index; those of `plan.inner` are zero."""
        found = [np.zeros(1)] * self.size
        for position, index in enumerate(self.plan.outer):
            found[index] = form.values(position, z)
        return found

    def _inner(self, form: NormalForm, z: tuple[Array, ...], values: list[Array]) -> Array:
        first = len(self.plan.outer)
        means = [
            form.values(first + number, z) + evaluate(inner.shift, values, {})
            for number, inner in enumerate(self.plan.inner)
        ]
        extra = (1,) * (means[0].ndim - 1) if means else ()

        def entry(i: int, j: int) -> Array:
            return np.asarray(form.rest[:, i, j].reshape(-1, *extra))

        match self.plan.inner:
            case (one,):
                return single_moment(one.pieces, means[0], entry(0, 0))
            case (one, other):
                moments = entry(0, 0), entry(1, 1), entry(0, 1)
                return pair_moment(one.pieces, other.pieces, means[0], means[1], *moments)
        return np.ones(1)

    def place(self, expr: Expr, form: NormalForm, z: tuple[Array, ...] = ()) -> Array | None:
        """Return a function of the variables at z, None if other normal variables have a part in it."""
        used = [self.plan.outer.index(index) for index in operands(expr)]
        if form.roots[:, used, len(z) :].any():
            return None
        value = np.asarray(evaluate(expr, self.operands(form, z), {}), dtype=np.float64)
        shape = np.broadcast_shapes(*(entry.shape for entry in z), (len(form.means), *(1 for _ in z)))
        return np.broadcast_to(value, shape)
