"""Gains, parameters without variance inside nonlinearities: the rewritten program is the same network."""

import numpy as np
import pytest

import tensorprog as tp
from tensorprog.core.build import Loops, build
from tensorprog.core.wellformed import check_wellformed
from tensorprog.finite.network import FiniteNetwork
from tensorprog.limit.backward import derive_backward
from tensorprog.limit.gains import linearize_gains
from tensorprog.runtime.gram import Kernel

NORM = "m = avg(h) ; v = avg((h - m)^2) ; y = (h - m) / sqrt(v + 1e-6)\n"
HEAD = "width n\ninput x : (d)\nparam U : (n, d) ~ N(0, 1 / d)\nparam V : (1, n) ~ N(0, 1 / n)\n"
GAIN = "param g : (n) ~ N(1.3, 0) lr 0.7\nparam c : (n) ~ N(0.2, 0) lr 0.4\nparam W : (n, n) ~ N(0, 1 / n)\n"

LOOP = f"h = U @ x\nfor l in 1..L {{\n{GAIN}"
BODIES = {
    "norm": f"{GAIN}h = U @ x\n{NORM}output f = V @ tanh(W @ erf(g * y + c))\n",
    "two_maps": f"{GAIN}h = U @ x\nz = g * h + c\nu = sin(z) + z\noutput f = V @ erf(W @ u)\n",
    "frozen": f"{GAIN.replace('param', 'frozen')}h = U @ x\noutput f = V @ gelu(W @ relu(g * h))\n",
    "shared": f"{GAIN}h = U @ x\noutput f = V @ (relu(g * h) + g * relu(W @ erf(g * h)) + g)\n",
    "loop": f"{LOOP}{NORM}h = h + W @ relu(g * y + c)\n}}\noutput f = V @ h\n",
    "post_norm": f"{LOOP}h = h + W @ relu(h)\n{NORM}h = g * y\n}}\noutput f = V @ h\n",
}
PROGRAMS = {name: f"program a(L = 2)\n{HEAD}{body}" for name, body in BODIES.items()}
X = np.random.default_rng(0).standard_normal((3, 6))


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_rewritten_program_is_the_same_network(name):
    """Same parameters, same outputs and tangent kernels, to rounding."""
    core = tp.parse(PROGRAMS[name]).core()
    ready = linearize_gains(core)
    check_wellformed(ready)
    plain, rewritten = (FiniteNetwork(program, 48, seed=1) for program in (core, ready))
    np.testing.assert_allclose(rewritten(X), plain(X), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(rewritten.ntk(X), plain.ntk(X), rtol=1e-10)


@pytest.mark.parametrize("name", PROGRAMS)
def test_sampled_networks_have_this_ntk(name):
    """|z| < 5.5 with 30 networks of width 300 each: six entries, false alarm below 1e-4; the 1/n bias is within 6 %."""
    net = tp.parse(PROGRAMS[name])
    limit = net.compile(backend="interpret")(X)
    draws = np.array([net.sample(300, seed=seed).ntk(X) for seed in range(30)])
    error = draws.std(axis=0, ddof=1) / np.sqrt(len(draws))
    assert (
        np.abs(draws.mean(axis=0) - limit) < 5.5 * error + 0.06 * np.sqrt(np.outer(limit.diagonal(), limit.diagonal()))
    ).all()


@pytest.mark.parametrize("name", sorted(set(PROGRAMS) - {"shared"}))
def test_the_backward_sum_agrees(name):
    """The double sum of Tensor Programs II over the backward pass of the program gives the same NTK."""
    net = tp.parse(PROGRAMS[name])
    core = linearize_gains(build(net.tree, net.core().symbols, loops=Loops.UNROLLED))
    other = Kernel(core, derive_backward(core, core.outputs[0]), backend="interpret")
    np.testing.assert_allclose(other(X), net.compile(backend="interpret")(X), rtol=1e-9)


def test_the_library_has_a_normalized_layer_with_gain():
    """`gain_and_shift` after `layer_norm`, followed by a nonlinearity."""
    net = tp.parse(
        'program a\nuse "layers.tp"\nwidth n\ninput x : (d)\nh = input_layer(x, d, n)\n'
        "z = relu(gain_and_shift(layer_norm(h), n))\noutput f = readout(z, n)\n"
    )
    assert np.isfinite(net.compile(backend="interpret")(X)).all()
