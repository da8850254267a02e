"""What code generators share: generated sources, the layout of their arrays, names, indentation."""

from __future__ import annotations

import hashlib
import keyword
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tensorprog.codegen.laws import Side
from tensorprog.kernel.ir import Copy, Index, KernelIR, definitions, expressions, ranges, reads, references

if TYPE_CHECKING:
    from tensorprog.codegen.arrays.requests import ArrayPlan

__all__ = [
    "KernelSource",
    "Layout",
    "Names",
    "Series",
    "SeriesPlan",
    "Side",
    "Tables",
    "Writer",
    "content_hash",
    "lay_out",
    "side_layout",
    "used_grams",
]


@dataclass(frozen=True, slots=True)
class Layout:
    """The rows of a two-dimensional array in which quantities, indexed ones with all their values, lie one by one."""

    bases: Mapping[str, int]
    ranges: Mapping[str, tuple[tuple[int, int], ...]]
    count: int
    families: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def row(self, name: str, indices: Iterable[int] = ()) -> int:
        """Return the row of a quantity at a value of its indices."""
        offset = 0
        for (first, last), index in zip(self.ranges.get(name, ()), indices, strict=True):
            offset = offset * (last - first + 1) + index - first
        return self.bases[name] + offset

    def row_text(self, name: str, indices: tuple[Index, ...], symbol: Callable[[str], str]) -> str:
        """Return the row of a quantity as Python text; `symbol` writes the indices of the loops around."""
        terms: list[str] = []
        constant = 0
        stride = 1
        for (first, last), index in reversed([*zip(self.ranges.get(name, ()), indices, strict=True)]):
            constant += stride * (index.offset - first)
            if index.symbol is not None:
                written = symbol(index.symbol)
                terms.insert(0, written if stride == 1 else f"{stride} * {written}")
            stride *= last - first + 1
        return _sum_text(terms, self.bases[name] + constant)

    def rows(self) -> Iterator[tuple[int, str, tuple[int, ...]]]:
        """Yield every row with its quantity and the value of its indices, of families their members."""
        for name in self.bases:
            for number, member in enumerate(self.families.get(name, ())):
                yield self.bases[name] + number, member, ()
            if name in self.families:
                continue
            for indices in _product(self.ranges.get(name, ())):
                yield self.row(name, indices), name, indices


def _sum_text(terms: list[str], constant: int) -> str:
    if not terms or constant == 0:
        return " + ".join(terms) or str(constant)
    return f"{' + '.join(terms)} {'+' if constant > 0 else '-'} {abs(constant)}"


def _product(bounds: tuple[tuple[int, int], ...]) -> Iterator[tuple[int, ...]]:
    if not bounds:
        yield ()
        return
    (first, last), *others = bounds
    for index in range(first, last + 1):
        yield from ((index, *rest) for rest in _product(tuple(others)))


def lay_out(names: Iterable[str], bounds: Mapping[str, tuple[tuple[int, int], ...]]) -> Layout:
    """Return the layout of quantities in the given order."""
    bases: dict[str, int] = {}
    count = 0
    for name in names:
        bases[name] = count
        size = 1
        for first, last in bounds.get(name, ()):
            size *= last - first + 1
        count += size
    return Layout(bases, {name: bounds[name] for name in bases if name in bounds}, count)


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of Hermite coefficients of one of the two samples, numbered by `layout`."""

    layout: Layout
    sides: Mapping[str, Side]


@dataclass(frozen=True, slots=True)
class Series:
    """One expectation: its number, its tables with their indices, and the quantities that it is an equation of."""

    number: int
    left: tuple[str, tuple[Index, ...]]
    right: tuple[str, tuple[Index, ...]]
    quantities: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SeriesPlan:
    """The tables of both samples, and the series by the definition that they replace."""

    left: Tables
    right: Tables
    series: Mapping[tuple[str, tuple[Index, ...]], Series]


@dataclass(frozen=True, slots=True)
class KernelSource:
    """Generated text, and what its function `tile(grams, left, right, sizes, out)` expects.

    `left` and `right` lay out the per-sample quantities of the rows and of the columns, `grams` and `sizes` are the
    names of the entries of the arrays of these names, and `out` has one entry per result. With numerical expectations
    the function is `tile(grams, left, right, sizes, out, a, rest_a, b, rest_b, missed, worst)`: coefficients and
    remainders of the tables of `plan`, of samples (N1, tables, ·) and (N2/32, tables, ·), the marks (N1, N2) of entries
    that must be computed in another way, and the largest remainder of every series. For programs over axes it is
    `tile(left, right, sizes, tables, work, upper, out)`, and `arrays` says what the tables hold; with numerical
    expectations it has four more arguments: rows of coefficients a (N1, ·) and b (N2, ·), `missed` and `worst`.
    """

    name: str
    text: str
    grams: tuple[str, ...]
    sizes: tuple[str, ...]
    left: Layout
    right: Layout
    results: tuple[tuple[str, str], ...]
    plan: SeriesPlan | None = None
    arrays: ArrayPlan | None = None


def side_layout(ir: KernelIR, copy: Copy) -> Layout:
    """Return the layout of what the pair program reads of one side."""
    families = {name: ((0, len(members) - 1),) for name, members in ir.families.items()}
    return replace(lay_out(reads(ir, copy), {**ranges(ir.sample), **families}), families=ir.families)


def used_grams(ir: KernelIR) -> tuple[str, ...]:
    """Return the grams that the pair program reads."""
    found = (scalar for definition in definitions(ir.pair) for scalar in expressions(definition))
    scalars = [*found, *(result.pair for result in ir.results)]
    own = {ref.name for scalar in scalars for ref in references(scalar) if ref.copy is Copy.OWN}
    return tuple(name for name in ir.grams if name in own)


def content_hash(text: str) -> str:
    """Return the name of a content: the first 16 digits of its SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(slots=True)
class Names:
    """Gives every quantity a Python identifier of its own: the same program always gets the same ones."""

    taken: set[str] = field(default_factory=set)
    given: dict[Hashable, str] = field(default_factory=dict)

    def identifier(self, key: Hashable, wish: str) -> str:
        """Return the identifier of `key`, like `wish` if it is the first to have it."""
        if key not in self.given:
            base = _identifier(wish)
            name, number = base, 2
            while name in self.taken:
                name, number = f"{base}_{number}", number + 1
            self.taken.add(name)
            self.given[key] = name
        return self.given[key]


def _identifier(wish: str) -> str:
    """Return a Python identifier in ASCII that resembles a name of the language."""
    text = "".join(_letter(character) for character in wish)
    text = text if text[:1].isalpha() or text[:1] == "_" else f"t{text}"
    return f"{text}_" if keyword.iskeyword(text) else text


def _letter(character: str) -> str:
    if character.isascii() and (character.isalnum() or character == "_"):
        return character
    return {"'": "p", "%": "t"}.get(character, "_" if character.isascii() else f"u{ord(character):x}")


@dataclass(slots=True)
class Writer:
    """Collects indented lines."""

    lines: list[str] = field(default_factory=list)
    depth: int = 0

    def line(self, text: str = "") -> None:
        """Add one line at the current depth."""
        self.lines.append(f"{'    ' * self.depth}{text}" if text else "")

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Add a head line; what is added inside is indented."""
        self.line(head)
        self.depth += 1
        yield
        self.depth -= 1

    def text(self) -> str:
        """Return everything so far."""
        return "\n".join(self.lines) + "\n"
