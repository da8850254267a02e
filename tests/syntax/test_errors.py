"""Every message as a user reads it: `tests/errors/syntax/*.tp` with the text of the error beside."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tensorprog.errors import ParseError, Source
from tensorprog.syntax.parser import parse
from tensorprog.syntax.use import inline_uses

FOLDER = Path(__file__).resolve().parents[1] / "errors" / "syntax"
CASES = sorted(path for path in FOLDER.glob("*.tp") if not path.name.startswith("used_"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_message(path, golden):
    with pytest.raises(ParseError) as caught:
        inline_uses(parse(Source(path.name, path.read_bytes().decode("utf-8"))), FOLDER)
    golden(path.with_suffix(".err"), str(caught.value) + "\n")


def test_every_code_has_an_example():
    room = Path(__file__).resolve().parents[2] / "tensorprog" / "syntax"
    used = {code for path in room.glob("*.py") for code in re.findall(r'"(TP1\d\d)"', path.read_text(encoding="utf-8"))}
    shown = {
        code for path in CASES for code in re.findall(r"TP1\d\d", path.with_suffix(".err").read_text(encoding="utf-8"))
    }
    assert used - shown == {"TP122"}  # unreadable files are made by test_use.py
