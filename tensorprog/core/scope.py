"""What a name stands for, and where it is looked up.

A scope is one of: the program, a body of a block or of an `fn`, one iteration of an unrolled loop, the body of a rolled
loop, the body of a scan. Names are looked up outwards; a block and an `fn` see of the program what it declares, never
its variables.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from tensorprog.core.shapes import Value
from tensorprog.errors import Span
from tensorprog.nonlin.expression import Expr
from tensorprog.syntax.tree import BlockDecl, FnDecl

__all__ = [
    "AxisName",
    "Binding",
    "BlockName",
    "Broken",
    "Carried",
    "Constant",
    "Exported",
    "FunctionName",
    "Given",
    "Kind",
    "ParameterName",
    "Scope",
    "StateName",
    "VariableName",
    "enclosing",
    "find",
    "frame",
    "is_declared",
]


@dataclass(frozen=True, slots=True)
class Binding:
    """What a name stands for, and the place where it was given that meaning."""

    span: Span


@dataclass(frozen=True, slots=True)
class Broken(Binding):
    """A name whose meaning could not be found; that was reported, and nothing about it is reported again."""


@dataclass(frozen=True, slots=True)
class Constant(Binding):
    """A number without a variable: `kind` is width, hyperparameter, size, loop variable or number."""

    expr: Expr
    kind: str


@dataclass(frozen=True, slots=True)
class AxisName(Binding):
    """An axis, or the variable of a rolled loop, which is one."""

    axis: str
    loop: bool = False


@dataclass(frozen=True, slots=True)
class VariableName(Binding):
    """A core variable: `own` are the axes by which it is indexed, `implicit` those that pass through a block."""

    name: str
    own: tuple[str, ...]
    implicit: tuple[str, ...] = ()
    declared: bool = False


@dataclass(frozen=True, slots=True)
class Given(Binding):
    """The value of an argument of a block."""

    value: Value


@dataclass(frozen=True, slots=True)
class ParameterName(Binding):
    """A parameter: `own` are its declared axes, `loops` those of the rolled loops in which it is declared."""

    name: str
    own: tuple[str, ...]
    loops: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FunctionName(Binding):
    """An `fn`."""

    declaration: FnDecl


@dataclass(frozen=True, slots=True)
class BlockName(Binding):
    """A `block`."""

    declaration: BlockDecl


@dataclass(frozen=True, slots=True)
class Carried(Binding):
    """Inside a rolled loop, a name that the body binds again and has not read yet: its value at the step before."""


@dataclass(frozen=True, slots=True)
class Exported(Binding):
    """After a rolled loop, a name that the body has bound: its value at the last step, gathered when it is read."""

    variable: VariableName
    axis: str
    last: int
    depth: int


@dataclass(frozen=True, slots=True)
class StateName(Binding):
    """Inside a scan, a name that its body defines: `current` and `before` are its variables now and one step ago."""

    axis: str
    target: str
    own: tuple[str, ...]
    implicit: tuple[str, ...]
    dimension: Expr | None
    defined: bool = False
    before: str | None = None


class Kind(Enum):
    """What a scope is the inside of."""

    PROGRAM = "program"
    BLOCK = "block"
    FUNCTION = "fn"
    ITERATION = "iteration"
    LOOP = "loop"
    SCAN = "scan"


@dataclass(slots=True, eq=False)
class Scope:
    """Names and their meanings.

    `prefix` and `passing` (the axes that are free in the arguments) belong to a block; `depth` counts the bodies
    around the statements of a rolled loop or a scan, its own included.
    """

    kind: Kind
    parent: Scope | None = None
    prefix: str = ""
    passing: tuple[str, ...] = ()
    depth: int = 1
    names: dict[str, Binding] = field(default_factory=dict)


def is_declared(binding: Binding) -> bool:
    """Return whether a name is declared, so that it may not be bound again."""
    match binding:
        case VariableName(declared=declared):
            return declared
        case Constant(kind=kind):
            return kind != "number"
        case _:
            return not isinstance(binding, Given | Broken | Carried | Exported)


def enclosing(scope: Scope) -> Iterator[Scope]:
    """Yield a scope and those around it, innermost first."""
    here: Scope | None = scope
    while here is not None:
        yield here
        here = here.parent


def frame(scope: Scope) -> Iterator[Scope]:
    """Yield a scope and those around it up to the block, the `fn` or the program to which it belongs."""
    for here in enclosing(scope):
        yield here
        if here.kind in (Kind.BLOCK, Kind.FUNCTION):
            return


def find(scope: Scope, name: str) -> tuple[Scope, Binding] | None:
    """Return where `name` is bound as seen from `scope`, and its meaning."""
    for here in frame(scope):
        if name in here.names:
            return here, here.names[name]
    outermost = list(enclosing(scope))[-1]
    binding = outermost.names.get(name)
    return (outermost, binding) if binding is not None and is_declared(binding) else None
