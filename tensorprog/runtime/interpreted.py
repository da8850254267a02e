"""Tiles by the interpreter: whole ones, or the entries that compiled code has marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tensorprog.kernel.interpret import interpret_pair, needed
from tensorprog.kernel.ir import Copy
from tensorprog.runtime.tiles import Tile

if TYPE_CHECKING:
    from tensorprog.runtime.backends import Run

__all__ = ["Interpreter"]

Array = npt.NDArray[np.float64]


class Interpreter:
    """Computes the tiles of one run."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.left, self.right = needed(run.ir, Copy.LEFT), needed(run.ir, Copy.RIGHT)

    def __call__(self, tile: Tile) -> Array:
        """Return one tile."""
        return self.interpret(tile, None)

    def correct(self, tile: Tile, out: Array, missed: npt.NDArray[np.uint8]) -> None:
        """Replace the marked entries (rows, columns) of the results of a tile (not the diagonal of a square).

        All other entries of the tile are NaN meanwhile, which is skipped: so the Hermite coefficients that were
        computed for this tile are found again.
        """
        if self.run.left is self.run.right and tile.is_diagonal:
            np.fill_diagonal(missed, 0)
        if missed.any():
            where = missed.astype(np.bool_)
            out[:, where] = self.interpret(tile, where)[:, where]

    def interpret(self, tile: Tile, wanted: npt.NDArray[np.bool_] | None) -> Array:
        """Return one tile; entries that are not wanted may be anything."""
        run = self.run
        grams = run.grams(tile.rows, tile.columns)
        if run.left is run.right and tile.is_diagonal:
            _clear_diagonals(grams)
        if wanted is not None:
            grams = {name: _only(wanted, gram) for name, gram in grams.items()}
        left = run.left.samples.block(tile.rows, self.left)
        right = run.right.samples.block(tile.columns, self.right)
        return interpret_pair(run.ir, grams, left, right, run.parameters, run.numerics, space=run.space)


def _only(wanted: npt.NDArray[np.bool_], gram: Array) -> Array:
    """Return a gram (rows, columns) or (rows, columns, entries), NaN for the pairs that are not wanted."""
    return np.where(wanted.reshape(*wanted.shape, *(1 for _ in gram.shape[2:])), gram, np.nan)


def _clear_diagonals(grams: dict[str, Array]) -> None:
    """Set to zero what is never looked at: the one-sample program has the diagonal, where quadrature is hardest."""
    for gram in grams.values():
        diagonal = np.arange(len(gram))
        gram[diagonal, diagonal] = 0.0
