"""The command line: answers, exit codes, JSON, and no traceback whatever comes in."""

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner, Result

from tensorprog.cli import COMMANDS, main
from tensorprog.program import Program, load

PROGRAM = """program net(s = 2.0)
width n
input x : (d)
param W : (n, d) ~ N(0, s / d)
param V : (1, n) ~ N(0, 1 / n)
output f = V @ relu(W @ x)
"""
DIGITS = Path(__file__).parent.parent.parent / "data" / "digits.csv"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "net.tp").write_text(PROGRAM, encoding="utf-8")
    (tmp_path / "bad.tp").write_text(PROGRAM.replace("W @ x", "Wx @ x").replace("/ n", "/ m"), encoding="utf-8")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).standard_normal((4, 5)))
    np.savez(tmp_path / "x2.npz", x=np.ones((3, 5)), y=np.array([1, 2, 3]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*words: str) -> Result:
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    assert "Traceback" not in result.output
    return result


def arc_cosine(x1: np.ndarray, x2: np.ndarray, s: float) -> tuple[np.ndarray, np.ndarray]:
    """NNGP and NTK of V relu(W x) in NTK parametrization (Cho & Saul 2009; Jacot et al. 2018)."""
    c = s * x1 @ x2.T / x1.shape[1]
    norms = np.sqrt(np.outer(s * (x1**2).mean(1), s * (x2**2).mean(1)))
    angle = np.arccos(np.clip(c / norms, -1, 1))
    nngp = norms * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2 * np.pi)
    return nngp, nngp + c * (np.pi - angle) / (2 * np.pi)


# Usage


def test_help_lists_the_commands_and_version_says_one() -> None:
    words = call("--help").stdout
    assert all(name in words for name in COMMANDS)
    assert call("--version").stdout.startswith("tensorprog 0.")


def test_help_of_every_command() -> None:
    for name in COMMANDS:
        result = call(name, "--help")
        assert result.exit_code == 0
        assert "--json" in result.stdout


@pytest.mark.parametrize(
    "words",
    [
        ["nothing"],
        ["check"],
        ["check", "missing.tp"],
        ["check", "."],
        ["show", "net.tp", "--stage", "magic"],
        ["show", "net.tp", "--set", "s"],
        ["show", "net.tp", "--set", "s=two"],
        ["show", "net.tp", "--set", "s=nan"],
        ["show", "net.tp", "--set", "s=1", "--set", "s=2"],
        ["show", "net.tp", "--dim", "d=0"],
        ["show", "net.tp", "--dim", "d=1.5"],
        ["kernel", "net.tp", "--out", "K.npz"],
        ["kernel", "net.tp", "--data", "x.npy"],
        ["kernel", "net.tp", "--data", "missing.npy", "--out", "K.npz"],
        ["kernel", "net.tp", "--data", "x.npy", "--out", "nowhere/K.npz"],
        ["kernel", "net.tp", "--data", "x.npy", "--out", "K.txt"],
        ["kernel", "net.tp", "--data", "x.npy", "--out", "K.npz", "--get", "nngp,kernel"],
        ["kernel", "net.tp", "--data", "x.npy", "--out", "K.npz", "--backend", "tpu"],
        ["verify", "net.tp", "--widths", "many"],
        ["verify", "net.tp", "--widths", "64,-1"],
        ["verify", "net.tp", "--samples", "0"],
        ["draw", "net.tp"],
        ["draw", "net.tp", "--out", "f.png"],
    ],
)
def test_wrong_usage_is_exit_code_2(folder: Path, words: list[str]) -> None:
    result = call(*words)
    assert result.exit_code == 2
    assert result.stderr.startswith("Usage:")
    assert not result.stdout


# Programs


def test_check(folder: Path) -> None:
    result = call("check", "net.tp")
    assert (result.exit_code, result.stdout) == (0, "net.tp: ok\n")
    assert json.loads(call("check", "net.tp", "--json").stdout) == []


def test_check_prints_every_finding_of_every_file(folder: Path) -> None:
    result = call("check", "bad.tp", "net.tp")
    assert result.exit_code == 1
    assert result.stdout == "net.tp: ok\n"
    assert "`Wx`" in result.stderr
    assert "bad.tp:6" in result.stderr
    found = json.loads(call("check", "bad.tp", "net.tp", "--json").stdout)
    assert {entry["line"] for entry in found} == {5, 6}
    assert all(entry["file"] == "bad.tp" and entry["code"].startswith("TP2") for entry in found)


@pytest.mark.parametrize("command", [["show"], ["derive"], ["draw", "--out", "f.svg"], ["verify"]])
def test_a_wrong_program_is_exit_code_1(folder: Path, command: list[str]) -> None:
    result = call(*command, "bad.tp")
    assert result.exit_code == 1
    assert "error[TP2" in result.stderr
    assert "^" in result.stderr
    assert not (folder / "f.svg").exists()
    assert json.loads(call(*command, "bad.tp", "--json").stdout)[0]["code"].startswith("TP2")


def test_text_that_is_no_text(folder: Path) -> None:
    (folder / "bytes.tp").write_bytes(b"program \xff\xfe")
    assert call("check", "bytes.tp").exit_code == 1
    (folder / "empty.tp").write_bytes(b"")
    assert call("check", "empty.tp").exit_code == 1


def test_hyperparameters_and_sizes(folder: Path) -> None:
    assert "s = 3" in call("show", "net.tp", "--set", "s=3").stdout
    assert call("show", "net.tp", "--set", "q=3").exit_code == 1
    assert call("show", "net.tp", "--dim", "d=3").exit_code == 0
    result = call("show", "net.tp", "--dim", "n=3")
    assert result.exit_code == 1
    assert "'n' is not a size that data bind" in result.stderr


def test_limits_for_every_extent(folder: Path) -> None:
    text = (
        PROGRAM.replace("width n", "width n\naxis t : T")
        .replace("input x", "input x[t]")
        .replace("relu(W @ x)", "max[t](W @ x[t])")
    )
    (folder / "largest.tp").write_text(text, encoding="utf-8")
    for words in (["derive", "largest.tp"], ["show", "largest.tp", "--stage", "limit"]):
        result = call(*words)
        assert result.exit_code == 1
        assert "error[TP310]" in result.stderr
        assert "--dim T=3" in result.stderr
        assert "limit of net as n → ∞, at s = 2, T = 2" in call(*words, "--dim", "T=2").stdout
    rng = np.random.default_rng(1)
    np.save(folder / "short.npy", rng.standard_normal((3, 1, 4)))
    np.save(folder / "long.npy", rng.standard_normal((2, 2, 4)))
    result = call("kernel", "largest.tp", "--data", "short.npy", "--data2", "long.npy", "--out", "K.npz", "--json")
    assert json.loads(result.stdout)["arrays"] == {"nngp": [3, 2], "ntk": [3, 2]}


def test_show_core_and_backward(folder: Path) -> None:
    assert "matmul W @ x" in call("show", "net.tp", "--stage", "core").stdout
    assert "gradient W += " in call("show", "net.tp", "--stage", "backward").stdout
    record = json.loads(call("show", "net.tp", "--stage", "core", "--json").stdout)
    assert record["stage"] == "core"


def test_draw(folder: Path) -> None:
    assert call("draw", "net.tp", "--out", "f.svg").exit_code == 0
    forward = ElementTree.parse("f.svg")
    assert call("draw", "net.tp", "--out", "f.svg", "--backward").exit_code == 0
    assert len(list(ElementTree.parse("f.svg").iter())) > len(list(forward.iter()))
    assert sorted(path.name for path in folder.iterdir() if "svg" in path.name) == ["f.svg"]


# The limit


def test_derive(folder: Path) -> None:
    assert "line 6" in call("derive", "net.tp").stdout
    assert "\\" in call("derive", "net.tp", "--latex").stdout
    record = json.loads(call("derive", "net.tp", "--json").stdout)
    assert {"name", "lhs", "rhs", "rule", "line"} == set(record["equations"][0])


@pytest.mark.parametrize("backend", ["cpu", "interpret"])
def test_kernel_is_the_arc_cosine_kernel(folder: Path, backend: str) -> None:
    words = ["--data", "x.npy", "--data2", "x2.npz", "--label", "y", "--set", "s=1.5", "--dim", "d=5"]
    np.savez(folder / "x1.npz", x=np.load("x.npy"), y=np.arange(4))
    words[1] = "x1.npz"
    result = call("kernel", "net.tp", *words, "--backend", backend, "--out", "K.npz")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "K.npz: nngp (4, 3), ntk (4, 3), label (4), label2 (3)\n"
    nngp, ntk = arc_cosine(np.load("x.npy"), np.ones((3, 5)), 1.5)
    with np.load("K.npz") as saved:
        assert np.allclose(saved["nngp"], nngp, rtol=1e-12)
        assert np.allclose(saved["ntk"], ntk, rtol=1e-12)
        assert saved["label2"].tolist() == [1, 2, 3]


@pytest.mark.parametrize("get", [["--get", "ntk"], ["--get", "ntk,ntk"], ["--get", "ntk", "--get", "ntk"]])
def test_kernel_of_one_kind(folder: Path, get: list[str]) -> None:
    result = call("kernel", "net.tp", "--data", "x.npy", *get, "--out", "K.npz", "--json")
    assert json.loads(result.stdout) == {"out": "K.npz", "output": "f", "arrays": {"ntk": [4, 4]}}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "net.tp"], "known format"),
        (["--data", "x.npy", "--dim", "d=7"], "7"),
        (["--data", "x.npy", "--data2", "wide.npy"], ""),
        (["--data", "nan.npy"], ""),
        (["--data", "x2.npz"], "input"),
    ],
)
def test_data_that_do_not_fit_are_exit_code_1_and_leave_no_file(folder: Path, words: list[str], message: str) -> None:
    np.save(folder / "wide.npy", np.ones((2, 6)))
    np.save(folder / "nan.npy", np.full((2, 5), np.nan))
    result = call("kernel", "net.tp", *words, "--out", "K.npz")
    assert result.exit_code == 1
    assert "error[TP4" in result.stderr
    assert message in result.stderr
    assert not list(folder.glob("*K*"))
    assert json.loads(call("kernel", "net.tp", *words, "--out", "K.npz", "--json").stdout)


@pytest.mark.slow
def test_verify(folder: Path) -> None:
    words = ["--dim", "d=3", "--widths", "64,256,1024", "--samples", "32", "--plot", "v.svg"]
    result = call("verify", "net.tp", *words)
    assert result.exit_code == 0, result.output
    assert ElementTree.parse("v.svg")


@pytest.mark.slow
def test_verify_of_data_as_json(folder: Path) -> None:
    words = ["--data", "x.npy", "--widths", "64,256", "--samples", "16", "--json"]
    record = json.loads(call("verify", "net.tp", *words).stdout)
    assert record["passed"] is True
    assert record["widths"] == [64, 256]


class FailedVerification:
    """A verification in which the limit and the samples disagree."""

    passed = False

    def __str__(self) -> str:
        return "FAILED"


def test_a_limit_that_does_not_hold_is_exit_code_3(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Program, "verify", lambda *_, **__: FailedVerification())
    result = call("verify", "net.tp")
    assert (result.exit_code, result.stdout) == (3, "FAILED\n")


# The process


def process(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tensorprog", *words]
    environment = {**os.environ, "PYTHONPATH": str(DIGITS.parent.parent)}
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, check=False)


def test_exit_codes_of_the_process(folder: Path) -> None:
    assert process("--version", folder=folder).returncode == 0
    assert process("check", "missing.tp", folder=folder).returncode == 2


def test_exit_codes_of_the_process_with_programs(folder: Path) -> None:
    assert process("check", "net.tp", folder=folder).returncode == 0
    done = process("check", "bad.tp", folder=folder)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr


def test_kernel_of_another_output(folder: Path) -> None:
    """`--output` selects one of several; an unknown one is refused."""
    program = load(Path(__file__).parents[2] / "examples" / "multi_output.tp")
    (folder / "two.tp").write_text(str(program), encoding="utf-8")
    np.save("eye.npy", np.eye(3))
    name = program.outputs[1].name
    options = ("--data", "eye.npy", "--backend", "interpret", "--out", "two.npz")
    done = call("kernel", "two.tp", *options, "--output", name)
    assert f"of output {name}" in done.stdout
    with np.load("two.npz") as kernels:
        assert np.array_equal(kernels["ntk"], program.compile(backend="interpret")(np.eye(3), output=name))
    assert "nothing" in call("kernel", "two.tp", *options, "--output", "nothing").stderr
