"""Two witnesses of the NTK of programs with axes: tangents carried forwards, and the sum over pairs of positions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tensorprog as tp
from tensorprog.core.build import Loops, build
from tensorprog.limit.backward import derive_backward
from tensorprog.limit.derive import derive
from tensorprog.limit.windows import write_out_maxima
from tensorprog.runtime.gram import Kernel
from tests.references.samples import SHAPES, draw, stacked

FOLDER = Path(__file__).resolve().parents[2] / "examples"
REFUSED = {
    "rnn": "the backward pass of a scan runs downwards",
    "deep_rnn": "the backward pass of a scan runs downwards",
    "gru": "the backward pass of a scan runs downwards",
    "lstm": "the backward pass of a scan runs downwards",
    "attention": "the gradient of the scores, which vanishes, is an average of products of many Gaussians",
    "positional": "the gradient of the scores, which vanishes, is an average of products of many Gaussians",
}


SLOW = {"batchnorm"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in sorted(SHAPES.keys() - REFUSED.keys())],
)
def test_both_derivations_give_the_ntk_of_an_example(name: str) -> None:
    """Θ = Σ over pairs of uses and of positions of lr E[dy dy'] E[u u'] (Tensor Programs II, equations 11 and 12).

    Of an output over axes the backward pass has the gradient of the sum over its places.
    """
    net = tp.load(FOLDER / f"{name}.tp")
    core = write_out_maxima(build(net.tree, net.hyperparameters, loops=Loops.UNROLLED))
    first, second = (stacked(draw(name, SHAPES[name], count, seed)) for count, seed in ((3, 0), (2, 1)))
    for output in core.outputs:
        forwards = Kernel(core, derive(core), "interpret")
        backwards = Kernel(core, derive_backward(core, output), "interpret")
        for arguments in ((first,), (first, second)):
            found, expected = (kernel(*arguments, output=output.name) for kernel in (forwards, backwards))
            places = tuple(range(2, found.ndim))
            found, expected = found.sum(axis=places), expected[(..., *(0 for _ in places))]
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11 * np.abs(expected).max())
