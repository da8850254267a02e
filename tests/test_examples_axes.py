"""The examples with axes against kernels written down by hand, and these against sampled networks."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import tensorprog as tp
from tests.references.gated import GATED
from tests.references.kernels import REFERENCES, Sample
from tests.references.points import Moments
from tests.references.samples import LONGER, SHAPES, draw, stacked

Array = npt.NDArray[np.float64]

FOLDER = Path(__file__).parent.parent / "examples"
NAMES = sorted(REFERENCES)
OUTPUTS = [(name, output.name) for name in NAMES for output in tp.load(FOLDER / f"{name}.tp").outputs]

BOTH = ("nngp", "ntk")  # at once: one compilation
LEFT, RIGHT = 3, 2  # samples in the two data sets


@functools.cache
def load(name: str) -> tp.Program:
    return tp.load(FOLDER / f"{name}.tp")


@functools.cache
def compiled(name: str, backend: str):
    return load(name).compile(backend=backend)


def reference(name: str, output: str, samples: Sequence[Sample]) -> Moments:
    return REFERENCES[name](samples)[output]


def blocks(matrix: Array, left: int, right: int) -> Array:
    """The entries between the first `left` and the last `right` samples: (left, right, *positions, *positions′).

    An output of several positions has them in one axis; the points of the first samples come first.
    """
    rows, columns = matrix.shape[0] // (left + right), matrix.shape[1] // (left + right)
    first, last = left * rows, matrix.shape[1] - right * columns
    parts = matrix[:first, last:].reshape(left, rows, right, columns).transpose(0, 2, 1, 3)
    return parts[:, :, 0, 0] if (rows, columns) == (1, 1) else parts


def swapped(matrix: Array) -> Array:
    """K(x′, x) from K(x, x′): samples and positions change places."""
    return matrix.transpose(1, 0, 3, 2) if matrix.ndim == 4 else matrix.T


def assert_close(found: Array, wanted: Array, scale: float, tolerance: float = 1e-12) -> None:
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= tolerance * scale


def test_every_example_with_axes_has_a_reference() -> None:
    with_axes = {path.stem for path in FOLDER.glob("*.tp") if any(entry.type.axes for entry in load(path.stem).inputs)}
    # those with gates: test_examples_gated.py
    assert with_axes == set(REFERENCES) | set(GATED) | {"batchnorm"} == set(SHAPES)
    assert set(REFERENCES) == set(LONGER)


@pytest.mark.parametrize("name", NAMES)
def test_limit_is_written_out(name: str) -> None:
    derivation = load(name).derive()
    assert f"limit of {name}" in str(derivation)
    assert all(equation.line > 0 and equation.rule for equation in derivation.equations)
    assert any(assumption.name == "gradient independence" for assumption in derivation.assumptions)
    assert derivation.latex()


@pytest.mark.parametrize("backend", ["interpret", "cpu"])
@pytest.mark.parametrize(("name", "output"), OUTPUTS)
def test_kernels_between_two_data_sets(name: str, output: str, backend: str) -> None:
    samples = draw(name, SHAPES[name], LEFT + RIGHT, seed=0)
    wanted = reference(name, output, samples)
    found = compiled(name, backend)(stacked(samples[:LEFT]), stacked(samples[LEFT:]), get=BOTH, output=output)
    for matrix, exact in zip(found, (wanted.k, wanted.t), strict=True):
        assert_close(matrix, blocks(exact, LEFT, RIGHT), np.diag(exact).max())


@pytest.mark.parametrize("backend", ["interpret", "cpu"])
@pytest.mark.parametrize(("name", "output"), OUTPUTS)
def test_kernels_of_one_data_set(name: str, output: str, backend: str) -> None:
    samples = draw(name, SHAPES[name], LEFT, seed=1)
    wanted = reference(name, output, [*samples, *samples])
    kernel = compiled(name, backend)
    found = kernel(stacked(samples), get=BOTH, output=output)
    diagonals = kernel.diag(stacked(samples), get=BOTH, output=output)
    for matrix, diagonal, exact in zip(found, diagonals, (wanted.k, wanted.t), strict=True):
        assert_close(matrix, blocks(exact, LEFT, LEFT), np.diag(exact).max())
        assert np.array_equal(matrix, swapped(matrix))
        assert np.array_equal(diagonal, matrix[np.arange(LEFT), np.arange(LEFT)])


@pytest.mark.parametrize("backend", ["interpret", "cpu"])
@pytest.mark.parametrize(("name", "output"), OUTPUTS)
def test_kernels_between_samples_of_different_extents(name: str, output: str, backend: str) -> None:
    short, long = draw(name, SHAPES[name], 1, seed=2), draw(name, LONGER[name], 1, seed=3)
    wanted = reference(name, output, [*short, *long])
    kernel = compiled(name, backend)
    found = kernel(stacked(short), stacked(long), get=BOTH, output=output)
    turned = kernel(stacked(long), stacked(short), get=BOTH, output=output)
    for matrix, other, exact in zip(found, turned, (wanted.k, wanted.t), strict=True):
        across = np.atleast_2d(np.squeeze(matrix, (0, 1)))
        assert_close(across, exact[: across.shape[0], across.shape[0] :], np.diag(exact).max())
        assert_close(swapped(other), matrix, np.diag(exact).max())


@pytest.mark.parametrize("backend", ["interpret", "cpu"])
def test_blocks_of_a_loop_stay_a_recursion(backend: str) -> None:
    samples = draw("residual_cnn", SHAPES["residual_cnn"], LEFT + RIGHT, seed=8)
    deep = tp.load(FOLDER / "residual_cnn.tp", L=9)
    assert len(deep.derive().equations) == len(load("residual_cnn").derive().equations)
    wanted = REFERENCES["residual_cnn"](samples, L=9)["f"]
    found = deep.compile(backend=backend)(stacked(samples[:LEFT]), stacked(samples[LEFT:]), get=BOTH)
    for matrix, exact in zip(found, (wanted.k, wanted.t), strict=True):
        assert_close(matrix, blocks(exact, LEFT, RIGHT), np.diag(exact).max())


# A few positions say as much about the equations as many do, in a fraction of the time.
FEW: dict[str, tuple[int, ...]] = {
    "attention": (2, 2),
    "cnn": (2, 3, 1),
    "cnn1d": (5, 2),
    "cnn_flatten": (2, 3, 1),
    "deep_rnn": (2, 2),
    "deep_sets": (2, 2),
    "graph": (2, 2),
    "locally_connected": (3, 2),
    "maxpool_cnn": (4, 2),
    "positional": (2, 2),
    "residual_cnn": (2, 2, 1),
    "rnn": (3, 2),
    "transformer": (2, 2),
}


# Many filters, or many equations: sampled by the slow test.
LONG = {"cnn_flatten", "residual_cnn", "transformer"}


@pytest.mark.parametrize("name", [name for name in NAMES if name not in LONG])
def test_limit_agrees_with_sampled_networks(name: str) -> None:
    """Equation by equation, with the verification that is part of the package."""
    data = stacked(draw(name, FEW[name], 2, seed=5))
    verification = load(name).verify(data, widths=(32, 128), samples=24, seed=0)
    assert verification.passed, str(verification)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_limit_agrees_with_wide_sampled_networks(name: str) -> None:
    data = stacked(draw(name, FEW[name], 3, seed=7))
    verification = load(name).verify(data, widths=(64, 256, 1024), samples=48, seed=0)
    assert verification.passed, str(verification)


def sampled(net: tp.Program, output: str, x: object, width: int, draws: int) -> tuple[Array, Array]:
    """NNGP and NTK of `draws` networks, over all points of the output.

    The NNGP, of given hidden layers: the output is linear in its readout V of variance 1/n, so that Σ (∂f/∂V)² / n is
    the variance of f over V.
    """
    weights = {"flat": "R", "last": "R"}.get(output, "V")
    second, tangent = [], []
    for seed in range(draws):
        network = net.sample(width=width, seed=1000 * width + seed)
        t = network.ntk(x, output=output)
        points = t.shape[0] * int(np.prod(t.shape[2:] or (1,)) ** 0.5)
        tangent.append((t.transpose(0, 2, 1, 3) if t.ndim == 4 else t).reshape(points, points))
        g = network.gradients(x, output)[weights].reshape(points, -1)
        second.append(g @ g.T / width)
    return np.array(second), np.array(tangent)


def assert_sampled(name: str, width: int, draws: int) -> None:
    """2 m(2 n) - m(n) has a bias of order 1/n². |z| < 5 for an average over all entries, and for each entry."""
    samples = draw(name, SHAPES[name], 3, seed=6)
    net, x = load(name), stacked(samples)
    for output, wanted in REFERENCES[name](samples).items():
        narrow, wide = (sampled(net, output, x, n, draws) for n in (width, 2 * width))
        for less, more, exact in zip(narrow, wide, (wanted.k, wanted.t), strict=True):
            scale = np.sqrt(np.outer(np.diag(exact), np.diag(exact)))
            errors = (2 * more - less - exact) / scale
            for error in (errors, errors.mean(axis=(1, 2))):
                assert (np.abs(error.mean(axis=0)) < 5 * error.std(axis=0, ddof=1) / np.sqrt(draws)).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_references_are_those_of_sampled_networks(name: str) -> None:
    assert_sampled(name, width=128, draws=150)
