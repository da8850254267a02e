"""Lower a limit system to the kernel IR: equations become definitions, recurrences stay loops, sweeps stay sweeps.

Numerical expectations get definitions of their own, and what equations of one block have in common (angles,
determinants, square roots) is computed once. Time and size are linear in the length of the system.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import sympy as sp

from tensorprog.kernel.axes import AxisTable
from tensorprog.kernel.beside import VERSINE
from tensorprog.kernel.hoist import Hoist
from tensorprog.kernel.inline import inline_windows
from tensorprog.kernel.ir import (
    AxisIndex,
    AxisRange,
    Copy,
    Definition,
    Earlier,
    KernelIR,
    Loop,
    Note,
    Ref,
    Result,
    Scalar,
    Statement,
    Sweep,
    definitions,
    expressions,
    references,
)
from tensorprog.kernel.scalars import Program, lower_scalar, quantity
from tensorprog.kernel.share import share_subexpressions
from tensorprog.kernel.sums import share_sums
from tensorprog.kernel.versines import DEVIATION, carry_versines
from tensorprog.limit import equations
from tensorprog.limit.equations import Block, Equation, LimitSystem, Recurrence, X, Y

__all__ = ["LimitSystem", "define_equation", "lower", "make_program"]


def lower(system: LimitSystem) -> KernelIR:
    """Return the kernel IR of a limit system, with all its results."""
    system = carry_versines(system)
    sample, pair = make_program(system, (X, X)), make_program(system, (X, Y))
    results = tuple(
        _result(key, lower_scalar(result.diagonal, sample), lower_scalar(result.pair, pair), pair)
        for key, result in system.results.items()
    )
    for_one, for_two = _statements(system.sample, sample), _statements(system.pair, pair)
    return KernelIR(
        name=system.name,
        constants={symbol.name: float(value) for symbol, value in system.constants.items()},
        sizes={symbol.name: size for symbol, size in system.sizes.items()},
        grams={function.__name__: variables for function, variables in system.grams.items()},
        data={function.__name__: variable for function, variable in system.data.items()},
        functions=dict(system.functions),
        sample=_shared(for_one, sample, _read_outside(for_two, results)),
        pair=_shared(for_two, pair, {ref.name for result in results for ref in references(result.pair)}),
        results=results,
        right_sizes={symbol.name: size for symbol, size in system.right_sizes.items()},
        axes=dict(pair.table.axes),
        shapes={
            function.__name__: _axes_of_inputs(system.shapes[function.__name__])
            for function in (*system.grams, *system.data)
            if system.shapes.get(function.__name__)
        },
        deviations=frozenset(f.__name__ for f in system.grams if f.__name__.endswith(DEVIATION)),
        versines=frozenset(f.__name__ for f in system.grams if f.__name__.endswith(VERSINE)),
    )


def _shared(statements: tuple[Statement, ...], program: Program, kept: set[str]) -> tuple[Statement, ...]:
    return share_subexpressions(share_sums(inline_windows(statements, program.table, kept)))


def _read_outside(pair: tuple[Statement, ...], results: tuple[Result, ...]) -> set[str]:
    """Return the quantities of the sample program that the pair program and the diagonals read."""
    scalars = [scalar for part in definitions(pair) for scalar in expressions(part)]
    scalars += [result.pair for result in results]
    of_samples = {ref.name for scalar in scalars for ref in references(scalar) if ref.copy is not Copy.OWN}
    return of_samples | {ref.name for result in results for ref in references(result.diagonal)}


def make_program(system: LimitSystem, copies: tuple[sp.Symbol, sp.Symbol]) -> Program:
    """Return where the equations of a system stand: those of one copy if `copies` is (X, X), of two if (X, Y)."""
    one = copies == (X, X)
    sides = {X: Copy.OWN if one else Copy.LEFT, Y: Copy.OWN if one else Copy.RIGHT}
    table = AxisTable(
        {name: tuple((axis, side == Y) for axis, side in shape) for name, shape in system.shapes.items()},
        {symbol.name: AxisIndex(symbol.name, axis, sides[side]) for symbol, (axis, side) in system.indices.items()},
        {name: AxisRange(axis.start, axis.extent, axis.circular) for name, axis in system.axes.items()},
    )
    return Program(copies, (), table)


def _axes_of_inputs(shape: tuple[tuple[str, sp.Symbol], ...]) -> tuple[AxisIndex, ...]:
    """Return indices for the dimensions of a gram or of data."""
    seen: Counter[str] = Counter()
    found = []
    for axis, side in shape:
        symbol = axis + ("′" if side == Y else "")
        seen[symbol] += 1
        number = str(seen[symbol]) if seen[symbol] > 1 else ""
        found.append(AxisIndex(symbol + number, axis, Copy.RIGHT if side == Y else Copy.LEFT))
    return tuple(found)


def _result(key: tuple[str, str], diagonal: Scalar, pair: Scalar, program: Program) -> Result:
    if not (isinstance(pair, Ref) and pair.places):
        return Result(*key, diagonal, pair)
    return Result(*key, diagonal, pair, _axes(pair, program))


def _statements(blocks: tuple[Block, ...], program: Program) -> tuple[Statement, ...]:
    return tuple(statement for block in blocks for statement in _lower_block(block, program))


def _lower_block(block: Block, program: Program) -> Iterator[Statement]:
    if isinstance(block, Equation):
        yield from define_equation(block, program)
    elif isinstance(block, Recurrence):
        inside = program.inside(block.index.name)
        initial = tuple(part for equation in block.initial for part in define_equation(equation, program))
        yield Loop(block.index.name, block.first, block.last, initial, _statements(block.body, inside))
    else:
        yield _lower_sweep(block, program)


def _lower_sweep(sweep: equations.Sweep, program: Program) -> Sweep:
    def lowered(index: sp.Symbol | None) -> AxisIndex | None:
        return None if index is None else program.table.indices[index.name]

    left, right = lowered(sweep.left), lowered(sweep.right)
    earlier = tuple(Earlier(lowered(scan.left), lowered(scan.right), scan.ranks) for scan in sweep.earlier)
    ends = (left, right, *(index for scan in earlier for index in (scan.left, scan.right)))
    swept = tuple(index for index in ends if index is not None)
    groups = tuple(
        tuple(part for equation in group for part in define_equation(equation, program, swept))
        for group in sweep.groups
    )
    return Sweep(left, right, groups, sweep.ranks, earlier)


def define_equation(equation: Equation, program: Program, swept: tuple[AxisIndex, ...] = ()) -> Iterator[Definition]:
    """Yield the definition of an equation, before it those of its temporaries.

    Args:
        equation: the equation.
        program: where it stands.
        swept: the indices of the sweep around it.
    """
    target = quantity(equation.lhs, program)
    note = Note(equation.lhs, equation.rhs, equation.rule, equation.line)
    axes = _axes(target, program)
    hoist = Hoist(target, axes, program.table, note, tuple(index for index in swept if index in axes))
    yield from hoist.define(lower_scalar(equation.rhs, program))


def _axes(target: Ref, program: Program) -> tuple[AxisIndex, ...]:
    """Return the indices at which an array is defined."""
    symbols = [place.plain for place in target.places]
    if None in symbols or len(set(symbols)) < len(symbols):
        raise NotImplementedError(f"{target.name} is not defined at distinct indices")
    return tuple(program.table.indices[symbol] for symbol in symbols if symbol is not None)
