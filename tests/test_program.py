"""The public face of a program: loading, printing, its parts, and options that are refused."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import pytest

import tensorprog as tp
from tensorprog.compiler import STAGES, stage

FOLDER = Path(__file__).resolve().parents[1] / "examples"
TEXT = """program small(sw2 = 2.0, L = 2)
width n
input x : (d)
param W : (n, d) ~ N(0, sw2 / d)
param V : (1, n) ~ N(0, 1 / n)
frozen R : (1, n) ~ N(0, 1 / n)
param c : (1) ~ N(0, 0.1)
h = W @ x
for l in 1..L {
    param A : (n, n) ~ N(0, sw2 / n)
    h = A @ relu(h)
}
output f = V @ relu(h)
output g = R @ h + c
"""


def test_load_and_parse_give_the_same_program():
    path = FOLDER / "mlp.tp"
    assert tp.load(path) == tp.load(str(path)) == tp.parse(path.read_text(encoding="utf-8"))


def test_equality_sees_hyperparameters_and_text_but_not_layout():
    assert tp.parse(TEXT) == tp.parse(TEXT.replace("h = W @ x", "h   =  W@x  # the first layer"))
    assert tp.parse(TEXT) == tp.parse(TEXT, sw2=2.0)
    assert tp.parse(TEXT) != tp.parse(TEXT, sw2=1.5)
    assert tp.parse(TEXT) != tp.parse(TEXT.replace("relu", "erf"))
    assert hash(tp.parse(TEXT)) == hash(tp.parse(TEXT, sw2=2.0))


def test_text_holds_the_hyperparameters_as_they_were_set():
    net = tp.parse(TEXT, sw2=1.5, L=4)
    assert str(net).startswith("program small(sw2 = 1.5, L = 4)")
    assert tp.parse(str(net)) == net
    assert tp.parse(str(net)).hyperparameters == {"sw2": 1.5, "L": 4}
    assert str(tp.parse(str(net))) == str(net)
    assert "for l in 1..L" in str(net)


def test_used_files_are_inlined(tmp_path):
    (tmp_path / "own.tp").write_text("fn bump(u) = u * gauss(u)\n", encoding="utf-8")
    text = TEXT.replace("width n\n", 'use "own.tp"\nwidth n\n').replace("V @ relu(h)", "V @ bump(h)")
    (tmp_path / "net.tp").write_text(text, encoding="utf-8")
    net = tp.load(tmp_path / "net.tp")
    assert "use" not in str(net)
    assert "fn bump(u)" in str(net)
    assert tp.parse(str(net)) == net
    assert "use" not in str(tp.load(FOLDER / "norm_residual_mlp.tp"))


def test_parts():
    net = tp.parse(TEXT, sw2=1.5)
    assert net.name == "small"
    assert net.hyperparameters == {"sw2": 1.5, "L": 2}
    assert [entry.name for entry in net.inputs] == ["x"]
    assert [entry.name for entry in net.outputs] == ["f", "g"]
    assert list(net.parameters) == ["W", "V", "R", "c", "A"]
    assert not net.parameters["R"].trained
    assert repr(net) == "<Program small(sw2=1.5, L=2)>"


def test_integers_stay_integers():
    assert isinstance(tp.parse(TEXT, L=3.0).hyperparameters["L"], int)
    assert isinstance(tp.parse(TEXT, sw2=1).hyperparameters["sw2"], float)


@pytest.mark.parametrize("values", [{"sw3": 1.0}, {"sw2": float("nan")}, {"sw2": "2"}, {"L": 1.5}, {"sw2": True}])
def test_wrong_hyperparameters_are_refused(values):
    with pytest.raises(tp.CheckError) as caught:
        tp.parse(TEXT, **values)
    assert next(iter(values)) in str(caught.value)


def test_an_unknown_hyperparameter_suggests_the_nearest():
    with pytest.raises(tp.CheckError) as caught:
        tp.parse(TEXT, sw3=1.0)
    assert "`sw3`" in caught.value.message
    assert "sw2" in caught.value.hint


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        tp.load(tmp_path / "none.tp")


def test_a_file_of_other_bytes_is_a_parse_error(tmp_path):
    (tmp_path / "latin.tp").write_bytes("program p # ü\n".encode("latin-1"))
    with pytest.raises(tp.ParseError, match="UTF-8"):
        tp.load(tmp_path / "latin.tp")


def test_a_byte_order_mark_is_ignored(tmp_path):
    (tmp_path / "marked.tp").write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    assert tp.load(tmp_path / "marked.tp") == tp.parse(TEXT)


def test_stages_print():
    net = tp.parse(TEXT)
    assert "matmul W @ x" in str(net.core())
    assert "# line 8" in str(net.core())
    assert "matmul V.T @ d.f" in str(net.backward())
    assert "gradient A" in str(net.backward())
    assert "matmul R.T" in str(net.backward("g"))


def test_graph_is_a_view():
    graph = tp.parse(TEXT).graph
    assert isinstance(graph, nx.MultiDiGraph)
    assert nx.is_frozen(graph)
    assert {"x", "f", "g"} <= set(graph)


def test_unknown_output_is_refused():
    with pytest.raises(tp.DataError, match=r"no output `h`") as caught:
        tp.parse(TEXT).backward("h")
    assert "f, g" in caught.value.hint


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"backend": "tpu"}, "tpu"),
        ({"backend": "cuda"}, "cuda"),
        ({"dtype": "float16"}, "float16"),
        ({"dtype": "int"}, "int"),
        ({"expectations": "exact"}, "exact"),
    ],
)
def test_compile_options_are_refused_in_words(options, words):
    with pytest.raises(tp.DataError) as caught:
        tp.parse(TEXT).compile(**options)
    assert words in caught.value.message
    assert caught.value.hint


def test_unknown_expectations_are_refused_by_derive():
    with pytest.raises(tp.DataError, match="exact"):
        tp.parse(TEXT).derive(expectations="exact")


def test_every_stage_has_its_function():
    assert len({entry.name for entry in STAGES}) == len(STAGES)
    assert all(callable(entry.function) and entry.purpose for entry in STAGES)
    with pytest.raises(KeyError):
        stage("none")
