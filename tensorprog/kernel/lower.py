"""Lower a limit system to the kernel IR: equations become definitions, recurrences stay loops.

Numerical expectations get definitions of their own, and what equations of one block have in common (angles,
determinants, square roots) is computed once. Time and size are linear in the length of the system.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tensorprog.kernel.ir import Expectation, KernelIR, Let, Loop, Note, Op, Ref, Result, Scalar, Statement
from tensorprog.kernel.scalars import Program, lower_scalar, quantity
from tensorprog.kernel.share import share_subexpressions
from tensorprog.limit.equations import Equation, LimitSystem, Recurrence, X, Y

__all__ = ["LimitSystem", "define_equation", "lower"]


def lower(system: LimitSystem) -> KernelIR:
    """Return the kernel IR of a limit system, with all its results."""
    sample, pair = Program((X, X)), Program((X, Y))
    return KernelIR(
        name=system.name,
        constants={symbol.name: float(value) for symbol, value in system.constants.items()},
        sizes={symbol.name: size for symbol, size in system.sizes.items()},
        grams={function.__name__: variables for function, variables in system.grams.items()},
        data={function.__name__: variable for function, variable in system.data.items()},
        functions=dict(system.functions),
        sample=share_subexpressions(_statements(system.sample, sample)),
        pair=share_subexpressions(_statements(system.pair, pair)),
        results=tuple(
            Result(output, kind, lower_scalar(result.diagonal, sample), lower_scalar(result.pair, pair))
            for (output, kind), result in system.results.items()
        ),
    )


def _statements(blocks: tuple[Equation | Recurrence, ...], program: Program) -> tuple[Statement, ...]:
    return tuple(statement for block in blocks for statement in _lower_block(block, program))


def _lower_block(block: Equation | Recurrence, program: Program) -> Iterator[Statement]:
    if isinstance(block, Equation):
        yield from define_equation(block, program)
        return
    inside = Program(program.own, (*program.indices, block.index.name))
    yield Loop(
        block.index.name,
        block.first,
        block.last,
        tuple(let for equation in block.initial for let in define_equation(equation, program)),
        _statements(block.body, inside),
    )


def define_equation(equation: Equation, program: Program) -> Iterator[Let]:
    """Yield the definition of an equation, before it those of the numerical expectations inside it."""
    target = quantity(equation.lhs, program)
    hoist = _Hoist(target)
    value = hoist.lift(lower_scalar(equation.rhs, program), outermost=True)
    note = Note(equation.lhs, equation.rhs, equation.rule, equation.line)
    yield from (Let(name, target.indices, inner, note) for name, inner in hoist.found.items())
    yield Let(target.name, target.indices, value, note)


@dataclass(slots=True)
class _Hoist:
    """Replaces numerical expectations inside an expression by references to definitions of their own."""

    target: Ref
    found: dict[str, Expectation] = field(default_factory=dict)

    def lift(self, scalar: Scalar, *, outermost: bool = False) -> Scalar:
        """Return `scalar` with its expectations replaced; an outermost one stays where it is."""
        if isinstance(scalar, Op):
            return Op(scalar.operator, tuple(self.lift(arg) for arg in scalar.args))
        if not isinstance(scalar, Expectation):
            return scalar
        lifted = Expectation(scalar.kind, scalar.functions, tuple(self.lift(arg) for arg in scalar.args))
        if outermost:
            return lifted
        for name, known in self.found.items():
            if known == lifted:
                return Ref(name, self.target.indices)
        name = f"%{self.target.name}.{len(self.found) + 1}"
        self.found[name] = lifted
        return Ref(name, self.target.indices)
