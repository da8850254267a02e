"""Ways to compute one tile of a pair program: in compiled code, or by the interpreter.

What only programs over axes need, or only those without, is imported when there is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tensorprog.codegen.laws import IrregularLawError
from tensorprog.codegen.source import KernelSource
from tensorprog.errors import DataError, Diagnostic
from tensorprog.kernel.domain import Domains
from tensorprog.kernel.expectation import Numerics
from tensorprog.kernel.grid import Space
from tensorprog.kernel.ir import KernelIR
from tensorprog.kernel.text import ir_text
from tensorprog.runtime.blocks import CompiledBlock, ProfileBlock, SeriesBlock
from tensorprog.runtime.deviation import deviation_tile, versine_tile
from tensorprog.runtime.features import Features, gram_tile
from tensorprog.runtime.interpreted import Interpreter
from tensorprog.runtime.load import Compiled, load
from tensorprog.runtime.parts import has_arrays
from tensorprog.runtime.positions import gram_entries, versine_entries
from tensorprog.runtime.profile import Profile
from tensorprog.runtime.tiles import Tile

__all__ = ["BACKENDS", "Block", "Run", "check_backend", "compile_source", "prepare", "source_text"]

Array = npt.NDArray[np.float64]

BACKENDS = ("cpu", "interpret")
"""The names of the backends that there are."""


class Block(Protocol):
    """Computes the results of one tile, (results, rows, columns), or (results, rows, columns, *axes) of an output."""

    def __call__(self, tile: Tile) -> Array:
        """Return the tile."""


@dataclass(frozen=True, slots=True)
class Run:
    """One evaluation of a program, on the features of both sides.

    For programs over axes, `domains` and `space` say which entries arrays have, and where.
    """

    ir: KernelIR
    left: Features
    right: Features
    parameters: dict[str, float]
    numerics: Numerics
    domains: Domains | None = None
    space: Space | None = None

    def grams(self, rows: slice, columns: slice) -> dict[str, Array]:
        """Return the inner products of some of the pairs, (rows, columns) or (rows, columns, entries), by name."""
        return {name: self.gram(name, rows, columns) for name in self.ir.grams}

    def fill_grams(self, names: Sequence[str], rows: slice, columns: slice, out: Array) -> None:
        """Fill out[k] with the inner products `names[k]` of a program without axes."""
        found: dict[tuple[int, int], Array] = {}
        for number, name in enumerate(names):
            left, right = self.left.left[name], self.right.right[name]
            known = found.get((id(left), id(right)))
            if name in self.ir.deviations:
                self._deviations(name, rows, columns, known, out[number])
            elif known is not None:
                out[number] = known
            else:
                found[id(left), id(right)] = gram_tile(left[rows], right[columns], out[number])

    def _deviations(self, name: str, rows: slice, columns: slice, gram: Array | None, out: Array | None) -> Array:
        left, right = self.left.left[name][rows], self.right.right[name][columns]
        squares = self.left.samples.values[name, ()][rows], self.right.samples.values[name, ()][columns]
        return deviation_tile(gram_tile(left, right) if gram is None else gram, left, right, *squares, out)

    def gram(self, name: str, rows: slice, columns: slice) -> Array:
        """Return one of them; of the deviations 1 − |cos θ|."""
        if name in self.ir.deviations:
            return self._deviations(name, rows, columns, None, None)
        left, right = self.left.left[name][rows], self.right.right[name][columns]
        domain = None if self.domains is None else self.domains.pair.get(name)
        if domain is None or not domain.axes:
            return versine_tile(left, right) if name in self.ir.versines else gram_tile(left, right)
        return (versine_entries if name in self.ir.versines else gram_entries)(left, right, domain)


def check_backend(backend: str) -> None:
    """Refuse the name of a backend that there is not.

    Raises:
        DataError: TP452.
    """
    if backend == "cuda":
        hint = 'compile(backend="cpu") gives the same numbers'
        raise DataError(Diagnostic("TP452", "the backend cuda is not available in this version", hint=hint))
    if backend not in BACKENDS:
        raise DataError(Diagnostic("TP452", f"no backend is called {backend!r}", hint=f"one of: {', '.join(BACKENDS)}"))


def source_text(ir: KernelIR, backend: str) -> str:
    """Return the text that a backend runs."""
    source = _emit(ir, backend)
    return ir_text(ir) if source is None else source.text


def _emit(ir: KernelIR, backend: str) -> KernelSource | None:
    """Return the source of the pair program, None where the interpreter runs it (also laws without Hermite series)."""
    if backend != "cpu":
        return None
    try:
        return _emit_arrays(ir) if has_arrays(ir) else _emit_scalars(ir)
    except IrregularLawError:
        return None


def _emit_arrays(ir: KernelIR) -> KernelSource:
    from tensorprog.codegen.arrays.emit import emit_arrays

    return emit_arrays(ir)


def _emit_scalars(ir: KernelIR) -> KernelSource:
    from tensorprog.codegen.cpu import emit

    return emit(ir)


def compile_source(ir: KernelIR, backend: str) -> Compiled | None:
    """Return the compiled pair program, None where the interpreter runs it."""
    source = _emit(ir, backend)
    return None if source is None else load(source)


def prepare(run: Run, compiled: Compiled | None, profile: Profile | None = None) -> Block:
    """Return what computes the tiles of one run: a series in the angle if there is one."""
    if profile is not None:
        return ProfileBlock(run, profile)
    if compiled is None:
        return Interpreter(run)
    if compiled.source.arrays is not None:
        from tensorprog.runtime.arrays import ArrayBlock

        return ArrayBlock(run, compiled)
    plan = compiled.source.plan
    return CompiledBlock(run, compiled) if plan is None else SeriesBlock(run, compiled, plan)
