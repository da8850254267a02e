"""The kernel IR: a scalar let-language, one program per sample and one per pair of samples.

    KernelIR  ::= constants, sizes, grams, data, functions, sample: Statement*, pair: Statement*, Result*
    Statement ::= Let(name[indices] = Scalar) | Loop(index = first … last, initial: Let*, body: Statement*)
    Scalar    ::= Const | Parameter | Position | Ref | Op(operator, args) | Expectation(kind, functions, args)

A statement defines a quantity once for every value of the indices of the loops around it; `initial` defines quantities
of the body at first − 1. The sample program sees one sample: what it reads is its own. The pair program sees two: it
reads its own quantities, and those of the sample program for the left sample x and for the right sample x′. An
`Expectation` is always the whole value of a `Let`. Names are those of the limit system; temporaries start with `%`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

from tensorprog.nonlin.expression import Expr

__all__ = [
    "Const",
    "Copy",
    "Expectation",
    "Index",
    "KernelIR",
    "Let",
    "Loop",
    "Note",
    "Op",
    "Parameter",
    "Position",
    "Ref",
    "Result",
    "Scalar",
    "Statement",
    "children",
    "expectations",
    "lets",
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
    """The value of the index of a loop around."""

    index: str


@dataclass(frozen=True, slots=True)
class Ref(Scalar):
    """A quantity: of this program, or of the sample program for the left or the right sample."""

    name: str
    indices: tuple[Index, ...] = ()
    copy: Copy = Copy.OWN


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
    """name[indices] = value."""

    name: str
    indices: tuple[Index, ...]
    value: Scalar
    note: Note | None = None


@dataclass(frozen=True, slots=True)
class Loop:
    """For index = first … last, upwards: `body`, which may read its quantities at index − 1."""

    index: str
    first: int
    last: int
    initial: tuple[Let, ...]
    body: tuple[Statement, ...]


Statement = Let | Loop


@dataclass(frozen=True, slots=True)
class Result:
    """One kernel of one output: `diagonal` reads the sample program, `pair` the pair program."""

    output: str
    kind: str
    diagonal: Scalar
    pair: Scalar


@dataclass(frozen=True, slots=True)
class KernelIR:
    """Both programs, with what they need from outside.

    `grams` maps a quantity to the core variables (u, v), mostly one twice, with value ⟨u(x), v(x′)⟩; `data` maps one to
    the scalar core variable that it is. Both exist for one sample, grams for pairs too.
    `constants` are numbers, `sizes` expressions in what the data bind. `functions` are the functions of one variable
    under numerical expectations. `families` are quantities of one sample, counted from 0, which the pair program reads
    in a loop by the name of the family and an index; `merged` are the quantities of pairs that a loop computes under
    one name.
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


def children(scalar: Scalar) -> tuple[Scalar, ...]:
    """Return the immediate subexpressions."""
    return scalar.args if isinstance(scalar, Op | Expectation) else ()


def walk(scalar: Scalar) -> Iterator[Scalar]:
    """Yield every subexpression, `scalar` first."""
    yield scalar
    for child in children(scalar):
        yield from walk(child)


def references(scalar: Scalar) -> Iterator[Ref]:
    """Yield the quantities that an expression reads, from left to right."""
    return (node for node in walk(scalar) if isinstance(node, Ref))


def lets(statements: tuple[Statement, ...]) -> Iterator[Let]:
    """Yield every definition in order, those of loops included."""
    for statement in statements:
        if isinstance(statement, Let):
            yield statement
        else:
            yield from statement.initial
            yield from lets(statement.body)


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
        if isinstance(statement, Loop):
            _collect_ranges(statement.body, (*around, (statement.first - 1, statement.last)), found)
        elif statement.indices:
            found[statement.name] = around


def reads(ir: KernelIR, copy: Copy) -> tuple[str, ...]:
    """Return the per-sample quantities that the pair program and its results read of one side, in order."""
    scalars = [*(let.value for let in lets(ir.pair)), *(result.pair for result in ir.results)]
    return tuple(dict.fromkeys(ref.name for scalar in scalars for ref in references(scalar) if ref.copy is copy))
