"""Kernel programs over axes, written by hand, and how to run them on data."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tensorprog.kernel.demand import find_domains
from tensorprog.kernel.expectation import Numerics
from tensorprog.kernel.grid import pair_space, sample_space
from tensorprog.kernel.interpret import interpret_diagonal, interpret_pair, interpret_sample
from tensorprog.kernel.ir import (
    AxisIndex,
    AxisRange,
    Const,
    Contract,
    Contraction,
    Copy,
    KernelIR,
    Let,
    Op,
    Place,
    Ref,
    Result,
    Scalar,
    Statement,
)
from tensorprog.nonlin.expression import Expr, Number, Symbol
from tensorprog.runtime.positions import gram_diagonal, gram_entries

__all__ = ["Program", "kernels", "place", "relu_second"]


def place(text: str) -> Place:
    """Return the place that is written like `2 o + k - 1`."""
    constant, terms = 0, []
    for sign, number, name in re.findall(r"([+-]?)\s*(\d*)\s*([^\W\d]\w*′?)?", text):
        if not number and not name:
            continue
        value = (-1 if sign == "-" else 1) * int(number or 1)
        constant += 0 if name else value
        terms += [(name, value)] if name else []
    return Place(constant, tuple(terms))


class Program:
    """Writes the sample and the pair program of a limit from the same equations.

    `axes` maps an axis to its range; the index `o` runs over the axis `o`, so do `o′` and `o1`. Names with ′ belong to
    the right copy.
    """

    def __init__(self, axes: Mapping[str, AxisRange], constants: Mapping[str, float], *, is_pair: bool) -> None:
        self.axes, self.constants, self.is_pair = axes, constants, is_pair
        self.statements: list[Statement] = []

    def index(self, name: str) -> AxisIndex:
        """Return the index of a name."""
        right = Copy.RIGHT if "′" in name else Copy.LEFT
        return AxisIndex(name, re.sub(r"[′\d]", "", name), right if self.is_pair else Copy.OWN)

    def indices(self, names: str) -> tuple[AxisIndex, ...]:
        """Return the indices of names with spaces between them."""
        return tuple(map(self.index, names.split()))

    def ref(self, name: str, places: str = "", copy: Copy = Copy.OWN) -> Ref:
        """Return a reference at places with commas between them; of one of the two samples, or of both."""
        owner = copy if self.is_pair else Copy.OWN
        return Ref(name, (), owner, tuple(map(place, places.split(","))) if places else ())

    def law(self, name: str, left: str, right: str) -> tuple[Scalar, Scalar, Scalar]:
        """Return the variances of a quantity at two positions, and the covariance."""
        return (
            self.ref(name, f"{left}, {left}", Copy.LEFT),
            self.ref(name, f"{right}, {right}", Copy.RIGHT),
            self.ref(name, f"{left}, {right}"),
        )

    def let(self, name: str, axes: str, value: Scalar) -> Let:
        """Add a pointwise definition, and return it."""
        definition = Let(name, (), value, None, self.indices(axes))
        self.statements.append(definition)
        return definition

    def contract(self, name: str, axes: str, *terms: tuple[str, tuple[Scalar, ...]]) -> Contract:
        """Add a sum of terms (bound indices, factors), and return it."""
        sums = tuple(Contraction(factors, self.indices(bound)) for bound, factors in terms)
        definition = Contract(name, (), sums, None, self.indices(axes))
        self.statements.append(definition)
        return definition


def relu_second(q1: Scalar, q2: Scalar, c: Scalar) -> Scalar:
    """Return E[relu(u) relu(v)] = (√det + (π − θ) c) / 2π."""
    angle = Op("sub", (Const(np.pi), Op("Angle", (q1, q2, c))))
    root = Op("sqrt", (Op("Det", (q1, q2, c)),))
    return Op("div", (Op("add", (root, Op("mul", (angle, c)))), Const(2 * np.pi)))


def erf_second(q1: Scalar, q2: Scalar, c: Scalar) -> Scalar:
    """Return E[erf(u) erf(v)] = 2/π asin(2 c / √((1 + 2 q₁)(1 + 2 q₂)))."""
    one, two = Const(1.0), Const(2.0)
    spread = [Op("add", (one, Op("mul", (two, q)))) for q in (q1, q2)]
    ratio = Op("div", (Op("mul", (two, c)), Op("sqrt", (Op("mul", tuple(spread)),))))
    return Op("mul", (Const(2 / np.pi), Op("asin", (ratio,))))


def assemble(
    programs: Sequence[Program],
    output: str,
    shapes: Mapping[str, str],
    *,
    axes: str = "",
    functions: Mapping[str, Expr] | None = None,
    data: tuple[str, ...] = (),
) -> KernelIR:
    """Return the program, of a sample program and a pair program, with one output; its inputs are grams, or `data`."""
    sample, pair = programs
    places = ", ".join(axes.split())
    result = Result("f", "nngp", sample.ref(output, places), pair.ref(output, places), pair.indices(axes))
    return KernelIR(
        name="hand",
        constants=sample.constants,
        sizes={"T": Symbol("T")},
        grams={name: (name, name) for name in shapes if name not in data},
        data={name: name for name in data},
        functions=functions or {},
        sample=tuple(sample.statements),
        pair=tuple(pair.statements),
        results=(result,),
        right_sizes={"T′": Symbol("T")},
        axes=sample.axes,
        shapes={name: pair.indices(axes) for name, axes in shapes.items()},
    )


def kernels(ir: KernelIR, x1: Any, x2: Any, data: str = "") -> tuple[Any, Any]:
    """Run a program on data (N, T, d), and return its result and the diagonal of x1.

    Every gram is that of the data; `data` names a scalar that is the first number of every vector.
    """
    left, right = {"T": x1.shape[1]}, {"T": x2.shape[1]}
    domains = find_domains(ir, left, right)
    parameters = {**ir.constants, "T": float(left["T"]), "T′": float(right["T"])}
    numerics = Numerics(ir.functions, parameters)
    found = []
    for x, held, sizes in ((x1, domains.sample_left, left), (x2, domains.sample_right, right)):
        inputs = {name: gram_diagonal(x, x, held[name]) for name in ir.grams}
        if data:
            inputs[data] = x[:, :, 0]
        space = sample_space(ir, held, sizes)
        own = {**parameters, "T": float(sizes["T"])}
        found.append((interpret_sample(ir, inputs, len(x), own, numerics, space=space), space))
    (samples, space), (others, _) = found
    grams = {name: gram_entries(x1, x2, domains.pair[name]) for name in ir.grams}
    whole = pair_space(ir, domains, left, right)
    pair = interpret_pair(ir, grams, samples, others, parameters, numerics, space=whole)
    return pair[0], interpret_diagonal(ir, ir.results[0], samples, parameters, space)


def spatial(start: int = 0, extent: Expr | None = None, *, circular: bool = False) -> AxisRange:
    """Return the range of an axis, by default that of the data."""
    return AxisRange(Number(start), Symbol("T") if extent is None else extent, circular)
