"""The joint law of two Gaussian variables in terms of two independent standard normal ones, for many laws at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tensorprog.dual.values import determinant

__all__ = ["Conditional", "conditional"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Conditional:
    """u = m1 + s1 z, v = m2 + s2 (rho z + rest y), rest = √(1 − rho²); arrays (N,)."""

    m1: Array
    s1: Array
    m2: Array
    s2: Array
    rho: Array
    rest: Array

    def rows(self, part: Any) -> Conditional:
        """Return some of the laws."""
        return Conditional(self.m1[part], self.s1[part], self.m2[part], self.s2[part], self.rho[part], self.rest[part])


def conditional(m1: Array, m2: Array, q1: Array, q2: Array, c: Array) -> Conditional:
    """Return the law of (u, v) ~ N((m1, m2), [[q1, c], [c, q2]]); uncorrelated where a variance vanishes."""
    s1, s2 = np.sqrt(q1), np.sqrt(q2)
    degenerate = s1 * s2 == 0
    product = np.where(degenerate, 1.0, s1 * s2)
    rho = np.clip(np.where(degenerate, 0.0, c / product), -1.0, 1.0)
    rest = np.minimum(np.where(degenerate, 1.0, np.sqrt(determinant(q1, q2, c)) / product), 1.0)
    return Conditional(m1, s1, m2, s2, rho, rest)
