"""Answers as JSON, and files that are written whole or not at all."""

import json
from pathlib import Path

import numpy as np
import pytest

from tensorprog.commands.reporting import answer, diagnostic_record, written_whole
from tensorprog.errors import DataError, Diagnostic, Source, Span


def test_an_answer_is_json_whatever_the_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    answer({"flag": np.True_, "list": (np.float64(1.5), np.int64(2), float("nan")), "σ": {1: float("inf")}})
    assert json.loads(capsys.readouterr().out) == {"flag": True, "list": [1.5, 2, None], "σ": {"1": None}}


def test_a_diagnostic_has_its_place() -> None:
    span = Span(Source("a.tp", "x = y"), 1, 5, 1, 6)
    record = diagnostic_record(Diagnostic("TP201", "no `y`", span, "declare it"))
    assert (record["file"], record["line"], record["column"], record["end_column"]) == ("a.tp", 1, 5, 6)
    assert diagnostic_record(Diagnostic("TP400", "wrong"))["line"] is None


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "K.npz"
    target.write_text("old")
    with pytest.raises(RuntimeError), written_whole(target) as part:
        part.write_text("half")
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["K.npz"]
    assert target.read_text() == "old"
    with written_whole(target) as part:
        part.write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["K.npz"]
    assert target.read_text() == "new"


def test_a_folder_is_not_overwritten(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="TP471"), written_whole(tmp_path):
        pass
