"""Kernels that are functions of one angle: a Chebyshev series in place of the recursion over the layers.

Where a kernel is ‖x‖^α ‖x′‖^β f(θ), θ the angle between x and x′ (homogeneous programs, as ReLU networks without
biases), or where all samples have the same norm, f is a function of one variable: its *profile*. For continuous
activations it is analytic on [0, π], so that its Chebyshev series converges geometrically (Trefethen, Approximation
Theory and Approximation Practice, theorem 8.2). The series is made from the recursion itself when data are there, is
compared with it at other angles, and is used only where the two agree to 1e-12 of f(0).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tensorprog.kernel.degrees import UNCHANGED, Degree, result_degrees
from tensorprog.kernel.effort import effort
from tensorprog.kernel.interpret import Samples, interpret_pair, interpret_sample
from tensorprog.kernel.ir import KernelIR

if TYPE_CHECKING:
    from tensorprog.runtime.backends import Run

__all__ = ["Profile", "ProfileFinder"]

Array = npt.NDArray[np.float64]

TOLERANCE = 1e-12
"""The largest difference from the recursion, relative to f(0) = √(k(x, x) k(x′, x′)), with which a series is used."""

_ROUNDING = 1e-14
_NODES = 257
_FEWEST_PAIRS = 1 << 16
_LEAST_EFFORT = 100.0
_EQUAL = 8 * float(np.finfo(np.float64).eps)
_CHECKS = np.concatenate(
    [np.linspace(0.0, math.pi, 61), *(end + sign * np.logspace(-9, -1, 17) for end, sign in ((0.0, 1), (math.pi, -1)))]
)
"""The angles at which a series is compared with the recursion."""


@dataclass(frozen=True, slots=True)
class Profile:
    """f as a series: k(x, x′) = scale(x) scale′(x′) Σ_m series[k, m] T_m(2θ/π − 1), result by result.

    `gram` is the inner product that θ comes from; `error` is the largest difference from the recursion that was seen,
    relative to f(0).
    """

    gram: str
    degrees: tuple[Degree, ...]
    series: Array
    error: float

    def __str__(self) -> str:
        degree = self.series.shape[1] - 1
        return (
            f"between samples by a Chebyshev series of degree {degree} in their angle in place of the recursion; "
            f"largest difference seen {self.error:.0e}"
        )

    def scales(self, norms: Array, side: int) -> Array:
        """Return the factors of one side, (results, N): ‖x‖^α."""
        return np.stack([norms ** float(degree[side]) for degree in self.degrees])


class ProfileFinder:
    """Finds the profiles of one program without axes; a series is made once for all data with the same sizes.

    Attributes:
        gram: the only inner product that the program starts from, None if there are several, or other data.
        degrees: the degrees of homogeneity of its results, None if they have none.
        effort: what an entry costs by the recursion.
    """

    def __init__(self, ir: KernelIR) -> None:
        plain = [name for name in ir.grams if name not in ir.deviations]
        vectors = {variable for pair in ir.grams.values() for variable in pair}
        self.gram = plain[0] if len(plain) == 1 and len(vectors) == 1 and not ir.data else None
        self.degrees = result_degrees(ir) if self.gram is not None else None
        self.effort = effort(ir.pair)
        self._known: dict[object, tuple[Array, float] | None] = {}

    def find(self, run: Run) -> Profile | None:
        """Return the profile of the kernels of a run, None where the recursion is better or needed."""
        gram = self.gram
        if gram is None or run.left.count * run.right.count < _FEWEST_PAIRS or self.effort < _LEAST_EFFORT:
            return None
        squares = np.concatenate([run.left.samples.values[gram, ()], run.right.samples.values[gram, ()]])
        degrees, square = self._degrees(squares, len(run.ir.results))
        found = None if degrees is None else self._series(run, square)
        if degrees is None or found is None or _price(found[0]) > self.effort:
            return None
        return Profile(gram, degrees, *found)

    def _degrees(self, squares: Array, results: int) -> tuple[tuple[Degree, ...] | None, float]:
        """Return the degrees of the results and the ‖x‖² at which f is looked at; None if there is no f."""
        degrees = self.degrees
        if degrees is not None and (squares.min() > 0 or all(min(degree) > 0 for degree in degrees)):
            return degrees, 1.0
        square = float(squares.mean())
        equal = math.isfinite(square) and bool((np.abs(squares - square) <= _EQUAL * square).all())
        return (UNCHANGED,) * results if equal else None, square

    def _series(self, run: Run, square: float) -> tuple[Array, float] | None:
        key = square, tuple(sorted(run.parameters.items()))
        if key not in self._known:
            values = _recursion(run, square, np.concatenate([_nodes(), _CHECKS]))
            self._known[key] = _fitted(values[:, :_NODES], values[:, _NODES:])
        return self._known[key]


def _nodes() -> Array:
    """Return the angles at which cos(m φ) are sampled: 2θ/π − 1 = cos φ, φ = 0, π/(n − 1), …, π."""
    return np.asarray(0.5 * math.pi * (1 + np.cos(np.linspace(0.0, math.pi, _NODES))))


def _recursion(run: Run, square: float, angles: Array) -> Array:
    """Return f at some angles by the recursion, (results, angles)."""
    ir = run.ir
    inputs = {name: np.array([square]) for name in ir.grams}
    sample = interpret_sample(ir, inputs, 1, run.parameters, run.numerics)
    acute = np.minimum(angles, math.pi - angles)
    values = {
        name: (2 * np.sin(0.5 * acute) ** 2 if name in ir.deviations else square * np.cos(angles))[None]
        for name in ir.grams
    }
    shared = Samples(len(angles), {key: np.full(len(angles), value[0]) for key, value in sample.values.items()})
    found = interpret_pair(ir, values, sample, shared, run.parameters, run.numerics)
    return np.asarray(found[:, 0])


def _fitted(nodes: Array, checks: Array) -> tuple[Array, float] | None:
    """Return the shortest series that agrees with the recursion, and its error; None if none does."""
    if not np.isfinite(nodes).all() or not np.isfinite(checks).all():
        return None
    size = np.abs(checks[:, :1]) + np.finfo(np.float64).tiny
    mirrored = np.concatenate([nodes, nodes[:, -2:0:-1]], axis=1)
    coefficients = np.fft.rfft(mirrored, axis=1).real / (_NODES - 1)
    coefficients[:, [0, -1]] *= 0.5
    places = 2 * _CHECKS / math.pi - 1
    errors: dict[int, float] = {}
    for count in (*range(8, 136, 8), 160, 192, 256):
        values = np.polynomial.chebyshev.chebval(places, coefficients[:, :count].T)
        errors[count] = float(np.max(np.abs(values - checks) / size))
    best = min(errors.values())
    if best > TOLERANCE:
        return None
    count = next(count for count, error in errors.items() if error <= max(_ROUNDING, 2 * best))
    return np.ascontiguousarray(coefficients[:, :count]), errors[count]


def _price(series: Array) -> float:
    """Return what an entry costs, in the unit of `kernel.effort`."""
    return 120.0 + 1.5 * series.size
