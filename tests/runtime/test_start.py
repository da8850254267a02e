"""What a process need not do that another has done before, and what it need not load."""

from __future__ import annotations

import math
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

import tensorprog as tp
from tensorprog.runtime.native import can_keep

EXAMPLES = Path(__file__).parents[2] / "examples"

MLP = """
program mlp(sw2 = 2.0)
width n
input x : (d)
param W1 : (n, d) ~ N(0, sw2 / d)
param W2 : (n, n) ~ N(0, sw2 / n)
param W3 : (n, n) ~ N(0, sw2 / n)
param V : (1, n) ~ N(0, 1 / n)
output f = V @ relu(W3 @ relu(W2 @ relu(W1 @ x)))
"""

DEEP = """
program deep
width n
input x : (d)
param W0 : (n, d) ~ N(0, 1 / d)
param V : (1, n) ~ N(0, 1 / n)
h = W0 @ x
for l in 1..{} {{
    param W : (n, n) ~ N(0, 2 / n)
    h = W @ erf(h)
}}
output f = V @ h
"""

SCRIPT = """
import sys
import numpy as np
import tensorprog as tp
values = np.random.RandomState(0).normal(size={shape})
kernel = tp.load({path!r}{settings}).compile()
found = kernel(values, get=("nngp", "ntk"))
heavy = {{"numba", "sympy", "scipy", "mpmath", "networkx", "matplotlib"}}
print(",".join(sorted(heavy & set(sys.modules))) or "nothing", found.nngp.tobytes().hex(), found.ntk.tobytes().hex())
print(kernel.report)
"""


def _run(path: Path, shape: tuple[int, ...], settings: str = "") -> tuple[str, str, str]:
    """Return what a new process has loaded in the end, the numbers, and the report."""
    script = SCRIPT.format(path=str(path), shape=shape, settings=settings)
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, check=True, text=True)
    first, report = done.stdout.split("\n", 1)
    loaded, numbers = first.split(" ", 1)
    return loaded, numbers, report


def _entries(folder: Path, kind: str) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name.startswith(kind)}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TENSORPROG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("tensorprog.store._START", math.inf)
    return tmp_path / "cache"


@pytest.mark.skipif(not can_keep(), reason="machine code is not kept on this system")
def test_a_known_program_loads_no_compiler_and_no_algebra(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "mlp.tp"
    path.write_text(MLP)
    cold, warm = _run(path, (3, 4)), _run(path, (3, 4))
    assert {"numba", "sympy"} <= set(cold[0].split(","))
    assert warm[0] == "nothing"
    assert warm[1:] == cold[1:]
    kept = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    other = _run(path, (3, 4), ", sw2=1.5")
    assert other[1] != cold[1]
    assert len(_entries(folder, "lowered-")) == 2
    assert all(path.read_bytes() == content for path, content in kept.items())


@pytest.mark.slow
@pytest.mark.skipif(not can_keep(), reason="machine code is not kept on this system")
@pytest.mark.parametrize(
    ("name", "shape"), [("cnn", (3, 4, 4, 3)), ("deep_mlp", (3, 4)), ("rnn", (3, 4, 2)), ("transformer", (3, 4, 2))]
)
def test_known_examples_load_no_compiler_and_no_algebra(name: str, shape: tuple[int, ...], folder: Path) -> None:
    cold, warm = (_run(EXAMPLES / f"{name}.tp", shape) for _ in range(2))
    assert warm[0] == "nothing"
    assert warm[1:] == cold[1:]


def _counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows with every derivation."""
    derived: list[str] = []
    plain = tp.Program.derive

    def derive(self: tp.Program, *args: object, **kwargs: object) -> object:
        derived.append(self.name)
        return plain(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(tp.Program, "derive", derive)
    return derived


def test_everything_that_matters_makes_another_entry(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    derived = _counted(monkeypatch)
    variants = (
        tp.parse(MLP),
        tp.parse(MLP, sw2=1.5),
        tp.parse(MLP.replace("2.0", "1.5")),
        tp.parse("\n" + MLP),
        tp.parse(MLP.replace("mlp", "net")),
    )
    for program in variants:
        for expectations in ("auto", "numeric"):
            program.compile("interpret", expectations=expectations)
    assert len(derived) == len(_entries(folder, "lowered-")) == 2 * len(variants)
    for program in variants:
        program.compile("interpret", dtype="float32")
    assert len(derived) == 2 * len(variants)


def test_a_used_file_matters(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    derived = _counted(monkeypatch)
    (tmp_path / "program.tp").write_text(MLP.replace("width n", 'use "own.tp"\nwidth n').replace("relu(W1", "act(W1"))
    for text in ("fn act(u) = relu(u)", "fn act(u) = 2 * relu(u)", "# a remark\nfn act(u) = relu(u)"):
        (tmp_path / "own.tp").write_text(text + "\n")
        tp.load(tmp_path / "program.tp").compile("interpret")
    assert len(derived) == 3


def test_other_sources_of_the_compiler_make_another_entry(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    derived = _counted(monkeypatch)
    program = tp.parse(MLP)
    for stamp in ("one", "two", "one"):
        monkeypatch.setattr("tensorprog.runtime.lowered.sources_stamp", lambda *_, stamp=stamp: stamp)
        program.compile("interpret")
    assert len(derived) == 2


def test_a_process_that_runs_other_sources_than_those_on_disk_keeps_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    derived = _counted(monkeypatch)
    tp.parse(MLP).compile("interpret")
    kept = {path.name for path in folder.iterdir()}
    monkeypatch.setattr("tensorprog.store._START", 0.0)
    tp.parse(MLP).compile("interpret")
    tp.parse(MLP, sw2=1.5).compile()([[1.0, 2.0]])
    assert len(derived) == 3
    assert {path.stem for path in folder.iterdir() if path.name not in kept} == {
        path.stem for path in folder.glob("tp_*.py")
    } | {path.stem for path in folder.glob("__pycache__")}


@pytest.mark.parametrize("content", [b"", b"{}", b'["d"]', b"[7]"])
def test_a_damaged_entry_is_derived_again(content: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    derived = _counted(monkeypatch)
    expected = tp.parse(MLP).compile("interpret")([[1.0, 2.0], [0.5, -1.0]])
    (name,) = _entries(folder, "lowered-")
    (folder / name).write_bytes(content)
    assert (tp.parse(MLP).compile("interpret")([[1.0, 2.0], [0.5, -1.0]]) == expected).all()
    assert len(derived) == 2


def test_a_refusal_is_the_same_from_an_entry(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    derived = _counted(monkeypatch)
    text = MLP.replace("width n", "width n\nfn act(u) = step(u) derivative step(u)").replace("relu", "act")
    errors = []
    for _ in range(2):
        with pytest.raises(tp.LimitError) as caught:
            tp.parse(text).compile("interpret")([[1.0, 2.0]], get="sg_ntk")
        errors.append(str(caught.value))
    assert errors[0] == errors[1]
    assert "^^^" in errors[0]
    assert len(derived) == 1


def test_the_size_of_what_is_compiled_does_not_grow_with_the_depth_of_a_loop(folder: Path) -> None:
    sizes = []
    for depth in (3, 30, 3000):
        kernel = tp.parse(DEEP.format(depth)).compile()
        sizes.append((len(kernel.source.splitlines()), *(entry.stat().st_size // 64 for entry in folder.iterdir())))
        for entry in folder.iterdir():
            entry.unlink()
    assert sizes[0] == sizes[1] == sizes[2]


def _written_out(depth: int) -> str:
    layers = "".join(f"param W{k} : (n, n) ~ N(0, 2 / n)\nh{k} = W{k} @ erf(h{k - 1})\n" for k in range(1, depth + 1))
    head, _, _ = DEEP.partition("h = W0")
    return f"{head}h0 = W0 @ x\n{layers}output f = V @ h{depth}\n"


def test_the_size_of_what_is_compiled_is_linear_in_the_length_of_the_program(folder: Path) -> None:
    kernels = [tp.parse(_written_out(depth)).compile() for depth in (2, 4, 6, 8)]
    for sizes in zip(*([len(k.ir.sample), len(k.ir.pair), len(k.report.choices)] for k in kernels), strict=True):
        steps = {after - before for before, after in pairwise(sizes)}
        assert len(steps) == 1
