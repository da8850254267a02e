"""Ways to compute one tile of a pair program: in compiled code, or by the interpreter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tensorprog.codegen.cpu import emit
from tensorprog.errors import DataError, Diagnostic
from tensorprog.kernel.expectation import Numerics
from tensorprog.kernel.interpret import interpret_pair, is_numerical, needed
from tensorprog.kernel.ir import Copy, KernelIR
from tensorprog.kernel.text import ir_text
from tensorprog.runtime.features import Features, gram_tile, pack
from tensorprog.runtime.load import Compiled, load
from tensorprog.runtime.tiles import Tile

__all__ = ["BACKENDS", "Block", "Run", "check_backend", "compile_source", "prepare", "source_text"]

Array = npt.NDArray[np.float64]

BACKENDS = ("cpu", "interpret")
"""The names of the backends that there are."""


class Block(Protocol):
    """Computes the results (results, rows, columns) of one tile."""

    def __call__(self, tile: Tile) -> Array:
        """Return the tile."""


@dataclass(frozen=True, slots=True)
class Run:
    """One evaluation of a program, on the features of both sides."""

    ir: KernelIR
    left: Features
    right: Features
    parameters: dict[str, float]
    numerics: Numerics


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
    return emit(ir).text if _compiles(ir, backend) else ir_text(ir)


def _compiles(ir: KernelIR, backend: str) -> bool:
    """Tell whether the pair program is compiled: numerical expectations are left to the interpreter."""
    return backend == "cpu" and not is_numerical(ir)


def compile_source(ir: KernelIR, backend: str) -> Compiled | None:
    """Return the compiled pair program, None where the interpreter runs it."""
    return load(emit(ir)) if _compiles(ir, backend) else None


def prepare(run: Run, compiled: Compiled | None) -> Block:
    """Return what computes the tiles of one run."""
    return _Interpreter(run) if compiled is None else _CompiledBlock(run, compiled)


class _Interpreter:
    def __init__(self, run: Run) -> None:
        self.run = run
        self.left, self.right = needed(run.ir, Copy.LEFT), needed(run.ir, Copy.RIGHT)

    def __call__(self, tile: Tile) -> Array:
        """Return one tile."""
        run = self.run
        grams = {
            name: gram_tile(run.left.left[name][tile.rows], run.right.right[name][tile.columns])
            for name in run.ir.grams
        }
        if run.left is run.right and tile.is_diagonal:
            _clear_diagonals(grams)
        left = run.left.samples.block(tile.rows, self.left)
        right = run.right.samples.block(tile.columns, self.right)
        return interpret_pair(run.ir, grams, left, right, run.parameters, run.numerics)


def _clear_diagonals(grams: dict[str, Array]) -> None:
    """Set to zero what is never looked at: the one-sample program has the diagonal, where quadrature is hardest."""
    for gram in grams.values():
        np.fill_diagonal(gram, 0.0)


class _CompiledBlock:
    def __init__(self, run: Run, compiled: Compiled) -> None:
        self.run, self.compiled, self.source = run, compiled, compiled.source
        self.left, self.right = pack(self.source.left, run.left.samples), pack(self.source.right, run.right.samples)
        self.sizes = np.array([run.parameters[name] for name in self.source.sizes] or [0.0])

    def __call__(self, tile: Tile) -> Array:
        """Return one tile."""
        left = np.ascontiguousarray(self.left[:, tile.rows])
        right = np.ascontiguousarray(self.right[:, tile.columns])
        grams = self._grams(tile)
        out = np.empty((len(self.source.results), left.shape[1], right.shape[1]))
        self.compiled.tile(grams, left, right, self.sizes, out)
        return out

    def _grams(self, tile: Tile) -> Array:
        rows, columns = tile.rows.stop - tile.rows.start, tile.columns.stop - tile.columns.start
        grams = np.zeros((max(len(self.source.grams), 1), rows, columns))
        for number, name in enumerate(self.source.grams):
            grams[number] = gram_tile(self.run.left.left[name][tile.rows], self.run.right.right[name][tile.columns])
        return grams
