"""The kernels between two data sets of different extents: the moments of two instances of a program, one per data set.

Where extents are written out, the network of x and that of x' are two programs with the same parameters. What is
deterministic in the limit, and the moments within one sample, are those of each by itself; the pair system has the
moments of a variable of the first at x with one of the second at x'. The rules are those of one program.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sympy as sp

from tensorprog.backprop.independence import Independence
from tensorprog.core.build import Loops, build
from tensorprog.core.ir import Core, MatMul, Output, walk
from tensorprog.dual.expectation import Expectations
from tensorprog.errors import LimitError
from tensorprog.limit.derive import (
    Systems,
    assemble,
    check_kind,
    find_results,
    finite_kernel,
    make_systems,
    refuse_unsupported,
)
from tensorprog.limit.equations import Kind, LimitSystem, Result, Subject, Y
from tensorprog.limit.extents import with_sizes
from tensorprog.limit.instances import Pair, beside, pair_up, partner
from tensorprog.limit.prepare import write_out_gates
from tensorprog.limit.scaling import Asymptotics
from tensorprog.limit.variables import Variables
from tensorprog.syntax.tree import SyntaxTree

__all__ = ["Across", "derive_across"]


@dataclass(frozen=True, slots=True)
class Across:
    """The limit of two instances: its results are kernels between them, without diagonals.

    `core` reads x by the names of the program, and x' by those that `inputs` and `axes` give for them.
    """

    core: Core
    system: LimitSystem
    inputs: Mapping[str, str]
    axes: Mapping[str, str]


def derive_across(
    tree: SyntaxTree, core: Core, expectations: str, left: Mapping[str, int], right: Mapping[str, int]
) -> Across:
    """Return the limit of a program between data sets of different extents.

    Args:
        tree: the program.
        core: the same in the core language.
        expectations: "auto" or "numeric".
        left: numbers for sizes that the data bind, for the first data set.
        right: others for the same sizes, for the second one.

    Raises:
        NeedsExtents: further sizes must be known.
        LimitError: the limit does not exist, or is outside the implemented theory.
    """
    varying = frozenset(name for name in left if left[name] != right[name])
    first, second = (build(with_sizes(tree, sizes), core.symbols, loops=Loops.UNROLLED) for sizes in (left, right))
    pair = pair_up(first, second, varying)
    return write_out_gates(pair.core, lambda ready: _derived(ready, pair, Expectations(expectations)))


def _derived(core: Core, pair: Pair, expectations: Expectations) -> Across:
    variables = Variables(core)
    asymptotics = Asymptotics(core, variables.sizes)
    independence = refuse_unsupported(variables, asymptotics)
    systems = make_systems(variables, asymptotics, expectations)
    _warm_up(systems)
    outputs = core.outputs[: len(core.outputs) // 2]
    results, refused = find_results(outputs, lambda *asked: _result(core, systems, independence, *asked))
    system = assemble(core, systems, asymptotics, independence, results, refused)
    return Across(core, system, pair.inputs, pair.axes)


def _result(
    core: Core, systems: Systems, independence: Independence, output: Output, name: str, kind: Kind | None
) -> Result:
    kind = check_kind(core, systems, independence, kind)
    variables, two = systems.two.variables, systems.two
    (other,) = (entry.source for entry in core.outputs if entry.name == beside(output.name))
    left, right = variables.look_through(variables.own(output.source)), variables.look_through(variables.own(other, Y))
    term = two.second(left, right) if kind is None else two.tangent(left, right, kind)
    value = finite_kernel(term, output, name, systems)
    subject = Subject(kind or Kind.SECOND, output.source, other)
    return Result(sp.Integer(0), two.ledger.over_axes(subject, value, output.span))


def _warm_up(systems: Systems) -> None:
    """Derive layer by layer, as for one program: the moments within each instance, and those between the two."""
    variables, seen = systems.two.variables, dict[tuple[str, str], str]()
    for use in (instruction for instruction in walk(variables.core.body) if isinstance(instruction, MatMul)):
        if use.operand in variables.data:
            continue
        (ref,) = variables.operands(variables.own(use.target))
        before = seen.setdefault((use.parameter, partner(ref.name)), ref.name)
        try:
            systems.one.second(variables.own(ref.name), variables.own(ref.name, Y))
            if before != ref.name:
                systems.two.second(variables.own(before), variables.own(ref.name, Y))
                systems.two.tangent(variables.own(before), variables.own(ref.name, Y))
        except LimitError:
            return
