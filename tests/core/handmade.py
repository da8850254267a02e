"""Core programs written by hand, for tests that need no parser: a deep MLP, a recurrence, a convolution, a gradient."""

from tensorprog.core.ir import (
    Affine,
    Axis,
    Carry,
    Core,
    Gather,
    Gradient,
    Input,
    Instruction,
    Load,
    Map,
    MatMul,
    Moment,
    Output,
    Parameter,
    Scan,
    Scatter,
    Sum,
    Type,
    Width,
)
from tensorprog.errors import Source, Span
from tensorprog.nonlin.expression import ONE, ZERO, Call, Expr, Fn, Number, Operand, Symbol, apply

SOURCE = Source("handmade.tp", "")
N, D = Symbol("n"), Symbol("d")
VECTOR, SCALAR = Type((), N), Type((), None)
U, V, W = Operand(0), Operand(1), Operand(2)


def at(line: int) -> Span:
    return Span(SOURCE, line, 1, line, 2)


def relu(u: Expr) -> Expr:
    return apply("relu", u)


def parameter(name: str, shape: tuple[Expr, ...], variance: Expr, line: int, axes: tuple[str, ...] = ()) -> Parameter:
    return Parameter(name, axes, shape, ZERO, variance, None, True, at(line))


def core(
    name: str, body: list[Instruction], types: dict[str, Type], parameters: list[Parameter], **rest: object
) -> Core:
    given = {
        "symbols": {},
        "widths": (Width("n", None, at(1)),),
        "axes": {},
        "inputs": (Input("x", Type((), D), at(2)),),
        "outputs": (Output("f", "f", at(99)),),
    } | rest
    given["types"] = {entry.name: entry.type for entry in given["inputs"]} | types
    return Core(name=name, body=tuple(body), parameters={p.name: p for p in parameters}, **given)


def mlp(depth: int) -> Core:
    """h_l = W_l relu(h_{l-1}) + b_l, unrolled."""
    body, types, parameters, before = [], {}, [], "x"
    for layer in range(1, depth + 1):
        h, w, b, line = f"h{layer}", f"W{layer}", f"b{layer}", 2 + layer
        fan = D if layer == 1 else N
        parameters += [parameter(w, (N, fan), Symbol("sw2") / fan, line), parameter(b, (N,), Number(0.1), line)]
        body += [
            MatMul(f"{h}.1", w, (), before, False, span=at(line)),
            Load(f"{h}.2", b, (), span=at(line)),
            Map(h, U + V, (f"{h}.1", f"{h}.2"), span=at(line)),
            Map(f"a{layer}", relu(U), (h,), span=at(line)),
        ]
        types |= dict.fromkeys((f"{h}.1", f"{h}.2", h, f"a{layer}"), VECTOR)
        before = f"a{layer}"
    parameters.append(parameter("V", (ONE, N), 1 / N, 99))
    body.append(MatMul("f", "V", (), before, False, span=at(99)))
    return core("mlp", body, types | {"f": SCALAR}, parameters, symbols={"sw2": 2.0})


def recurrent() -> Core:
    """s[t] = spike(W s[t-1] + U x[t]) with a surrogate derivative; f = V mean_t s[t], and the norm of s as a scalar."""
    spike = Fn("spike", ("u",), apply("step", U), 1 / (1 + apply("abs", U)) ** 2)
    inside = [
        Gather("s.1", "x", (Affine(ZERO, (("t", ONE),)),), (), span=at(6)),
        MatMul("s.2", "U", (), "s.1", False, span=at(6)),
        MatMul("s.3", "W", (), "s.0", False, span=at(6)),
        Map("s.4", U + V, ("s.3", "s.2"), span=at(6)),
        Map("s", Call(spike, (U,)), ("s.4",), span=at(6)),
    ]
    body = [
        Scan("scan t", "t", (Carry("s.0", "s", None, at(6)),), tuple(inside), False, span=at(5)),
        Sum("m.1", "s", ("t",), span=at(8)),
        Map("m", U / Symbol("T"), ("m.1",), span=at(8)),
        Map("q.1", U * U, ("m",), span=at(9)),
        Moment("q", "q.1", span=at(9)),
        Map("y", U / apply("sqrt", V + Number(1e-6)), ("m", "q"), span=at(10)),
        MatMul("f", "V", (), "y", False, span=at(11)),
    ]
    over_time = Type(("t",), N)
    types = dict.fromkeys(("s.0", "s.2", "s.3", "s.4", "s"), over_time) | dict.fromkeys(
        ("m.1", "m", "q.1", "y"), VECTOR
    )
    types |= {"s.1": Type(("t",), D), "q": SCALAR, "f": SCALAR}
    parameters = [
        parameter("U", (N, D), 2 / D, 3),
        parameter("W", (N, N), 1 / N, 4),
        parameter("V", (ONE, N), 1 / N, 4),
    ]
    axes = {"t": Axis("t", ZERO, Symbol("T"), False, at(2))}
    return core("recurrent", body, types, parameters, axes=axes, inputs=(Input("x", Type(("t",), D), at(2)),))


def convolution() -> Core:
    """h[o] = Σ_k C[k] x[2 o + k - 1], circular in the data; f[o] = V h[o]."""
    places = (Affine(Number(-1), (("o", Number(2)), ("k", ONE))),)
    body = [
        Gather("h.1", "x", places, ("o", "k"), span=at(6)),
        MatMul("h.2", "C", (Affine(ZERO, (("k", ONE),)),), "h.1", False, span=at(6)),
        Sum("h", "h.2", ("k",), span=at(6)),
        Map("a", relu(U), ("h",), span=at(7)),
        MatMul("f", "V", (), "a", False, span=at(8)),
    ]
    types = {"h.1": Type(("o", "k"), D), "h.2": Type(("o", "k"), N), "h": Type(("o",), N), "a": Type(("o",), N)}
    half = apply("floordiv", Symbol("H") + 1, 2)
    axes = {
        "i": Axis("i", ZERO, Symbol("H"), True, at(2)),
        "o": Axis("o", ZERO, half, False, at(3)),
        "k": Axis("k", Number(-1), Number(3), False, at(4)),
    }
    kernel = Parameter("C", ("k",), (N, D), ZERO, 2 / (3 * D), Number(1), True, at(5))
    frozen = Parameter("V", (), (ONE, N), ZERO, 1 / N, None, False, at(5))
    inputs = (Input("x", Type(("i",), D), at(2)),)
    return core("convolution", body, types | {"f": Type(("o",), None)}, [kernel, frozen], axes=axes, inputs=inputs)


def gradient() -> Core:
    """The backward pass of f = V relu(W x), W n×d, by hand; the scatter is there for its text."""
    body = [
        MatMul("h", "W", (), "x", False, span=at(3)),
        Map("a", relu(U), ("h",), span=at(4)),
        MatMul("f", "V", (), "a", False, span=at(5)),
        MatMul("d.a", "V", (), "d.f", True, span=at(5)),
        Map("d.h", apply("step", U) * V, ("h", "d.a"), span=at(4)),
        Scatter("d.s", "d.h", (), (), span=at(3)),
    ]
    types = dict.fromkeys(("h", "a", "d.a", "d.h", "d.s"), VECTOR) | {"f": SCALAR}
    parameters = [parameter("W", (N, D), 2 / D, 2), parameter("V", (ONE, N), 1 / N, 2)]
    uses = (Gradient("V", (), "d.f", "a", False, ()), Gradient("W", (), "d.h", "x", False, ()))
    inputs = (Input("x", Type((), D), at(2)), Input("d.f", SCALAR, at(5)))
    return core("gradient", body, types, parameters, inputs=inputs, gradients=uses)
