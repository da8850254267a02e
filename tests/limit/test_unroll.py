"""Recurrences written out step by step: the same network at any width, and the same limit where both have one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import tensorprog as tp
from tensorprog.core.ir import Core, Scan, walk
from tensorprog.core.wellformed import check_wellformed
from tensorprog.finite.network import FiniteNetwork
from tensorprog.limit.derive import derive
from tensorprog.limit.unroll import unroll
from tensorprog.runtime.gram import Kernel

Array = npt.NDArray[np.float64]

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

HEAD = """program written(sw2 = 1.5)
width n
axis t : 3
axis i : N
axis o : 2
axis k : 2
axis u : 3
axis r : 3 circular
input x[t] : (c)
input y[i, t] : (c)
param W : (n, n) ~ N(0, sw2 / n)
param U : (n, c) ~ N(0, 1 / c)
param b : (n) ~ N(0, 0.2)
param P[t] : (n) ~ N(0, (1 + t) / 4)
param C[k] : (n, n) ~ N(0, 1 / n)
param V : (1, n) ~ N(0, 1 / n)
param R[t] : (1, n) ~ N(0, 1 / n)
param Q : (n, n) ~ N(0, 1 / n)
scan t { s[t] = erf(W @ s[t - 1] + U @ x[t] + b + P[t]) }
"""

# What is made of the states of a recurrence that has a limit as it stands: statements and the last output.
READERS = {
    "the last state": "output f = V @ s[2]",
    "the mean": "output f = V @ mean[t](s[t])",
    "every state": "output f[t] = V @ s[t]",
    "weights of every step": "output f = sum[t](R[t] @ s[2 - t])",
    "a readout at every place": "output f[u] = V @ s[2 - u]",
    "windows": "output f = V @ mean[o, k](relu(s[o + k]) + s[o])",
    "a convolution": "g[t] = sum[k](C[k] @ s[t - k])\noutput f = V @ mean[t](relu(g[t]))",
    "places in expressions": "output f[t] = V @ ((1 + t) * s[t]) / 2",
    "places in functions": "h[t] = relu((1 + t) * (W @ s[t]))\noutput f = V @ mean[t](h[t])",
    "a ring": "q[r] = s[r]\noutput f[t] = V @ erf(W @ (q[t - 1] + q[t + 1]))",
    "data over two axes": "h[i, t] = erf(U @ y[i, t] + W @ s[t])\noutput f[i] = V @ mean[t](h[i, t])",
    "an output over two axes": "h[i, t] = erf(U @ y[i, t] + W @ s[t])\noutput f[t, i] = V @ h[i, t]",
    "a sum over two axes": "h[i, t] = erf(U @ y[i, t] + W @ s[t])\noutput f = V @ sum[i, t](h[i, t])",
    "an average": "a[t] = avg(s[t] * s[t])\noutput f = V @ sum[t](a[t] * s[t])",
    "attention": "a[t, u] = dot(s[t], s[u]) / n\nw[t, u] = softmax[u](a[t, u])\n"
    "h[t] = sum[u](w[t, u] * (W @ s[u]))\noutput f = V @ mean[t](erf(h[t]))",
    "the largest score": "a[t] = max[u](dot(s[t], s[u]) / n)\noutput f = V @ sum[t](a[t] * s[t])",
    "a second recurrence": "scan u { q[u] = erf(Q @ q[u - 1] + W @ s[2 - u]) ; init q = s[0] }\noutput f[u] = V @ q[u]",
    "a recurrence over another axis": "scan o { q[o] = erf(Q @ q[o - 1] + U @ x[1]) ; init q = s[1] }\n"
    "output f = V @ q[1]",
    "recurrences side by side": "scan o { q[o, t] = erf(Q @ q[o - 1, t] + C[0] @ s[t]) }\noutput f[t] = V @ q[1, t]",
    "a first value": "scan t { q[t] = erf(W @ q[t - 1]) ; init q = erf(U @ x[1]) }\noutput f = V @ sum[t](q[t] + s[t])",
}


def data() -> dict[str, Array]:
    rng = np.random.default_rng(0)
    return {"x": rng.standard_normal((3, 3, 2)), "y": rng.standard_normal((3, 2, 3, 2))}


def program(body: str) -> tp.Program:
    """The head with what the body reads: unused inputs are not declared."""
    lines = HEAD.splitlines(keepends=True)
    kept = lines if "y[i" in body else [line for line in lines if not line.startswith(("input y", "axis i"))]
    return tp.parse("".join(kept) + body + "\n")


def samples(net: tp.Program) -> dict[str, Array] | Array:
    return data() if len(net.inputs) == 2 else data()["x"]


@pytest.mark.parametrize("name", READERS)
def test_the_network_is_the_same_at_any_width(name: str) -> None:
    net = program(READERS[name])
    written = unroll(net.core(), frozenset({"t"}))
    check_wellformed(written)
    assert not any(isinstance(i, Scan) and i.axis == "t" for i in walk(written.body))
    network = net.sample(width=7, seed=3)
    other = FiniteNetwork(written, width=7, seed=3)
    x = samples(net)
    assert other(x) == pytest.approx(network(x), rel=1e-12, abs=1e-14)
    assert other.ntk(x) == pytest.approx(network.ntk(x), rel=1e-11, abs=1e-12)


def kernel(core: Core) -> Kernel:
    return Kernel(core, derive(core), backend="interpret")


# Two recurrences that read each other at other steps have no limit unless they are written out.
LIMITS = [name for name in READERS if name not in ("a second recurrence", "a recurrence over another axis")]


@pytest.mark.parametrize("name", LIMITS)
def test_the_limit_is_the_same(name: str) -> None:
    net = program(READERS[name])
    x = samples(net)
    assert net.derive().core.types["s"].axes == ("t",)  # it closes, and is left as it is
    whole = net.compile(backend="interpret")
    found = kernel(unroll(net.core(), frozenset({"t"})))
    for kind in ("nngp", "ntk"):
        assert found(x, get=kind) == pytest.approx(whole(x, get=kind), rel=1e-11, abs=1e-13)


GATES = """program gates(T = 3)
width n
axis t : T
input x[t] : (c)
param W : (n, n) ~ N(0, 1 / n)
param R : (n, n) ~ N(0, 1 / n)
param U : (n, c) ~ N(0, 1 / c)
param V : (1, n) ~ N(0, 1 / n)
scan t {
    z[t] = Phi(R @ h[t - 1] + U @ x[t])
    h[t] = (1 - z[t]) * h[t - 1] + z[t] * erf(W @ h[t - 1] + U @ x[t])
}
output f = V @ h[T - 1]
"""
ONE_STEP = """program one
width n
input x : (c)
param U : (n, c) ~ N(0, 1 / c)
param V : (1, n) ~ N(0, 1 / n)
output f = V @ (Phi(U @ x) * erf(U @ x))
"""
TWO_STEPS = """program two
width n
input x : (c)
input y : (c)
param W : (n, n) ~ N(0, 1 / n)
param R : (n, n) ~ N(0, 1 / n)
param U : (n, c) ~ N(0, 1 / c)
param V : (1, n) ~ N(0, 1 / n)
h = Phi(U @ x) * erf(U @ x)
z = Phi(R @ h + U @ y)
g = (1 - z) * h + z * erf(W @ h + U @ y)
output f = V @ g
"""


def test_the_steps_have_names_and_lines() -> None:
    derived = tp.parse(GATES, T=2).derive()
    check_wellformed(derived.core)
    assert not any(isinstance(instruction, Scan) for instruction in walk(derived.core.body))
    assert {"h[0]", "h[1]", "z[0]", "z[1]", "z[1].1"} <= derived.core.types.keys()
    lines = {i.target: i.span.line for i in walk(derived.core.body)}
    assert lines["z[1]"] == 10
    assert lines["h[1]"] == 11
    assert derived.core.inputs == tp.parse(GATES, T=2).core().inputs
    assert "K_h[1](x, x′)" in str(derived)
    assert "v[2]: v at place 2 of an axis that is written out" in str(derived)
    assert derived.latex()


def test_one_step_is_a_gated_layer() -> None:
    x = np.random.default_rng(1).standard_normal((4, 2))
    found = tp.parse(GATES, T=1).compile(backend="interpret")
    wanted = tp.parse(ONE_STEP).compile(backend="interpret")
    for kind in ("nngp", "ntk"):
        assert found(x[:, None], get=kind) == pytest.approx(wanted(x, get=kind), rel=1e-12)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::tensorprog.PrecisionWarning")
def test_two_steps_are_two_gated_layers() -> None:
    x = np.random.default_rng(2).standard_normal((2, 2, 2))
    found = tp.parse(GATES, T=2).compile(backend="interpret")
    wanted = tp.parse(TWO_STEPS).compile(backend="interpret")
    for kind in ("nngp", "ntk"):
        assert found(x, get=kind) == pytest.approx(wanted({"x": x[:, 0], "y": x[:, 1]}, get=kind), rel=1e-10)


def test_recurrences_that_close_keep_their_formulas() -> None:
    for name in ("rnn", "deep_rnn"):
        core = tp.load(EXAMPLES / f"{name}.tp").derive().core
        assert any(isinstance(instruction, Scan) for instruction in core.body)
    both = GATES.replace("output f", "scan t { q[t] = erf(W @ q[t - 1] + U @ x[t]) }\noutput f").replace(
        "V @ h[T - 1]", "V @ q[T - 1]"
    )
    core = tp.parse(both).derive().core  # the gates are read by nothing
    assert any(isinstance(instruction, Scan) for instruction in core.body)


def test_layers_in_a_loop_are_written_out() -> None:
    head, _ = GATES.split("scan t {")
    stacked = (
        f"{head}a[t] = U @ x[t]\nfor l in 1..2 {{\nparam A : (n, n) ~ N(0, 1 / n)\nparam B : (n, n) ~ N(0, 1 / n)\n"
        "scan t { h[t] = Phi(A @ h[t - 1] + B @ a[t]) * (h[t - 1] + erf(B @ a[t])) }\na[t] = h[t]\n}\n"
        "output f = V @ a[1]\n"
    )
    derived = tp.parse(stacked, T=2).derive()
    assert {"h[0]", "h[1]", "h#2[0]", "h#2[1]"} <= derived.core.types.keys()
    assert not derived.system.refused


@pytest.mark.parametrize("extent", ["T", "100"])
def test_extents_must_be_numbers_and_small(extent: str) -> None:
    with pytest.raises(tp.LimitError) as caught:
        tp.parse(
            GATES.replace("(T = 3)", "").replace("axis t : T", f"axis t : {extent}").replace("T - 1", "0")
        ).derive()
    assert caught.value.code == "TP335"
    assert ("axis `t` has 100 positions" if extent == "100" else "the data bind `T`") in str(caught.value)
