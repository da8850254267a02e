"""The gradient independence assumption: may W.T in the backward pass be taken independent of W?

The simple check of Tensor Programs II (Yang 2020, 2006.14548, Condition 1): the readout weights are sampled
independently of everything else, have mean zero, and are used nowhere else in the network; and no matrix occurs both
plain and transposed in the forward pass. Where it holds the backward variables have the moments that independent
transposes would give them; where it does not, the short rules for the NTK are not justified.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tensorprog.core.ir import Core, Load, MatMul, Parameter, walk
from tensorprog.errors import Span
from tensorprog.nonlin.evaluate import evaluate
from tensorprog.nonlin.expression import Expr, symbols

__all__ = ["Independence", "Violation", "check_independence", "tied_with_transpose"]


@dataclass(frozen=True, slots=True)
class Violation:
    """One reason why the simple check fails."""

    reason: str
    span: Span


@dataclass(frozen=True, slots=True)
class Independence:
    """The outcome of the simple check: the readouts it rests on, and what speaks against it."""

    readouts: tuple[str, ...]
    violations: tuple[Violation, ...]

    @property
    def holds(self) -> bool:
        """Whether the assumption is justified by the simple check."""
        return not self.violations


def check_independence(core: Core) -> Independence:
    """Return whether the simple check of Tensor Programs II holds, with the argument."""
    readouts = tuple(dict.fromkeys(use.parameter for use in _matmuls(core) if _is_readout(core, use)))
    found = [*_biased(core, readouts), *_reused(core, readouts), *tied_with_transpose(core)]
    return Independence(readouts, tuple(found))


def tied_with_transpose(core: Core) -> tuple[Violation, ...]:
    """Return the matrices that the forward pass uses both plain and transposed."""
    plain = {use.parameter for use in _matmuls(core) if not use.transposed}
    tied = {use.parameter: use.span for use in _matmuls(core) if use.transposed and use.parameter in plain}
    return tuple(Violation(f"`{name}` is used together with its transpose", span) for name, span in tied.items())


def _matmuls(core: Core) -> Iterator[MatMul]:
    return (instruction for instruction in walk(core.body) if isinstance(instruction, MatMul))


def _is_readout(core: Core, use: MatMul) -> bool:
    return core.types[use.target].dimension is None and not use.transposed


def _biased(core: Core, readouts: tuple[str, ...]) -> Iterator[Violation]:
    for name in readouts:
        parameter = core.parameters[name]
        if not _is_zero(parameter.mean, core):
            yield Violation(f"the readout `{name}` has a mean that is not zero", parameter.span)


def _reused(core: Core, readouts: tuple[str, ...]) -> Iterator[Violation]:
    for instruction in walk(core.body):
        inside = isinstance(instruction, MatMul) and not _is_readout(core, instruction)
        if (inside or isinstance(instruction, Load)) and _parameter(core, instruction).name in readouts:
            name = _parameter(core, instruction).name
            yield Violation(f"the readout `{name}` is used inside the network as well", instruction.span)


def _parameter(core: Core, use: object) -> Parameter:
    assert isinstance(use, Load | MatMul)
    return core.parameters[use.parameter]


def _is_zero(expr: Expr, core: Core) -> bool:
    """Return whether a mean is zero, whatever the sizes are."""
    values = {name: core.symbols.get(name, 1.0) for name in symbols(expr)}
    return bool(evaluate(expr, (), values) == 0)
