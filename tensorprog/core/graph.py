"""The core as a graph: a frozen networkx view of what reads what.

The instructions remain the store; the graph is derived from them and never the other way round.
"""

from __future__ import annotations

import networkx as nx

from tensorprog.core.dependence import reads
from tensorprog.core.ir import Carry, Core, Gradient, Instruction, Load, MatMul, Output, Scan
from tensorprog.core.text import carry_text, instruction_text, shape_text, type_text
from tensorprog.errors import Span

__all__ = ["graph"]


def graph(core: Core) -> nx.MultiDiGraph:
    """Return the graph of a core program, frozen: an edge from every operand to what reads it.

    Nodes are named as in the program: inputs, parameters and variables by their names, the output f as `output f`, the
    gradient of W (of a program with its backward pass) as `gradient W`. Attributes of a node:

    * `kind`: "input", "parameter", "frozen", "output", "gradient", "carry", or the instruction in lower case;
    * `type`: as text, `vector(n)[i, j]`; of a parameter its shape;
    * `line`: the source line, None for a gradient; `text`: the right-hand side; `scans`: the scans around it.

    Attributes of an edge: `role` ("operand", "matrix", "vector", "previous", "initial", "value", "adjoint") and
    `position`, from 0 in the order of reading, so a gradient with the operand <u, u> has two edges. A carry is fed by
    the step before: the graph of a program with a scan has cycles, all of them through edges of role "previous".
    """
    view = nx.MultiDiGraph(name=core.name)
    _add_declared(view, core)
    _add_body(view, core, core.body, ())
    for output in core.outputs:
        _add_output(view, core, output)
    for gradient in core.gradients:
        _add_gradient(view, core, gradient)
    return nx.freeze(view)


def _add_declared(view: nx.MultiDiGraph, core: Core) -> None:
    for entry in core.inputs:
        view.add_node(entry.name, kind="input", type=type_text(entry.type), line=entry.span.line, text="", scans=())
    for parameter in core.parameters.values():
        kind = "parameter" if parameter.trained else "frozen"
        line, shape = parameter.span.line, shape_text(parameter)
        view.add_node(parameter.name, kind=kind, type=shape, line=line, text="", scans=())


def _add_body(view: nx.MultiDiGraph, core: Core, body: tuple[Instruction, ...], scans: tuple[str, ...]) -> None:
    for instruction in body:
        if isinstance(instruction, Scan):
            inner = (*scans, instruction.target)
            for carry in instruction.carries:
                _add_carry(view, core, carry, inner)
            _add_body(view, core, instruction.body, inner)
        else:
            _add_instruction(view, core, instruction, scans)


def _add_variable(
    view: nx.MultiDiGraph, core: Core, name: str, kind: str, span: Span, text: str, scans: tuple[str, ...]
) -> None:
    view.add_node(name, kind=kind, type=type_text(core.types[name]), line=span.line, text=text, scans=scans)


def _add_instruction(view: nx.MultiDiGraph, core: Core, instruction: Instruction, scans: tuple[str, ...]) -> None:
    kind = type(instruction).__name__.lower()
    _add_variable(view, core, instruction.target, kind, instruction.span, instruction_text(instruction), scans)
    _add_edges(view, instruction.target, (*_weight(instruction), *((name, "operand") for name in reads(instruction))))


def _weight(instruction: Instruction) -> tuple[tuple[str, str], ...]:
    if isinstance(instruction, MatMul):
        return ((instruction.parameter, "matrix"),)
    return ((instruction.parameter, "vector"),) if isinstance(instruction, Load) else ()


def _add_carry(view: nx.MultiDiGraph, core: Core, carry: Carry, scans: tuple[str, ...]) -> None:
    _add_variable(view, core, carry.target, "carry", carry.span, carry_text(carry), scans)
    initial = () if carry.initial is None else ((carry.initial, "initial"),)
    _add_edges(view, carry.target, ((carry.source, "previous"), *initial))


def _add_output(view: nx.MultiDiGraph, core: Core, output: Output) -> None:
    name = f"output {output.name}"
    type_ = type_text(core.types[output.source])
    view.add_node(name, kind="output", type=type_, line=output.span.line, text=output.source, scans=())
    _add_edges(view, name, ((output.source, "value"),))


def _add_gradient(view: nx.MultiDiGraph, core: Core, gradient: Gradient) -> None:
    """Add one use; all uses of a parameter meet in one node, and positions count on."""
    name = f"gradient {gradient.parameter}"
    shape = shape_text(core.parameters[gradient.parameter])
    view.add_node(name, kind="gradient", type=shape, line=None, text="", scans=())
    operand = () if gradient.operand is None else ((gradient.operand, "operand"),)
    _add_edges(view, name, ((gradient.adjoint, "adjoint"), *operand))


def _add_edges(view: nx.MultiDiGraph, target: str, operands: tuple[tuple[str, str], ...]) -> None:
    first = view.in_degree(target)
    for position, (name, role) in enumerate(operands, start=first):
        view.add_edge(name, target, role=role, position=position)
