"""Near-duplicates at positions: images that agree somewhere, constant regions, sequences, against 40 digits by hand.

The reference carries K and T at all pairs of positions through every layer in mpmath, from the same doubles.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import mpmath
import numpy as np
import pytest

import tensorprog as tp
from tensorprog.kernel.ir import definitions

Place = tuple[int, ...]
Entry = tuple[int, Place, int, Place]
"""A sample, a position of it, a sample, a position of it."""

State = tuple[list[Place], dict[Entry, Any], dict[Entry, Any]]
"""The positions, K and T."""

SIDES = ((0, 0), (0, 1), (1, 1))


def _entries(positions: Iterable[Place]) -> Iterable[Entry]:
    return ((s, p, t, q) for s, t in SIDES for p in positions for q in positions)


def _relu(q1: Any, q2: Any, c: Any) -> tuple[Any, Any]:
    """E[relu relu] and E[step step] (Cho & Saul 2009)."""
    size = mpmath.sqrt(q1 * q2)
    theta = mpmath.acos(min(max(c / size, mpmath.mpf(-1)), mpmath.mpf(1))) if size else mpmath.pi / 2
    value = size * mpmath.sin(theta) + (mpmath.pi - theta) * c
    return value / (2 * mpmath.pi), (mpmath.pi - theta) / (2 * mpmath.pi)


def _behind_relu(state: State) -> State:
    places, k, t = state
    found = {e: _relu(k[e[0], e[1], e[0], e[1]], k[e[2], e[3], e[2], e[3]], k[e]) for e in _entries(places)}
    return places, {e: found[e][0] for e in found}, {e: found[e][1] * t[e] for e in found}


def _gram(samples: tuple[Any, Any]) -> State:
    places = list(itertools.product(*(range(n) for n in samples[0].shape[:-1])))
    vectors = [{p: [mpmath.mpf(float(v)) for v in x[p]] for p in places} for x in samples]
    count = samples[0].shape[-1]
    k = {
        e: mpmath.fsum(a * b for a, b in zip(vectors[e[0]][e[1]], vectors[e[2]][e[3]], strict=True)) / count
        for e in _entries(places)
    }
    return places, k, {e: mpmath.mpf(0) for e in k}


def _conv(state: State, extents: Place, scale: float, bias: float, stride: int = 1, circular: bool = False) -> State:
    """Filters of width 3 along every axis: T of the weights is K before them, T of the bias its variance."""
    places, k, t = state
    inside = set(places)
    shifts = list(itertools.product((-1, 0, 1), repeat=len(extents)))
    targets = list(itertools.product(*(range(-(-n // stride)) for n in extents)))

    def read(p: Place, shift: Place) -> Place:
        moved = tuple(stride * a + d for a, d in zip(p, shift, strict=True))
        return tuple(a % n for a, n in zip(moved, extents, strict=True)) if circular else moved

    second, tangent = {}, {}
    for s, p, u, q in _entries(targets):
        reads = [(s, read(p, shift), u, read(q, shift)) for shift in shifts]
        reads = [e for e in reads if e[1] in inside and e[3] in inside]
        w, b = mpmath.mpf(scale) / len(shifts), mpmath.mpf(bias)
        second[s, p, u, q] = w * mpmath.fsum(k[e] for e in reads) + b
        tangent[s, p, u, q] = w * mpmath.fsum(k[e] + t[e] for e in reads) + b
    return targets, second, tangent


def _readout(state: State, kind: str) -> list[tuple[Any, Any]]:
    """K and T of V mean_p v[p], of Σ_p V[p] v[p], or of V v[last]."""
    places, k, t = state
    found = []
    for s, u in SIDES:
        pairs = {
            "mean": [(p, q) for p in places for q in places],
            "flat": [(p, p) for p in places],
            "last": [(places[-1], places[-1])],
        }[kind]
        scale = mpmath.mpf(1) / len(places) ** 2 if kind == "mean" else mpmath.mpf(1)
        second = scale * mpmath.fsum(k[s, p, u, q] for p, q in pairs)
        found.append((second, second + scale * mpmath.fsum(t[s, p, u, q] for p, q in pairs)))
    return found


CNN = """
program p
width n
axis i : H{circular}
axis j : W{circular}
axis o : (H + {stride} - 1) // {stride}{circular}
axis p : (W + {stride} - 1) // {stride}{circular}
axis k : -1..1
axis l : -1..1
input x[i, j] : (c)
param C1[k, l] : (n, c) ~ N(0, 2.0 / (9 * c))
param b1       : (n)    ~ N(0, {bias})
param C2[k, l] : (n, n) ~ N(0, 2.0 / (9 * n))
param b2       : (n)    ~ N(0, {bias})
param {V} : (1, n) ~ N(0, 1 / n)
a[i, j] = relu(sum[k, l](C1[k, l] @ x[i + k, j + l]) + b1)
g[o, p] = relu(sum[k, l](C2[k, l] @ a[{stride} * o + k, {stride} * p + l]) + b2)
output f = {readout}
"""
MEAN = {"V": "V", "readout": "V @ mean[o, p](g[o, p])"}
FLAT = {"V": "V[o, p]", "readout": "sum[o, p](V[o, p] @ g[o, p])"}


def _cnn(kind: str, stride: int, circular: bool, bias: float) -> Callable[[tuple[Any, Any]], list[tuple[Any, Any]]]:
    def network(samples: tuple[Any, Any]) -> list[tuple[Any, Any]]:
        extents = samples[0].shape[:-1]
        state = _conv(_gram(samples), extents, 2.0, bias, 1, circular)
        return _readout(_behind_relu(_conv(_behind_relu(state), extents, 2.0, bias, stride, circular)), kind)

    return network


RESIDUAL = """
program p
width n
axis i : T
axis k : -1..1
input x[i] : (c)
param C[k] : (n, c) ~ N(0, 1.0 / (3 * c))
param V    : (1, n) ~ N(0, 1 / n)
h[i] = sum[k](C[k] @ x[i + k])
for m in 1..4 {
    param W[k] : (n, n) ~ N(0, 2.0 / (3 * n))
    h[i] = h[i] + sum[k](W[k] @ relu(h[i + k]))
}
output f = V @ mean[i](relu(h[i]))
"""


def _residual(samples: tuple[Any, Any]) -> list[tuple[Any, Any]]:
    extents = samples[0].shape[:-1]
    places, k, t = _conv(_gram(samples), extents, 1.0, 0.0)
    for _ in range(4):
        _, second, tangent = _conv(_behind_relu((places, k, t)), extents, 2.0, 0.0)
        k, t = ({e: a[e] + b[e] for e in a} for a, b in ((k, second), (t, tangent)))
    return _readout(_behind_relu((places, k, t)), "mean")


RNN = """
program p
width n
axis t : T
input x[t] : (c)
param W : (n, n) ~ N(0, 1.6 / n)
param U : (n, c) ~ N(0, 1.0 / c)
param b : (n)    ~ N(0, 0.1)
param V : (1, n) ~ N(0, 1 / n)
scan t {
    s[t] = relu(W @ s[t - 1] + U @ x[t] + b)
}
output f = {readout}
"""


def _rnn(kind: str) -> Callable[[tuple[Any, Any]], list[tuple[Any, Any]]]:
    def network(samples: tuple[Any, Any]) -> list[tuple[Any, Any]]:
        places, gram, _ = _gram(samples)
        w, b = mpmath.mpf(1.6), mpmath.mpf(0.1)
        k: dict[Entry, Any] = {}
        t: dict[Entry, Any] = {}
        after: dict[Entry, Any] = {}
        tangent: dict[Entry, Any] = {}
        for (p,), (q,) in itertools.product(places, places):
            for s, u in SIDES:
                e, before = _at(s, p, u, q), _at(s, p - 1, u, q - 1)
                k[e] = w * after.get(before, 0) + gram[e] + b
                t[e] = w * (after.get(before, 0) + tangent.get(before, 0)) + gram[e] + b
            # The states at (p, q) read the variances at p and at q, of all samples.
            for s in (0, 1):
                for r in {p, q}:
                    k.setdefault(_at(s, r, s, r), _variance(samples[s], r, w, b))
            for s, u in SIDES:
                e = _at(s, p, u, q)
                value, slope = _relu(k[_at(s, p, s, p)], k[_at(u, q, u, q)], k[e])
                after[e], tangent[e] = value, slope * t[e]
        return _readout((places, after, tangent), kind)

    return network


def _at(s: int, p: int, u: int, q: int) -> Entry:
    return s, (p,), u, (q,)


def _variance(x: Any, place: int, w: Any, b: Any) -> Any:
    variance = mpmath.mpf(0)
    for p in range(place + 1):
        row = [mpmath.mpf(float(v)) for v in x[p]]
        variance = w * variance / 2 + mpmath.fsum(v * v for v in row) / len(row) + b
    return variance


Network = Callable[[tuple[Any, Any]], list[tuple[Any, Any]]]


def _text(readout: Mapping[str, str], stride: int, circular: bool, bias: float) -> str:
    return CNN.format(stride=stride, circular=" circular" if circular else "", bias=bias, **readout)


CASES: dict[str, tuple[str, Network, tuple[int, ...]]] = {
    "pooled, stride 2": (_text(MEAN, 2, False, 0.05), _cnn("mean", 2, False, 0.05), (4, 4, 2)),
    "flatten": (_text(FLAT, 1, False, 0.05), _cnn("flat", 1, False, 0.05), (4, 3, 2)),
    "circular": (_text(MEAN, 1, True, 0.0), _cnn("mean", 1, True, 0.0), (3, 4, 2)),
    "no bias": (_text(MEAN, 1, False, 0.0), _cnn("mean", 1, False, 0.0), (4, 3, 2)),
    "residual": (RESIDUAL, _residual, (6, 2)),
    "recurrence, last": (RNN.replace("{readout}", "V @ s[T - 1]"), _rnn("last"), (6, 2)),
    "recurrence, mean": (RNN.replace("{readout}", "V @ mean[t](s[t])"), _rnn("mean"), (6, 2)),
}


def _samples(shape: tuple[int, ...]) -> dict[str, tuple[Any, Any]]:
    """Return pairs of samples that are duplicates or near-duplicates, as a whole or in places."""
    rng = np.random.default_rng(7)
    x, y, way = (rng.standard_normal(shape) for _ in range(3))
    constant, half = x.copy(), y.copy()
    constant[:, ...] = x[(0,) * (len(shape) - 1)]
    half[1:] = constant[1:]
    found = {"other": (x, y), "constant": (constant, half), "constant alone": (constant, constant + 1e-6 * way)}
    corner = x.copy()
    corner[-1] = y[-1]
    found |= {"same but for the end": (x, corner), "scaled": (x, 1.1 * x)}
    return found | {f"distance {d}": (x, x + d * way) for d in (1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3)}


@functools.cache
def _kernel(case: str, backend: Literal["cpu", "interpret"]) -> Any:
    return tp.parse(CASES[case][0]).compile(backend=backend)


def _check(case: str, backend: Literal["cpu", "interpret"], names: Iterable[str]) -> None:
    _, network, shape = CASES[case]
    samples = _samples(shape)
    kernel = _kernel(case, backend)
    with mpmath.workdps(40):
        for name in names:
            x, y = samples[name]
            exact = network((x, y))
            for place, kind in enumerate(("nngp", "ntk")):
                first, cross, second = (entry[place] for entry in exact)
                found = kernel(x[None], y[None], get=kind)[0, 0]
                assert abs(found - cross) < 1e-14 * mpmath.sqrt(first * second), (case, name, kind)
                own = kernel.diag(np.stack([x, y]), get=kind)
                if not case.startswith("recurrence"):
                    assert abs(own[0] - first) < 1e-14 * first and abs(own[1] - second) < 1e-14 * second


@pytest.mark.parametrize("case", ["flatten", "residual", "recurrence, last"])
def test_duplicates_at_positions_are_right_to_rounding(case: str) -> None:
    _check(case, "interpret", ("constant", "distance 1e-08"))


FREE = """
program p
width n
axis i : T
axis o : T // 2
axis r : 2
input x[i] : (c)
param U : (n, c) ~ N(0, 2.0 / c)
param W : (n, n) ~ N(0, 2.0 / n)
param V : (1, n) ~ N(0, 1 / n)
h[i] = U @ x[i]
g[o] = W @ mean[r](relu(h[2 * o + r]))
output f = V @ mean[o](relu(g[o]))
"""


def test_sums_of_different_positions_keep_their_angles_from_moments() -> None:
    kernel: Any = tp.parse(FREE).compile(backend="interpret")
    names = {definition.name for definition in definitions(kernel.ir.pair)}
    assert "K_h:versine" in names
    assert "K_g:versine" not in names


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["cpu", "interpret"])
@pytest.mark.parametrize("case", CASES)
def test_near_duplicates_at_positions_are_right_to_rounding(case: str, backend: Literal["cpu", "interpret"]) -> None:
    _check(case, backend, _samples(CASES[case][2]))
