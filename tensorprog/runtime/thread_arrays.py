"""Arrays that a thread uses again for every tile: fresh memory costs more than what is computed in it."""

from __future__ import annotations

import math
import threading

import numpy as np
import numpy.typing as npt

__all__ = ["ThreadArrays"]


class ThreadArrays:
    """Arrays by name, of one run; every thread has its own."""

    def __init__(self) -> None:
        self._local = threading.local()

    def take(self, name: str, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
        """Return a contiguous array with this name, its values left over from the last use."""
        known: dict[str, npt.NDArray[np.float64]] = self._local.__dict__
        size = math.prod(shape)
        if name not in known or known[name].size < size:
            known[name] = np.empty(size)
        return known[name][:size].reshape(shape)
