"""The kernel IR: a scalar let-language, one program per sample and one per pair of samples.

    KernelIR  ::= constants, sizes, axes, grams, data, functions, sample: Statement*, pair: Statement*, Result*
    Statement ::= Let(name[indices, axes] = Scalar) | Contract(name[indices, axes] = Σ Contraction)
                | Loop(index = first … last, initial: (Let | Contract)*, body: Statement*)
                | Sweep(left, right, groups: (Let | Contract)**)
    Scalar    ::= Const | Parameter | Position | Ref | Op(operator, args) | Expectation(kind, functions, args)
                | Softmax(arg, symbol) | Largest(arg, bound) | Delta(place, place) | Within(place, axis)

A quantity over axes is an array with one entry for every position: `axes` of its definition names an index for each of
its dimensions. A `Let` is pointwise: its references stand at plain positions, an index of the definition for each of
their dimensions, over an axis of the same range. Everything else that axes bring is a `Contract`: shifted, strided,
padded and wrapped reads, and sums over indices.

A statement defines a quantity once for every value of the indices of the loops around it; `initial` defines quantities
of the body at first − 1. The sample program sees one sample: what it reads is its own. The pair program sees two: it
reads its own quantities, and those of the sample program for the left sample x and for the right sample x′. An
`Expectation` is always the whole value of a `Let`. Names are those of the limit system; temporaries start with `%`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from tensorprog.limit.ranks import Ranks
from tensorprog.nonlin.expression import Expr

__all__ = [
    "JOINT",
    "AxisIndex",
    "AxisRange",
    "Const",
    "Contract",
    "Contraction",
    "Copy",
    "Definition",
    "Delta",
    "Earlier",
    "Expectation",
    "Index",
    "KernelIR",
    "Largest",
    "Let",
    "Loop",
    "Note",
    "Op",
    "Parameter",
    "Place",
    "Position",
    "Ref",
    "Result",
    "Scalar",
    "Softmax",
    "Statement",
    "Sweep",
    "Within",
    "children",
    "definitions",
    "expectations",
    "expressions",
    "lets",
    "map_references",
    "ranges",
    "reads",
    "references",
    "walk",
]


class Copy(Enum):
    """Whose quantity is read: the program's own, or (by the pair program) that of the left or the right sample."""

    OWN = ""
    LEFT = "x"
    RIGHT = "x'"


@dataclass(frozen=True, slots=True)
class Index:
    """The value of a loop's index plus an offset; the offset alone if `symbol` is None."""

    symbol: str | None
    offset: int

    def at(self, values: Mapping[str, int]) -> int:
        """Return the index for given values of the loops' indices."""
        return self.offset if self.symbol is None else values[self.symbol] + self.offset


@dataclass(frozen=True, slots=True)
class AxisRange:
    """The positions start … start + extent − 1 of an axis; reads over a circular one wrap round."""

    start: Expr
    extent: Expr
    circular: bool


@dataclass(frozen=True, slots=True)
class AxisIndex:
    """An index: its symbol, the axis that it runs over, and whose extent that axis has (OWN in the sample program)."""

    symbol: str
    axis: str
    copy: Copy


@dataclass(frozen=True, slots=True)
class Place:
    """A position on an axis: constant + Σ coefficient · (the value of an index, or of a size, by name)."""

    constant: int
    terms: tuple[tuple[str, int], ...] = ()

    def at(self, values: Mapping[str, Any]) -> Any:
        """Return the position for given values of indices and sizes: integers, or arrays of them."""
        return self.constant + sum(coefficient * values[name] for name, coefficient in self.terms)

    def moved(self, values: Mapping[str, Place]) -> Place:
        """Return the same place with other places for some of its indices."""
        constant, terms = self.constant, dict[str, int]()
        for name, coefficient in self.terms:
            value = values.get(name, Place(0, ((name, 1),)))
            constant += coefficient * value.constant
            for inner, number in value.terms:
                terms[inner] = terms.get(inner, 0) + coefficient * number
        return Place(constant, tuple(sorted((name, number) for name, number in terms.items() if number)))

    @property
    def plain(self) -> str | None:
        """The name that this place is, if it is an index as it stands."""
        match self:
            case Place(0, ((name, 1),)):
                return name
        return None


@dataclass(frozen=True, slots=True)
class Scalar:
    """The base of scalar expressions."""


@dataclass(frozen=True, slots=True)
class Const(Scalar):
    """A number."""

    value: float


@dataclass(frozen=True, slots=True)
class Parameter(Scalar):
    """A constant of the program or a size that the data binds, by name."""

    name: str


@dataclass(frozen=True, slots=True)
class Position(Scalar):
    """The value of the index of a loop around, or of an index over an axis."""

    index: str


@dataclass(frozen=True, slots=True)
class Ref(Scalar):
    """A quantity: of this program, or of the sample program for the left or the right sample.

    `places` has one entry per dimension of an array. Out of range an array is zero.
    """

    name: str
    indices: tuple[Index, ...] = ()
    copy: Copy = Copy.OWN
    places: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class Op(Scalar):
    """An operator of `kernel.operators` applied to scalars; `add` and `mul` take any number of them."""

    operator: str
    args: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Expectation(Scalar):
    """An expectation that is computed numerically, over named functions: `kind` is the name of its sympy class."""

    kind: str
    functions: tuple[str, ...]
    args: tuple[Scalar, ...]


JOINT = "JointExpectation"
"""The kind of the expectation of one function of several variables."""


@dataclass(frozen=True, slots=True)
class Softmax(Scalar):
    """exp(arg) / Σ_symbol exp(arg), a function of symbol; only in the sample program, the whole value of a `Let`."""

    arg: Scalar
    symbol: str


@dataclass(frozen=True, slots=True)
class Largest(Scalar):
    """The largest value of arg over the bound indices; only in the sample program, the whole value of a `Let`."""

    arg: Scalar
    bound: tuple[AxisIndex, ...]


@dataclass(frozen=True, slots=True)
class Delta(Scalar):
    """1 where two places are equal, else 0."""

    left: Place
    right: Place


@dataclass(frozen=True, slots=True)
class Within(Scalar):
    """1 where a place is in the range of an axis (at the extent of `copy`), else 0."""

    place: Place
    axis: str
    copy: Copy


@dataclass(frozen=True, slots=True)
class Note:
    """Where a definition comes from: the sides of its equation, the rule it follows, the source line."""

    left: object
    right: object
    rule: str
    line: int

    @property
    def equation(self) -> str:
        """The equation as text, written when it is asked for: that takes longer than lowering it."""
        return f"{self.left} = {self.right}"


@dataclass(frozen=True, slots=True)
class Let:
    """name[indices, axes] = value."""

    name: str
    indices: tuple[Index, ...]
    value: Scalar
    note: Note | None = None
    axes: tuple[AxisIndex, ...] = ()


@dataclass(frozen=True, slots=True)
class Contraction:
    """Σ_bound Π factors; references may stand at any places, and are zero out of range (circular axes wrap)."""

    factors: tuple[Scalar, ...]
    bound: tuple[AxisIndex, ...] = ()


@dataclass(frozen=True, slots=True)
class Contract:
    """name[indices, axes] = Σ terms."""

    name: str
    indices: tuple[Index, ...]
    terms: tuple[Contraction, ...]
    note: Note | None = None
    axes: tuple[AxisIndex, ...] = ()


Definition = Let | Contract


@dataclass(frozen=True, slots=True)
class Loop:
    """For index = first … last, upwards: `body`, which may read its quantities at index − 1."""

    index: str
    first: int
    last: int
    initial: tuple[Definition, ...]
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Earlier:
    """A scan that is through before the one of a sweep: its index in either copy, and the ranks of its variables."""

    left: AxisIndex | None
    right: AxisIndex | None
    ranks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Sweep:
    """A recurrence along axes: the definitions at all steps of `left` and of `right`, which may read earlier steps.

    In the pair program the steps (t, t′) are taken in lexicographic order, at each all definitions of all groups. The
    order in the sample program follows the `ranks` of the groups and the `earlier` scans, as `limit.equations.Sweep`
    says. Steps that no domain holds are left out. The indices are dimensions of what is defined, the first.
    """

    left: AxisIndex | None
    right: AxisIndex | None
    groups: tuple[tuple[Definition, ...], ...]
    ranks: tuple[Ranks, ...]
    earlier: tuple[Earlier, ...] = ()


Statement = Let | Contract | Loop | Sweep


@dataclass(frozen=True, slots=True)
class Result:
    """One kernel of one output: `diagonal` reads the sample program, `pair` the pair program.

    Those of an output over axes are references to arrays at plain places; `axes` are their indices, of the pair.
    """

    output: str
    kind: str
    diagonal: Scalar
    pair: Scalar
    axes: tuple[AxisIndex, ...] = ()


@dataclass(frozen=True, slots=True)
class KernelIR:
    """Both programs, with what they need from outside.

    `grams` maps a quantity to the core variables (u, v), mostly one twice, with value ⟨u(x), v(x′)⟩; `data` maps one to
    the scalar core variable that it is. Both exist for one sample, grams for pairs too.
    `constants` are numbers, `sizes` expressions in what the data bind (those of x, in the pair program), `right_sizes`
    in what the data of x′ bind. `axes` are the axes, `shapes` the dimensions of grams and data over axes. `functions`
    are the functions under numerical expectations. `families` are quantities of one sample, counted
    from 0, which the pair program reads in a loop by the name of the family and an index; `merged` are the quantities
    of pairs that a loop computes under one name. `deviations` are those of the grams whose value for a pair is
    1 − |cos θ| instead, θ the angle between u(x) and v(x′); `versines` of those whose value is 1 − cos θ.
    """

    name: str
    constants: Mapping[str, float]
    sizes: Mapping[str, Expr]
    grams: Mapping[str, tuple[str, str]]
    data: Mapping[str, str]
    functions: Mapping[str, Expr]
    sample: tuple[Statement, ...]
    pair: tuple[Statement, ...]
    results: tuple[Result, ...] = field(default=())
    families: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    merged: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    right_sizes: Mapping[str, Expr] = field(default_factory=dict)
    axes: Mapping[str, AxisRange] = field(default_factory=dict)
    shapes: Mapping[str, tuple[AxisIndex, ...]] = field(default_factory=dict)
    deviations: frozenset[str] = frozenset()
    versines: frozenset[str] = frozenset()


def children(scalar: Scalar) -> tuple[Scalar, ...]:
    """Return the immediate subexpressions."""
    match scalar:
        case Op() | Expectation():
            return scalar.args
        case Softmax() | Largest():
            return (scalar.arg,)
    return ()


def walk(scalar: Scalar) -> Iterator[Scalar]:
    """Yield every subexpression, `scalar` first."""
    yield scalar
    for child in children(scalar):
        yield from walk(child)


def references(scalar: Scalar) -> Iterator[Ref]:
    """Yield the quantities that an expression reads, from left to right."""
    return (node for node in walk(scalar) if isinstance(node, Ref))


def map_references(scalar: Scalar, change: Callable[[Ref], Ref]) -> Scalar:
    """Return an expression with every reference changed, from left to right."""
    match scalar:
        case Ref():
            return change(scalar)
        case Op() | Expectation():
            return replace(scalar, args=tuple(map_references(arg, change) for arg in scalar.args))
        case Softmax() | Largest():
            return replace(scalar, arg=map_references(scalar.arg, change))
    return scalar


def expressions(definition: Definition) -> tuple[Scalar, ...]:
    """Return the scalars that a definition consists of: its value, or the factors of all its terms."""
    if isinstance(definition, Let):
        return (definition.value,)
    return tuple(factor for term in definition.terms for factor in term.factors)


def definitions(statements: tuple[Statement, ...]) -> Iterator[Definition]:
    """Yield every definition in order, those of loops and sweeps included."""
    for statement in statements:
        match statement:
            case Let() | Contract():
                yield statement
            case Sweep():
                yield from (definition for group in statement.groups for definition in group)
            case Loop():
                yield from statement.initial
                yield from definitions(statement.body)


def lets(statements: tuple[Statement, ...]) -> Iterator[Let]:
    """Yield every pointwise definition in order, those of loops and sweeps included."""
    return (definition for definition in definitions(statements) if isinstance(definition, Let))


def expectations(statements: tuple[Statement, ...]) -> Iterator[tuple[Let, Expectation]]:
    """Yield the definitions whose value is a numerical expectation."""
    for let in lets(statements):
        if isinstance(let.value, Expectation):
            yield let, let.value


def ranges(statements: tuple[Statement, ...]) -> dict[str, tuple[tuple[int, int], ...]]:
    """Return for every indexed quantity the first and last value of each of its indices, initial values included."""
    found: dict[str, tuple[tuple[int, int], ...]] = {}
    _collect_ranges(statements, (), found)
    return found


def _collect_ranges(
    statements: tuple[Statement, ...],
    around: tuple[tuple[int, int], ...],
    found: dict[str, tuple[tuple[int, int], ...]],
) -> None:
    for statement in statements:
        match statement:
            case Loop():
                _collect_ranges(statement.body, (*around, (statement.first - 1, statement.last)), found)
            case Sweep():
                for group in statement.groups:
                    _collect_ranges(group, around, found)
            case Let() | Contract() if statement.indices:
                found[statement.name] = around


def reads(ir: KernelIR, copy: Copy) -> tuple[str, ...]:
    """Return the per-sample quantities that the pair program and its results read of one side, in order."""
    scalars = [*(part for definition in definitions(ir.pair) for part in expressions(definition))]
    scalars += [result.pair for result in ir.results]
    return tuple(dict.fromkeys(ref.name for scalar in scalars for ref in references(scalar) if ref.copy is copy))
