"""The gated examples against their kernels by hand, and against sampled networks.

Their expectations over many Gaussians have errors, which the kernel reports, and so do the references.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import tensorprog as tp
from tests.references.gated import GATED
from tests.references.samples import SHAPES, draw

Array = npt.NDArray[np.float64]

FOLDER = Path(__file__).parent.parent / "examples"
STATES = {"gru": "f.1", "lstm": "f.1"}  # the variable that the output reads

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::tensorprog.PrecisionWarning")]


@functools.cache
def load(name: str) -> tp.Program:
    return tp.load(FOLDER / f"{name}.tp")


def samples(name: str) -> Array:
    return np.stack([np.asarray(sample) for sample in draw(name, SHAPES[name], 2, seed=0)])


@functools.cache
def kernels(name: str) -> tuple[Array, Array, float]:
    """NNGP and NTK, and the largest error that is stated for an expectation."""
    return evaluate(load(name), samples(name))


def evaluate(net: tp.Program, x: Array) -> tuple[Array, Array, float]:
    kernel = net.compile()
    nngp, ntk = kernel(x, get=("nngp", "ntk"))
    stated = [float(error) for error in re.findall(r"error ≤ (\S+)", str(kernel.report))]
    return nngp, ntk, max(stated)


@functools.cache
def reference(name: str) -> tuple[Array, Array, Array]:
    return GATED[name](samples(name))


@pytest.mark.parametrize("name", GATED)
def test_kernels_are_those_written_by_hand(name: str) -> None:
    nngp, ntk, stated = kernels(name)
    k, t, error = reference(name)
    assert stated <= 1e-2
    for found, true, doubt in ((nngp, k, error[..., 0]), (ntk, t, error[..., 1])):
        assert np.all(np.abs(found - true) <= stated * true.max() + 5 * doubt)
        assert np.allclose(found, true, rtol=3e-3)
        assert np.array_equal(found, found.T)


def test_two_steps_are_exact() -> None:
    """Gates of two steps are four: their reference is the product of Gauss–Hermite rules."""
    text = (FOLDER / "gru.tp").read_text(encoding="utf-8").replace("axis t : 3", "axis t : 2").replace("h[2]", "h[1]")
    x = samples("gru")[:, :2]
    nngp, ntk, stated = evaluate(tp.parse(text), np.concatenate([x, x[:1], 0 * x[:1]]))
    k, t, error = GATED["gru"](x)
    assert stated <= 1e-4
    for found, true, doubt in ((nngp, k, error[..., 0]), (ntk, t, error[..., 1])):
        assert np.all(np.abs(found[:2, :2] - true) <= stated * true.max() + 5 * doubt)
        assert np.all(found[3] == 0)  # without an input every state is zero
        assert np.allclose(found[2, :3], found[0, :3], rtol=0, atol=stated * true.max())  # the same sample again


@pytest.mark.parametrize("name", GATED)
def test_kernels_agree_with_sampled_networks(name: str) -> None:
    """Second moments of coordinates and tangents of 30 networks, within four standard errors and the order 1/n."""
    nngp, ntk, _ = kernels(name)
    x, moments, tangents = samples(name), [], []
    for seed in range(30):
        network = load(name).sample(width=768, seed=seed)
        h = network.variables(x, (STATES[name],))[STATES[name]]
        moments.append(h @ h.T / h.shape[1])
        tangents.append(network.ntk(x))
    for found, drawn in ((nngp, np.array(moments)), (ntk, np.array(tangents))):
        error = drawn.std(axis=0, ddof=1) / np.sqrt(len(drawn))
        assert np.all(np.abs(drawn.mean(axis=0) - found) <= 4 * error + found.max() / 768)
        assert np.all(error <= 0.03 * found.max())


@pytest.mark.parametrize("name", GATED)
def test_the_limit_is_written_out(name: str) -> None:
    derived = load(name).derive()
    assert not derived.system.refused
    assert all(equation.line > 0 and equation.rule for equation in derived.equations)
    assert any(assumption.name == "gradient independence" for assumption in derived.assumptions)
    assert derived.latex()
