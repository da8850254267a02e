"""The pair program as Python text for numba on a CPU: one serial function that fills one tile.

Rows of a tile are taken one by one and columns in strips, so that what crosses from one stretch of definitions to the
next (the values that a loop carries, in the first place) lives in a small array that stays in the first-level cache:
layers outside, a strip of columns inside. Every inner loop is straight-line code over consecutive columns. A program
without loops and numerical expectations needs neither strips nor the array. A numerical expectation is a Hermite series
(`runtime.series`) between two stretches; the entries for which it is not exact enough are marked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from tensorprog.codegen.operators import import_lines, intrinsic_name, module_of, write_call
from tensorprog.codegen.reciprocals import with_reciprocals
from tensorprog.codegen.series import plan_series
from tensorprog.codegen.source import (
    KernelSource,
    Layout,
    Names,
    SeriesPlan,
    Tables,
    Writer,
    content_hash,
    lay_out,
    side_layout,
    used_grams,
)
from tensorprog.kernel.expectation import TOLERANCE
from tensorprog.kernel.ir import (
    Copy,
    Definition,
    Expectation,
    Index,
    KernelIR,
    Let,
    Loop,
    Parameter,
    Position,
    Ref,
    Result,
    Scalar,
    Statement,
    Sweep,
    ranges,
    references,
    walk,
)
from tensorprog.kernel.roll import roll
from tensorprog.kernel.scope import NUMPY
from tensorprog.kernel.share import stretches
from tensorprog.kernel.storage import find_histories
from tensorprog.kernel.text import print_scalar, scalar_text

__all__ = ["STRIP", "emit", "intrinsic_name"]

STRIP = 256
"""How many columns a strip has."""

SERIES_STRIP = 32
"""The same where there are Hermite series: so few that the coefficients stay in the first-level cache for all rows."""

_RESERVED = frozenset(
    "math np njit tile grams left right sizes out work rows columns i j s start stop abs float min max range"
    " a rest_a b rest_b missed worst add_series prefer_wide_vectors".split()
)
_ARGUMENTS = {
    "grams": "float64[:, :, ::1]",
    "left": "float64[:, ::1]",
    "right": "float64[:, ::1]",
    "sizes": "float64[::1]",
    "out": "float64[:, :, ::1]",
}
_SERIES_ARGUMENTS = {
    "a": "float64[:, :, ::1]",
    "rest_a": "float64[:, :, ::1]",
    "b": "float64[:, :, :, ::1]",
    "rest_b": "float64[:, :, ::1]",
    "missed": "uint8[:, ::1]",
    "worst": "float64[::1]",
}


def emit(ir: KernelIR) -> KernelSource:
    """Return the source of the pair program of `ir`.

    Raises:
        IrregularLawError: a numerical expectation has no Hermite series; the interpreter runs those.
    """
    return _Emitter(*plan_series(roll(ir))).emit()


@dataclass(slots=True)
class _Stretch:
    """Straight-line definitions, and the results to write after them if it is the last."""

    lets: tuple[Let, ...]
    results: tuple[Scalar, ...] = ()

    @property
    def series(self) -> Let | None:
        """The numerical expectation, if this is one: it stands alone."""
        return self.lets[0] if self.lets and isinstance(self.lets[0].value, Expectation) else None

    def loads(self) -> tuple[Ref, ...]:
        """Return what is read and not defined here, in order."""
        defined: set[tuple[str, tuple[Index, ...]]] = set()
        found: dict[Ref, None] = {}
        for let in self.lets:
            found.update((ref, None) for ref in references(let.value) if not _is_defined(ref, defined))
            defined.add((let.name, let.indices))
        for result in self.results:
            found.update((ref, None) for ref in references(result) if not _is_defined(ref, defined))
        return tuple(found)


def _is_defined(ref: Ref, defined: set[tuple[str, tuple[Index, ...]]]) -> bool:
    return ref.copy is Copy.OWN and (ref.name, ref.indices) in defined


@dataclass(slots=True)
class _Nest:
    """A loop with the stretches of its initial values and the parts of its body."""

    loop: Loop
    initial: tuple[_Part, ...]
    body: tuple[_Part, ...]


_Part = _Stretch | _Nest


def _structure(statements: tuple[Statement, ...], around: tuple[Loop, ...]) -> tuple[_Part, ...]:
    """Return the stretches and loops of a body."""
    return tuple(
        _Nest(part, _structure(part.initial, around), _structure(part.body, (*around, part)))
        if isinstance(part, Loop)
        else _Stretch(part)
        for stretch in stretches(statements)
        for part in ((stretch,) if isinstance(stretch, Loop) else _pieces(_lets(stretch)))
    )


def _lets(stretch: tuple[Definition, ...] | Sweep) -> tuple[Let, ...]:
    """Return the definitions of a program without axes: all of them are pointwise."""
    return () if isinstance(stretch, Sweep) else tuple(let for let in stretch if isinstance(let, Let))


def _pieces(stretch: tuple[Let, ...]) -> Iterator[tuple[Let, ...]]:
    """Yield a stretch cut before and after every numerical expectation."""
    for numerical, run in groupby(stretch, key=lambda let: isinstance(let.value, Expectation)):
        if numerical:
            yield from ((let,) for let in run)
        else:
            yield tuple(run)


def _with_results(parts: tuple[_Part, ...], results: tuple[Scalar, ...]) -> tuple[_Part, ...]:
    """Return the parts with the results written at the end of the last stretch."""
    *before, last = parts or (_Stretch(()),)
    if isinstance(last, _Stretch) and last.series is None:
        return (*before, _Stretch(last.lets, results))
    return (*before, last, _Stretch((), results))


def _walk(parts: tuple[_Part, ...]) -> Iterator[_Part]:
    for part in parts:
        yield part
        if isinstance(part, _Nest):
            yield from _walk(part.initial)
            yield from _walk(part.body)


def _find_rolling(ir: KernelIR, parts: tuple[_Part, ...]) -> frozenset[str]:
    """Return the indexed quantities for which one value, overwritten at every step of the loop, is enough."""
    simple = {
        name
        for part in _walk(parts)
        if isinstance(part, _Nest)
        for name in _overwritable([stretch for stretch in part.body if isinstance(stretch, _Stretch)], len(part.body))
    }
    return frozenset(simple) - find_histories(ir.pair, (result.pair for result in ir.results))


def _overwritable(body: list[_Stretch], length: int) -> Iterator[str]:
    """Yield the indexed quantities whose previous value no later stretch of the body reads; none if it has loops."""
    if len(body) < length:
        return
    places = {let.name: number for number, stretch in enumerate(body) for let in stretch.lets if let.indices}
    for name, place in places.items():
        later = (ref for stretch in body[place + 1 :] for ref in stretch.loads())
        if not any(ref.name == name and ref.copy is Copy.OWN and ref.indices[-1].offset for ref in later):
            yield name


class _Emitter:
    """Writes one program."""

    def __init__(self, ir: KernelIR, plan: SeriesPlan | None) -> None:
        self.ir, self.plan = ir, plan
        self.names, self.writer = Names({*_RESERVED, *map(intrinsic_name, NUMPY)}), Writer()
        self.imports: set[str] = set()
        self.left, self.right = side_layout(ir, Copy.LEFT), side_layout(ir, Copy.RIGHT)
        self.grams = used_grams(ir)
        self.parts = _with_results(_structure(ir.pair, ()), tuple(result.pair for result in ir.results))
        self.rolling = _find_rolling(ir, self.parts)
        self.work = self._lay_out_work()
        self.strip = STRIP if plan is None else SERIES_STRIP
        self.has_strips = plan is not None or any(isinstance(part, _Nest) for part in self.parts)

    def _lay_out_work(self) -> Layout:
        """Return the layout of what one stretch leaves for another."""
        refs = (ref for part in _walk(self.parts) if isinstance(part, _Stretch) for ref in part.loads())
        names = dict.fromkeys(ref.name for ref in refs if ref.copy is Copy.OWN and ref.name not in self.grams)
        kept = {name: bounds for name, bounds in ranges(self.ir.pair).items() if name not in self.rolling}
        return lay_out(names, kept)

    def emit(self) -> KernelSource:
        """Write the function, and the header above it."""
        self._write_function()
        body = self.writer.text()
        results = tuple((result.output, result.kind) for result in self.ir.results)
        text = self._header(body) + body
        sizes = tuple(self.ir.sizes)
        return KernelSource(self.ir.name, text, self.grams, sizes, self.left, self.right, results, self.plan)

    def _header(self, body: str) -> str:
        lines = [
            f'"""The kernel of the tensor program {_one_line(self.ir.name)}: generated, do not edit.',
            "",
            f"Content {content_hash(body)}. Results: {', '.join(_result_name(result) for result in self.ir.results)}.",
            *(f"grams[{row}]: {_one_line(name)}" for row, name in enumerate(self.grams)),
            *(f"left[{row}]: {text}" for row, text in _describe(self.left)),
            *(f"right[{row}]: {text}" for row, text in _describe(self.right)),
            *self._describe_series(),
            '"""',
            "",
            "import math",
            "",
            "import numpy as np",
            "from numba import njit",
            *import_lines(self._modules()),
            "",
            "",
        ]
        return "\n".join(lines) + "\n"

    def _modules(self) -> dict[str, set[str]]:
        """Return the functions of the runtime that are called, by module."""
        modules: dict[str, set[str]] = {"simd": {"prefer_wide_vectors"}}
        if self.plan:
            modules["series"] = {"add_series"}
        for name in self.imports:
            modules.setdefault(module_of(name), set()).add(name)
        return modules

    def _describe_series(self) -> Iterator[str]:
        if self.plan is not None:
            yield from (f"a[{row}]: {text}" for row, text in _describe_tables(self.plan.left))
            yield from (f"b[{row}]: {text}" for row, text in _describe_tables(self.plan.right))

    def _write_function(self) -> None:
        write = self.writer
        arguments = {**_ARGUMENTS, **(_SERIES_ARGUMENTS if self.plan else {})}
        signature = f"void({', '.join(arguments.values())})"
        write.line(f'@njit("{signature}", nogil=True, cache=True, error_model="numpy", fastmath={{"contract", "nsz"}})')
        with write.block(f"def tile({', '.join(arguments)}):"):
            write.line('"""Fill out[k, i, j], result k for the sample i of the left and j of the right."""')
            write.line("prefer_wide_vectors()")
            self._write_parameters()
            write.line("rows, columns = out.shape[1], out.shape[2]")
            if self.has_strips:
                write.line(f"work = np.empty(({max(self.work.count, 1)}, {self.strip}))")
            self._write_rows()

    def _write_parameters(self) -> None:
        used = dict.fromkeys(_parameters(self.parts))
        for name in used:
            if name in self.ir.constants:
                self.writer.line(f"{self._parameter(name)} = {self.ir.constants[name]!r}")
            else:
                self.writer.line(f"{self._parameter(name)} = sizes[{list(self.ir.sizes).index(name)}]")

    def _write_rows(self) -> None:
        """Write the loops over rows and strips; with Hermite series the rows are inside."""
        rows, strips = "for i in range(rows):", f"for start in range(0, columns, {self.strip}):"
        if not self.has_strips:
            with self.writer.block(rows):
                self._write_parts()
        elif self.plan is None:
            with self.writer.block(rows), self.writer.block(strips):
                self._write_strip()
        else:
            with self.writer.block(strips), self.writer.block(rows):
                self._write_strip()

    def _write_strip(self) -> None:
        self.writer.line(f"stop = min({self.strip}, columns - start)")
        self._write_parts()

    def _write_parts(self) -> None:
        for part in self.parts:
            self._write_part(part)

    def _write_part(self, part: _Part) -> None:
        if isinstance(part, _Stretch):
            self._write_stretch(part)
            return
        for stretch in part.initial:
            self._write_part(stretch)
        with self.writer.block(
            f"for {self._index(part.loop.index)} in range({part.loop.first}, {part.loop.last + 1}):"
        ):
            for inner in part.body:
                self._write_part(inner)

    def _write_series(self, let: Let, covariance: Ref) -> None:
        """Write the call that fills a strip of one numerical expectation."""
        if self.plan is None or let.name not in self.work.bases:
            return
        series = self.plan.series[let.name, let.indices]
        a = self.plan.left.layout.row_text(*series.left, self._index)
        b = self.plan.right.layout.row_text(*series.right, self._index)
        self._write_note(let)
        rows = f"{self._row(covariance)}, {self._row(Ref(let.name, let.indices))}"
        places = f"{a}, {b}, {rows}, {series.number}, i, start, stop, {TOLERANCE!r}"
        self.writer.line(f"add_series(a, rest_a, b, rest_b, work, missed, worst, {places})")

    def _write_stretch(self, stretch: _Stretch) -> None:
        if stretch.series is not None:
            self._write_series(stretch.series, *stretch.loads())
            return
        loads = stretch.loads()
        for ref in loads:
            if ref.copy is Copy.LEFT:
                row = self.left.row_text(ref.name, ref.indices, self._index)
                self.writer.line(f"{self._local(ref)} = left[{row}, i]")
        with self.writer.block("for s in range(stop):" if self.has_strips else "for j in range(columns):"):
            if self.has_strips and (stretch.results or any(_is_per_column(ref, self.grams) for ref in loads)):
                self.writer.line("j = start + s")
            for ref in loads:
                if ref.copy is not Copy.LEFT:
                    self.writer.line(f"{self._local(ref)} = {self._place(ref)}")
            for let in stretch.lets:
                self._write_let(let)
            for number, result in enumerate(stretch.results):
                self.writer.line(f"out[{number}, i, j] = {self._scalar(result)}")
            if not (loads or stretch.lets or stretch.results):
                self.writer.line("pass")

    def _write_let(self, let: Let) -> None:
        self._write_note(let)
        target = Ref(let.name, let.indices)
        self.writer.line(f"{self._local(target)} = {self._scalar(let.value)}")
        if let.name in self.work.bases:
            self.writer.line(f"{self._place(target)} = {self._local(target)}")

    def _write_note(self, let: Let) -> None:
        if let.note is not None and not let.name.startswith("%"):
            note = let.note
            self.writer.line(f"# {_one_line(note.equation)}  [{_one_line(note.rule)}; line {note.line}]")

    def _place(self, ref: Ref) -> str:
        """Return where a quantity of the pair, or of the right sample, stands in memory."""
        if ref.copy is Copy.RIGHT:
            return f"right[{self.right.row_text(ref.name, ref.indices, self._index)}, j]"
        if ref.name in self.grams:
            return f"grams[{self.grams.index(ref.name)}, i, j]"
        return f"work[{self._row(ref)}, s]"

    def _row(self, ref: Ref) -> str:
        """Return the row of the working array for a quantity that crosses from one stretch to another."""
        indices = () if ref.name in self.rolling else ref.indices
        return self.work.row_text(ref.name, indices, self._index)

    def _scalar(self, scalar: Scalar) -> str:
        return print_scalar(with_reciprocals(scalar), self._leaf, self._call)

    def _leaf(self, scalar: Scalar) -> str:
        if isinstance(scalar, Ref):
            return self._local(scalar)
        if isinstance(scalar, Position):
            return f"float({self._index(scalar.index)})"
        if isinstance(scalar, Parameter):
            return self._parameter(scalar.name)
        raise NotImplementedError(f"{type(scalar).__name__} has no source")

    def _call(self, operator: str, args: list[str]) -> str:
        return write_call(operator, args, self.imports)

    def _local(self, ref: Ref) -> str:
        owner = {Copy.OWN: "", Copy.LEFT: "_x", Copy.RIGHT: "_y"}[ref.copy]
        return self.names.identifier(ref, ref.name + owner + "".join(_index_wish(index) for index in ref.indices))

    def _index(self, symbol: str) -> str:
        return self.names.identifier(("index", symbol), symbol)

    def _parameter(self, name: str) -> str:
        return self.names.identifier(("parameter", name), name)


def _is_per_column(ref: Ref, grams: tuple[str, ...]) -> bool:
    return ref.copy is Copy.RIGHT or (ref.copy is Copy.OWN and ref.name in grams)


def _parameters(parts: tuple[_Part, ...]) -> Iterator[str]:
    stretch_parts = (part for part in _walk(parts) if isinstance(part, _Stretch))
    scalars = [scalar for part in stretch_parts for scalar in (*(let.value for let in part.lets), *part.results)]
    return (node.name for scalar in scalars for node in walk(scalar) if isinstance(node, Parameter))


def _index_wish(index: Index) -> str:
    if index.symbol is None:
        return f"_{index.offset}"
    return "" if index.offset == 0 else "_before" if index.offset == -1 else f"_{index.offset}"


def _describe(layout: Layout) -> Iterator[tuple[int, str]]:
    for name, base in layout.bases.items():
        bounds = "".join(f" [{first} .. {last}]" for first, last in layout.ranges.get(name, ()))
        yield base, _one_line(name) + bounds


def _describe_tables(tables: Tables) -> Iterator[tuple[int, str]]:
    for name, side in tables.sides.items():
        law = f"N({scalar_text(side.mean)}, {scalar_text(side.variance)})"
        bounds = "".join(f" [{first} .. {last}]" for first, last in tables.layout.ranges.get(name, ()))
        yield tables.layout.bases[name], _one_line(f"{side.function} under {law}{bounds}")


def _result_name(result: Result) -> str:
    return f"{result.kind} of {_one_line(result.output)}"


def _one_line(text: str) -> str:
    """Return a text fit for a comment or a docstring of generated code."""
    return " ".join(text.split()).replace("\\", "/").replace('"""', "'''")
