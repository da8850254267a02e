"""What a drawing of a program shows: vertices, groups and links, before anything has a place.

Vectors are vertices and a matrix is the name on a link, as in the Tensor Programs papers. A temporary that is read
once, by a linear step, is folded into its reader, so that a vertex is roughly a statement of the program:

    h1.1 = matmul W1 @ x,  h1.2 = load b1,  h1 = map h1.1 + h1.2      x --W1--> (h1: W1 @ x + b1) <-- [b1]
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import singledispatch

from tensorprog.core.dependence import reads
from tensorprog.core.ir import (
    Core,
    Gather,
    Gradient,
    Instruction,
    Load,
    Map,
    MatMul,
    Moment,
    Parameter,
    Scan,
    Scatter,
    Sum,
    walk,
)
from tensorprog.core.text import affine_text, axis_ends, carry_text, instruction_text, shape_text, type_text
from tensorprog.nonlin.expression import Apply, Expr, Operand
from tensorprog.nonlin.text import text as expression_text
from tensorprog.nonlin.traverse import fold

__all__ = ["Group", "Link", "Scene", "Shape", "Vertex", "scene"]

TEMPORARY = re.compile(r"\.(\d+|at|part\d+)(#\d+)?$")  # the names that the builder and the backward pass make up


class Shape(Enum):
    """What a vertex stands for; the value is its entry in the legend."""

    DATA = "data"
    LINEAR = "vector"
    NONLINEAR = "nonlinearity"
    SCALAR = "scalar"
    PARAMETER = "vector or scalar parameter"
    CARRY = "value of the step before"
    OUTPUT = "output"
    GRADIENT = "gradient of a parameter"


@dataclass(frozen=True, slots=True)
class Vertex:
    """A thing with a name, and under it how it is computed; `note` is the whole line, for the tooltip."""

    key: str
    shape: Shape
    title: str
    text: str
    note: str


@dataclass(frozen=True, slots=True)
class Group:
    """A scan: its members, and the pairs (source, target) that go round to the next step."""

    key: str
    title: str
    members: tuple[Vertex | Group, ...]
    carries: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Link:
    """An arrow between vertices, by their keys; a label is the matrix that it multiplies by."""

    source: str
    target: str
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """All vertices and groups, and the links between vertices at any depth."""

    members: tuple[Vertex | Group, ...]
    links: tuple[Link, ...]


@dataclass(slots=True)
class Sketch:
    """A scene in the making: what is folded away, and into which text and links."""

    core: Core
    shown: Callable[[str], bool]
    folded: frozenset[str]
    outputs: Mapping[str, str]
    aliases: Mapping[str, str]
    defined: dict[str, Instruction] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)


def scene(core: Core, shown: Callable[[str], bool] = lambda name: True) -> Scene:
    """Return the scene of a core program: of its inputs, and of the variables and gradients for which `shown` holds."""
    outputs = {output.source: output.name for output in core.outputs}
    aliases = _aliases(core)
    sketch = Sketch(core, shown, frozenset(_foldable(core, aliases) - outputs.keys()), outputs, aliases)
    sketch.defined.update((instruction.target, instruction) for instruction in walk(core.body))
    members = [*_inputs(sketch), *_members(sketch, core.body), *_gradients(sketch)]
    known = set(_keys(members))
    links = dict.fromkeys(link for link in sketch.links if link.source in known and link.target in known)
    return Scene(tuple(members), tuple(links))


def _keys(members: Iterable[Vertex | Group]) -> Iterator[str]:
    for member in members:
        if isinstance(member, Group):
            yield from _keys(member.members)
        else:
            yield member.key


# Folding


def _aliases(core: Core) -> dict[str, str]:
    """Return the temporaries that only repeat another variable (perhaps over more axes), and which."""
    aliases: dict[str, str] = {}
    for step in walk(core.body):
        if isinstance(step, Map) and step.expression == Operand(0) and TEMPORARY.search(step.target):
            aliases[step.target] = aliases.get(step.operands[0], step.operands[0])
    return aliases


def _foldable(core: Core, aliases: Mapping[str, str]) -> set[str]:
    """Return the temporaries that are read once, and by a step that can show them in its own text."""
    instructions = [step for step in walk(core.body) if step.target not in aliases]
    names = [name for step in instructions for name in _operands(step)]
    names += [name for gradient in core.gradients for name in (gradient.adjoint, gradient.operand) if name]
    count = Counter(aliases.get(name, name) for name in names)
    defined = {instruction.target: instruction for instruction in instructions}
    return {
        name
        for reader in instructions
        for name in _operands(reader)
        if count[name] == 1 and TEMPORARY.search(name) and name in defined and _folds_into(defined[name], reader, core)
    }


def _operands(instruction: Instruction) -> tuple[str, ...]:
    """Return the variables that an instruction reads itself; a scan reads what its carries read."""
    if isinstance(instruction, Scan):
        ends = ((carry.source, carry.initial) for carry in instruction.carries)
        return tuple(name for pair in ends for name in pair if name is not None)
    return reads(instruction)


def _folds_into(temporary: Instruction, reader: Instruction, core: Core) -> bool:
    if isinstance(temporary, Gather | Scatter):
        return isinstance(reader, MatMul | Sum | Moment | Map)
    if isinstance(temporary, Load | MatMul | Sum):
        return isinstance(reader, Sum) or (isinstance(reader, Map) and _is_linear(reader, core))
    return False


def _is_linear(step: Map, core: Core) -> bool:
    """Whether a map is linear in its vectors (scalars count as coefficients)."""
    return _degree(step, core) <= 1


def _degree(step: Map, core: Core) -> int:
    vectors = tuple(core.types[name].dimension is not None for name in step.operands)
    if not any(vectors):
        vectors = (True,) * len(step.operands)
    return fold(step.expression, lambda node, below: _degree_at(node, below, vectors))


def _degree_at(node: Expr, below: tuple[int, ...], vectors: tuple[bool, ...]) -> int:
    """Return 0 for a constant, 1 for a linear and 2 for a nonlinear expression."""
    if isinstance(node, Operand):
        return int(vectors[node.index])
    if not isinstance(node, Apply) or node.function not in ("add", "sub", "neg", "mul", "div"):
        return 2 if any(below) else 0
    if node.function == "mul":
        return min(2, sum(below))
    if node.function == "div" and below[1]:
        return 2
    return max(below)


# Vertices


def _inputs(sketch: Sketch) -> Iterator[Vertex]:
    for entry in sketch.core.inputs:
        if sketch.shown(entry.name):
            note = f"input {entry.name} : {type_text(entry.type)}"
            yield Vertex(entry.name, Shape.DATA, entry.name, type_text(entry.type), note)


def _members(sketch: Sketch, body: tuple[Instruction, ...]) -> Iterator[Vertex | Group]:
    for instruction in body:
        if isinstance(instruction, Scan):
            yield from _group(sketch, instruction)
        elif not {instruction.target} & (sketch.folded | sketch.aliases.keys()) and sketch.shown(instruction.target):
            yield from _tags(sketch, instruction, instruction.target)
            yield _vertex(sketch, instruction)


def _group(sketch: Sketch, scan: Scan) -> Iterator[Group]:
    carries = [carry for carry in scan.carries if sketch.shown(carry.target)]
    heads = [
        Vertex(carry.target, Shape.CARRY, carry.target, f"previous {carry.source}", carry_text(carry))
        for carry in carries
    ]
    starts = [(carry.initial, carry.target) for carry in carries if carry.initial is not None]
    sketch.links += [Link(sketch.aliases.get(start, start), target) for start, target in starts]
    members = (*heads, *_members(sketch, scan.body))
    if members:
        known = set(_keys(members))
        ends = [(sketch.aliases.get(carry.source, carry.source), carry.target) for carry in carries]
        rounds = tuple((source, target) for source, target in ends if source in known)
        yield Group(scan.target, _group_title(sketch.core, scan), members, rounds)


def _group_title(core: Core, scan: Scan) -> str:
    first, last = axis_ends(core.axes[scan.axis])
    return f"{scan.axis} = {last} … {first}" if scan.reverse else f"{scan.axis} = {first} … {last}"


def _vertex(sketch: Sketch, instruction: Instruction) -> Vertex:
    name = instruction.target
    title = f"output {sketch.outputs[name]}" if name in sketch.outputs else name
    note = f"{name} : {type_text(sketch.core.types[name])} = {instruction_text(instruction)}"
    text = _formula(instruction, sketch)
    return Vertex(name, _shape(sketch, instruction), title, text, f"{note}  # line {instruction.span.line}")


def _shape(sketch: Sketch, instruction: Instruction) -> Shape:
    if instruction.target in sketch.outputs:
        return Shape.OUTPUT
    if sketch.core.types[instruction.target].dimension is None:
        return Shape.SCALAR
    linear = not isinstance(instruction, Map) or _is_linear(instruction, sketch.core)
    return Shape.LINEAR if linear else Shape.NONLINEAR


def _tags(sketch: Sketch, instruction: Instruction, target: str, label: str | None = None) -> Iterator[Vertex]:
    """Draw the links into `target`, through all that is folded into it, and yield its parameters' tags."""
    if isinstance(instruction, Load):
        yield _tag(sketch.core.parameters[instruction.parameter], target)
        sketch.links.append(Link(f"{instruction.parameter}→{target}", target))
        return
    label = _matrix(instruction) if isinstance(instruction, MatMul) else label
    for name in reads(instruction):
        source = sketch.aliases.get(name, name)
        if source in sketch.folded:
            yield from _tags(sketch, sketch.defined[source], target, label)
        else:
            sketch.links.append(Link(source, target, label))


def _tag(parameter: Parameter, target: str) -> Vertex:
    law = f"N({expression_text(parameter.mean, ())}, {expression_text(parameter.variance, ())})"
    note = f"param {parameter.name} : {shape_text(parameter)} ~ {law}"
    return Vertex(f"{parameter.name}→{target}", Shape.PARAMETER, parameter.name, "", note)


def _gradients(sketch: Sketch) -> Iterator[Vertex]:
    for number, gradient in enumerate(sketch.core.gradients):
        if sketch.shown(gradient.adjoint):
            key = f"∂{gradient.parameter} {number}"
            text = _outer(gradient, sketch)
            sketch.links.append(Link(sketch.aliases.get(gradient.adjoint, gradient.adjoint), key))
            yield Vertex(key, Shape.GRADIENT, f"∂{gradient.parameter}", text, f"{gradient.parameter} += {text}")


def _outer(gradient: Gradient, sketch: Sketch) -> str:
    factors = [_term(name, sketch) for name in (gradient.adjoint, gradient.operand) if name is not None]
    return " ⊗ ".join(reversed(factors) if gradient.transposed else factors)


# Formulas


def _matrix(step: MatMul) -> str:
    places = ", ".join(affine_text(index) for index in step.indices)
    return f"{step.parameter}{'ᵀ' if step.transposed else ''}" + (f"[{places}]" if places else "")


@singledispatch
def _formula(instruction: Instruction, sketch: Sketch) -> str:
    """Return the right-hand side, with what is folded into it written out."""
    return instruction_text(instruction)


@_formula.register
def _(instruction: Map, sketch: Sketch) -> str:
    names = [_term(name, sketch) for name in instruction.operands]
    return expression_text(instruction.expression, names)


@_formula.register
def _(instruction: MatMul, sketch: Sketch) -> str:
    return f"{_matrix(instruction)} @ {_term(instruction.operand, sketch)}"


@_formula.register
def _(instruction: Load, sketch: Sketch) -> str:
    places = ", ".join(affine_text(index) for index in instruction.indices)
    return instruction.parameter + (f"[{places}]" if places else "")


@_formula.register
def _(instruction: Gather, sketch: Sketch) -> str:
    places = ", ".join(affine_text(index) for index in instruction.indices)
    return _term(instruction.source, sketch) + (f"[{places}]" if places else "")


@_formula.register
def _(instruction: Sum, sketch: Sketch) -> str:
    return f"sum[{', '.join(instruction.axes)}]({_term(instruction.operand, sketch)})"


@_formula.register
def _(instruction: Moment, sketch: Sketch) -> str:
    return f"avg({_term(instruction.operand, sketch)})"


def _term(name: str, sketch: Sketch) -> str:
    name = sketch.aliases.get(name, name)
    return _formula(sketch.defined[name], sketch) if name in sketch.folded else name
