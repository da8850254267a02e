"""Tiles of programs over axes in compiled code: samples and features packed in rows, tables for the data at hand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tensorprog.kernel.ir import Copy
from tensorprog.runtime.coefficients import CoefficientReader
from tensorprog.runtime.interpreted import Interpreter
from tensorprog.runtime.packing import Packing, pack_rows
from tensorprog.runtime.requests import Resolver
from tensorprog.runtime.tiles import Tile

if TYPE_CHECKING:
    from tensorprog.runtime.backends import Run
    from tensorprog.runtime.load import Compiled

__all__ = ["ArrayBlock"]

Array = npt.NDArray[np.float64]

_SYMMETRIC = frozenset({"nngp", "ntk"})


class ArrayBlock:
    """Computes the tiles of one run: (results, rows, columns), or (results, rows, columns, *axes) of an output."""

    def __init__(self, run: Run, compiled: Compiled) -> None:
        plan = compiled.source.arrays
        assert plan is not None and run.domains is not None and run.space is not None
        self.run, self.compiled = run, compiled
        resolver = Resolver(run.ir, plan, run.domains, run.space.extents)
        resolver.set_depths({name: matrix.shape[-1] for name, matrix in run.left.left.items()})
        self.tables, self.count = resolver.tables(), resolver.work_size
        self.packings: dict[Copy, Packing] = resolver.packings
        self.sizes = np.array([run.parameters[name] for name in compiled.source.sizes] or [0.0])
        extents = {tuple(run.space.extents.of(index)[1] for index in result.axes) for result in run.ir.results}
        (self.shape,) = extents
        self.series = plan.series
        self.interpreter = Interpreter(run)
        self.coefficients = tuple(
            CoefficientReader(resolver.laws[copy], features.samples, run.space, run.numerics)
            for copy, features in ((Copy.LEFT, run.left), (Copy.RIGHT, run.right))
        )

    def __call__(self, tile: Tile) -> Array:
        """Return one tile; of one on the diagonal of a symmetric matrix only what is above the diagonal."""
        run = self.run
        left = pack_rows(self.packings[Copy.LEFT], run.left.samples, run.left.left, tile.rows)
        right = pack_rows(self.packings[Copy.RIGHT], run.right.samples, run.right.right, tile.columns)
        kinds = {result.kind for result in run.ir.results}
        upper = int(run.left is run.right and tile.is_diagonal and kinds <= _SYMMETRIC)
        entries = math.prod(self.shape)
        out = np.zeros((len(run.ir.results), len(left), len(right), entries))
        work = np.empty(max(self.count, 1))
        self._fill(tile, left, right, self.sizes, self.tables, work, upper, out)
        return out.reshape(*out.shape[:3], *self.shape)

    def _fill(self, tile: Tile, *arguments: Any) -> None:
        """Run the compiled function; the last argument is the array of the results.

        Pairs for which a Hermite series is not exact enough are left to the interpreter.
        """
        if not self.series:
            self.compiled.tile(*arguments)
            return
        out = arguments[-1]
        missed, worst = np.zeros(out.shape[1:3], np.uint8), np.zeros(len(self.series))
        rows, columns = self.coefficients
        self.compiled.tile(*arguments, rows.read(tile.rows), columns.read(tile.columns), missed, worst)
        for entry in self.series:
            for name in entry.quantities:
                self.run.numerics.remember(name, float(worst[entry.number]))
        self.interpreter.correct(tile, out.reshape(*out.shape[:3], *self.shape), missed)
