"""Limit systems with axes, written by hand: convolutions, poolings, recurrences, attention, graphs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sympy as sp

from tensorprog.core.ir import Axis
from tensorprog.limit.equations import (
    AxisSum,
    Largest,
    LimitSystem,
    Ranks,
    Recurrence,
    Result,
    SoftmaxOver,
    Sweep,
    Within,
    X,
    Y,
)
from tensorprog.nonlin.expression import Expr, Number, Symbol, apply
from tests.kernel.systems import SPAN, equation, relu_second

SW = sp.Symbol("sw2")
Copies = tuple[sp.Symbol, sp.Symbol]
Body = Callable[[sp.Symbol, sp.Symbol], tuple[Any, ...]]


def symbol(name: str) -> sp.Symbol:
    """Return an index."""
    return sp.Symbol(name, integer=True)


def axis(name: str, extent: Expr | int, start: int = 0, *, circular: bool = False) -> Axis:
    """Return an axis."""
    size = Number(extent) if isinstance(extent, int) else extent
    return Axis(name, Number(start), size, circular, SPAN)


class Builder:
    """Collects the axes, indices and shapes of a system."""

    def __init__(self, *axes: Axis) -> None:
        self.axes = {entry.name: entry for entry in axes}
        self.indices: dict[sp.Symbol, tuple[str, sp.Symbol]] = {}
        self.shapes: dict[str, tuple[tuple[str, sp.Symbol], ...]] = {}

    def index(self, name: str, axis_name: str | None = None) -> tuple[sp.Symbol, sp.Symbol]:
        """Return an index of the left and of the right copy."""
        left, right = symbol(name), symbol(name + "′")
        self.indices[left], self.indices[right] = (axis_name or name, X), (axis_name or name, Y)
        return left, right

    def second(self, name: str, *axes: str) -> sp.Function:
        """Return the function of a second moment over axes in both copies."""
        return self.mixed(name, axes, axes)

    def mixed(self, name: str, left: tuple[str, ...], right: tuple[str, ...]) -> sp.Function:
        """Return the function of a second moment over some axes in one copy, and over others in the other."""
        self.shapes[name] = (*((entry, X) for entry in left), *((entry, Y) for entry in right))
        return sp.Function(name)

    def scalar(self, name: str, *axes: str) -> sp.Function:
        """Return the function of a quantity of one copy."""
        self.shapes[name] = tuple((entry, X) for entry in axes)
        return sp.Function(name)

    def system(
        self,
        body: Body,
        results: Mapping[str, sp.Function],
        grams: Mapping[sp.Function, tuple[str, str]],
        *,
        once: tuple[Any, ...] = (),
        data: Mapping[sp.Function, str] | None = None,
        sizes: Mapping[str, Expr] | None = None,
    ) -> LimitSystem:
        """Return the system; `once` stands before the equations of one copy, and each result is one function."""
        sizes = sizes or {}
        return LimitSystem(
            name="hand",
            constants={SW: 2.0},
            sizes={sp.Symbol(name): size for name, size in sizes.items()},
            grams=grams,
            data=data or {},
            functions={},
            sample=(*once, *body(X, X)),
            pair=body(X, Y),
            results={("f", kind): Result(self._result(f, X, X), self._result(f, X, Y)) for kind, f in results.items()},
            assumptions=(),
            right_sizes={sp.Symbol(name + "′"): size for name, size in sizes.items()},
            axes=self.axes,
            shapes=self.shapes,
            indices=self.indices,
        )

    def _result(self, function: sp.Function, x: sp.Symbol, y: sp.Symbol) -> sp.Expr:
        places = [symbol(name + ("′" if side == Y else "")) for name, side in self.shapes.get(function.__name__, ())]
        return function(*places, x, y)


def conv(
    readout: str = "flatten", stride: int = 1, *, circular: bool = False, window: tuple[int, int] = (-1, 3)
) -> LimitSystem:
    """One convolution of stride s over the data and ReLU: g_o = Σ_k W_k x_(s o + k), read out in one of several ways.

    The readouts: `flatten`, `mean`, `pool` (mean over windows of two, then flatten), `two steps` (the same, first in
    one copy), `all` (no readout).
    """
    extent = Symbol("H")
    build = Builder(
        axis("i", extent, circular=circular),
        axis("o", extent if stride == 1 else apply("floordiv", extent, stride)),
        axis("r", apply("floordiv", extent, 2 * stride)),
        axis("k", window[1], window[0]),
        axis("m", 2),
    )
    (o, o2), (k, _), (r, r2), (m, m2) = (build.index(name) for name in "okrm")
    gram, g, a, p = (
        build.second("G_x", "i"),
        build.second("K_g", "o"),
        build.second("K_a", "o"),
        build.second("K_p", "r"),
    )
    both = build.mixed("K_a,p", ("o",), ("r",))
    f = build.second("K_f", "o") if readout == "all" else build.second("K_f")

    def body(x: sp.Symbol, y: sp.Symbol) -> tuple[Any, ...]:
        reads = gram(stride * o + k, stride * o2 + k, x, y)
        law = g(o, o, x, x), g(o2, o2, y, y), g(o, o2, x, y)
        last = {
            "flatten": AxisSum(a(o, o, x, y), o),
            "mean": AxisSum(a(o, o2, x, y), o, o2) / (sp.Symbol("H") * sp.Symbol("H′" if x != y else "H")),
            "pool": AxisSum(p(r, r, x, y), r),
            "two steps": AxisSum(p(r, r, x, y), r),
            "all": a(o, o2, x, y),
        }[readout]
        pooled = equation(p(r, r2, x, y), AxisSum(a(2 * r + m, 2 * r2 + m2, x, y), m, m2) / 4)
        fine = equation(both(o, r2, x, y), AxisSum(a(o, 2 * r2 + m, x, y), m) / 2)
        coarse = equation(p(r, r2, x, y), AxisSum(both(2 * r + m, r2, x, y), m) / 2)
        pooling = {"pool": (pooled,), "two steps": (fine, coarse)}
        places = (o, o2) if readout == "all" else ()
        return (
            equation(g(o, o2, x, y), SW / 9 * AxisSum(reads, k) + sp.Rational(1, 10)),
            equation(a(o, o2, x, y), relu_second(*law)),
            *pooling.get(readout, ()),
            equation(f(*places, x, y), last),
        )

    return build.system(body, {"nngp": f}, {gram: ("x", "x")}, sizes={"H": extent})


def deep_conv(layers: int = 3) -> LimitSystem:
    """A recurrence over convolutions of width 3 without nonlinearity, sums over free windows, and a flatten readout."""
    build = Builder(axis("i", Symbol("H")), axis("k", 3, -1))
    (i, i2), (k, k2) = build.index("i"), build.index("k")
    gram, g, f = build.second("G_x", "i"), build.second("K_g", "i"), build.second("K_f")
    step = sp.Symbol("l")

    def body(x: sp.Symbol, y: sp.Symbol) -> tuple[Any, ...]:
        before = g(step - 1, i + k, i2 + k2, x, y)
        return (
            Recurrence(
                step,
                1,
                layers,
                (equation(g(0, i, i2, x, y), gram(i, i2, x, y)),),
                (equation(g(step, i, i2, x, y), AxisSum(before, k, k2) / 9),),
            ),
            equation(f(x, y), AxisSum(g(layers, i, i, x, y), i)),
        )

    return build.system(body, {"nngp": f}, {gram: ("x", "x")}, sizes={"H": Symbol("H")})


def elman(readout: str = "last") -> LimitSystem:
    """An Elman network s_t = relu(W s_(t-1) + U x_t), read out at its last step or by the sum over all."""
    build = Builder(axis("t", Symbol("T")))
    t, t2 = build.index("t")
    gram, g, s = build.second("G_x", "t"), build.second("K_g", "t"), build.second("K_s", "t")
    f = build.second("K_f")

    def body(x: sp.Symbol, y: sp.Symbol) -> tuple[Any, ...]:
        size, size2 = sp.Symbol("T"), sp.Symbol("T′" if x != y else "T")
        law = g(t, t, x, x), g(t2, t2, y, y), g(t, t2, x, y)
        last = s(size - 1, size2 - 1, x, y) if readout == "last" else AxisSum(s(t, t2, x, y), t, t2)
        initial = sp.KroneckerDelta(t, 0) * sp.KroneckerDelta(t2, 0) / 2
        return (
            Sweep(
                t,
                t2,
                (
                    (equation(g(t, t2, x, y), SW * s(t - 1, t2 - 1, x, y) + gram(t, t2, x, y) + initial),),
                    (equation(s(t, t2, x, y), relu_second(*law)),),
                ),
                (Ranks(0, 0), Ranks(1, 1)),
            ),
            equation(f(x, y), last),
        )

    return build.system(body, {"nngp": f}, {gram: ("x", "x")}, sizes={"T": Symbol("T")})


def attention() -> LimitSystem:
    """Attention with scores from the data: a = softmax_j s_ij, y_i = Σ_j a_ij h_j, and the mean of y_i."""
    build = Builder(axis("i", Symbol("T")), axis("j", Symbol("T")))
    (i, i2), (j, j2) = build.index("i"), build.index("j")
    gram, y, f = build.second("G_x", "i"), build.second("K_y", "i"), build.second("K_f")
    a = build.scalar("a", "i", "j")
    size = {X: sp.Symbol("T"), Y: sp.Symbol("T′")}

    def body(x: sp.Symbol, z: sp.Symbol) -> tuple[Any, ...]:
        inner = AxisSum(a(i, j, x) * a(i2, j2, z) * gram(j, j2, x, z), j, j2)
        other = size[Y] if x != z else size[X]
        return (
            equation(y(i, i2, x, z), inner),
            equation(f(x, z), AxisSum(y(i, i2, x, z), i, i2) / (size[X] * other)),
        )

    once = (equation(a(i, j, X), SoftmaxOver(gram(i, j, X, X) / 2, j)),)
    return build.system(body, {"nngp": f}, {gram: ("x", "x")}, once=once, sizes={"T": Symbol("T")})


def graph() -> LimitSystem:
    """One round of messages on a graph with adjacency A_ij among the data, and the sum over the nodes."""
    build = Builder(axis("i", Symbol("T")), axis("j", Symbol("T")))
    (i, i2), (j, j2) = build.index("i"), build.index("j")
    gram, h, f = build.second("G_x", "i"), build.second("K_h", "i"), build.second("K_f")
    adjacency = build.scalar("c_A", "i", "j")

    def body(x: sp.Symbol, y: sp.Symbol) -> tuple[Any, ...]:
        inner = AxisSum(adjacency(i2, j2, y) * gram(j, j2, x, y), j2)
        return (
            equation(h(i, i2, x, y), AxisSum(adjacency(i, j, x) * inner, j) + gram(i, i2, x, y)),
            equation(f(x, y), AxisSum(h(i, i2, x, y), i, i2)),
        )

    return build.system(body, {"nngp": f}, {gram: ("x", "x")}, data={adjacency: "A"}, sizes={"T": Symbol("T")})


def maxima() -> LimitSystem:
    """Functions of shifted reads, as maxima over windows of two have, within sums and around them."""
    build = Builder(axis("i", Symbol("H")), axis("r", apply("floordiv", Symbol("H"), 2)), axis("m", 2))
    (r, r2), (m, _) = build.index("r"), build.index("m")
    gram, p, q, f = build.second("G_x", "i"), build.second("K_p", "r"), build.second("K_q", "r"), build.second("K_f")
    c = build.scalar("c", "r")

    def body(x: sp.Symbol, y: sp.Symbol) -> tuple[Any, ...]:
        law = gram(2 * r, 2 * r, x, x), gram(2 * r2 + 1, 2 * r2 + 1, y, y), gram(2 * r, 2 * r2 + 1, x, y)
        inner = sp.sqrt(sp.Abs(gram(2 * r, 2 * r2, x, y) * gram(2 * r + m, 2 * r2, x, y)))
        return (
            equation(p(r, r2, x, y), relu_second(*law) + c(r, x) * c(r2, y)),
            equation(q(r, r2, x, y), p(r, r2, x, y) ** 2 + AxisSum(inner * (1 + m) / (2 + p(r, r2, x, y) ** 2), m)),
            equation(f(x, y), AxisSum(q(r, r, x, y), r)),
        )

    once = (equation(c(r, X), Largest(gram(2 * r + m, 2 * r, X, X), m)),)
    return build.system(body, {"nngp": f}, {gram: ("x", "x")}, once=once, sizes={"H": Symbol("H")})


def products() -> LimitSystem:
    """Products of sums, nested sums over one symbol, indicators: K_f over two axes of which one is a window."""
    build = Builder(axis("i", Symbol("H")), axis("k", 3, -1))
    (i, i2), (k, k2) = build.index("i"), build.index("k")
    gram, f, m = build.second("G_x", "i"), build.second("K_f", "i"), build.scalar("M_h", "i")

    def body(x: sp.Symbol, y: sp.Symbol) -> tuple[Any, ...]:
        means = AxisSum(m(i + k, x), k) * AxisSum(m(i2 + k, y), k)
        nested = AxisSum(m(i + k, x) * AxisSum(gram(i + k2, i2 + k2, x, y) * Within(i2 + k2, sp.Symbol("i"), Y), k2), k)
        same = AxisSum(m(k, x) * AxisSum(m(i + k, x) + 1, k), k) * sp.KroneckerDelta(i, i2)
        return (equation(f(i, i2, x, y), (means - 2 * nested) / 3 - SW * same + m(0, x) * i * i2),)

    once = (equation(m(i, X), sp.sqrt(gram(i, i, X, X))),)
    return build.system(body, {"nngp": f}, {gram: ("x", "x")}, once=once, sizes={"H": Symbol("H")})


def transposed() -> LimitSystem:
    """A moment of two different variables, which is read in both orders."""
    build = Builder(axis("i", Symbol("H")))
    i, i2 = build.index("i")
    gram, k, f = build.second("G_x,z", "i"), build.second("K_g,h", "i"), build.second("K_f", "i")
    other = build.second("G_z,x", "i")

    def body(x: sp.Symbol, y: sp.Symbol) -> tuple[Any, ...]:
        both = (equation(k(i, i2, x, y), gram(i, i2, x, y) ** 2),)
        if x != y:
            both = (*both, equation(k(i2, i, y, x), other(i, i2, x, y) ** 2))
        return (*both, equation(f(i, i2, x, y), k(i, i2, x, y) + k(i2, i, y, x)))

    return build.system(body, {"nngp": f}, {gram: ("x", "z"), other: ("z", "x")}, sizes={"H": Symbol("H")})
