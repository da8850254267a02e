"""Centred Gaussian laws tilted by exponentials of quadratic forms, at the nodes of the integrals for powers of forms.

    Q^{−p} = (1/Γ(p)) ∫₀^∞ s^{p−1} e^{−sQ} ds
    E[e^{−s u⊤A u} F(u)] = det(T)^{−½} E F(R T^{−½} z),    T = 1 + 2s R⊤A R

for u = R z ~ N(0, RR⊤). With s = s₀ e^{r(x)}, r(x) = x − e^{−x} + e^{(x − X)β}/β, the integrand decays doubly
exponentially on both sides; it is analytic in s but for the negative numbers beyond 1/2λ, λ the eigenvalues of R⊤A R,
so that the trapezoidal rule in x converges geometrically (Trefethen and Weideman 2014, Theorem 5.1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tensorprog.dual.joint.ratios import Form, Vector

__all__ = ["Nodes", "Tilts", "roots_of"]

Array = npt.NDArray[np.float64]

_SINGULAR, _NOISE = 1e-14, 4.0
"""Eigenvalues below this part of the largest are rounding errors, and those below some times the negative ones."""

_BEND, _AHEAD, _FIRST, _FARTHEST = 0.4, 1.0, -4.75, 75.0


def roots_of(covariances: Array) -> tuple[Array, Array, Array]:
    """Return R (N, k, m) with C = RR⊤, m the largest rank, the least positive eigenvalue, and the largest negative one.

    The eigenvalues are those of the correlations, relative to the largest. Negative ones, which stand without their
    sign, are rounding errors of the covariances. Rows of variables without variance are exactly zero.
    """
    deviations = np.sqrt(np.einsum("nii->ni", covariances))
    safe = np.where(deviations > 0, deviations, 1.0)
    values, vectors = np.linalg.eigh(covariances / safe[:, :, None] / safe[:, None, :])
    largest = np.where(values[:, -1] > 0, values[:, -1], 1.0)
    noise = np.maximum(-values[:, 0], 0.0) / largest
    kept = values > (np.maximum(_SINGULAR * len(safe[0]), _NOISE * noise) * largest)[:, None]
    first = int(np.argmax(kept.any(axis=0))) if kept.any() else values.shape[1] - 1
    roots = vectors * np.sqrt(np.where(kept, values, 0.0))[:, None, :] * deviations[:, :, None]
    least = np.min(np.where(kept, values, np.inf), axis=1) / largest
    return roots[:, :, first:], least, noise


@dataclass(frozen=True, slots=True)
class Nodes:
    """The nodes s (N, S) of the integral for one form, the logarithms of ds/s, and the numbers of steps."""

    values: Array
    weights: Array
    numbers: npt.NDArray[np.intp]


_NONE = Nodes(np.zeros((1, 1)), np.zeros((1, 1)), np.zeros(1, np.intp))


def _nodes(spectrum: Array, constant: float, step: float) -> Nodes:
    """Return the nodes for forms with eigenvalues (N, m)."""
    largest = spectrum.max(axis=1)
    least = np.min(np.where(spectrum > 0, spectrum, np.inf), axis=1)
    unit = 2 * largest + constant
    unit = np.where(unit > 0, unit, 1.0)
    spread = np.log(np.where(np.isfinite(least), largest / least, 1.0))
    bend = _AHEAD + np.maximum(spread, np.log(unit / constant) if constant > 0 else 0.0)[:, None]
    numbers = np.arange(int(np.floor(_FIRST / step)), int((bend.max() + np.log(_FARTHEST) / _BEND) / step))
    x = step * numbers
    left, right = np.exp(-x), np.exp(np.minimum(_BEND * (x - bend), 6.0))
    exponent = x - left + right / _BEND
    weights = np.log(step * (1 + left + right))
    weights = np.where(exponent < _FARTHEST, weights, -np.inf)
    return Nodes(np.exp(np.minimum(exponent, _FARTHEST)) / unit[:, None], weights, numbers)


class Tilts:
    """Laws tilted by one form, `inner`, at nodes t, or by two, `outer` at nodes s.

    A variable ℓ under the tilt is the vector `coordinates(ℓ)` times (1 + 2t `spectrum`)^{−½}, of independent standard
    normal variables.
    """

    def __init__(self, roots: Array, outer: Form | None, inner: Form | None, step: float) -> None:
        self._roots = roots
        laws, _, size = roots.shape
        self.s, self.log_volume = _NONE, np.zeros((laws, 1))
        self._basis: Array | None = None
        self._shrunk = np.ones((laws, 1, size))
        ranks = np.full(laws, size)
        if outer is not None:
            values, self._basis = _spectrum(roots, outer)
            self.s = _nodes(values, outer.constant, step)
            squares = 1 / (1 + 2 * self.s.values[:, :, None] * values[:, None, :])
            self._shrunk = np.sqrt(squares)
            self.log_volume = 0.5 * np.log(squares).sum(axis=2) - self.s.values * outer.constant
        self.t, self._turn = _NONE, None
        self.spectrum = np.zeros((laws, 1, size))
        self.constant = 0.0 if inner is None else inner.constant
        if inner is not None:
            alone, _ = _spectrum(roots, inner)
            ranks = (alone > 0).sum(axis=1)
            self.t = _nodes(alone, inner.constant, step)
            self.spectrum, self._turn = self._second(inner, ranks)

    def _second(self, inner: Form, ranks: npt.NDArray[np.intp]) -> tuple[Array, Array]:
        """Return the spectrum of the second form under the first tilt, and its basis."""
        root = self._roots if self._basis is None else self._roots @ self._basis
        matrix = np.einsum("nij,ik,nkl->njl", root, inner.array, root, optimize=True)
        tilted = self._shrunk[:, :, :, None] * matrix[:, None] * self._shrunk[:, :, None, :]
        values, vectors = np.linalg.eigh(tilted)
        place = np.arange(values.shape[2])
        known = place >= (values.shape[2] - ranks)[:, None, None]
        return np.where(known, np.maximum(values, 0.0), 0.0), vectors

    @property
    def shape(self) -> tuple[int, int, int]:
        """The numbers of laws, of nodes s and of nodes t."""
        return len(self._roots), len(self.s.numbers), len(self.t.numbers)

    def coordinates(self, line: Vector) -> Array:
        """Return the vector (N, S, m) of a line."""
        vector = np.einsum("i,nij->nj", np.array(line), self._roots)
        if self._basis is not None:
            vector = np.einsum("nj,njl->nl", vector, self._basis)
        tilted = vector[:, None, :] * self._shrunk
        return tilted if self._turn is None else np.einsum("nsj,nsjl->nsl", tilted, self._turn)


def _spectrum(roots: Array, form: Form) -> tuple[Array, Array]:
    """Return the eigenvalues of R⊤A R, those that are rounding errors 0, and the eigenvectors."""
    values, vectors = np.linalg.eigh(np.einsum("nij,ik,nkl->njl", roots, form.array, roots, optimize=True))
    return np.where(values > _SINGULAR * values.shape[1] * values[:, -1:], values, 0.0), vectors
