"""Series in the angle in place of the recursion: the same numbers, and only where there is a function of the angle."""

import numpy as np
import numpy.typing as npt
import pytest

import tensorprog as tp

Array = npt.NDArray[np.float64]

SIZE = 260
"""260² pairs are enough for a series to be looked for."""


def network(activation: str, depth: int, bias: str = "") -> tp.Program:
    """Return an MLP with `depth` hidden layers; `bias` is the variance of biases, none by default."""
    params = "".join(f"param W{i} : (n, n) ~ N(0, 2 / n)\n" for i in range(2, depth + 1))
    params += "".join(f"param b{i} : (n) ~ N(0, {bias})\n" for i in range(1, depth + 1) if bias)
    add = [f" + b{i}" if bias else "" for i in range(depth + 1)]
    layers = "".join(f"h{i} = W{i} @ {activation}(h{i - 1}){add[i]}\n" for i in range(2, depth + 1))
    start = "program p\nwidth n\ninput x : (d)\nparam W1 : (n, d) ~ N(0, 2 / d)\n"
    end = f"param V : (1, n) ~ N(0, 1 / n)\nh1 = W1 @ x{add[1]}\n{layers}output f = V @ {activation}(h{depth})\n"
    return tp.parse(start + params + end)


def data(*, sphere: bool = False) -> Array:
    """Return points, with duplicates, near-duplicates, opposite ones and multiples among them."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((SIZE, 12))
    x[1], x[2], x[3], x[4] = x[0], -x[0], 3 * x[0], x[0] + 1e-7 * rng.standard_normal(12)
    return x / np.linalg.norm(x, axis=1, keepdims=True) if sphere else x


def arc_cosine(x: Array, y: Array, depth: int) -> tuple[Array, Array]:
    """Return NNGP and NTK of a ReLU network, variances 2/fan_in and 1/n at the end (Cho & Saul 2009; Jacot 2018)."""
    norms = np.sqrt(np.sum(x * x, axis=1))[:, None] * np.sqrt(np.sum(y * y, axis=1))
    k = ntk = 2 * (x @ y.T) / x.shape[1]
    norms = 2 * norms / x.shape[1]
    for layer in range(depth):
        cosine = np.clip(k / norms, -1, 1)
        angle = np.arccos(cosine)
        dual = norms * (np.sin(angle) + (np.pi - angle) * cosine) / (2 * np.pi)
        ntk = dual + ntk * (np.pi - angle) / (2 * np.pi)
        k = dual
        if layer < depth - 1:
            k, ntk = 2 * k, 2 * ntk
    return k, ntk


@pytest.mark.parametrize("depth", [5, 40])
def test_a_deep_relu_network_is_a_series_in_the_angle(depth: int) -> None:
    kernel = network("relu", depth).compile()
    x, y = data(), data()[::-1].copy()
    found = kernel(x, y, get=("nngp", "ntk"))
    scale = np.sqrt(np.multiply.outer(kernel.diag(x, get="ntk"), kernel.diag(y, get="ntk")))
    for kind, expected in zip(("nngp", "ntk"), arc_cosine(x, y, depth), strict=True):
        # the formula itself loses half its digits at small angles
        distant = np.abs(x @ y.T) < 0.99 * np.linalg.norm(x, axis=1)[:, None] * np.linalg.norm(y, axis=1)
        assert np.abs(getattr(found, kind) - expected)[distant].max() <= 1e-12 * scale.max()
    profile = kernel.report.profiles["f", "ntk"]
    assert profile.error <= 1e-12
    assert profile.degrees == ((1, 1), (1, 1))
    assert "Chebyshev series of degree" in str(kernel.report)


@pytest.mark.parametrize(
    ("activation", "depth", "bias", "sphere"),
    [("relu", 6, "", False), ("erf", 8, "", True), ("relu", 6, "0.1", True), ("gelu", 4, "0.1", True)],
)
def test_the_series_agrees_with_the_recursion(activation: str, depth: int, bias: str, *, sphere: bool) -> None:
    program, x = network(activation, depth, bias), data(sphere=sphere)
    if sphere:
        x[3] = x[5]
    kernel = program.compile()
    found = kernel(x, get=("nngp", "ntk"))
    assert set(kernel.report.profiles) == {("f", "nngp"), ("f", "ntk")}
    expected = program.compile(backend="interpret")(x, get=("nngp", "ntk"))
    for one, other in zip(found, expected, strict=True):
        scale = np.sqrt(np.multiply.outer(np.diag(other), np.diag(other)))
        assert (np.abs(one - other) <= 2e-12 * scale).all()
        assert np.array_equal(one, one.T)


def test_a_vector_of_zeros_has_a_kernel_of_zero() -> None:
    x = data()
    x[7] = 0
    kernel = network("relu", 8).compile()
    found = kernel(x)
    assert kernel.report.profiles
    assert not found[7].any()


@pytest.mark.parametrize(
    ("activation", "depth", "bias", "kind"),
    [
        pytest.param("relu", 6, "0.1", "ntk", id="norms differ, and there is a bias"),
        pytest.param("sign", 4, "", "nngp", id="no analytic function of the angle"),
        pytest.param("relu", 1, "", "ntk", id="the recursion is cheaper"),
    ],
)
def test_the_recursion_is_kept(activation: str, depth: int, bias: str, kind: str) -> None:
    kernel = network(activation, depth, bias).compile()
    kernel(data(), get=kind)
    assert not kernel.report.profiles


def test_few_pairs_are_not_worth_a_series() -> None:
    kernel = network("relu", 8).compile()
    kernel(data()[:20])
    assert not kernel.report.profiles
