"""Small core programs made by hand: what the tests of the core, the backward pass and the sampler run on."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tensorprog.core.ir import (
    Affine,
    Axis,
    Carry,
    Core,
    Gather,
    Input,
    Instruction,
    Load,
    Map,
    MatMul,
    Max,
    Moment,
    Output,
    Parameter,
    Scan,
    Softmax,
    Sum,
    Type,
    Width,
)
from tensorprog.errors import Source, Span
from tensorprog.nonlin.evaluate import evaluate_integer
from tensorprog.nonlin.expression import Expr, Number, Operand, Symbol, apply

SPAN = Span(Source("by_hand.tp", "made by hand\n"), 1, 1, 1, 5)
U, U2, U3 = Operand(0), Operand(1), Operand(2)
N = Symbol("n")


def number(value: Expr | float) -> Expr:
    return value if isinstance(value, Expr) else Number(value)


def index(constant: Expr | int = 0, /, **terms: int) -> Affine:
    return Affine(number(constant), tuple((axis, Number(coefficient)) for axis, coefficient in terms.items()))


@dataclass
class Program:
    """Collects declarations and instructions; `core()` is the program."""

    widths: dict[str, Expr | None] = field(default_factory=lambda: {"n": None})
    symbols: dict[str, float] = field(default_factory=dict)
    axes: dict[str, Axis] = field(default_factory=dict)
    inputs: list[Input] = field(default_factory=list)
    parameters: dict[str, Parameter] = field(default_factory=dict)
    types: dict[str, Type] = field(default_factory=dict)
    blocks: list[list[Instruction]] = field(default_factory=lambda: [[]])
    steps: list[str] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)

    def axis(self, name: str, extent: Expr | int, start: int = 0, circular: bool = False) -> None:
        self.axes[name] = Axis(name, Number(start), number(extent), circular, SPAN)

    def input(self, name: str, axes: tuple[str, ...] = (), dimension: Expr | int | None = None) -> str:
        kind = Type(axes, None if dimension is None else number(dimension))
        self.inputs.append(Input(name, kind, SPAN))
        self.types[name] = kind
        return name

    def param(
        self,
        name: str,
        shape: tuple[Expr | int, ...],
        variance: Expr | float = 1.0,
        axes: tuple[str, ...] = (),
        mean: Expr | float = 0.0,
        rate: Expr | float | None = None,
        trained: bool = True,
    ) -> str:
        self.parameters[name] = Parameter(
            name,
            axes,
            tuple(number(extent) for extent in shape),
            number(mean),
            number(variance),
            None if rate is None else number(rate),
            trained,
            SPAN,
        )
        return name

    def emit(self, instruction: Instruction, axes: tuple[str, ...] = (), dimension: Expr | int | None = N) -> str:
        self.blocks[-1].append(instruction)
        self.types[instruction.target] = Type((*self.steps, *axes), None if dimension is None else number(dimension))
        return instruction.target

    def matmul(
        self,
        target: str,
        parameter: str,
        operand: str,
        axes: tuple[str, ...] = (),
        dimension: Expr | int | None = N,
        indices: tuple[Affine, ...] = (),
        transposed: bool = False,
    ) -> str:
        return self.emit(MatMul(target, parameter, indices, operand, transposed, span=SPAN), axes, dimension)

    def load(
        self,
        target: str,
        parameter: str,
        axes: tuple[str, ...] = (),
        dimension: Expr | int | None = N,
        indices: tuple[Affine, ...] = (),
    ) -> str:
        return self.emit(Load(target, parameter, indices, span=SPAN), axes, dimension)

    def map(
        self,
        target: str,
        expression: Expr,
        operands: tuple[str, ...],
        axes: tuple[str, ...] = (),
        dimension: Expr | int | None = N,
    ) -> str:
        return self.emit(Map(target, expression, operands, span=SPAN), axes, dimension)

    def gather(
        self,
        target: str,
        source: str,
        indices: tuple[Affine, ...],
        axes: tuple[str, ...] = (),
        dimension: Expr | int | None = N,
    ) -> str:
        return self.emit(Gather(target, source, indices, axes, span=SPAN), axes, dimension)

    def sum(
        self, target: str, operand: str, over: tuple[str, ...], axes: tuple[str, ...] = (), dimension: Expr | None = N
    ) -> str:
        return self.emit(Sum(target, operand, over, span=SPAN), axes, dimension)

    def softmax(self, target: str, operand: str, axis: str, axes: tuple[str, ...]) -> str:
        return self.emit(Softmax(target, operand, axis, span=SPAN), axes, None)

    def moment(self, target: str, operand: str, axes: tuple[str, ...] = ()) -> str:
        return self.emit(Moment(target, operand, span=SPAN), axes, None)

    def open_scan(self, axis: str) -> None:
        self.blocks.append([])
        self.steps.append(axis)

    def carry(self, target: str, axes: tuple[str, ...] = (), dimension: Expr | int | None = N) -> str:
        self.types[target] = Type((*self.steps, *axes), None if dimension is None else number(dimension))
        return target

    def close_scan(self, *carries: tuple[str, str, str | None], label: str = "loop", reverse: bool = False) -> None:
        axis, body = self.steps.pop(), tuple(self.blocks.pop())
        made = tuple(Carry(target, source, initial, SPAN) for target, source, initial in carries)
        self.blocks[-1].append(Scan(label, axis, made, body, reverse, span=SPAN))

    def output(self, name: str, source: str) -> None:
        self.outputs.append(Output(name, source, SPAN))

    def core(self) -> Core:
        widths = tuple(Width(name, size, SPAN) for name, size in self.widths.items())
        return Core(
            "by_hand",
            self.symbols,
            widths,
            self.axes,
            tuple(self.inputs),
            self.parameters,
            tuple(self.blocks[0]),
            tuple(self.outputs),
            self.types,
        )


def data_layer(program: Program, d: Expr | int = 3) -> str:
    """h = W1 @ x + b1."""
    program.input("x", (), d)
    program.param("W1", (N, d), 1 / number(d))
    program.param("b1", (N,), 0.3)
    program.matmul("h.1", "W1", "x")
    program.load("h.2", "b1")
    return program.map("h", U + U2, ("h.1", "h.2"))


def readout(program: Program, source: str, axes: tuple[str, ...] = (), name: str = "f") -> None:
    """f = V @ source."""
    program.param(f"V_{name}", (1, N), 1 / N)
    program.matmul(name, f"V_{name}", source, axes, None)
    program.output(name, name)


def mlp(activation: str = "tanh") -> Core:
    """Two hidden layers, one matrix used twice and once transposed."""
    p = Program()
    data_layer(p, Symbol("d"))
    p.param("W2", (N, N), 1.5 / N)
    p.map("a", apply(activation, U), ("h",))
    p.matmul("g", "W2", "a")
    p.map("b", apply("tanh", U) + 0.5 * U2, ("g", "a"))
    p.matmul("g2", "W2", "b", transposed=True)
    p.map("c", apply("sin", U) * U2, ("g2", "b"))
    readout(p, "c")
    return p.core()


def layer_norm() -> Core:
    """m = avg(h), v = avg((h − m)²), y = (h − m) / sqrt(v + ε), a scalar gain g and bias on top."""
    p = Program()
    data_layer(p)
    p.moment("m", "h")
    p.map("q", apply("pow", U - U2, 2), ("h", "m"))
    p.moment("v", "q")
    p.map("y", (U - U2) / apply("sqrt", U3 + 1e-3), ("h", "m", "v"))
    p.param("g", (1,), 0.2, mean=1.0, rate=1.0)
    p.load("gain", "g", dimension=None)
    p.map("z", apply("tanh", U) * U2, ("y", "gain"))
    readout(p, "z")
    return p.core()


def convolution(circular: bool = False) -> Core:
    """A strided window over a (circular) axis with zero padding, relu-like, then readout weights at every position."""
    p = Program()
    p.axis("i", Symbol("H"), circular=circular)
    p.axis("o", apply("floordiv", Symbol("H") + 1, 2))
    p.axis("k", 3, start=-1)
    p.input("x", ("i",), 2)
    p.param("C", (N, 2), 1 / 6, ("k",))
    p.param("C2", (N, N), 1 / (3 * N), ("k",))
    p.gather("x.1", "x", (index(i=1, k=1),), ("i", "k"), 2)
    p.matmul("h.1", "C", "x.1", ("i", "k"), indices=(index(k=1),))
    p.sum("h", "h.1", ("k",), ("i",))
    p.map("a", apply("tanh", U), ("h",), ("i",))
    p.gather("a.1", "a", (index(o=2, k=1),), ("k", "o"))
    p.matmul("g.1", "C2", "a.1", ("k", "o"), indices=(index(k=1),))
    p.sum("g", "g.1", ("k",), ("o",))
    p.map("b", apply("sin", U), ("g",), ("o",))
    p.param("V", (1, N), 1 / N, ("o",))
    p.matmul("f.1", "V", "b", ("o",), None, (index(o=1),))
    p.sum("f", "f.1", ("o",), (), None)
    p.output("f", "f")
    return p.core()


def max_pool() -> Core:
    """A maximum over windows, and over a whole axis."""
    p = Program()
    p.axis("i", 6)
    p.axis("o", 3)
    p.axis("k", 2)
    p.input("x", ("i",), 2)
    p.param("W", (N, 2), 0.5)
    p.matmul("h", "W", "x", ("i",))
    p.gather("h.1", "h", (index(o=2, k=1),), ("o", "k"))
    p.emit(Max("m", "h.1", ("k",), span=SPAN), ("o",))
    p.map("a", apply("tanh", U), ("m",), ("o",))
    p.emit(Max("top", "a", ("o",), span=SPAN))
    p.sum("s", "a", ("o",))
    p.map("c", U * U2, ("top", "s"))
    readout(p, "c")
    return p.core()


def attention() -> Core:
    """Scores dot(Q h_i, R h_j)/n, softmax over j, values; an indexed and a plain output."""
    p = Program()
    p.axis("i", Symbol("T"))
    p.axis("j", Symbol("T"))
    p.input("x", ("i",), 3)
    p.param("W", (N, 3), 0.5)
    for name in ("Q", "R", "S"):
        p.param(name, (N, N), 1.3 / N)
    p.matmul("h", "W", "x", ("i",))
    p.gather("h.j", "h", (index(j=1),), ("j",))
    p.matmul("q", "Q", "h", ("i",))
    p.matmul("r", "R", "h.j", ("j",))
    p.map("s.1", U * U2, ("q", "r"), ("i", "j"))
    p.moment("s", "s.1", ("i", "j"))
    p.softmax("a", "s", "j", ("i", "j"))
    p.matmul("v", "S", "h.j", ("j",))
    p.map("y.1", U * U2, ("a", "v"), ("i", "j"))
    p.sum("y.2", "y.1", ("j",), ("i",))
    p.map("y", apply("tanh", U), ("y.2",), ("i",))
    readout(p, "y", ("i",))
    p.sum("total", "y", ("i",))
    readout(p, "total", (), "g")
    return p.core()


def recurrence(reverse: bool = False) -> Core:
    """An Elman network with a state two steps behind, started from a trained vector, read at all steps and at one."""
    p = Program()
    p.axis("t", Symbol("T"))
    p.input("x", ("t",), 2)
    p.param("U", (N, 2), 0.5)
    p.param("W", (N, N), 1.2 / N)
    p.param("b", (N,), 0.1)
    p.param("s0", (N,), 1.0)
    p.load("start.1", "s0")
    p.map("start", apply("tanh", U), ("start.1",))
    p.open_scan("t")
    p.carry("s.before")
    p.carry("s.older")
    p.matmul("s.1", "W", "s.before")
    p.gather("s.2", "x", (index(t=1),), (), 2)
    p.matmul("s.3", "U", "s.2")
    p.load("s.4", "b")
    p.map("s.5", U + U2 + U3 + 0.3 * Operand(3) * Operand(4), ("s.1", "s.3", "s.4", "s.older", "start"))
    p.map("s", apply("tanh", U), ("s.5",))
    p.close_scan(("s.before", "s", "start"), ("s.older", "s.before", None), reverse=reverse)
    p.sum("all", "s", ("t",))
    p.gather("last", "s", (index(Symbol("T") - 1),))
    p.map("z", U * U2, ("all", "last"))
    readout(p, "z")
    return p.core()


def stack() -> Core:
    """A rolled `for`: fresh matrices at every step, a carried state with an axis of its own."""
    p = Program()
    p.axis("i", 3)
    p.axis("l", 4, start=1)
    p.input("x", ("i",), 2)
    p.param("W0", (N, 2), 0.5)
    p.param("W", (N, N), 1 / N, ("l",))
    p.param("b", (N,), 0.1, ("l",))
    p.matmul("h0", "W0", "x", ("i",))
    p.open_scan("l")
    p.carry("h.before", ("i",))
    p.map("h.1", apply("tanh", U), ("h.before",), ("i",))
    p.gather("h.2", "h.1", (index(1, i=1),), ("i",))
    p.matmul("h.3", "W", "h.2", ("i",), indices=(index(l=1),))
    p.load("h.4", "b", indices=(index(l=1),))
    p.map("h", U + 0.4 * U2 + U3, ("h.before", "h.3", "h.4"), ("i",))
    p.close_scan(("h.before", "h", "h0"))
    p.gather("top", "h", (index(4), index(i=1)), ("i",))
    p.sum("pooled", "top", ("i",))
    readout(p, "pooled")
    return p.core()


def nested() -> Core:
    """A loop inside a recurrence; the inner one reads the outer state, the input, and a variable of the outside."""
    p = Program()
    p.axis("t", 3)
    p.axis("l", 2)
    p.input("x", ("t",), 2)
    p.param("U", (N, 2), 0.5)
    p.param("W", (N, N), 1.2 / N, ("l",))
    p.param("c", (N,), 1.0)
    p.load("outside", "c")
    p.open_scan("t")
    p.carry("s.before")
    p.gather("s.x", "x", (index(t=1),), (), 2)
    p.matmul("s.1", "U", "s.x")
    p.map("s.2", U + U2, ("s.1", "s.before"))
    p.open_scan("l")
    p.carry("u.before")
    p.matmul("u.1", "W", "u.before", indices=(index(l=1),))
    p.map("u", apply("tanh", U + 0.2 * U2 * U3), ("u.1", "s.2", "outside"))
    p.close_scan(("u.before", "u", "s.2"), label="inner")
    p.gather("s", "u", (index(1),))
    p.map("s.3", apply("sin", U), ("s",))
    p.close_scan(("s.before", "s.3", None))
    p.sum("z.1", "u", ("l",), ("t",))
    p.map("z.2", U * U2, ("z.1", "s.3"), ("t",))
    p.sum("z", "z.2", ("t",))
    readout(p, "z")
    return p.core()


def broadcasting() -> Core:
    """Operands that lack axes, sums over axes an operand lacks, weights shared along a diagonal, scalar parameters."""
    p = Program()
    p.axis("i", 3)
    p.axis("j", 4)
    p.axis("e", 6, start=-3)
    p.input("x", ("i",), 2)
    p.input("A", ("i", "j"))
    p.param("W", (N, 2), 0.5)
    p.param("D", (N, N), 1 / N, ("e",))
    p.param("c", (), 1.0)
    p.matmul("h", "W", "x", ("i",))
    p.matmul("g.1", "D", "h", ("j", "i"), indices=(index(i=1, j=-1),))
    p.map("g", apply("tanh", U) * U2, ("g.1", "A"), ("i", "j"))
    p.load("c.1", "c", dimension=None)
    p.sum("k", "h", ("i", "j"))
    p.map("y", U * U2 + U3, ("c.1", "g", "k"), ("j", "i"))
    p.sum("z", "y", ("i", "j"))
    readout(p, "z")
    return p.core()


ALL = {
    "mlp": mlp,
    "layer_norm": layer_norm,
    "convolution": convolution,
    "convolution_circular": lambda: convolution(circular=True),
    "max_pool": max_pool,
    "attention": attention,
    "recurrence": recurrence,
    "recurrence_reversed": lambda: recurrence(reverse=True),
    "stack": stack,
    "nested": nested,
    "broadcasting": broadcasting,
}

EXTENTS = {"d": 3, "H": 5, "T": 4, "c": 2}


def make_data(core: Core, samples: int, seed: int, **extents: int) -> dict[str, np.ndarray]:
    sizes = {**EXTENTS, **extents}
    generator = np.random.default_rng(seed)
    data = {}
    for entry in core.inputs:
        shape = [evaluate_integer(core.axes[axis].extent, sizes) for axis in entry.type.axes]
        if entry.type.dimension is not None:
            shape.append(evaluate_integer(entry.type.dimension, sizes))
        data[entry.name] = generator.standard_normal((samples, *shape))
    return data
