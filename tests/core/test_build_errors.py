"""Every refusal as a user reads it: `tests/errors/check/*.tp` with the text of the error beside."""

import re
from pathlib import Path

import pytest

from tensorprog.core.build import Loops, build
from tensorprog.core.codes import MEANINGS, Code
from tensorprog.errors import CheckError, Source
from tensorprog.syntax.limits import Limits
from tensorprog.syntax.parser import parse

FOLDER = Path(__file__).resolve().parents[1] / "errors" / "check"
CASES = sorted(FOLDER.glob("*.tp"))


def refuse(text, name="program.tp", hyperparameters=None, **options):
    with pytest.raises(CheckError) as caught:
        build(parse(Source(name, text)), hyperparameters or {}, **options)
    return caught.value


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_message(path, golden):
    error = refuse(path.read_text(encoding="utf-8"), path.name)
    golden(path.with_suffix(".err"), str(error) + "\n")


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_every_finding_has_a_place_and_a_known_code(path):
    error = refuse(path.read_text(encoding="utf-8"), path.name)
    for finding in error.diagnostics:
        assert finding.code in set(Code)
        assert finding.span is not None
    lines = [finding.span.line for finding in error.diagnostics]
    assert lines == sorted(lines)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_unrolling_refuses_the_same_programs(path):
    refuse(path.read_text(encoding="utf-8"), path.name, loops=Loops.UNROLLED)


def test_every_code_has_a_meaning_and_an_example():
    shown = {code for path in CASES for code in re.findall(r"TP2\d\d", path.with_suffix(".err").read_text("utf-8"))}
    outside_of_texts = {Code.HYPERPARAMETER, Code.MISPLACED}  # values of the caller; what the parser lets pass never
    assert set(MEANINGS) == set(Code)
    assert set(Code) - shown == outside_of_texts


SMALL = "program p(depth = 2, scale = 0.5)\nwidth n\ninput x : (3)\nparam V : (1, 3) ~ N(0, scale)\noutput f = V @ x\n"


def test_an_unknown_hyperparameter_names_the_nearest():
    error = refuse(SMALL, hyperparameters={"dept": 3})
    assert (error.code, error.hint) == ("TP216", "did you mean `depth`?")


@pytest.mark.parametrize("value", [True, "2", float("nan"), float("inf"), None, 1j])
def test_a_hyperparameter_is_a_finite_number(value):
    assert refuse(SMALL, hyperparameters={"scale": value}).code == "TP216"


def test_hyperparameters_are_checked_with_their_values():
    assert refuse(SMALL, hyperparameters={"scale": -1}).code == "TP214"


def test_limits_are_configurable():
    text = SMALL + "for l in 1..depth { h = V @ x }\n"
    build(parse(Source("p.tp", text)))
    assert refuse(text, limits=Limits(statements=3)).code == "TP225"


def test_blocks_nest_to_the_limit():
    blocks = "".join(f"block b{k}(h) {{ return b{k + 1}(h) }}\n" for k in range(70))
    text = SMALL + blocks + "block b70(h) { return h }\ny = b0(x)\n"
    assert refuse(text).code == "TP225"


def test_findings_are_bounded():
    text = SMALL + "".join(f"h{k} = unknown{k}\n" for k in range(300))
    assert len(refuse(text).diagnostics) == Limits().findings
