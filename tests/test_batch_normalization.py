"""Batch normalization with relu: against its published integrals, and against sampled networks."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import tensorprog as tp
from tests.references.batchnorm import normalized_relu
from tests.references.samples import SHAPES, draw

Array = npt.NDArray[np.float64]

EXAMPLE = Path(__file__).parent.parent / "examples" / "batchnorm.tp"


def one_layer(size: int, eps: str, activation: str = "relu({})", more: str = "") -> tp.Program:
    return tp.parse(
        f"""program normalized
width n
axis b : {size}
input x[b] : (d)
param W : (n, d) ~ N(0, 1 / d)
param V : (1, n) ~ N(0, 1 / n)
{more}
u[b] = W @ x[b]
m = mean[b](u[b])
v = mean[b]((u[b] - m)^2)
output f[b] = V @ {activation.format(f"((u[b] - m) / sqrt(v + {eps}))")}
"""
    )


@functools.cache
def load(eps: float) -> tp.Program:
    return tp.load(EXAMPLE, eps=eps)


def batches(size: int, count: int = 2, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal((count, size, 5))


def grams(x: Array) -> tuple[Array, Array, Array]:
    """Inner products within the first batch, between the two, and within the second."""
    return x[0] @ x[0].T / x.shape[2], x[0] @ x[1].T / x.shape[2], x[1] @ x[1].T / x.shape[2]


def stated(kernel: object) -> float:
    """The largest error of an expectation in the report."""
    return max(float(error) for error in re.findall(r"error ≤ (\S+)", str(kernel.report)))  # type: ignore[attr-defined]


def assert_nngp(found: Array, wanted: tuple[Array, Array, Array], tolerance: float) -> None:
    for (i, j), exact in zip([(0, 0), (0, 1), (1, 1)], wanted, strict=True):
        assert np.abs(found[i, j] - exact).max() <= tolerance * np.abs(exact).max()


def test_kernel_of_one_layer_is_the_published_integral() -> None:
    x = batches(3)
    kernel = one_layer(3, "1e-5").compile(backend="interpret")
    assert_nngp(kernel(x, get="nngp"), normalized_relu(*grams(x), 1e-5), 1e-9)
    assert stated(kernel) <= 1e-10


def test_tangent_kernel_of_three_samples_is_refused() -> None:
    """E σ⁻² of two degrees of freedom is infinite; the NNGP kernel is bounded."""
    net = one_layer(3, "0")
    derivation = net.derive()
    assert "no ntk of f: error[TP340]" in str(derivation)
    kernel = net.compile(backend="interpret")
    x = batches(3)
    nngp = kernel(x, get="nngp")
    assert_nngp(nngp, normalized_relu(*grams(x), 1e-5), 1e-3)
    traces = np.trace(nngp[[0, 1], [0, 1]], axis1=1, axis2=2)  # Σ_b relu(b)² + relu(−b)² = 3 almost surely
    assert ((0.5 < traces) & (traces < 2.5)).all()
    with pytest.raises(tp.LimitError, match="2 independent Gaussians") as caught:
        kernel(x, get="ntk")
    assert "eps > 0" in caught.value.message


def test_equal_batches_off_the_diagonal_have_the_values_of_the_diagonal() -> None:
    x = batches(3)
    kernel = one_layer(3, "0").compile(backend="interpret")
    across = kernel(x[:1], x[[0, 1]], get="nngp")
    diagonal = kernel(x[:1], get="nngp")
    assert np.abs(across[0, 0] - diagonal[0, 0]).max() <= 1e-11 * np.abs(diagonal).max()


@pytest.mark.slow
def test_equal_batches_have_one_tangent_kernel_and_degenerate_ones_none() -> None:
    x = batches(4)
    kernel = one_layer(4, "0").compile(backend="interpret")
    across, diagonal = kernel(x[:1], x[:1].copy(), get="ntk"), kernel(x[:1], get="ntk")
    assert np.abs(across - diagonal).max() <= 1e-9 * np.abs(diagonal).max()
    x[0, 1] = x[0, 2]  # three samples that differ
    with pytest.raises(tp.TensorProgramError, match=r"finite|infinite"):
        kernel(x, get="ntk")
    assert np.isfinite(kernel(x, get="nngp")).all()


def sampled(net: tp.Program, x: Array, width: int, draws: int) -> tuple[Array, Array]:
    """NNGP and NTK of `draws` networks, (draws, N, N, B, B); the NNGP from the gradients of the readout."""
    second, tangent = [], []
    for seed in range(draws):
        network = net.sample(width=width, seed=1000 * width + seed)
        tangent.append(network.ntk(x))
        gradients = network.gradients(x, "f")["V"].reshape(*x.shape[:2], -1)
        second.append(np.einsum("iac,jbc->ijab", gradients, gradients) / width)
    return np.array(second), np.array(tangent)


def assert_sampled(net: tp.Program, x: Array, width: int, draws: int) -> None:
    """2 m(2 n) − m(n) has a bias of order 1/n²; |z| < 5 for every entry."""
    wanted = net.compile(backend="interpret")(x, get=("nngp", "ntk"))
    narrow, wide = (sampled(net, x, n, draws) for n in (width, 2 * width))
    for exact, less, more in zip(wanted, narrow, wide, strict=True):
        error = 2 * more - less - exact
        assert (np.abs(error.mean(axis=0)) < 5 * error.std(axis=0, ddof=1) / np.sqrt(draws)).all()


@pytest.mark.slow
def test_example_has_the_kernel_of_the_published_integrals() -> None:
    x = np.stack([np.asarray(sample) for sample in draw("batchnorm", SHAPES["batchnorm"], 2, seed=0)])
    kernel = load(1e-5).compile()
    first = normalized_relu(*grams(x), 1e-5)
    assert_nngp(kernel(x, get="nngp"), normalized_relu(*first, 1e-5), 1e-8)
    assert stated(kernel) <= 1e-9


@pytest.mark.slow
def test_example_agrees_with_sampled_networks() -> None:
    assert_sampled(load(0.1), batches(4, seed=1), 128, 150)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("activation", "more"),
    [
        ("relu(g * {} + c)", "param g : (n) ~ N(1, 0) lr 1\nparam c : (n) ~ N(0, 0) lr 1"),
        ("leaky_relu({}, 0.3)", ""),
    ],
)
def test_gains_and_other_activations_agree_with_sampled_networks(activation: str, more: str) -> None:
    assert_sampled(one_layer(3, "0.1", activation, more), batches(3, seed=3), 128, 150)
