"""Residuals in the form in which they are tested: relative to a scale, and only the entries that count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from tensorprog.verify.plan import Check
from tensorprog.verify.residuals import Residual

__all__ = ["Deviation", "Standard", "join_deviations"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Deviation:
    """What S draws show of one check.

    Attributes:
        relative: the residuals of all entries, relative to their scale, (S, E).
        measured: the measured values, averaged over the entries, (S,).
        distance: the relative distance of the measured values from the limit, averaged over the entries, (S,).
    """

    relative: Array
    measured: Array
    distance: Array


@dataclass(frozen=True)
class Standard:
    """The limit of one check, against which draws are held."""

    exact: Residual

    @property
    def check(self) -> Check:
        """The check."""
        return self.exact.check

    @cached_property
    def entries(self) -> npt.NDArray[np.bool_]:
        """Which entries count: of one copy all, of two those of different samples; of symmetric ones one half."""
        value, is_symmetric = self.exact.predicted[0], self.check.is_symmetric
        if value.ndim == 4:
            off = ~np.eye(len(value), dtype=bool)
            return np.broadcast_to((np.triu(off) if is_symmetric else off)[:, :, None, None], value.shape)
        every = np.ones(value.shape, dtype=bool)
        return np.triu(every) if is_symmetric and value.shape[-2] == value.shape[-1] else every

    @cached_property
    def scale(self) -> Array:
        """The size to which residuals are relative, never 0.

        Of a variable with itself that is √(K_ii K_jj), i and j the samples and their places; of two variables the same
        with the largest |K_ii| of all their places.
        """
        value = self.exact.predicted[0]
        own = np.abs(np.einsum("iipq->ipq", value) if value.ndim == 4 else value)
        count, here, there = own.shape
        if self.check.is_symmetric and here == there:
            left = right = np.einsum("ipp->ip", own)
        else:
            highest = own.max(axis=(1, 2))[:, None]
            left, right = np.broadcast_to(highest, (count, here)), np.broadcast_to(highest, (count, there))
        squares = left[:, :, None] * right[:, None, :]
        if value.ndim == 4:
            squares = left[:, None, :, None] * right[None, :, None, :]
        size = np.sqrt(squares)
        largest = float(np.max(size, initial=0.0))
        return np.asarray(np.maximum(size, largest * 1e-3 if largest > 0 else 1.0))

    @property
    def is_usable(self) -> bool:
        """Whether there are entries to test, all of a finite scale."""
        return bool(self.entries.any() and np.isfinite(self.scale[self.entries]).all())

    @property
    def pattern(self) -> Array:
        """The limit of the entries in units of their scale, (E,)."""
        return np.asarray((self.exact.predicted[0] / self.scale)[self.entries])

    @property
    def sizes(self) -> Array:
        """How large the largest numbers at any places of the same samples are, in units of each entry's scale, (E,)."""
        return np.asarray((self.scale.max(axis=(-2, -1), keepdims=True) / self.scale)[self.entries])

    @property
    def limit(self) -> float:
        """The average of the limit over the entries."""
        return float(self.exact.predicted[0][self.entries].mean())

    def deviation(self, residual: Residual) -> Deviation | None:
        """Return what some draws show, None if the check is not measured or has no entries."""
        if residual.measured is None or not self.entries.any():
            return None
        relative = ((residual.measured - residual.predicted) / self.scale)[:, self.entries]
        distance = ((residual.measured - self.exact.predicted) / self.scale)[:, self.entries]
        return Deviation(relative, residual.measured[:, self.entries].mean(axis=1), distance.mean(axis=1))


def join_deviations(parts: Sequence[Deviation | None]) -> Deviation | None:
    """Return the deviations of several groups of draws as one."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    return Deviation(
        np.concatenate([part.relative for part in known]),
        np.concatenate([part.measured for part in known]),
        np.concatenate([part.distance for part in known]),
    )
