"""The state of a build: what has been declared, emitted and reported so far.

Terms are lowered to `Value`s, which collect elementwise operations over interned variables; everything else is emitted
as an instruction with a temporary name, and the last one of a statement takes the name that the statement defines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from enum import Enum

from tensorprog.core.codes import Code
from tensorprog.core.ir import Axis, Carry, Input, Instruction, Map, Output, Parameter, Repeat, Scan, Type, Width, walk
from tensorprog.core.scope import Kind, Scope, VariableName, enclosing
from tensorprog.core.shapes import Value
from tensorprog.errors import Diagnostic, Span
from tensorprog.nonlin.expression import Expr, Fn, Operand, substitute
from tensorprog.syntax.limits import Limits

__all__ = ["Abandon", "Builder", "Level", "Loops", "Unroll"]


class Loops(Enum):
    """What becomes of a `for`: a `Scan` where that is possible, or its iterations one after another."""

    ROLLED = "rolled"
    UNROLLED = "unrolled"


class Unroll(Exception):
    """The loop over `axis` cannot be a `Scan`."""

    def __init__(self, axis: str) -> None:
        super().__init__(axis)
        self.axis = axis


class Abandon(Exception):
    """The program is too large; that was reported."""


@dataclass(slots=True)
class Level:
    """A body that is being filled: the program's, or that of a scan over `axis`, made by a `for` if `rolled`."""

    axis: str | None = None
    rolled: bool = False
    repeats: int = 1
    body: list[Instruction] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Builder:
    """Everything that a build knows; only `save` and `restore` see it as a whole."""

    limits: Limits
    loops: Loops
    symbols: Mapping[str, int | float]
    root: Scope
    scope: Scope
    levels: tuple[Level, ...] = field(default_factory=lambda: (Level(),))
    diagnostics: list[Diagnostic] = field(default_factory=list)
    widths: dict[str, Width] = field(default_factory=dict)
    sizes: dict[str, Span] = field(default_factory=dict)
    axes: dict[str, Axis] = field(default_factory=dict)
    inputs: list[Input] = field(default_factory=list)
    parameters: dict[str, Parameter] = field(default_factory=dict)
    outputs: list[Output] = field(default_factory=list)
    types: dict[str, Type] = field(default_factory=dict)
    functions: dict[str, Fn | None] = field(default_factory=dict)
    later: dict[str, Span] = field(default_factory=dict)
    leaves: list[str] = field(default_factory=list)
    interned: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    temporaries: dict[str, int] = field(default_factory=dict)
    known: dict[object, Value] = field(default_factory=dict)
    entered: dict[tuple[Scope, str], tuple[str, VariableName]] = field(default_factory=dict)
    owner: str = ""
    order: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    unrolled: set[tuple[int, tuple[str, ...]]] = field(default_factory=set)
    statements: int = 0
    work: int = 0
    failed_outputs: int = 0
    muted: bool = False

    # --- findings ------------------------------------------------------------------------------------------------

    def report(self, code: Code, message: str, span: Span | None, hint: str | None = None) -> None:
        """Record a finding, once, and go on."""
        finding = Diagnostic(code.value, message, span, hint)
        if not self.muted and finding not in self.diagnostics:
            self.diagnostics.append(finding)

    def count_statement(self, span: Span) -> None:
        """Count one statement, as often as the loops around it repeat it.

        Raises:
            Abandon: there are too many.
        """
        repeats = 1
        for level in self.levels:
            repeats *= level.repeats
        self.statements += repeats
        self.work += 1
        if max(self.statements, self.work // 50) > self.limits.statements:
            self.muted = False
            message = f"more than {self.limits.statements} statements after unrolling"
            self.report(Code.TOO_LARGE, message, span, "make the loop shorter, or raise the limit")
            raise Abandon

    # --- going back ----------------------------------------------------------------------------------------------

    def save(self) -> Callable[[], None]:
        """Return a function that puts everything but `work` and `unrolled` back to what it is now."""
        kept = {
            part.name: _copy(getattr(self, part.name)) for part in fields(self) if part.name not in ("work", "unrolled")
        }
        names = [(scope, dict(scope.names)) for scope in {*enclosing(self.scope), self.root}]

        def restore() -> None:
            for name, value in kept.items():
                setattr(self, name, value)
            for scope, bindings in names:
                scope.names = bindings

        return restore

    # --- names ---------------------------------------------------------------------------------------------------

    def fresh(self, name: str) -> str:
        """Return a name for a new variable, parameter or call: `h`, then `h#2` and so on."""
        self.counts[name] = self.counts.get(name, 0) + 1
        return name if self.counts[name] == 1 else f"{name}#{self.counts[name]}"

    def fresh_axis(self, name: str) -> str:
        """Return a name for the axis of a loop."""
        found, count = name, 1
        while found in self.axes:
            count += 1
            found = f"{name}#{count}"
        return found

    def qualified(self, name: str) -> str:
        """Return `name` with the calls around it: `dense.h`."""
        return next((scope.prefix for scope in enclosing(self.scope) if scope.kind is Kind.BLOCK), "") + name

    # --- levels --------------------------------------------------------------------------------------------------

    @property
    def running(self) -> tuple[str, ...]:
        """The axes of the scans around this place."""
        return tuple(level.axis for level in self.levels if level.axis is not None)

    @property
    def rolled(self) -> tuple[str, ...]:
        """The axes of the rolled loops around this place."""
        return tuple(level.axis for level in self.levels if level.axis is not None and level.rolled)

    @property
    def passing(self) -> tuple[str, ...]:
        """The axes that are free in the arguments of the block around this place."""
        return next((scope.passing for scope in enclosing(self.scope) if scope.kind is Kind.BLOCK), ())

    @contextmanager
    def at_level(self, depth: int) -> Iterator[None]:
        """Emit into an outer body for a while."""
        levels, self.levels = self.levels, self.levels[:depth]
        try:
            yield
        finally:
            self.levels = levels

    def close_level(self, carries: tuple[Carry, ...], label: str, span: Span) -> None:
        """Make the innermost body a `Scan`; its variables have the scan's axis from here on."""
        level, self.levels = self.levels[-1], self.levels[:-1]
        assert level.axis is not None
        kind = Repeat if level.rolled else Scan
        scan = kind(self.fresh(label), level.axis, carries, tuple(level.body), False, span=span)
        for name in _defined(scan):
            self.types[name] = replace(self.types[name], axes=(level.axis, *self.types[name].axes))
        self.levels[-1].body.append(scan)

    # --- instructions --------------------------------------------------------------------------------------------

    @contextmanager
    def statement(self, owner: str, order: tuple[str, ...]) -> Iterator[None]:
        """Lower the statement that defines `owner`, which names its temporaries, with the axes `order` on its left."""
        before = (self.owner, self.order, self.known)
        self.owner, self.order, self.known = owner, order, {}
        try:
            yield
        finally:
            self.owner, self.order, self.known = before

    def leaf(self, name: str) -> Value:
        """Return a variable as a value."""
        if name not in self.interned:
            self.interned[name] = len(self.leaves)
            self.leaves.append(name)
        kind = self.types[name]
        return Value(Operand(self.interned[name]), kind.axes, kind.dimension)

    def add(self, instruction: Instruction, kind: Type) -> None:
        """Append an instruction that defines a variable of type `kind`."""
        self.levels[-1].body.append(instruction)
        self.types[instruction.target] = kind

    def emit(self, make: Callable[..., Instruction], kind: Type, span: Span, **parts: object) -> Value:
        """Append an instruction with a temporary target, unless this statement has it already."""
        key = (make, len(self.levels), kind, tuple(parts.items()))
        if key not in self.known:
            number = self.temporaries[self.owner] = self.temporaries.get(self.owner, 0) + 1
            target = f"{self.owner}.{number}"
            self.add(make(target=target, span=span, **parts), kind)
            self.known[key] = self.leaf(target)
        return self.known[key]

    def materialize(self, value: Value, span: Span) -> Value:
        """Return `value` as a variable, made by a `Map` if it is not one."""
        if isinstance(value.expr, Operand) and value.axes == self.types[self.leaves[value.expr.index]].axes:
            return value
        expression, operands = self._close(value.expr)
        return self.emit(Map, Type(value.axes, value.dimension), span, expression=expression, operands=operands)

    def finish(self, value: Value, name: str, kind: Type, span: Span) -> None:
        """Let variable `name` of type `kind` be `value`; its last temporary takes the name if it can."""
        body = self.levels[-1].body
        if isinstance(value.expr, Operand) and body and body[-1].target == self.leaves[value.expr.index]:
            last = body[-1]
            if last.target.rpartition(".")[2].isdigit() and self.types[last.target] == kind:
                body[-1] = replace(last, target=name, span=span)
                self.types[name] = self.types.pop(last.target)
                self.interned[name] = self.interned.pop(last.target)
                self.leaves[value.expr.index] = name
                return
        expression, operands = self._close(value.expr)
        self.add(Map(name, expression, operands, span=span), kind)

    def _close(self, expr: Expr) -> tuple[Expr, tuple[str, ...]]:
        """Return an expression over interned variables as one over its own operands, and their names."""
        used = Value(expr).operands
        places = {index: Operand(place) for place, index in enumerate(used)}
        closed = substitute(expr, lambda node: places[node.index] if isinstance(node, Operand) else None)
        return closed, tuple(self.leaves[index] for index in used)


def _copy(value: object) -> object:
    if isinstance(value, dict | list):
        return value.copy()
    if isinstance(value, tuple) and value and isinstance(value[0], Level):
        return tuple(replace(level, body=list(level.body)) for level in value)
    return value


def _defined(scan: Scan) -> list[str]:
    """Return the variables that a scan defines, carries included."""
    inner = [item for item in walk((scan,)) if isinstance(item, Scan)]
    names = [item.target for item in walk(scan.body) if not isinstance(item, Scan)]
    return names + [carry.target for item in inner for carry in item.carries]
