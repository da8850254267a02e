"""The graph of a core program: one node per name, one edge per operand, acyclic but for carries, frozen."""

import networkx as nx
import pytest

from tensorprog.core.graph import graph
from tensorprog.core.ir import Core, Load, Map, MatMul, Type, walk
from tests.core.handmade import N, U, V, at, convolution, core, gradient, mlp, parameter, recurrent

PROGRAMS = {"mlp": mlp(3), "recurrent": recurrent(), "convolution": convolution(), "gradient": gradient()}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_nodes_are_the_names_of_the_program(program: Core) -> None:
    names = {*program.types, *program.parameters}
    others = {f"output {output.name}" for output in program.outputs}
    others |= {f"gradient {use.parameter}" for use in program.gradients}
    assert set(graph(program)) == names | others


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_edges_are_the_operands_in_order(program: Core) -> None:
    view = graph(program)
    for instruction in walk(program.body):
        if isinstance(instruction, Map):
            edges = sorted(view.in_edges(instruction.target, data="position"), key=lambda edge: edge[2])
            assert tuple(source for source, _, _ in edges) == instruction.operands
        if isinstance(instruction, MatMul | Load):
            (source, _, data), *_ = sorted(view.in_edges(instruction.target, data=True), key=lambda e: e[2]["position"])
            assert source == instruction.parameter
            assert data["role"] == ("matrix" if isinstance(instruction, MatMul) else "vector")


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_only_carries_close_cycles(program: Core) -> None:
    view = nx.MultiDiGraph(graph(program))
    backward = [(u, v, k) for u, v, k, role in view.edges(keys=True, data="role") if role == "previous"]
    view.remove_edges_from(backward)
    assert nx.is_directed_acyclic_graph(view)
    assert bool(backward) == (program.name == "recurrent")


def test_an_operand_read_twice_has_two_edges() -> None:
    vector = Type((), N)
    body = [
        Load("h", "b", (), span=at(3)),
        Map("q", U * V, ("h", "h"), span=at(4)),
        MatMul("f", "V", (), "q", False, span=at(5)),
    ]
    types = {"h": vector, "q": vector, "f": Type((), None)}
    program = core("twice", body, types, [parameter("b", (N,), N, 2), parameter("V", (N, N), N, 2)])
    view = graph(program)
    assert view.number_of_edges("h", "q") == 2
    assert sorted(data["position"] for _, _, data in view.edges("h", data=True)) == [0, 1]


def test_attributes() -> None:
    nodes = graph(recurrent()).nodes
    assert (nodes["x"]["kind"], nodes["x"]["type"], nodes["x"]["line"]) == ("input", "vector(d)[t]", 2)
    assert (nodes["W"]["kind"], nodes["W"]["type"]) == ("parameter", "(n, n)")
    assert (nodes["s.0"]["kind"], nodes["s.0"]["scans"]) == ("carry", ("scan t",))
    assert (nodes["q"]["kind"], nodes["q"]["type"], nodes["q"]["text"]) == ("moment", "scalar", "moment q.1")
    assert nodes["output f"]["kind"] == "output"


def test_the_view_is_frozen() -> None:
    with pytest.raises(nx.NetworkXError):
        graph(mlp(1)).add_node("new")
