"""Every example parses, prints and is sampled; those without axes are derived, compiled and verified here."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import tensorprog as tp
from tests.references.samples import SHAPES, draw, stacked

Array = npt.NDArray[np.float64]

FOLDER = Path(__file__).parent.parent / "examples"
NAMES = sorted(path.stem for path in FOLDER.glob("*.tp"))

# The limits of programs with axes have tests of their own, in test_examples_axes.py.
DERIVED = [name for name in NAMES if name not in SHAPES]
KERNELS = [(name, output.name) for name in DERIVED for output in tp.load(FOLDER / f"{name}.tp").outputs]

DUPLICATE, ORIGINAL, ZERO = 3, 1, 4


@functools.cache
def load(name: str) -> tp.Program:
    return tp.load(FOLDER / f"{name}.tp")


@functools.cache
def kernels(name: str, backend: str, output: str) -> tuple[Array, Array]:
    """NNGP and NTK of the five samples."""
    kernel = compiled(name, backend)
    return tuple(kernel(samples(name), get=("nngp", "ntk"), output=output))


@functools.cache
def compiled(name: str, backend: str):
    return load(name).compile(backend=backend)


def samples(name: str) -> Array:
    """Five samples: the fourth is the second again, the fifth is zero."""
    x = np.random.default_rng(0).standard_normal((5, 4))
    x[DUPLICATE], x[ZERO] = x[ORIGINAL], 0.0
    return x


def data(name: str) -> Array | dict[str, Array]:
    """The same for any example: five samples, the fourth is the second again."""
    if name not in SHAPES:
        return samples(name)
    drawn = draw(name, SHAPES[name], 5, seed=0)
    drawn[DUPLICATE] = drawn[ORIGINAL]
    return stacked(drawn)


def test_there_are_examples_of_both_kinds() -> None:
    assert len(DERIVED) >= 12
    assert set(SHAPES) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_example_prints_and_parses_back(name: str) -> None:
    net = load(name)
    assert tp.parse(str(net)) == net
    assert tp.parse(str(net)).core() == net.core()
    assert str(tp.parse(str(net))) == str(net)


@pytest.mark.parametrize("name", NAMES)
def test_example_says_what_it_is(name: str) -> None:
    first, *_ = (FOLDER / f"{name}.tp").read_text(encoding="utf-8").splitlines()
    assert first.startswith("# ")
    assert load(name).name == name


@pytest.mark.parametrize("name", NAMES)
def test_example_is_sampled(name: str) -> None:
    x = data(name)
    for output in load(name).outputs:
        network = load(name).sample(width=64, seed=1)
        values, tangents = network(x, output=output.name), network.ntk(x, output=output.name)
        assert len(values) == 5
        assert tangents.shape == (5, 5, *values.shape[1:], *values.shape[1:])
        assert np.isfinite(values).all()
        assert values[DUPLICATE] == pytest.approx(values[ORIGINAL], rel=1e-12)
        rank = values.ndim - 1
        order = [0, *range(2, 2 + rank), 1, *range(2 + rank, 2 + 2 * rank)]
        tangents = tangents.transpose(order).reshape(values.size, values.size)
        # A Gram matrix of gradients: symmetric, no eigenvalue below rounding.
        assert (tangents == tangents.T).all()
        assert np.linalg.eigvalsh(tangents).min() >= -1e-12 * np.trace(tangents)


@pytest.mark.parametrize("name", DERIVED)
def test_limit_is_written_out(name: str) -> None:
    derivation = load(name).derive()
    assert f"limit of {name}" in str(derivation)
    assert all(equation.line > 0 and equation.rule for equation in derivation.equations)
    assert any(assumption.name == "gradient independence" for assumption in derivation.assumptions)
    assert derivation.latex()


@pytest.mark.parametrize(("name", "output"), KERNELS)
def test_backends_agree(name: str, output: str) -> None:
    same = np.zeros((5, 5), dtype=bool)
    same[DUPLICATE, ORIGINAL] = same[ORIGINAL, DUPLICATE] = True
    for reference, compiled in zip(*(kernels(name, backend, output) for backend in ("interpret", "cpu")), strict=True):
        scale = np.sqrt(np.outer(np.diag(reference), np.diag(reference)))
        error = np.abs(compiled - reference)
        assert (error <= 1e-12 * scale)[~same].all()
        # Of two equal rows the angle is the root of a rounding error: √ε ≈ 1.5e-8 (docs/numerics.md).
        assert (error <= 1e-7 * scale)[same].all()


@pytest.mark.parametrize(("name", "output"), KERNELS)
def test_kernels_are_covariances(name: str, output: str) -> None:
    for matrix in kernels(name, "cpu", output):
        assert np.isfinite(matrix).all()
        assert (matrix == matrix.T).all()
        # Schur products and expectations of covariances: positive semidefinite, up to the √ε of equal rows.
        assert np.linalg.eigvalsh(matrix).min() >= -1e-7 * np.trace(matrix)
        np.testing.assert_allclose(matrix[DUPLICATE], matrix[ORIGINAL], rtol=0, atol=1e-7 * np.trace(matrix))


def arc_cosine(k: Array) -> tuple[Array, Array]:
    """E[relu relu] and E[step step] (Cho & Saul 2009, k = 1 and 0)."""
    scale = np.sqrt(np.outer(np.diag(k), np.diag(k)))
    cosine = np.clip(np.divide(k, scale, out=np.zeros_like(k), where=scale > 0), -1, 1)
    theta = np.arccos(cosine)
    return scale * (np.sin(theta) + (np.pi - theta) * cosine) / (2 * np.pi), (np.pi - theta) / (2 * np.pi)


def relu_mlp(x: Array, depth: int, sw2: float, sb2: float) -> tuple[Array, Array]:
    """NNGP and NTK of a relu perceptron with `depth` hidden layers (Jacot et al. 2018, in NTK parametrization)."""
    k = sw2 * x @ x.T / x.shape[1] + sb2
    t = k.copy()
    for _ in range(depth - 1):
        second, slope = arc_cosine(k)
        k, t = sw2 * second + sb2, sw2 * second + sb2 + sw2 * slope * t
    second, slope = arc_cosine(k)
    return second, second + slope * t


@pytest.mark.parametrize(("name", "depth", "sb2"), [("mlp", 2, 0.1), ("deep_mlp", 21, 0.05)])
def test_perceptrons_have_the_published_kernels(name: str, depth: int, sb2: float) -> None:
    x = np.random.default_rng(2).standard_normal((6, 4))
    kernel = load(name).compile()
    found = kernel(x, get=("nngp", "ntk"))
    for mine, published in zip(found, relu_mlp(x, depth, 2.0, sb2), strict=True):
        apart = ~np.eye(6, dtype=bool)  # arccos near 1 spoils the reference on the diagonal
        np.testing.assert_allclose(mine[apart], published[apart], rtol=1e-11)
        np.testing.assert_allclose(np.diag(mine), np.diag(published), rtol=1e-6)


def test_residual_has_the_published_kernel() -> None:
    x = np.random.default_rng(3).standard_normal((6, 4))
    k = x @ x.T / 4
    for _ in range(8):
        k = k + 2.0 / 8 * arc_cosine(k)[0]  # Yang & Schoenholz 2017: h + W relu(h) / √L
    np.testing.assert_allclose(compiled("residual_mlp", "cpu")(x, get="nngp"), k, rtol=1e-12)


def test_fourier_features_give_the_gaussian_kernel() -> None:
    x = np.random.default_rng(4).standard_normal((6, 4))
    squares = ((x[:, None] - x[None]) ** 2).sum(axis=2)
    rbf = np.exp(-squares / 2)  # Rahimi & Recht 2007
    np.testing.assert_allclose(compiled("fourier", "cpu")(x, get="nngp"), 2 * arc_cosine(rbf + 0.1)[0], rtol=1e-12)


# Fewer layers say as much about the rules in a fraction of the time.
SHALLOW = {"deep_mlp": {"L": 2}, "norm_residual_mlp": {"L": 1}, "residual_mlp": {"L": 2}}
DEEPER = {"deep_mlp": {"L": 3}, "norm_residual_mlp": {"L": 2}, "residual_mlp": {"L": 3}}


NUMERICAL = {"spiking", "postact_resnet"}  # their integrals are for the slow test


@pytest.mark.parametrize("name", [name for name in DERIVED if name not in NUMERICAL])
def test_limit_agrees_with_sampled_networks(name: str) -> None:
    net = tp.load(FOLDER / f"{name}.tp", **SHALLOW.get(name, {}))
    verification = net.verify(samples(name)[:3], widths=(64, 256), samples=32, seed=0)
    assert verification.passed, str(verification)


@pytest.mark.slow
@pytest.mark.parametrize("name", DERIVED)
def test_limit_agrees_with_wide_sampled_networks(name: str) -> None:
    net = tp.load(FOLDER / f"{name}.tp", **DEEPER.get(name, {}))
    verification = net.verify(samples(name)[:3], widths=(64, 256, 1024), samples=48, seed=0)
    assert verification.passed, str(verification)


def test_the_main_job_runs_and_confirms_itself(tmp_path):
    """The script of the README on some of the digits: formulas, kernel file, and a verification that passes."""
    out = tmp_path / "ntk.npz"
    command = [sys.executable, str(FOLDER / "digits.py"), "--rows", "300", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert "Θ_f(x, x′)" in done.stdout and "passed" in done.stdout
    with np.load(out) as kernels:
        assert kernels["ntk"].shape == (300, 300)
        assert np.array_equal(kernels["ntk"], kernels["ntk"].T)
