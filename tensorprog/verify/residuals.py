"""Residuals: what an equation misses when it is fed with the measured values of the quantities that it reads.

For an equation y = F(z₁, …, z_k) and one draw of a network, the residual is ŷ − F(ẑ₁, …, ẑ_k). Its mean is O(1/n) if
the equation is true, whatever the fluctuations of the layers below, which cancel; an error in another equation does not
disturb it. That is where the power of a verification is, and how it locates an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tensorprog.finite.measure import Measured, Measurement
from tensorprog.kernel.expectation import Numerics
from tensorprog.kernel.interpret import Scope
from tensorprog.kernel.ir import Copy
from tensorprog.kernel.lower import define_equation
from tensorprog.kernel.scalars import Program
from tensorprog.limit.equations import LimitSystem, X, Y
from tensorprog.verify.plan import Check

__all__ = ["Evaluator", "Residual"]

Array = npt.NDArray[np.float64]
Key = tuple[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Residual:
    """One check over S draws: values as measured (None if that is not possible) and as predicted from the measured.

    Both are (S, N) for an equation of one copy, (S, N, N) for one of two.
    """

    check: Check
    measured: Array | None
    predicted: Array


@dataclass(frozen=True)
class Evaluator:
    """Evaluates the equations of a limit one by one, on measured values.

    Attributes:
        system: the limit.
        grams: the inner products ⟨u(x), v(x')⟩ of the data by name, (N, N).
        data: scalar data by name, (N,).
        parameters: the values of constants and sizes by name.
        count: N.
    """

    system: LimitSystem
    grams: Mapping[str, Array]
    data: Mapping[str, Array]
    parameters: Mapping[str, float]
    count: int
    numerics: Numerics = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "numerics", Numerics(dict(self.system.functions), self.parameters))

    def residuals(
        self, plan: tuple[Check, ...], measured: Mapping[Measurement, Array], draws: int
    ) -> Iterator[Residual]:
        """Yield the residual of every check.

        Args:
            plan: the checks, in order of evaluation.
            measured: the measured values over S = `draws` draws; empty to evaluate the limit itself (S = 1).
            draws: S.
        """
        one, two = self._scopes(draws)
        for check in plan:
            scope = two if check.is_pair else one
            key = self._define(check, scope)
            predicted = np.array(np.broadcast_to(scope.values[Copy.OWN][key], scope.shape), dtype=np.float64)
            value = _select(check, measured)
            yield Residual(check, value, predicted)
            self._keep(key, predicted if value is None else value, check, one, two)

    def _scopes(self, draws: int) -> tuple[Scope, Scope]:
        count = self.count
        own: dict[Key, Any] = {(name, ()): np.einsum("ii->i", gram)[None] for name, gram in self.grams.items()}
        own |= {(name, ()): value[None] for name, value in self.data.items()}
        pair: dict[Key, Any] = {(name, ()): gram[None] for name, gram in self.grams.items()}
        left = {key: value[:, :, None] for key, value in own.items()}
        right = {key: value[:, None, :] for key, value in own.items()}
        return (
            Scope({Copy.OWN: own}, self.parameters, self.numerics, (draws, count)),
            Scope(
                {Copy.OWN: pair, Copy.LEFT: left, Copy.RIGHT: right},
                self.parameters,
                self.numerics,
                (draws, count, count),
            ),
        )

    def _define(self, check: Check, scope: Scope) -> Key:
        """Evaluate the equation of a check and return the key of its value."""
        indices = () if check.position is None else (check.position[0],)
        if check.position is not None:
            scope.positions[check.position[0]] = check.position[1]
        program = Program((X, Y) if check.is_pair else (X, X), indices)
        key: Key = ("", ())
        with np.errstate(all="ignore"):
            for let in define_equation(check.equation, program):
                scope.define(let)
                key = (let.name, tuple(index.at(scope.positions) for index in let.indices))
        return key

    def _keep(self, key: Key, value: Array, check: Check, one: Scope, two: Scope) -> None:
        """Let later equations read `value`."""
        if check.is_pair:
            two.values[Copy.OWN][key] = value
            return
        one.values[Copy.OWN][key] = value
        two.values[Copy.LEFT][key] = value[:, :, None]
        two.values[Copy.RIGHT][key] = value[:, None, :]


def _select(check: Check, measured: Mapping[Measurement, Array]) -> Array | None:
    """Return the measured value of a check: its step, its diagonal for one copy."""
    if check.measurement is None or check.measurement not in measured:
        return None
    value = measured[check.measurement]
    if check.position is not None and check.measurement.step is None:
        value = value[..., check.position[2]]
    is_matrix = check.measurement.kind not in (Measured.MEAN, Measured.SCALAR)
    return np.asarray(np.einsum("sii->si", value) if is_matrix and not check.is_pair else value, dtype=np.float64)
