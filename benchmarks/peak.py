"""The machine's peak, measured: memory bandwidth by the triad of STREAM, fused multiply-adds by polynomials and BLAS.

STREAM: McCalpin 1995. The triad a = b + s c counts 24 bytes an element.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

__all__ = ["Peak", "measure_peak"]

Array = npt.NDArray[np.float64]

ELEMENTS = 1 << 25
"""Of each of three arrays: 0.8 GB together, more than caches hold."""

SMALL, DEGREE, ROUNDS = 1024, 32, 20_000
"""Of the polynomials: how many arguments at a time, their degree, and how often."""

EDGE, REPEATS = 2000, 4


@dataclass(frozen=True, slots=True)
class Peak:
    """Rates of a machine: bytes a second, and double-precision fused multiply-adds a second (numba, and BLAS)."""

    triad: float
    polynomial: float
    blas: float

    @property
    def fused(self) -> float:
        """The higher of the rates of fused multiply-adds."""
        return max(self.polynomial, self.blas)


@numba.njit(nogil=True, fastmath={"contract"})  # type: ignore[untyped-decorator, unused-ignore]
def _triad(a: Array, b: Array, c: Array, s: float) -> None:
    for i in range(a.size):
        a[i] = b[i] + s * c[i]


@numba.njit(nogil=True, fastmath={"contract"})  # type: ignore[untyped-decorator, unused-ignore]
def _polynomials(x: Array, out: Array, rounds: int) -> None:
    """Horner's scheme of degree 32, written out: what vectorizes."""
    for _ in range(rounds):
        for i in range(x.size):
            z = x[i]
            p = (((((((z + 0.1) * z + 0.2) * z + 0.3) * z + 0.4) * z + 0.5) * z + 0.6) * z + 0.7) * z + 0.8
            p = (((((((p * z + 0.1) * z + 0.2) * z + 0.3) * z + 0.4) * z + 0.5) * z + 0.6) * z + 0.7) * z + 0.8
            p = (((((((p * z + 0.1) * z + 0.2) * z + 0.3) * z + 0.4) * z + 0.5) * z + 0.6) * z + 0.7) * z + 0.8
            p = (((((((p * z + 0.1) * z + 0.2) * z + 0.3) * z + 0.4) * z + 0.5) * z + 0.6) * z + 0.7) * z + 0.8
            out[i] = p


def _fastest(call: Callable[[], Any]) -> float:
    """Return the least wall time of several calls."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def measure_peak(cores: int) -> Peak:
    """Return the rates of so many processors together: a few seconds, 0.8 GB."""
    with ThreadPoolExecutor(cores) as pool:

        def together(tasks: list[Callable[[], Any]]) -> None:
            for future in [pool.submit(task) for task in tasks]:
                future.result()

        return Peak(_bandwidth(cores, together), _rate_of_polynomials(cores, together), _rate_of_products())


def _bandwidth(cores: int, together: Callable[[list[Callable[[], Any]]], None]) -> float:
    arrays = [np.ones(ELEMENTS // cores) for _ in range(3 * cores)]
    tasks: list[Callable[[], Any]] = [partial(_triad, *arrays[3 * core : 3 * core + 3], 0.5) for core in range(cores)]
    together(tasks)
    return 24 * (ELEMENTS // cores) * cores / _fastest(lambda: together(tasks))


def _rate_of_polynomials(cores: int, together: Callable[[list[Callable[[], Any]]], None]) -> float:
    x = np.linspace(-0.5, 0.5, SMALL)
    tasks: list[Callable[[], Any]] = [partial(_polynomials, x, np.empty(SMALL), ROUNDS) for _ in range(cores)]
    _polynomials(x, np.empty(SMALL), 1)
    return DEGREE * SMALL * ROUNDS * cores / _fastest(lambda: together(tasks))


def _rate_of_products() -> float:
    a = np.random.default_rng(0).standard_normal((EDGE, EDGE))
    a @ a
    return EDGE**3 / _fastest(lambda: a @ a)
