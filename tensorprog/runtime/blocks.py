"""Tiles of programs without axes in compiled code: by the recursion, Hermite series, or a series in the angle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tensorprog.codegen.source import SeriesPlan
from tensorprog.kernel.ir import Copy
from tensorprog.runtime.deviation import deviation_tile
from tensorprog.runtime.entry import Entry
from tensorprog.runtime.features import gram_tile, pack
from tensorprog.runtime.interpreted import Interpreter
from tensorprog.runtime.profile import Profile
from tensorprog.runtime.tables import TableReader
from tensorprog.runtime.thread_arrays import ThreadArrays
from tensorprog.runtime.tiles import Tile

if TYPE_CHECKING:
    from tensorprog.runtime.backends import Run
    from tensorprog.runtime.load import Compiled

__all__ = ["CompiledBlock", "ProfileBlock", "SeriesBlock"]

Array = npt.NDArray[np.float64]

_fill_series_of_angle = Entry("tensorprog.runtime.chebyshev", "fill_series_of_angle")


class CompiledBlock:
    """Tiles by compiled code. The array that is returned is used again for the next tile of the same thread."""

    def __init__(self, run: Run, compiled: Compiled) -> None:
        self.arrays = ThreadArrays()
        self.run, self.compiled, self.source = run, compiled, compiled.source
        self.left, self.right = pack(self.source.left, run.left.samples), pack(self.source.right, run.right.samples)
        self.sizes = np.array([run.parameters[name] for name in self.source.sizes] or [0.0])

    def __call__(self, tile: Tile) -> Array:
        """Return one tile."""
        left = np.ascontiguousarray(self.left[:, tile.rows])
        right = np.ascontiguousarray(self.right[:, tile.columns])
        grams = self._grams(tile)
        out = self.arrays.take("out", (len(self.source.results), left.shape[1], right.shape[1]))
        self._fill(tile, grams, left, right, self.sizes, out)
        return out

    def _fill(self, tile: Tile, *arguments: Array) -> None:
        """Run the compiled function; the last argument is the array of the results."""
        self.compiled.tile(*arguments)

    def _grams(self, tile: Tile) -> Array:
        rows, columns = tile.rows.stop - tile.rows.start, tile.columns.stop - tile.columns.start
        grams = self.arrays.take("grams", (max(len(self.source.grams), 1), rows, columns))
        self.run.fill_grams(self.source.grams, tile.rows, tile.columns, grams)
        return grams


class SeriesBlock(CompiledBlock):
    """Hermite series in compiled code; entries for which one is not exact enough are left to the interpreter."""

    def __init__(self, run: Run, compiled: Compiled, plan: SeriesPlan) -> None:
        super().__init__(run, compiled)
        self.plan, self.interpreter = plan, Interpreter(run)
        families = self.source.left.families, self.source.right.families
        self.rows = TableReader(plan.left, Copy.LEFT, run.left.samples, families[0], run.numerics)
        self.columns = TableReader(plan.right, Copy.RIGHT, run.right.samples, families[1], run.numerics)

    def _fill(self, tile: Tile, *arguments: Array) -> None:
        out = arguments[-1]
        missed, worst = np.zeros(out.shape[1:], np.uint8), np.zeros(len(self.plan.series))
        coefficients = *self.rows.by_sample(tile.rows), *self.columns.by_block(tile.columns)
        self.compiled.tile(*arguments, *coefficients, missed, worst)
        for series in self.plan.series.values():
            for name in series.quantities:
                self.run.numerics.remember(name, float(worst[series.number]))
        self.interpreter.correct(tile, out, missed)


class ProfileBlock:
    """Tiles by a series in the angle, as `runtime.profile` has found it."""

    def __init__(self, run: Run, profile: Profile) -> None:
        self.arrays, self.profile = ThreadArrays(), profile
        self.vectors = run.left.left[profile.gram], run.right.right[profile.gram]
        samples = run.left.samples, run.right.samples
        self.squares = tuple(side.values[profile.gram, ()] for side in samples)
        self.norms = tuple(np.sqrt(squares) for squares in self.squares)
        self.scales = tuple(profile.scales(norms, side) for side, norms in enumerate(self.norms))

    def __call__(self, tile: Tile) -> Array:
        """Return one tile; its array is used again for the next tile of the same thread."""
        parts = tile.rows, tile.columns
        left, right = (vectors[part] for vectors, part in zip(self.vectors, parts, strict=True))
        one, other = (squares[part] for squares, part in zip(self.squares, parts, strict=True))
        norms = (norms[part] for norms, part in zip(self.norms, parts, strict=True))
        scales = (np.ascontiguousarray(s[:, part]) for s, part in zip(self.scales, parts, strict=True))
        shape = len(left), len(right)
        gram = gram_tile(left, right, self.arrays.take("gram", shape))
        deviation = deviation_tile(gram, left, right, one, other, self.arrays.take("deviation", shape))
        out = self.arrays.take("out", (len(self.profile.series), *shape))
        _fill_series_of_angle(gram, deviation, *norms, *scales, self.profile.series, out)
        return out
