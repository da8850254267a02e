"""Which variables are jointly Gaussian in the limit, and which of those have mean zero by construction."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from tensorprog.core.ir import Gather, Load, MatMul, Parameter, Scan, Scatter, Sum
from tensorprog.limit.facts import Facts, Ref, sources
from tensorprog.limit.scaling import Asymptotics
from tensorprog.nonlin.expression import Expr

__all__ = ["Laws"]


@dataclass(frozen=True)
class Laws:
    """The kinds of law of the variables of one program."""

    facts: Facts

    def is_centred(self, ref: Ref) -> bool:
        """Return whether a Gaussian variable has mean zero by construction, at the first step of its loop as well."""
        before = self.facts.initials.get(ref.name) if self.facts.is_past(ref) else None
        return ref.name in self._centred and (before is None or before in self._centred)

    @cached_property
    def _centred(self) -> frozenset[str]:
        """The Gaussian variables of mean zero: the greatest set closed under the rules."""
        known = set(self.gaussian)
        lost = known
        while lost:
            lost = {name for name in known if not self._stays_centred(name, known)}
            known -= lost
        return frozenset(known)

    def _stays_centred(self, name: str, known: set[str]) -> bool:
        instruction = self.facts.definitions[name]
        if isinstance(instruction, Load | MatMul):
            parameter = self.facts.core.parameters[instruction.parameter]
            if self._is_zero(parameter.mean):
                return True
            return isinstance(instruction, MatMul) and instruction.operand in known and self._averages(parameter)
        if isinstance(instruction, Gather | Scatter | Sum | Scan):
            return known.issuperset(self.facts.reads(name))
        form = self.facts.affine(name)
        assert form is not None
        return self._is_zero(form.constant) and all(sources(instruction)[i] in known for i in form.coefficients)

    def _averages(self, parameter: Parameter) -> bool:
        """Return whether the entries of a matrix have a mean O(1 / n), so that it averages what it is applied to."""
        mean, inner = (Asymptotics(self.facts.core).evaluate(expr) for expr in (parameter.mean, parameter.shape[1]))
        return bool((mean * inner).power <= 0)

    def _is_zero(self, expr: Expr) -> bool:
        return Asymptotics(self.facts.core).is_zero(expr)

    @cached_property
    def gaussian(self) -> frozenset[str]:
        """The variables that are jointly Gaussian in the limit: the greatest set closed under the rules."""
        known = {name for name in self.facts.definitions if self.facts.is_random(name) or name in self.facts.carries}
        known -= {name for name in self.facts.states if name in self.facts.data}
        lost = known
        while lost:
            lost = {name for name in known if not self._stays_gaussian(name, known)}
            known -= lost
        return frozenset(known)

    def _stays_gaussian(self, name: str, known: set[str]) -> bool:
        instruction = self.facts.definitions[name]
        if isinstance(instruction, Load | MatMul):
            return True
        if isinstance(instruction, Gather | Scatter | Sum | Scan):
            return known.issuperset(self.facts.reads(name))
        form = self.facts.affine(name)
        read = sources(instruction)
        return form is not None and all(read[index] in known for index in form.coefficients)
