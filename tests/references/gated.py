"""The kernels of the gated examples, by hand: second moments and tangents of h, step by step, by quadrature.

The Gaussian behind a gate at step t of one sample, u_t = W h_{t−1} + U x_t, and the one at step t′ of another have the
covariance sw2 K_h[t − 1, t′ − 1] + su2 ⟨x_t, x′_t′⟩/c, and different gates are independent. What the states are made
of is then integrated over all Gaussians of two samples up to two steps: by the product of Gauss–Hermite rules for up
to four of them, else over Sobol points, several scramblings of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import reduce

import numpy as np
import numpy.typing as npt
from scipy import special
from scipy.stats import qmc

__all__ = ["GATED", "gru", "lstm"]

Array = npt.NDArray[np.float64]

ORDERS, SETS, LEVEL = (24, 28), 4, 15


@dataclass
class Pair:
    """Two sequences: their inner products ⟨x_s, x′_t⟩/c, and what is known of h at x with h at x′."""

    left: int
    right: int
    inner: Array
    k: dict[tuple[int, int], float] = field(default_factory=dict)
    t: dict[tuple[int, int], float] = field(default_factory=dict)

    def moment(self, s: int, t: int) -> float:
        """K_h at steps s and t; the state is zero before the first."""
        return self.k[s, t] if min(s, t) >= 0 else 0.0

    def tangent(self, s: int, t: int) -> float:
        """The tangent of h at steps s and t."""
        return self.t[s, t] if min(s, t) >= 0 else 0.0


def gates(of: Callable[[int, int], float], inner: Array, last: tuple[int, int], bias: float = 0.0) -> Array:
    """W h + U x + b at the steps 0 … last: moments or tangents, from those of h a step before."""
    steps = [(s, t) for s in range(last[0] + 1) for t in range(last[1] + 1)]
    found = np.zeros((last[0] + 1, last[1] + 1))
    for s, t in steps:
        found[s, t] = of(s - 1, t - 1) + inner[s, t] + bias
    return found


def rules(size: int) -> list[tuple[Array, Array]]:
    """Several rules for a standard normal vector of `size` entries: points and weights."""
    if size <= 4:
        return [hermite(size, order) for order in ORDERS]
    sets = (qmc.Sobol(size, scramble=True, rng=seed).random_base2(LEVEL) for seed in range(SETS))
    weights = np.full(1 << LEVEL, 0.5**LEVEL)
    return [(special.ndtri(np.clip(points, 1e-15, 1 - 1e-15)), weights) for points in sets]


def hermite(size: int, order: int) -> tuple[Array, Array]:
    """The product of Gauss–Hermite rules."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(order)
    grid = np.meshgrid(*[nodes] * size, indexing="ij")
    product = reduce(np.multiply.outer, [weights / weights.sum()] * size)
    return np.stack(grid, axis=-1).reshape(-1, size), product.ravel()


def correlated(points: Array, law: Array) -> Array:
    """Points of the law N(0, law), which may be singular."""
    values, vectors = np.linalg.eigh(law)
    return points @ (vectors * np.sqrt(np.maximum(values, 0))).T


def joined(same: Array, across: Array, other: Array) -> Array:
    """The covariances of what belongs to one sample, followed by what belongs to the other."""
    return np.block([[same, across], [across.T, other]])


def density(u: Array) -> Array:
    return np.exp(-u * u / 2) / np.sqrt(2 * np.pi)


def plane(phi: Callable[[Array], Array], law: Array) -> float:
    """E φ(u) φ(v) by the trapezoidal rule in two dimensions."""
    z = 0.1 * np.arange(-85, 86)
    weight = 0.1 * density(z)
    grid = correlated(np.stack(np.meshgrid(z, z, indexing="ij"), axis=-1).reshape(-1, 2), law)
    values = phi(grid[:, 0]) * phi(grid[:, 1])
    return float(weight @ values.reshape(len(z), len(z)) @ weight)


def sech2(u: Array) -> Array:
    return 1 - np.tanh(u) ** 2


Step = Callable[[Mapping[tuple[int, int], Pair], int, int, int, int], tuple[Array, Array]]


def sequences(samples: Array, su2: float, step: Step) -> tuple[Array, Array, Array]:
    """NNGP and NTK of a readout of the last state, and their standard errors: `step` gives moment and tangent of h."""
    count, length, features = samples.shape
    inner = su2 * np.einsum("asc,btc->abst", samples, samples) / features
    pairs = {(a, b): Pair(a, b, inner[a, b]) for a in range(count) for b in range(count)}
    error = np.zeros((count, count, 2))
    for s, t in sorted(
        ((s, t) for s in range(length) for t in range(length)), key=lambda steps: (max(steps), min(steps))
    ):
        if max(s, t) == length - 1 and s != t:
            continue
        for (a, b), pair in pairs.items():
            k, tangent = step(pairs, a, b, s, t)
            pair.k[s, t], pair.t[s, t] = k.mean(), tangent.mean()
            error[a, b] = [entry.std(ddof=1) / len(entry) ** 0.5 for entry in (k, k + tangent)]
    last = length - 1
    nngp = np.array([[pairs[a, b].k[last, last] for b in range(count)] for a in range(count)])
    ntk = nngp + np.array([[pairs[a, b].t[last, last] for b in range(count)] for a in range(count)])
    return nngp, ntk, error


def gate_law(
    pairs: Mapping[tuple[int, int], Pair], a: int, b: int, last: tuple[int, int], sw2: float, bias: float = 0.0
):
    """The covariances of a gate of sample a up to the step s with the gate of sample b up to t, s and t in `last`."""

    def block(i: int, j: int, steps: tuple[int, int]) -> Array:
        pair = pairs[i, j]
        return gates(lambda s, t: sw2 * pair.moment(s, t), pair.inner, steps, bias)

    return joined(block(a, a, (last[0],) * 2), block(a, b, last), block(b, b, (last[1],) * 2))


def gru(samples: Array, sw2: float = 1.0, su2: float = 1.0) -> tuple[Array, Array, Array]:
    """examples/gru.tp: h_t = Σ_u z_u Π_{v>u} (1 − z_v) g_u, the z independent of the g."""

    def weights(u: Array) -> tuple[Array, Array]:
        """z_u Π_{v>u} (1 − z_v) for all u, and its derivatives by the Gaussian behind z_v: (points, v, u)."""
        count = u.shape[1]
        z, slope = special.ndtr(u), density(u)
        found, slopes = np.empty(u.shape), np.zeros((len(u), count, count))
        for k in range(count):
            rest = 1 - z[:, k + 1 :]
            found[:, k] = z[:, k] * rest.prod(axis=1)
            slopes[:, k, k] = slope[:, k] * rest.prod(axis=1)
            for v in range(k + 1, count):
                others = [w for w in range(k + 1, count) if w != v]
                slopes[:, v, k] = -slope[:, v] * z[:, k] * (1 - z[:, others]).prod(axis=1)
        return found, slopes

    def reset(pairs: Mapping[tuple[int, int], Pair], a: int, b: int, s: int, t: int) -> tuple[float, float]:
        """E r_s r′_t and E ṙ_s ṙ′_t."""
        law = gate_law(pairs, a, b, (s, t), sw2)[np.ix_([s, -1], [s, -1])]
        q, p, c = law[0, 0], law[1, 1], law[0, 1]
        value = 0.25 + np.arcsin(c / np.sqrt((1 + q) * (1 + p))) / (2 * np.pi)
        return value, 1 / (2 * np.pi * np.sqrt((1 + q) * (1 + p) - c * c))

    def candidate(pairs: Mapping[tuple[int, int], Pair], a: int, b: int, s: int, t: int) -> tuple[float, float]:
        """Moment and tangent of W (r h) + U x at the steps s and t."""
        pair = pairs[a, b]
        if min(s, t) == 0:
            return pair.inner[s, t], pair.inner[s, t]
        value, slope = reset(pairs, a, b, s, t)
        moment = value * pair.moment(s - 1, t - 1)
        r_tangent = sw2 * (pair.moment(s - 1, t - 1) + pair.tangent(s - 1, t - 1)) + pair.inner[s, t]
        tangent = value * pair.tangent(s - 1, t - 1) + slope * r_tangent * pair.moment(s - 1, t - 1)
        return sw2 * moment + pair.inner[s, t], sw2 * (moment + tangent) + pair.inner[s, t]

    def step(pairs: Mapping[tuple[int, int], Pair], a: int, b: int, s: int, t: int) -> tuple[Array, Array]:
        pair = pairs[a, b]
        g, passed = np.empty((s + 1, t + 1)), np.empty((s + 1, t + 1))
        for u in range(s + 1):
            for v in range(t + 1):
                (q, _), (p, _), (c, tangent) = (
                    candidate(pairs, *which) for which in ((a, a, u, u), (b, b, v, v), (a, b, u, v))
                )
                law = np.array([[q, c], [c, p]])
                g[u, v], passed[u, v] = plane(np.tanh, law), tangent * plane(sech2, law)
        z_tangent = gates(lambda i, j: sw2 * (pair.moment(i, j) + pair.tangent(i, j)), pair.inner, (s, t))
        law = gate_law(pairs, a, b, (s, t), sw2)
        found = []
        for points, weight in rules(len(law)):
            u = correlated(points, law)
            (left, dl), (right, dr) = weights(u[:, : s + 1]), weights(u[:, s + 1 :])
            both = np.einsum("p,pu,pv->uv", weight, left, right, optimize=True)
            slopes = np.einsum("p,pau,pbv,uv->ab", weight, dl, dr, g, optimize=True)
            found.append(((both * g).sum(), (both * passed).sum() + (z_tangent * slopes).sum()))
        k, tangent = np.array(found).T
        return k, tangent

    return sequences(samples, su2, step)


def lstm(samples: Array, sw2: float = 1.0, su2: float = 1.0) -> tuple[Array, Array, Array]:
    """examples/lstm.tp: c_t = k_t c_{t−1} + i_t tanh(…), h_t = o_t tanh(c_t)."""
    forget_mean, forget_variance = 1.0, 0.1

    def cell(k: Array, i: Array, g: Array) -> tuple[Array, Array]:
        """The cell after the last step, and its derivatives by the Gaussians behind k, i, g: (points, 3, step)."""
        gate, dgate = special.ndtr(forget_mean + k), density(forget_mean + k)
        c, slopes = np.zeros(len(k)), np.zeros((len(k), 3, k.shape[1]))
        for t in range(k.shape[1]):
            slopes *= gate[:, t, None, None]
            slopes[:, 0, t] = dgate[:, t] * c
            slopes[:, 1, t] = density(i[:, t]) * np.tanh(g[:, t])
            slopes[:, 2, t] = special.ndtr(i[:, t]) * sech2(g[:, t])
            c = gate[:, t] * c + special.ndtr(i[:, t]) * np.tanh(g[:, t])
        return c, slopes

    def step(pairs: Mapping[tuple[int, int], Pair], a: int, b: int, s: int, t: int) -> tuple[Array, Array]:
        pair = pairs[a, b]
        law = gate_law(pairs, a, b, (s, t), sw2)
        laws = [gate_law(pairs, a, b, (s, t), sw2, forget_variance), law, law]
        biases = (forget_variance, 0.0, 0.0)

        def tangent(i: int, j: int) -> float:
            return sw2 * (pair.moment(i, j) + pair.tangent(i, j))

        tangents = np.stack([gates(tangent, pair.inner, (s, t), bias) for bias in biases])
        q, p, c = law[s, s], law[-1, -1], law[s, -1]
        gate = 0.25 + np.arcsin(c / np.sqrt((1 + q) * (1 + p))) / (2 * np.pi)
        slope = 1 / (2 * np.pi * np.sqrt((1 + q) * (1 + p) - c * c))
        found = []
        for points, weight in rules(3 * len(law)):
            drawn = [correlated(part, each) for part, each in zip(np.split(points, 3, axis=1), laws, strict=True)]
            left, dl = cell(*(u[:, : s + 1] for u in drawn))
            right, dr = cell(*(u[:, s + 1 :] for u in drawn))
            moment = weight @ (np.tanh(left) * np.tanh(right))
            dl, dr = dl * sech2(left)[:, None, None], dr * sech2(right)[:, None, None]
            inside = np.einsum("p,pku,pkv,kuv->", weight, dl, dr, tangents, optimize=True)
            found.append((gate * moment, gate * inside + slope * tangents[1, s, t] * moment))
        k, total = np.array(found).T
        return k, total

    return sequences(samples, su2, step)


GATED = {"gru": gru, "lstm": lstm}
"""The references of the gated examples."""
