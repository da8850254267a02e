"""Functions of variables as functions of the Gaussians behind them: relu(y) of y = h + relu(g) over (h, g).

What is not Gaussian is looked through by its definition: maps are put into one another, sums over axes of fixed extent
are written out, and a read beyond an axis has a bracket [i ∈ axis] for a factor.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass, field

import sympy as sp

from tensorprog.core.ir import Map
from tensorprog.errors import Diagnostic, LimitError, Span
from tensorprog.limit.equations import X
from tensorprog.limit.extents import FEWER, find_positions, needs_extents, sizes_of_axes
from tensorprog.limit.linear import Linear, Part, linear_form
from tensorprog.limit.product import Argument, Fixed, Joint
from tensorprog.limit.variables import Ref, Variables, refuse_rolled
from tensorprog.nonlin.expression import ZERO, Expr, Number, Operand, operands
from tensorprog.nonlin.simplify import bind, simplify

__all__ = ["MOST_ARGUMENTS", "Composer", "refuse_gate", "refuse_inseparable", "written_out"]

MOST_ARGUMENTS = 32
"""Functions of more variables are refused."""


@dataclass
class _Arguments:
    """The arguments of a function as they are found, and the variables that are being looked through."""

    found: list[Argument] = field(default_factory=list)
    open: list[str] = field(default_factory=list)

    def operand(self, argument: Argument) -> Operand:
        """Return the operand that stands for an argument."""
        if argument not in self.found:
            self.found.append(argument)
        return Operand(self.found.index(argument))


@dataclass(frozen=True, slots=True)
class Composer:
    """Looks through variables; `definition` gives a map at a place as a function of its operands."""

    variables: Variables
    definition: Callable[[Ref], Joint]

    def __call__(self, joint: Joint) -> Joint:
        """Return a function of variables as a function of Gaussians, each of which occurs in it.

        Raises:
            LimitError: a variable is a sum over an axis of no fixed extent, or a function of its own past.
        """
        arguments = _Arguments()
        inner = tuple(self._argument(argument, arguments) for argument in joint.arguments)
        function = simplify(bind(joint.function, inner))
        return _trimmed(Joint(function, tuple(arguments.found)))

    def _argument(self, argument: Argument, arguments: _Arguments) -> Expr:
        if isinstance(argument, Fixed) or argument.name in self.variables.gaussian:
            return arguments.operand(argument)
        inside = self._looked_through(argument, arguments)
        brackets = self._brackets(argument)
        if not brackets or inside == ZERO:
            return inside
        value = sp.Mul(*brackets)
        return ZERO if value == 0 else arguments.operand(Fixed(value)) * inside

    def _brackets(self, ref: Ref) -> list[sp.Expr]:
        """Return the brackets that are 1 where a read is in the range of its variable, and 0 beyond."""
        variables = self.variables
        places = zip(ref.index, variables.axes(ref.name), strict=True)
        found = [
            variables.places.within(place, axis, X)
            for place, axis in places
            if not variables.places.is_inside(place, axis)
        ]
        if found and any(variables.core.axes[axis].circular for axis in variables.axes(ref.name)):
            message = f"{variables.describe(ref.name)} is read round a circular axis inside a nonlinearity"
            raise refuse_inseparable(message, variables.definitions[ref.name].span)
        return found

    def _looked_through(self, ref: Ref, arguments: _Arguments) -> Expr:
        definition = self.variables.definitions[ref.name]
        if ref.name in arguments.open:
            raise refuse_gate(ref, self.variables)
        arguments.open.append(ref.name)
        try:
            if isinstance(definition, Map):
                joint = self.definition(ref)
                inner = tuple(self._argument(argument, arguments) for argument in joint.arguments)
                return bind(joint.function, inner)
            parts = written_out(ref, linear_form(ref, self.variables, X), self.variables)
            return functools.reduce(operator.add, (self._part(part, arguments) for part in parts), ZERO)
        finally:
            arguments.open.pop()

    def _part(self, part: Part, arguments: _Arguments) -> Expr:
        if part.where == 0:
            return ZERO
        inside = self._argument(part.ref, arguments)
        return inside if part.where == 1 else arguments.operand(Fixed(part.where)) * inside


def written_out(ref: Ref, form: Linear | None, variables: Variables) -> tuple[Part, ...]:
    """Return the parts of a sum, an alias or a state with no index left to sum over.

    Raises:
        NeedsExtents: the data bind the extent of an axis that is summed over.
        LimitError: the sum has too many terms.
    """
    what = f"a nonlinearity reads {variables.describe(ref.name)}"
    span = variables.definitions[ref.name].span
    if form is None:
        kind = type(variables.definitions[ref.name]).__name__.lower()
        raise refuse_inseparable(f"{what}, {kind} of variables that are not Gaussian", span)
    result: list[Part] = []
    for part in form.parts:
        axes = [variables.places.indices[index][0] for index in part.indices]
        ranges = [find_positions(axis, variables.core) for axis in axes]
        known = [values for values in ranges if values is not None]
        if len(known) < len(ranges):
            message = f"{what}, a sum over an axis, of no fixed extent, of variables that are not Gaussian"
            raise needs_extents("TP331", message, span, sizes_of_axes(axes, variables.core))
        if math.prod(map(len, known)) > MOST_ARGUMENTS:
            over = ", ".join(f"{len(values)} positions of `{axis}`" for axis, values in zip(axes, known, strict=True))
            message = f"{what}, a sum over {over}: more than {MOST_ARGUMENTS} variables that are not Gaussian"
            raise LimitError(Diagnostic("TP331", message, span, FEWER))
        for values in itertools.product(*known):
            result.append(_at(part, dict(zip(part.indices, map(sp.Integer, values), strict=True))))
    return tuple(result)


def _at(part: Part, values: dict[sp.Symbol, sp.Integer]) -> Part:
    ref = part.ref
    index = tuple(sp.sympify(place).xreplace(values) for place in ref.index)
    return Part(Ref(ref.name, ref.at, index), part.coefficient, (), sp.sympify(part.where).xreplace(values))


def _trimmed(joint: Joint) -> Joint:
    """Return the function over the arguments that occur in it."""
    used = operands(joint.function)
    if len(used) == len(joint.arguments):
        return joint
    inner: list[Expr] = [Number(0)] * len(joint.arguments)
    for place, index in enumerate(used):
        inner[index] = Operand(place)
    return Joint(bind(joint.function, tuple(inner)), tuple(joint.arguments[index] for index in used))


def refuse_gate(ref: Ref, variables: Variables) -> LimitError:
    """Return the refusal of a recurrence that is a nonlinear function of its state; a loop may be unrolled."""
    what, span = variables.describe(ref.name), variables.definitions[ref.name].span
    if ref.name in variables.loops:
        return refuse_rolled(f"{what} is a function of its own values at earlier steps", span)
    message = f"{what} is a function of its own values at all earlier steps that is not linear in them"
    hint = "its second moments do not close; along an axis of few positions, `axis t : 3`, the steps are written out"
    return LimitError(Diagnostic("TP335", message, span, hint))


def refuse_inseparable(message: str, span: Span) -> LimitError:
    """Return the refusal of what is no function of finitely many Gaussians here."""
    hint = "functions of several Gaussians are covered, and sums over axes of fixed extent inside them"
    return LimitError(Diagnostic("TP331", message, span, hint))
