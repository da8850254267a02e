"""The pair program of a program over axes as Python text for numba: one serial function, pair after pair.

Each array lies flat in one working space, the size of which is that of the arrays that are needed at one time for one
pair. Pointwise definitions are passes over entries, sums over indices are sparse matrices in each component (`modes`),
loops over all positions (`dense`), or loops over entries (`general`), whichever is the first that can. A numerical
expectation is a Hermite series (`series`); pairs with an entry for which it is not exact enough are marked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from tensorprog.codegen.arrays.context import Context
from tensorprog.codegen.arrays.dense import find_dense, write_dense
from tensorprog.codegen.arrays.gated import write_gated
from tensorprog.codegen.arrays.general import write_entries, write_term
from tensorprog.codegen.arrays.modes import find_modes, write_modes
from tensorprog.codegen.arrays.pointwise import write_group
from tensorprog.codegen.arrays.requests import EntryCount, GramDepth, GramMap, GramOffset, Part, PartCount, ResultMap
from tensorprog.codegen.arrays.schedule import schedule
from tensorprog.codegen.arrays.series import find_series, is_series, write_series
from tensorprog.codegen.arrays.shapes import is_placed
from tensorprog.codegen.arrays.sharing import share_sums
from tensorprog.codegen.arrays.sweeps import write_sweep
from tensorprog.codegen.operators import import_lines, module_of
from tensorprog.codegen.source import KernelSource, Writer, content_hash, lay_out, used_grams
from tensorprog.kernel.gate import find_gate
from tensorprog.kernel.ir import (
    Contract,
    Contraction,
    Copy,
    KernelIR,
    Let,
    Loop,
    Ref,
    Result,
    Scalar,
    Statement,
    Sweep,
    definitions,
    expressions,
    references,
    walk,
)
from tensorprog.nonlin.expression import Number

__all__ = ["emit_arrays"]

HELPERS: Mapping[str, str] = {
    **dict.fromkeys(("band_row", "dense_row", "span_row", "wrapped_row"), "lookup"),
    **dict.fromkeys(("collect", "copy", "fill", "gather", "gather_row", "scatter"), "moves"),
    **dict.fromkeys(("dot", "fill_gram", "fill_versine", "total"), "sums"),
    "fill_series": "laws",
    **dict.fromkeys(("add_shares", "list_near"), "near"),
    **dict.fromkeys(("combine_entries", "combine_rows", "expand_rows", "reduce_rows"), "modes"),
}
"""The module of `runtime` with each function that may be called."""

_ARGUMENTS = {
    "left": "float64[:, ::1]",
    "right": "float64[:, ::1]",
    "sizes": "float64[::1]",
    "tables": "int64[::1]",
    "work": "float64[::1]",
    "upper": "int64",
    "out": "float64[:, :, :, ::1]",
}
_SERIES_ARGUMENTS = {
    "a": "float64[:, ::1]",
    "b": "float64[:, ::1]",
    "missed": "uint8[:, ::1]",
    "worst": "float64[::1]",
}


def emit_arrays(ir: KernelIR) -> KernelSource:
    """Return the source of the pair program of `ir`, a program over axes.

    Raises:
        IrregularLawError: a numerical expectation has no Hermite series; the interpreter runs those.
    """
    return _Emitter(ir).emit()


class _Emitter:
    def __init__(self, ir: KernelIR) -> None:
        ir, sharing = share_sums(ir)
        self.ir, self.context = ir, Context(ir, frozenset(HELPERS))
        self.context.groups.extend(sharing.groups)
        self.context.series.update(find_series(ir))
        self.pending = {name: None for name in used_grams(ir)}
        self.stored = _find_stored(ir)
        self.dynamic = frozenset(name for name, axis in ir.axes.items() if not isinstance(axis.extent, Number))

    def emit(self) -> KernelSource:
        """Write the function, and the header above it."""
        context = self.context
        context.writer.depth = 3
        self._write_statements(self.ir.pair)
        for number, result in enumerate(self.ir.results):
            self._write_result(number, result)
        body = context.writer.text()
        head = self._function_head()
        results = tuple((result.output, result.kind) for result in self.ir.results)
        header, empty = self._header(head + body), lay_out((), {})
        text = header + head + body
        sizes = (*self.ir.sizes, *self.ir.right_sizes)
        plan = context.plan()
        return KernelSource(self.ir.name, text, used_grams(self.ir), sizes, empty, empty, results, None, plan)

    def _header(self, text: str) -> str:
        context = self.context
        lines = [
            f'"""The kernel of the tensor program {_one_line(self.ir.name)}: generated, do not edit.',
            "",
            f"Content {content_hash(text)}.",
            '"""',
            "",
            "import math",
            "",
            "import numpy as np",
            "from numba import njit",
        ]
        modules: dict[str, set[str]] = {}
        for name in context.imports:
            modules.setdefault(module_of(name), set()).add(name)
        for name in context.used:
            modules.setdefault(HELPERS[name], set()).add(name)
        return "\n".join([*lines, *import_lines(modules), "", "", ""])

    def _function_head(self) -> str:
        """Return the beginning of the function: the numbers that it was given, the loops over the pairs."""
        writer, context = Writer(), self.context
        arguments = {**_ARGUMENTS, **(_SERIES_ARGUMENTS if self.context.series else {})}
        signature = f"void({', '.join(arguments.values())})"
        options = 'nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz"}'
        writer.line(f'@njit("{signature}", {options})')
        with writer.block(f"def tile({', '.join(arguments)}):"):
            writer.line('"""Fill out[k, i, j], result k for the sample i of the left and j of the right."""')
            for name, variable in context.parameters.items():
                writer.line(f"{variable} = {self._parameter(name)}")
            for number, variable in enumerate(context.requests.values()):
                writer.line(f"{variable} = tables[{number}]")
            writer.line("rows, columns = out.shape[1], out.shape[2]")
            with writer.block("for i in range(rows):"):
                writer.line("x_row = left[i]")
                with writer.block("for j in range(upper * (i + 1), columns):"):
                    writer.line("y_row = right[j]")
        return writer.text()

    def _parameter(self, name: str) -> str:
        if name in self.ir.constants:
            return repr(self.ir.constants[name])
        return f"sizes[{[*self.ir.sizes, *self.ir.right_sizes].index(name)}]"

    def _write_statements(self, statements: tuple[Statement, ...]) -> None:
        """Write the statements of the program, before each the grams that it is the first to read."""
        for part in schedule(statements):
            self.context.next_step()
            self._write_grams(part)
            self._write_part(part)

    def _write_part(self, part: list[Let] | Contract | Let | Loop | Sweep) -> None:
        match part:
            case list():
                for let in part:
                    self._write_note(let)
                write_group(self.context, part, self.stored)
            case Contract():
                self._write_note(part)
                self._write_contract(part)
            case Let() if is_series(part):
                self._write_note(part)
                write_series(self.context, part)
            case Let():
                self._write_note(part)
                write_entries(self.context, part, {})
            case Sweep():
                for group in part.groups:
                    for definition in group:
                        self._write_note(definition)
                write_sweep(self.context, part)
            case Loop():
                self._write_loop(part)

    def _write_loop(self, loop: Loop) -> None:
        for part in schedule(loop.initial):
            self._write_part(part)
        symbol = self.context.symbol(loop.index)
        with self.context.block(f"for {symbol} in range({loop.first}, {loop.last + 1}):"):
            for part in schedule(loop.body):
                self._write_part(part)

    def _write_note(self, definition: Let | Contract) -> None:
        note = definition.note
        if note is not None and not definition.name.startswith("%"):
            text = f"# {_one_line(note.equation)}  [{_one_line(note.rule)}; line {note.line}]"
            self.context.line(text)

    def _write_grams(self, part: list[Let] | Contract | Let | Loop | Sweep) -> None:
        read = {ref.name for scalar in _expressions(part) for ref in references(scalar) if ref.copy is Copy.OWN}
        for name in [name for name in self.pending if name in read - self._find_late(part)]:
            del self.pending[name]
            self._write_gram(name)

    def _find_late(self, part: list[Let] | Contract | Let | Loop | Sweep) -> frozenset[str]:
        """Return the grams that no definition but this one reads, and this one perhaps nowhere."""
        if not isinstance(part, Contract) or find_gate(part) is None:
            return frozenset()
        readers = Counter(
            name
            for definition in definitions(self.ir.pair)
            for name in {ref.name for scalar in expressions(definition) for ref in references(scalar)}
        )
        return frozenset(name for name in self.ir.versines if readers[name] == 1)

    def _write_needed(self, contract: Contract) -> None:
        """Write the grams that a definition needs where it is a sum."""
        for name in sorted(self._find_late(contract) & self.pending.keys()):
            if any(ref.name == name for scalar in expressions(contract) for ref in references(scalar)):
                del self.pending[name]
                self._write_gram(name)

    def _write_gram(self, name: str) -> None:
        context = self.context
        outer, inner = Part(name, True), Part(name, False)
        counts = ", ".join(context.number(PartCount(part), f"{name}_rows") for part in (outer, inner))
        sides = ", ".join(
            f"{context.row_of(copy)}, {context.number(GramOffset(copy, name), f'{name}_features')}, "
            f"{context.number(GramMap(copy, outer), f'{name}_outer')}, "
            f"{context.number(GramMap(copy, inner), f'{name}_inner')}"
            for copy in (Copy.LEFT, Copy.RIGHT)
        )
        depth = context.number(GramDepth(name), f"{name}_depth")
        helper = context.helper("fill_versine" if name in self.ir.versines else "fill_gram")
        context.line(f"{helper}(work, tables, {context.own(name, ())}, {counts}, {sides}, {depth})")

    def _write_contract(self, contract: Contract) -> None:
        """Write a sum, term by term; the terms that are numbers come first, all at once."""
        context, gate = self.context, find_gate(contract)
        if gate is not None and contract.axes:
            write_gated(context, contract, gate, lambda: self._write_needed(contract))
            return
        if not contract.axes and not any(term.bound for term in contract.terms):
            write_entries(context, contract, {})
            return
        symbols = {index.symbol for index in contract.axes}
        constant = [term for term in contract.terms if _is_constant(term, symbols)]
        others = [term for term in contract.terms if not _is_constant(term, symbols)]
        if constant:
            value = " + ".join(self._factor(term.factors) for term in constant)
            count = context.number(EntryCount(contract.name), f"{contract.name}_count")
            target = context.own(contract.name, contract.indices)
            context.line(f"{context.helper('fill')}(work, {target}, {count}, {value})")
        for number, term in enumerate(others):
            if number or constant or not self._write_copy(contract, term):
                self._write_term(contract, term, keep=number > 0 or bool(constant))

    def _write_copy(self, contract: Contract, term: Contraction) -> bool:
        """Write a term that is an array with the same entries, if it is one and the first; tell whether."""
        if term.bound or len(term.factors) != 1:
            return False
        (ref,) = term.factors
        if not isinstance(ref, Ref) or (ref.name, contract.name) not in self.context.groups:
            return False
        context = self.context
        count = context.number(EntryCount(contract.name), f"{contract.name}_count")
        source, target = context.own(ref.name, ref.indices), context.own(contract.name, contract.indices)
        context.line(f"{context.helper('copy')}(work, {source}, {target}, {count})")
        return True

    def _write_term(self, contract: Contract, term: Contraction, *, keep: bool) -> None:
        context = self.context
        indices = {index.symbol for index in (*contract.axes, *term.bound)}
        factor = self._factor(tuple(scalar for scalar in term.factors if not is_placed(scalar, indices)))
        text = "1" if keep else "0"
        modes = find_modes(context, contract, term, self.dynamic)
        if modes is not None:
            write_modes(context, contract, modes, factor, keep=text)
            return
        dense = find_dense(context, contract, term)
        if dense is not None:
            write_dense(context, contract, dense, factor, keep=text)
            return
        write_term(context, contract, term, keep=keep)

    def _factor(self, factors: tuple[Scalar, ...]) -> str:
        """Return the product of factors without positions."""
        texts = []
        for factor in factors:
            leaf: dict[Scalar, str] = {
                ref: self.context.scalar_read(ref) for ref in references(factor) if not ref.places
            }
            texts.append(f"({self.context.scalar(factor, leaf)})")
        return " * ".join(texts) or "1.0"

    def _write_result(self, number: int, result: Result) -> None:
        context = self.context
        context.next_step()
        self._write_grams(Let("", (), result.pair))
        if result.axes and isinstance(result.pair, Ref):
            ref = result.pair
            table = context.number(ResultMap(ref.name, ref.places, result.axes), "result")
            start = context.own(ref.name, ref.indices)
            with context.block("for e in range(out.shape[3]):"):
                context.line(f"out[{number}, i, j, e] = work[{start} + tables[{table} + e]]")
            return
        leaf: dict[Scalar, str] = {
            node: context.scalar_read(node) for node in walk(result.pair) if isinstance(node, Ref)
        }
        context.line(f"out[{number}, i, j, 0] = {context.scalar(result.pair, leaf)}")


def _expressions(part: list[Let] | Contract | Let | Loop | Sweep) -> list[Scalar]:
    parts: tuple[Statement, ...] = tuple(part) if isinstance(part, list) else (part,)
    return [scalar for definition in definitions(parts) for scalar in expressions(definition)]


def _is_constant(term: Contraction, symbols: set[str]) -> bool:
    return not term.bound and not any(is_placed(factor, symbols) for factor in term.factors)


def _find_stored(ir: KernelIR) -> frozenset[str]:
    """Return the names of what more is read of than by the definitions that are computed in the same pass."""
    found = {ref.name for result in ir.results for ref in references(result.pair)}
    for part in _parts(ir.pair):
        local = {(let.name, let.indices) for let in part} if isinstance(part, list) else set()
        for ref in (ref for scalar in _expressions(part) for ref in references(scalar) if ref.copy is Copy.OWN):
            if (ref.name, ref.indices) not in local:
                found.add(ref.name)
    return frozenset(found)


def _parts(statements: tuple[Statement, ...]) -> Iterator[list[Let] | Contract | Let | Sweep]:
    """Yield what is computed together, that of loops included."""
    for part in schedule(statements):
        if isinstance(part, Loop):
            yield from _parts(part.initial)
            yield from _parts(part.body)
        else:
            yield part


def _one_line(text: str) -> str:
    """Return a text fit for a comment or a docstring of generated code."""
    return " ".join(text.split()).replace("\\", "/").replace('"""', "'''")
