"""A derivation as its reader holds it: equations to print, to typeset and to go through one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tensorprog.core.build import Loops, build
from tensorprog.core.ir import Core
from tensorprog.dual.expectation import Expectations
from tensorprog.errors import DataError, Diagnostic, LimitError
from tensorprog.limit.derive import derive
from tensorprog.limit.equations import Assumption, Equation, LimitSystem
from tensorprog.limit.equations import equations as walk
from tensorprog.limit.extents import with_sizes
from tensorprog.limit.latex import limit_latex
from tensorprog.limit.prepare import prepare, write_out_gates
from tensorprog.limit.text import limit_text
from tensorprog.limit.unroll import GATED, gated_axes
from tensorprog.limit.variables import ONLY_ROLLED
from tensorprog.syntax.tree import SyntaxTree

__all__ = ["Derivation", "derivation"]

_NOTHING: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Derivation:
    """The limit of a program, symbolically. Print it for the recursive formulas."""

    core: Core
    system: LimitSystem

    def __str__(self) -> str:
        return limit_text(self.system)

    @property
    def equations(self) -> tuple[Equation, ...]:
        """All equations in order: of one sample first, then of two; each with .name .lhs .rhs .rule .line."""
        return (*walk(self.system.sample), *walk(self.system.pair))

    @property
    def assumptions(self) -> tuple[Assumption, ...]:
        """What the limit rests on, with the arguments, and remarks about it."""
        return self.system.assumptions

    def latex(self) -> str:
        """Return the formulas as LaTeX."""
        return limit_latex(self.system)


def derivation(tree: SyntaxTree, core: Core, expectations: str, sizes: Mapping[str, int] = _NOTHING) -> Derivation:
    """Return the limit of a program, its loops kept as recurrences where that is possible and unrolled where not.

    A `scan` whose state does not close on second moments is written out step by step.

    Args:
        tree: the program.
        core: the same in the core language, its loops rolled.
        expectations: "auto" or "numeric".
        sizes: numbers for names that data would bind: they become hyperparameters.

    Raises:
        NeedsExtents: there is a limit for every extent of an axis by itself, and the data bind it.
        LimitError: the limit is infinite, does not exist, or is outside the implemented theory.
        DataError: an unknown way to take expectations.
    """
    mode = _mode(expectations)
    if sizes:
        tree = with_sizes(tree, sizes)
        core = build(tree, core.symbols)
    try:
        return _rolled(tree, core, mode)
    except LimitError as error:
        if not _has_code(error, GATED):
            raise
        flat = build(tree, core.symbols, loops=Loops.UNROLLED)
        axes = gated_axes(flat, error)
        if not axes:
            raise
    return write_out_gates(flat, lambda ready: Derivation(ready, derive(ready, mode)), axes)


def _rolled(tree: SyntaxTree, core: Core, mode: Expectations) -> Derivation:
    try:
        return _derived(core, mode)
    except LimitError as error:
        if not _has_code(error, ONLY_ROLLED):
            raise
    return _derived(build(tree, core.symbols, loops=Loops.UNROLLED), mode)


def _derived(core: Core, mode: Expectations) -> Derivation:
    ready = prepare(core)
    return Derivation(ready, derive(ready, mode))


def _has_code(error: LimitError, code: str) -> bool:
    return any(diagnostic.code == code for diagnostic in error.diagnostics)


def _mode(name: str) -> Expectations:
    known = [mode.value for mode in Expectations]
    if name not in known:
        message = f"expectations cannot be taken as {name!r}"
        raise DataError(Diagnostic("TP452", message, hint=f"one of: {', '.join(known)}"))
    return Expectations(name)
