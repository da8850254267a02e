"""Near-duplicates, duplicates, opposite and collinear inputs against recursions by hand with 50 digits.

The reference carries (q1, q2, c) and their tangents through every layer in mpmath, from the same doubles.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal

import mpmath
import numpy as np
import pytest

import tensorprog as tp

DISTANCES = (1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3)

Moments = tuple[Any, Any, Any]
"""K or T: at (x, x), (x', x') and (x, x')."""

State = tuple[Moments, Moments]
"""K and T of a vector variable."""

BOTH = ("nngp", "ntk")  # at once: one compilation

Network = Callable[[Moments], State]
"""K and T of the output, given (|x|², |x'|², ⟨x, x'⟩) / d."""


def _cos(q: Moments) -> Any:
    return q[2] / mpmath.sqrt(q[0] * q[1])


def _angle(q: Moments) -> Any:
    return mpmath.acos(min(max(_cos(q), mpmath.mpf(-1)), mpmath.mpf(1)))


def _relu(q: Moments) -> tuple[Moments, Moments]:
    """E[relu relu] and E[step step] (Cho & Saul 2009)."""
    theta = _angle(q)
    cross = mpmath.sqrt(q[0] * q[1]) * mpmath.sin(theta) + (mpmath.pi - theta) * q[2]
    half = mpmath.mpf(1) / 2
    return (q[0] / 2, q[1] / 2, cross / (2 * mpmath.pi)), (half, half, (mpmath.pi - theta) / (2 * mpmath.pi))


def _leaky(slope: float) -> Callable[[Moments], tuple[Moments, Moments]]:
    """φ(u) = a u + (1 − a) relu(u)."""

    def expectations(q: Moments) -> tuple[Moments, Moments]:
        a = mpmath.mpf(slope)
        values, slopes = _relu(q)
        first = tuple(a * q[k] + (1 - a) ** 2 * values[k] for k in range(3))
        second = tuple(a + (1 - a) ** 2 * slopes[k] for k in range(3))
        return first, second

    return expectations


def _relu2(q: Moments) -> tuple[Moments, Moments]:
    """E[relu² relu²] = q1 q2 (3 sin θ cos θ + (π − θ)(1 + 2 cos² θ)) / 2π; the derivative is 2 relu."""
    theta = _angle(q)
    shape = 3 * mpmath.sin(theta) * mpmath.cos(theta) + (mpmath.pi - theta) * (1 + 2 * mpmath.cos(theta) ** 2)
    values = 3 * q[0] ** 2 / 2, 3 * q[1] ** 2 / 2, q[0] * q[1] * shape / (2 * mpmath.pi)
    return values, tuple(4 * value for value in _relu(q)[0])


def _sign(q: Moments) -> tuple[Moments, Moments]:
    one, zero = mpmath.mpf(1), mpmath.mpf(0)
    return (one, one, 1 - 2 * _angle(q) / mpmath.pi), (zero, zero, zero)


def _step(q: Moments) -> tuple[Moments, Moments]:
    half, zero = mpmath.mpf(1) / 2, mpmath.mpf(0)
    return (half, half, half - _angle(q) / (2 * mpmath.pi)), (zero, zero, zero)


def _layer(state: State, expectations: Any, scale: Any, bias: Any = 0) -> State:
    """W φ(h) + b, entries of W of variance scale / n and b of variance `bias`, trained at the rates of these."""
    values, slopes = expectations(state[0])
    second = tuple(scale * value + bias for value in values)
    tangent = tuple(
        scale * (value + slope * inner) + bias for value, slope, inner in zip(values, slopes, state[1], strict=True)
    )
    return second, tangent


def _input(gram: Moments, scale: Any = 1, bias: Any = 0) -> State:
    first: Moments = tuple(scale * entry + bias for entry in gram)
    return first, first


def _mlp(depth: int, expectations: Any, bias: float) -> Network:
    def network(gram: Moments) -> State:
        b = mpmath.mpf(bias)
        state = _input(gram, 2, b)
        for _ in range(depth - 1):
            state = _layer(state, expectations, 2, b)
        return _layer(state, expectations, 1)

    return network


def _mlp_text(depth: int, activation: str, bias: float) -> str:
    lines = ["program p", "width n", "input x : (d)", "param W0 : (n, d) ~ N(0, 2 / d)"]
    shift = [f" + b{layer}" if bias else "" for layer in range(depth)]
    lines += [f"param b{layer} : (n) ~ N(0, {bias!r})" for layer in range(depth) if bias]
    lines += [f"h0 = W0 @ x{shift[0]}"]
    for layer in range(1, depth):
        lines += [f"param W{layer} : (n, n) ~ N(0, 2 / n)"]
        lines += [f"h{layer} = W{layer} @ {activation.format(f'h{layer - 1}')}{shift[layer]}"]
    return "\n".join([*lines, "param V : (1, n) ~ N(0, 1 / n)", f"output f = V @ {activation.format(f'h{depth - 1}')}"])


RESIDUAL = """
program p
width n
input x : (d)
param W0 : (n, d) ~ N(0, 1 / d)
param V : (1, n) ~ N(0, 1 / n)
h = W0 @ x
for l in 1..5 {
    param W : (n, n) ~ N(0, 2 / n)
    param b : (n) ~ N(0, 0.3)
    h = h + 0.5 * (W @ relu(h) + b)
}
output f = V @ relu(h)
"""


def _residual(gram: Moments) -> State:
    state = _input(gram)
    for _ in range(5):
        branch = _layer(state, _relu, 2, mpmath.mpf(0.3))
        second, tangent = (
            tuple(a + b / 4 for a, b in zip(*sides, strict=True)) for sides in zip(state, branch, strict=True)
        )
        state = second, tangent
    return _layer(state, _relu, 1)


NORMALIZED = """
program p
width n
input x : (d)
param W0 : (n, d) ~ N(0, 1 / d)
param b0 : (n) ~ N(0, 0.2)
param W1 : (n, n) ~ N(0, 2 / n)
param W2 : (n, n) ~ N(0, 2 / n)
param V : (1, n) ~ N(0, 1 / n)
g = relu(W0 @ x + b0)
m = avg(g)
v = avg((g - m)^2)
y = (g - m) / sqrt(v + 0.001)
output f = V @ relu(W2 @ relu(W1 @ y))
"""


def _normalized(gram: Moments) -> State:
    start = _input(gram, 1, mpmath.mpf(0.2))
    values, slopes = _relu(start[0])
    roots = [mpmath.sqrt(start[0][k] / (2 * mpmath.pi)) for k in range(2)]
    means = roots[0] ** 2, roots[1] ** 2, roots[0] * roots[1]
    centred = [values[k] - means[k] for k in range(3)]
    norms = [mpmath.sqrt(centred[k] + mpmath.mpf(0.001)) for k in range(2)]
    over = norms[0] ** 2, norms[1] ** 2, norms[0] * norms[1]
    second: Moments = tuple(centred[k] / over[k] for k in range(3))
    tangent: Moments = tuple(slopes[k] * start[1][k] / over[k] for k in range(3))
    state = _layer((second, tangent), lambda q: (q, (1, 1, 1)), 2)
    return _layer(_layer(state, _relu, 2), _relu, 1)


MIXED = """
program p
width n
input x : (d)
param W0 : (n, d) ~ N(0, 2 / d)
param W1 : (n, n) ~ N(0, 2 / n)
param W2 : (n, n) ~ N(0, 2 / n)
param b : (n) ~ N(0, 0.1)
param V : (1, n) ~ N(0, 1 / n)
output f = V @ relu(W2 @ {}(W1 @ relu(W0 @ x) + b))
"""


def _mixed(expectations: Any) -> Network:
    def network(gram: Moments) -> State:
        state = _layer(_input(gram, 2), _relu, 2, mpmath.mpf(0.1))
        return _layer(_layer(state, expectations, 2), _relu, 1)

    return network


def _erf(q: Moments) -> tuple[Moments, Moments]:
    """The arcsine kernel (Williams 1997), and its derivative in the covariance."""

    def value(a: Any, b: Any, c: Any) -> Any:
        return 2 / mpmath.pi * mpmath.asin(2 * c / mpmath.sqrt((1 + 2 * a) * (1 + 2 * b)))

    def slope(a: Any, b: Any, c: Any) -> Any:
        return 4 / mpmath.pi / mpmath.sqrt((1 + 2 * a) * (1 + 2 * b) - 4 * c * c)

    laws = (q[0], q[0], q[0]), (q[1], q[1], q[1]), q
    return tuple(value(*law) for law in laws), tuple(slope(*law) for law in laws)


def _gelu(q: Moments) -> tuple[Moments, Moments]:
    """E[u Φ(u) v Φ(v)], by parts in u and in v, and its derivative in the covariance (Price's theorem)."""

    def value(a: Any, b: Any, c: Any) -> Any:
        density = 1 / (2 * mpmath.pi * mpmath.sqrt((1 + a) * (1 + b) - c * c))
        both = mpmath.mpf(1) / 4 + mpmath.asin(c / mpmath.sqrt((1 + a) * (1 + b))) / (2 * mpmath.pi)
        return a * density * (b - c * c / (1 + a)) + c * (both + c * density / (1 + b))

    laws = (q[0], q[0], q[0]), (q[1], q[1], q[1]), q
    slopes = tuple(mpmath.diff(lambda c, a=a, b=b: value(a, b, c), c) for a, b, c in laws)
    return tuple(value(*law) for law in laws), slopes


CASES: dict[str, tuple[str, Network]] = {
    **{
        f"{name} {depth} {bias}": (_mlp_text(depth, activation, bias), _mlp(depth, expectations, bias))
        for name, activation, expectations, depths in (
            ("relu", "relu({})", _relu, (1, 3, 10)),
            ("abs", "abs({})", _leaky(-1.0), (3,)),
            ("leaky", "leaky_relu({}, 0.1)", _leaky(0.1), (3,)),
            ("relu2", "(0.5 * relu({}))^2", lambda q: tuple(tuple(v / 16 for v in m) for m in _relu2(q)), (2,)),
            ("sign", "sign({})", _sign, (2,)),
            ("step", "step({})", _step, (2, 3)),
        )
        for depth in depths
        for bias in (0.0, 0.1)
    },
    "residual": (RESIDUAL, _residual),
    "erf and relu": (MIXED.format("erf"), _mixed(_erf)),
    "gelu and relu": (MIXED.format("gelu"), _mixed(_gelu)),
    "normalized": (NORMALIZED, _normalized),
}


def _partners(x: Any) -> Any:
    """Return inputs near x, collinear with it, near −x, and x itself."""
    directions = np.random.default_rng(1).standard_normal((len(DISTANCES), len(x)))
    near = [x + distance * way for distance, way in zip(DISTANCES, directions, strict=True)]
    longer = [x * (1 + distance) for distance in (*DISTANCES, 0.3)]
    return np.array([*near, *longer, *(-y for y in longer), x, -x])


def _exact(network: Network, x: Any, y: Any) -> State:
    a, b = ([mpmath.mpf(float(entry)) for entry in side] for side in (x, y))

    def dot(u: Any, v: Any) -> Any:
        return mpmath.fsum(p * q for p, q in zip(u, v, strict=True)) / len(u)

    return network((dot(a, a), dot(b, b), dot(a, b)))


@functools.cache
def _kernel(case: str, backend: Literal["cpu", "interpret"]) -> Any:
    return tp.parse(CASES[case][0]).compile(backend=backend)


def _error(found: float, exact: Moments) -> float:
    scale = mpmath.sqrt(exact[0] * exact[1])
    return float(abs(found - exact[2]) / scale) if scale else abs(found)


def _tolerance(case: str) -> float:
    """Return 1e-13, more behind jumps (θ is the root of the angle before) and where an expansion takes over."""
    return {"step 3 0.1": 1e-11, "sign 2 0.1": 1e-12, "erf and relu": 1e-10, "gelu and relu": 1e-10}.get(case, 1e-13)


@pytest.mark.parametrize("backend", ["cpu", "interpret"])
@pytest.mark.parametrize("case", CASES)
def test_kernels_keep_ten_digits(case: str, backend: Literal["cpu", "interpret"]) -> None:
    _, network = CASES[case]
    x = np.random.default_rng(0).standard_normal(12)
    partners = _partners(x)
    found = _kernel(case, backend)(x[None], partners, get=("nngp", "ntk"))
    with mpmath.workdps(50):
        for column, partner in enumerate(partners):
            nngp, ntk = _exact(network, x, partner)
            assert _error(found.nngp[0, column], nngp) < _tolerance(case), (column, "nngp")
            assert _error(found.ntk[0, column], ntk) < _tolerance(case), (column, "ntk")


@pytest.mark.parametrize("case", CASES)
def test_a_duplicate_off_the_diagonal_is_the_diagonal(case: str) -> None:
    x = np.random.default_rng(2).standard_normal((3, 12))
    kernel = _kernel(case, "cpu")
    results = kernel.diag(x, get=BOTH), kernel(np.concatenate([x, x]), get=BOTH), kernel(x, x.copy(), get=BOTH)
    for diagonal, within, across in zip(*results, strict=True):
        np.testing.assert_allclose(np.diag(within[3:, :3]), diagonal, rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(np.diag(across), diagonal, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("case", ["relu 3 0.0", "abs 3 0.0", "leaky 3 0.0"])
@pytest.mark.parametrize("scale", [2.0**-400, 2.0**-200, 2.0**200, 2.0**400])
def test_scales_of_data_do_not_matter(case: str, scale: float) -> None:
    x = np.random.default_rng(3).standard_normal(12)
    partners = _partners(x)
    kernel = _kernel(case, "cpu")
    results = kernel(scale * x[None], scale * partners, get=BOTH), kernel(x[None], partners, get=BOTH)
    for scaled, expected in zip(*results, strict=True):
        np.testing.assert_allclose(scaled / scale / scale, expected, 1e-15)


@pytest.mark.parametrize("case", CASES)
def test_zero_inputs_are_finite_and_agree_with_the_diagonal(case: str) -> None:
    x = np.stack([np.zeros(12), np.random.default_rng(4).standard_normal(12)])
    kernel = _kernel(case, "cpu")
    for found, diagonal in zip(kernel(x, x.copy(), get=BOTH), kernel.diag(x, get=BOTH), strict=True):
        assert np.isfinite(found).all()
        np.testing.assert_allclose(np.diag(found), diagonal, rtol=1e-13, atol=1e-15)


SHIFTED = """
program p
width n
input x : (d)
param W0 : (n, d) ~ N(0, 1 / d)
param W1 : (n, n) ~ N(0, 1 / n)
param b0 : (n) ~ N(0.5, 0.1)
param b1 : (n) ~ N(-0.2, 0.1)
param V : (1, n) ~ N(0, 1 / n)
output f = V @ {0}(W1 @ {0}(W0 @ x + b0) + b1)
"""


SLOW = pytest.mark.slow  # their compilation takes long


@pytest.mark.parametrize(
    "activation", ["abs", "hard_tanh", *(pytest.param(name, marks=SLOW) for name in ("relu", "elu"))]
)
def test_shifted_kinks_are_continuous_at_duplicates(activation: str) -> None:
    text = 'use "activations.tp"\n' if activation == "hard_tanh" else ""
    kernel = tp.parse(SHIFTED.format(activation).replace("program p", f"program p\n{text}")).compile()
    x = np.random.default_rng(5).standard_normal((3, 12))
    diagonals = kernel.diag(x, get=BOTH)
    for found, diagonal in zip(kernel(x, x.copy(), get=BOTH), diagonals, strict=True):
        np.testing.assert_allclose(np.diag(found), diagonal, rtol=1e-12)
    least = 1e-7 if activation == "hard_tanh" else 1e-11
    for distance in (1e-12, 1e-10, 1e-8):
        for near in (x * (1 + distance), x + distance):
            for found, diagonal in zip(kernel(x, near, get=BOTH), diagonals, strict=True):
                np.testing.assert_allclose(np.diag(found), diagonal, rtol=max(10 * distance, least))
