"""Which programs have a limit that is derived here: what is refused before any moment is taken, with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from functools import singledispatch

from tensorprog.core.ir import (
    Affine,
    First,
    Gather,
    Instruction,
    Load,
    Map,
    MatMul,
    Max,
    Repeat,
    Scan,
    Softmax,
)
from tensorprog.errors import Diagnostic, LimitError, Span
from tensorprog.limit.extents import FEWER, find_positions, needs_extents, sizes_of_axes
from tensorprog.limit.scaling import Asymptotics
from tensorprog.limit.variables import Variables, refuse_rolled
from tensorprog.limit.windows import LARGEST_WINDOW
from tensorprog.nonlin.expression import ZERO, Expr, Number

__all__ = ["check_supported"]


def check_supported(variables: Variables, asymptotics: Asymptotics) -> None:
    """Refuse programs in which a parameter of finite shape stays random, and loops that have no recurrence.

    Raises:
        LimitError: with every finding.
        NeedsExtents: the data bind the extent of a maximum of random variables.
    """
    found = [*_loops(variables), *_scans(variables), *_finite_parameters(variables, asymptotics)]
    if found:
        raise LimitError(found)
    for instruction in variables.definitions.values():
        if isinstance(instruction, Max | First) and variables.is_random(instruction.target):
            raise _refuse_maximum(instruction, variables)


def _scans(variables: Variables) -> Iterator[Diagnostic]:
    for scan in {scan.target: scan for scan in variables.scans.values()}.values():
        for inner in scan.body:
            if isinstance(inner, Scan):
                yield _refusal("TP310", "the limit of a loop inside a `scan` is not implemented", inner.span)


def _refusal(code: str, message: str, span: Span) -> Diagnostic:
    return Diagnostic(code, message, span, "the program can be sampled at finite width: net.sample(…)")


def _loops(variables: Variables) -> Iterator[Diagnostic]:
    for scan in variables.core.body:
        if isinstance(scan, Repeat):
            yield from _loop(scan)
            yield from _first_step(variables, scan)


def _first_step(variables: Variables, scan: Scan) -> Iterator[Diagnostic]:
    """Refuse loops whose first step has another law than the others, or that make data of their own."""
    for carry in scan.carries:
        before = carry.initial
        if before is not None and (before in variables.data and variables.is_vector(before)):
            yield refuse_rolled(f"`{carry.source}` is made of data alone at the first step", carry.span).diagnostics[0]
        elif before is not None and (before in variables.gaussian) != (carry.source in variables.gaussian):
            yield refuse_rolled(f"`{carry.source}` is Gaussian at some steps only", carry.span).diagnostics[0]
    for instruction in scan.body:
        name = instruction.target
        if name in variables.data and not variables.is_scalar_formula(name):
            yield refuse_rolled(f"`{name}` is made of data at every step", instruction.span).diagnostics[0]


def _loop(scan: Scan) -> Iterator[Diagnostic]:
    for instruction in scan.body:
        if isinstance(instruction, Scan):
            yield refuse_rolled("a loop stands inside a loop", instruction.span).diagnostics[0]
        elif isinstance(instruction, Gather) and _moves(instruction.indices, scan.axis):
            yield refuse_rolled(f"`{instruction.source}` is read along a loop", instruction.span).diagnostics[0]
        elif isinstance(instruction, Load | MatMul) and not _moves_with(instruction.indices, scan.axis):
            reason = f"`{instruction.parameter}` is shared by the steps of a loop"
            yield refuse_rolled(reason, instruction.span).diagnostics[0]
    initials: dict[str, str | None] = {}
    for carry in scan.carries:
        if initials.setdefault(carry.source, carry.initial) != carry.initial:
            yield refuse_rolled(f"`{carry.source}` has two initial values", carry.span).diagnostics[0]


def _moves_with(indices: tuple[Affine, ...], axis: str) -> bool:
    """Return whether the first index is that of the loop as it stands, and the others have nothing to do with it."""
    if not indices or _moves(indices[1:], axis):
        return False
    return indices[0].terms == ((axis, Number(1)),) and indices[0].constant in (ZERO, Number(0))


def _moves(indices: tuple[Affine, ...], axis: str) -> bool:
    return any(name == axis for index in indices for name, _ in index.terms)


def _finite_parameters(variables: Variables, asymptotics: Asymptotics) -> Iterator[Diagnostic]:
    for name, instruction in variables.definitions.items():
        if name not in variables.carries and not isinstance(instruction, Scan):
            yield from _survives(instruction, variables, asymptotics)


def _refuse_maximum(instruction: Max | First, variables: Variables) -> LimitError:
    """Return the refusal of a maximum of random variables that was not written out."""
    what = f"the limit of {variables.describe(instruction.target)}, a maximum of random variables over an axis,"
    core = variables.core
    names = sizes_of_axes(instruction.axes, core) if variables.is_vector(instruction.target) else frozenset[str]()
    if names:
        message = f"{what} is derived for every extent of the axis by itself"
        return needs_extents("TP310", message, instruction.span, names)
    found = {axis: find_positions(axis, core) for axis in instruction.axes}
    over = ", ".join(f"{len(positions)} positions of `{axis}`" for axis, positions in found.items() if positions)
    message = f"{what} is derived for up to {LARGEST_WINDOW} vectors, and not for {over}"
    return LimitError(Diagnostic("TP310", message, instruction.span, FEWER))


@singledispatch
def _survives(instruction: Instruction, variables: Variables, asymptotics: Asymptotics) -> Iterator[Diagnostic]:
    """Yield a finding if `instruction` lets the randomness of a finite parameter survive in the limit."""
    if isinstance(instruction, Softmax) and variables.is_random(instruction.target):
        source = variables.parameter_behind(instruction.operand)
        yield _random(source, "a scalar in a softmax", instruction.span)


@_survives.register
def _(instruction: Load, variables: Variables, asymptotics: Asymptotics) -> Iterator[Diagnostic]:
    dimension = variables.core.types[instruction.target].dimension
    if dimension is not None and not asymptotics.is_width(dimension):
        yield _random(instruction.parameter, "a vector of finite dimension", instruction.span)


@_survives.register
def _(instruction: MatMul, variables: Variables, asymptotics: Asymptotics) -> Iterator[Diagnostic]:
    types = variables.core.types
    if _is_finite(types[instruction.target].dimension, asymptotics):
        yield _random(instruction.parameter, "a bottleneck of finite dimension", instruction.span)


@_survives.register
def _(instruction: Map, variables: Variables, asymptotics: Asymptotics) -> Iterator[Diagnostic]:
    name, dimension = instruction.target, variables.core.types[instruction.target].dimension
    known = all(source in variables.data or not variables.is_vector(source) for source in instruction.operands)
    if _is_finite(dimension, asymptotics) and name not in variables.data and known:
        message = f"{variables.describe(name)} is a vector of finite dimension that depends on moments"
        yield Diagnostic("TP334", message, instruction.span, "scale after the data layer: (W @ x) * c, not W @ (x * c)")
        return
    random = [name for name in instruction.operands if name in variables.random_scalars]
    if random and variables.is_vector(instruction.target):
        yield _random(
            variables.parameter_behind(random[0]), "a scalar that multiplies or shifts a vector", instruction.span
        )
    elif random and variables.affine(instruction.target) is None:
        yield _random(variables.parameter_behind(random[0]), "a scalar in a nonlinear expression", instruction.span)


def _is_finite(dimension: Expr | None, asymptotics: Asymptotics) -> bool:
    return dimension is not None and not asymptotics.is_width(dimension)


def _random(name: str, role: str, span: Span) -> Diagnostic:
    return Diagnostic(
        "TP330",
        f"`{name}` is {role}: it stays random as the width grows, and the limit has no deterministic kernel",
        span,
        "parameters of shape (n, m), (n, d), (n) and (1, n) average out; (1) and (1, d) may stand in an output only",
    )
