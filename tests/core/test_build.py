"""What the builder makes of programs: instructions, types and names; and that loops rolled or not mean the same."""

import re
from pathlib import Path

import numpy as np
import pytest

from tensorprog.backprop.adjoint import differentiate
from tensorprog.core.build import Loops, build
from tensorprog.core.evaluate import bind, run, width_sizes
from tensorprog.core.ir import Affine, Carry, Gather, Load, Map, MatMul, Max, Moment, Scan, Softmax, Sum, Type, walk
from tensorprog.core.wellformed import check_wellformed
from tensorprog.errors import Source
from tensorprog.nonlin.evaluate import evaluate, evaluate_integer
from tensorprog.nonlin.expression import Apply, Call, Number, Operand, Position, Symbol, apply
from tensorprog.nonlin.text import text as show
from tensorprog.syntax.parser import parse
from tensorprog.syntax.use import inline_uses

CASES = sorted((Path(__file__).resolve().parents[2] / "examples").glob("*.tp"))
HEAD = """program p(L = 3, alpha = 0.5)
width n
axis t : T
axis i : 3
input x : (d)
input y[t] : (d)
param W : (n, d) ~ N(0, 1 / d)
param Q : (n, n) ~ N(0, 1 / n)
param b : (n) ~ N(0, 0.1)
param V : (1, n) ~ N(0, 1 / n)
"""
END = "\noutput f = V @ (W @ x)\n"


def program(text, hyperparameters=None, **options):
    core = build(inline_uses(parse(Source("p.tp", text)), None), hyperparameters or {}, **options)
    check_wellformed(core)
    return core


def lines(text, **options):
    """The instructions of `text` after the common head, in short."""
    core = program(HEAD + text + END, **options)
    return {item.target: item for item in walk(core.body)}, core


def formula(instruction):
    return show(instruction.expression, instruction.operands)


def test_sums_and_activations_are_separate():
    found, core = lines("h = relu(W @ x + b)")
    assert [type(item) for item in core.body[:4]] == [MatMul, Load, Map, Map]
    assert formula(found["h.3"]) == "h.1 + h.2"
    assert formula(found["h"]) == "relu(h.3)"
    assert core.types["h"] == Type((), Symbol("n"))


def test_scalar_factors_inside_a_nonlinearity_are_made_before_it():
    found, _ = lines("h = W @ x\nv = avg(h^2)\ny0 = relu(h / sqrt(v + 1e-6))\nz = (h - avg(h)) / sqrt(v + 1e-6)")
    assert formula(found["y0.1"]) == "h / sqrt(v + 1e-06)"
    assert formula(found["y0"]) == "relu(y0.1)"
    assert formula(found["z.2"]) == "h - z.1"
    assert formula(found["z"]) == "z.2 / sqrt(v + 1e-06)"


def test_functions_of_one_variable_stay_in_one_instruction():
    found, _ = lines("h = W @ x\ng = Q @ h\ny0 = relu(2 * h + 1) * erf(alpha * g) + 2 * h^2 - (h + g) / 3")
    assert formula(found["y0"]) == "relu(2 * h + 1) * erf(alpha * g) + 2 * h^2 - (h + g) / 3"


def test_a_multiple_of_itself_is_read_once():
    found, _ = lines("g = b * b + W @ x * (W @ x)")
    assert [name for name in found if name.startswith("g.")] == ["g.1", "g.2"]
    assert found["g"].operands == ("g.1", "g.2")


def test_definitions_are_numbered():
    found, core = lines("h = W @ x\nh = Q @ relu(h)\nh = h")
    assert {"h", "h#2.1", "h#2", "h#3"} <= set(found)
    assert found["h#3"] == Map("h#3", Operand(0), ("h#2",), span=core.body[0].span)


def test_numbers_are_no_instructions():
    found, core = lines("c = alpha * 2\nk = 1 + 1\nh = hermite(c * (W @ x), k)\naxis j : k\n")
    assert "c" not in found
    assert formula(found["h"]) == "hermite(alpha * 2 * h.1, 2)"
    assert core.axes["j"].extent == Number(2)


def test_hyperparameters_are_set_and_stay_symbols():
    core = program(HEAD + "param B : (n, n) ~ N(0, alpha / n)" + END, {"alpha": 2, "L": 4.0})
    assert core.symbols == {"L": 4, "alpha": 2.0}
    assert isinstance(core.symbols["L"], int)
    assert isinstance(core.symbols["alpha"], float)
    assert core.parameters["B"].variance == apply("div", Symbol("alpha"), Symbol("n"))


def test_powers_and_user_functions():
    found, _ = lines("fn phi(u) = alpha * u^2 derivative u\nfn psi(u, v) = phi(u) * v\nh = W @ x\ng = psi(h, 2 * h)")
    call = found["g"].expression
    assert isinstance(call, Call)
    assert call.args == (Operand(0), apply("mul", 2, Operand(0)))
    assert isinstance(call.fn.body, Apply)
    inner = call.fn.body.args[0]
    assert isinstance(inner, Call)
    assert (inner.fn.body, inner.fn.derivative) == (Symbol("alpha") * Operand(0) ** 2, Operand(0))


def test_moments_and_inner_products():
    found, core = lines("h = W @ x\ns = dot(h, relu(h)) / n\nq = dot(x, x)")
    assert [type(found[name]) for name in ("s.1", "s.2", "s")] == [Map, Moment, Map]
    assert formula(found["s"]) == "n * s.2 / n"
    assert formula(found["q"]) == "d * q.2"
    assert core.types["s"] == Type((), None)


def test_reductions():
    found, core = lines(
        "h[t] = W @ y[t]\ns[t, i] = avg(h[t]) * i\na[t, i] = softmax[t](s[t, i])\nm = mean[t](h[t])\n"
        "k[i] = sum[t](a[t, i] * h[t])\nw = max[i](k[i])\nu = mean[i](h[0])"
    )
    assert isinstance(found["a"], Softmax)
    assert (type(found["m.1"]), formula(found["m"])) == (Sum, "m.1 / T")
    assert core.types["k"] == Type(("i",), Symbol("n"))
    assert (type(found["w"]), found["w"].axes) == (Max, ("i",))
    assert Position("i") in found["s"].expression.args
    assert isinstance(found["u"], Gather)


def test_indices_are_affine():
    found, core = lines("h[t] = W @ y[t]\ng[i, t] = h[2 * t + i - (T - 1) // 2]\nk = h[T - 1]\nc[t] = h[t] + 1")
    index = found["g"].indices[0]
    assert dict(index.terms) == {"t": Number(2), "i": Number(1)}
    assert show(index.constant, ()) == "-((T - 1) // 2)"
    assert core.types["g"].axes == ("i", "t")
    assert found["k"].indices == (Affine(apply("sub", Symbol("T"), 1)),)
    assert found["c"].operands == ("h",)


def test_axes_are_ordered_as_on_the_left_and_broadcast():
    found, core = lines("h[t] = W @ y[t]\ng[i, t] = h[t] * i\nk[t, i] = g[i, t] + h[t]\nq[i, t] = h[t]")
    assert core.types["g"].axes == ("i", "t")
    assert core.types["k"].axes == ("t", "i")
    assert found["q"] == Map("q", Operand(0), ("h",), span=found["q"].span)
    assert core.types["q"].axes == ("i", "t")


def test_weights_are_indexed():
    found, core = lines("param C[i] : (n, d) ~ N(0, 1 / d)\nh = sum[i](C[2 - i].T @ (C[i] @ x))")
    transposed = next(item for item in found.values() if isinstance(item, MatMul) and item.transposed)
    assert transposed.indices == (Affine(Number(2), (("i", Number(-1)),)),)
    assert core.types[transposed.target] == Type(("i",), Symbol("d"))


RESIDUAL = "h = W @ x\nfor l in 1..L { param W1 : (n, n) ~ N(0, l / n)\n h = h + alpha * (W1 @ relu(h)) }\nz = h"


def test_a_loop_is_rolled():
    found, core = lines(RESIDUAL)
    scan = found["l.loop"]
    assert isinstance(scan, Scan)
    assert scan.carries == (Carry("h.before", "h#2", "h", span=scan.span),)
    assert (core.axes["l"].start, core.axes["l"].extent) == (Number(1), Number(3))
    assert core.parameters["W1"].axes == ("l",)
    assert core.parameters["W1"].variance == apply("div", Position("l"), Symbol("n"))
    assert found["h#2.2"].indices == (Affine(Number(0), (("l", Number(1)),)),)
    assert core.types["h#2"] == Type(("l",), Symbol("n"))
    assert found["h#3"].indices == (Affine(Number(3)),)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("h = W @ x\nfor l in 1..L { h = Q @ relu(h) }", id="shared weights"),
        pytest.param("h = W @ x\nfor l in 1..L { h = hermite(h, l) }", id="integer"),
        pytest.param("h = W @ x\nfor l in 1..1 { param B : (n, n) ~ N(0, 1 / n)\n h = B @ h }", id="one step"),
        pytest.param("h = x\nfor l in 1..L { param B : (n, l) ~ N(0, 1)\n }", id="shape"),
        pytest.param("h[t] = W @ y[t]\nfor l in 1..L { h[t] = h[l * t] }\nz = h[0]", id="not affine"),
        pytest.param("h = x\nfor l in 1..2 { for k in 1..l { h = relu(h) } }", id="inner range"),
        pytest.param("for l in 1..1 { output g = V @ (W @ x) }", id="output"),
        pytest.param("h = 1\nfor l in 1..2 { h = h * (W @ x) }", id="type"),
    ],
)
def test_a_loop_is_unrolled_where_it_must_be(text):
    _, core = lines(text)
    assert not any(isinstance(item, Scan) and item.axis == "l" for item in core.body)


def test_a_loop_without_steps_does_nothing():
    found, core = lines("h = W @ x\nfor l in 1..0 { h = Q @ nonsense }\nz = h")
    assert found["z"].operands == ("h",)
    assert set(core.axes) == {"t", "i"}


def test_only_the_inner_loop_is_unrolled_where_that_is_enough():
    found, _ = lines(
        "h = W @ x\nfor k in 1..2 { param B : (n, n) ~ N(0, 1 / n)\n for l in 1..2 { h = B @ relu(h) } }\nz = h"
    )
    assert isinstance(found["k.loop"], Scan)
    assert "l.loop" not in found


def test_parameters_of_unrolled_loops_are_numbered():
    core = program(HEAD + RESIDUAL + END, loops=Loops.UNROLLED)
    assert [name for name in core.parameters if name.startswith("W1")] == ["W1", "W1#2", "W1#3"]
    assert core.parameters["W1#2"].variance == apply("div", 2, Symbol("n"))


def test_blocks_have_names_and_parameters_of_their_own():
    found, core = lines(
        "block dense(h, m, s = 1) { param B : (n, m) ~ N(0, s / m)\n g = B @ h\n return tanh(g) }\n"
        "h = dense(x, d)\ng = dense(relu(h) * h, n, s = alpha)\nk = dense(s = 2, m = n, h = g)"
    )
    assert {"dense.B", "dense#2.B", "dense#3.B"} <= set(core.parameters)
    assert core.parameters["dense#2.B"].variance == apply("div", Symbol("alpha"), Symbol("n"))
    assert formula(found["dense#2.h"]) == "relu(h) * h"
    assert found["dense#3.g"].operand == "g"
    assert formula(found["h"]) == "tanh(dense.g)"


def test_axes_pass_through_blocks():
    _, core = lines(
        "block layer(h) { param B : (n, d) ~ N(0, 1 / d)\n m = B @ h\n q[i] = m * i\n return q[i] * q[2] }\n"
        "h[t, i] = layer(y[t + 1])"
    )
    assert core.types["layer.m"].axes == ("t",)
    assert core.types["layer.q"].axes == ("t", "i")
    assert core.types["h"].axes == ("t", "i")
    assert core.parameters["layer.B"].axes == ()


def test_a_scan():
    found, core = lines(
        "scan t { init s = b\n s[t] = erf(Q @ c[t - 1] + W @ y[t])\n c[t] = s[t] + s[t - 1] * t\n"
        " a[t] = a[t - 1] / 2 + avg(c[t]) }\nz = s[T - 1]\nv = mean[t](c[t])"
    )
    scan = found["t.scan"]
    assert [(carry.target, carry.source, carry.initial) for carry in scan.carries] == [
        ("s.before", "s", "s.init.1"),
        ("c.before", "c", None),
        ("a.before", "a", None),
    ]
    assert core.types["c"] == Type(("t",), Symbol("n"))
    assert core.types["c.before"] == Type(("t",), Symbol("n"))
    assert core.types["a"] == Type(("t",), None)
    assert found["z"].indices == (Affine(apply("sub", Symbol("T"), 1)),)


def test_states_with_more_axes():
    _, core = lines("scan t { g[i, t] = relu(g[i + 1, t - 1]) + W @ y[t] * i }\nz[i, t] = g[i, t]")
    assert core.types["g"] == Type(("t", "i"), Symbol("n"))
    assert core.types["z"].axes == ("i", "t")


def base(name):
    """The name of a parameter in the program."""
    return re.sub(r"#\d+", "", name)


def sample(core, data, width=5, seed=3, share=None):
    """Run a core on random parameters; `share` maps a parameter to the array to use instead."""
    binding = bind(core, data)
    widths = width_sizes(core, width, binding.sizes)
    sizes = {**binding.sizes, **widths}
    random = np.random.default_rng(seed)
    drawn = {}
    for parameter in core.parameters.values():
        shape = [binding.extents[axis] for axis in parameter.axes]
        shape += [evaluate_integer(size, sizes) for size in parameter.shape]
        scale = np.sqrt(evaluate(parameter.variance, (), {**sizes}, {axis: 1 for axis in parameter.axes}))
        drawn[parameter.name] = scale * random.standard_normal(shape)
    drawn.update(share or {})
    return run(core, binding, drawn, widths), drawn


DATA = {"x": np.linspace(-1, 1, 8).reshape(2, 4), "y": np.linspace(-2, 1, 24).reshape(2, 3, 4)}


@pytest.mark.parametrize(
    "text",
    [
        RESIDUAL,
        "h = W @ x\ng = 2\nfor k in 1..2 { for l in 0..1 { param B : (n, n) ~ N(0, 1 / n)\n h = B @ relu(h) * g"
        "\n g = avg(h^2) + l + k } }\nz = h * g",
        "h[t] = W @ y[t]\nfor l in 1..2 { param B : (n, n) ~ N(0, 1 / n)\n h[t] = B @ h[t - 1] + h[l]\n"
        " scan t { s[t] = s[t - 1] + h[t] * l }\n h[t] = s[t] }\nz = sum[t](h[t])",
        "block res(h) { param B : (n, n) ~ N(0, 1 / n)\n return h + B @ relu(h) }\nh[t] = W @ y[t]\n"
        "for l in 1..3 { h[t] = res(h[t]) }\nz = sum[t](h[t] * t)",
    ],
)
def test_rolled_and_unrolled_loops_agree(text):
    rolled = program(HEAD + text + END)
    flat = program(HEAD + text + END, loops=Loops.UNROLLED)
    assert any(isinstance(item, Scan) and item.target.endswith(".loop") for item in rolled.body)
    first, drawn = sample(rolled, DATA)
    layers = {base(name): iter(array.reshape(-1, *array.shape[-2:])) for name, array in drawn.items() if array.ndim > 2}
    share = {name: next(layers[base(name)]) if base(name) in layers else drawn[name] for name in flat.parameters}
    second, _ = sample(flat, DATA, share=share)
    np.testing.assert_allclose(first["z"], second["z"], rtol=1e-13)


def test_a_recurrence_is_what_a_loop_over_time_gives():
    core = program(HEAD + "scan t { init s = b\n s[t] = tanh(Q @ s[t - 1] + W @ y[t + 1]) + t }\nz = s[T - 1]" + END)
    env, drawn = sample(core, DATA)
    state = np.broadcast_to(drawn["b"], (2, 5))
    later = np.concatenate([DATA["y"][:, 1:], np.zeros((2, 1, 4))], axis=1)
    for t in range(3):
        state = np.tanh(state @ drawn["Q"].T + later[:, t] @ drawn["W"].T) + t
    np.testing.assert_allclose(env["z"], state, rtol=1e-13)


def test_a_block_at_every_position_is_the_block_at_each():
    text = "block layer(h) { param B : (n, d) ~ N(0, 1 / d)\n m = avg(B @ h)\n return (B @ h - m)^2 }\n"
    env, drawn = sample(program(HEAD + text + "h[t] = layer(y[t - 1])\nz = sum[t](h[t])" + END), DATA)
    shifted = np.concatenate([np.zeros((2, 1, 4)), DATA["y"][:, :-1]], axis=1) @ drawn["layer.B"].T
    expected = ((shifted - shifted.mean(axis=-1, keepdims=True)) ** 2).sum(axis=1)
    np.testing.assert_allclose(env["z"], expected, rtol=1e-13)


def test_scans_and_loops_inside_blocks():
    text = (
        "input u[t, i] : (d)\nblock deep(h) { for l in 1..2 { param B : (n, n) ~ N(0, 1 / n)\n h = B @ h + l }\n"
        " return h }\n"
        "block past(h) { g[t] = h\n scan t { s[t] = s[t - 1] * 2 + g[t] }\n return s[t] }\n"
        "z[i, t] = deep(past(W @ u[t, i]))"
    )
    core = program(HEAD + text + END)
    assert core.types["past.s"] == Type(("t", "i"), Symbol("n"))
    data = {**DATA, "u": np.arange(72.0).reshape(2, 3, 3, 4) / 50}
    env, drawn = sample(core, data)
    steps = data["u"] @ drawn["W"].T
    state = np.stack(
        [steps[:, 0], 2 * steps[:, 0] + steps[:, 1], 4 * steps[:, 0] + 2 * steps[:, 1] + steps[:, 2]], axis=1
    )
    expected = (state @ drawn["deep.B"][0].T + 1) @ drawn["deep.B"][1].T + 2
    np.testing.assert_allclose(env["z"], expected.transpose(0, 2, 1, 3), rtol=1e-12)


def test_deep_expressions_and_long_chains():
    deep = " + ".join(["h"] * 1000)
    chain = "Q @ " * 500 + "h"
    found, core = lines(f"h = W @ x\nz = {deep}\nc = {' + '.join(['1'] * 900)}\ny0 = {chain}\nk = {'-' * 500}h")
    assert len([item for item in found.values() if isinstance(item, MatMul)]) == 503
    env, _ = sample(core, DATA)
    np.testing.assert_allclose(env["z"], 1000 * env["h"], rtol=1e-12)


def test_several_widths():
    text = "program p\nwidth n\nwidth m = 4 * n\ninput x : (2)\nparam A : (m, 2) ~ N(0, 1)\n"
    core = program(text + "param V : (1, m) ~ N(0, 1 / m)\noutput f = V @ (A @ x)\n")
    assert core.types["f.1"].dimension == Symbol("m")
    assert core.widths[1].size == apply("mul", 4, Symbol("n"))


def test_equal_sizes_fit_however_they_are_written():
    text = "program p(k = 2)\nwidth n\ninput x : (2 * d + k)\ninput y : (d)\nparam A : (n, 2 + d + d) ~ N(0, 1)\n"
    core = program(text + "param V : (1, n) ~ N(0, 1 / n)\noutput f = V @ (A @ x)\n")
    assert core.inputs[0].type.dimension == core.parameters["A"].shape[1]


def test_outputs_may_be_indexed_and_several():
    core = program(
        HEAD + "param c[t] : (1) ~ N(0, 1)\ng = V @ (Q @ b)\noutput e[t] = V @ (W @ y[t]) + 2 * c[t] - g" + END
    )
    assert [output.name for output in core.outputs] == ["e", "f"]
    assert core.types["e"] == Type(("t",), None)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
@pytest.mark.parametrize("loops", Loops)
def test_examples_and_their_backward_passes_are_wellformed(path, loops):
    core = build(inline_uses(parse(Source(path.name, path.read_text(encoding="utf-8"))), path.parent), loops=loops)
    check_wellformed(core)
    for output in core.outputs:
        check_wellformed(differentiate(core, output.source))
