"""The parser of kept tables is the parser of the grammar."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lark import Lark

from tensorprog.errors import ParseError, Source
from tensorprog.store import look_up
from tensorprog.syntax import grammar
from tensorprog.syntax.parser import parse

EXAMPLES = sorted(Path(__file__).parents[2].glob("examples/*.tp"))
WRONG = "program p\nwidth n\nh = relu(\noutput f = W @@ h\n3 = 4\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("TENSORPROG_CACHE", str(tmp_path))
    grammar.build_parser.cache_clear()
    yield tmp_path
    grammar.build_parser.cache_clear()


def _read() -> list[object]:
    trees: list[object] = [parse(Source(path.name, path.read_text(encoding="utf-8"))) for path in EXAMPLES]
    with pytest.raises(ParseError) as caught:
        parse(Source("wrong", WRONG))
    return [*trees, str(caught.value)]


def _forbid_making(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the tables are made again")

    monkeypatch.setattr(Lark, "__init__", refuse)


def test_kept_tables_parse_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = _read()
    (entry,) = folder.iterdir()
    assert entry.name.startswith("grammar-")
    grammar.build_parser.cache_clear()
    _forbid_making(monkeypatch)
    assert _read() == made


def test_damaged_tables_are_made_again(folder: Path) -> None:
    grammar.build_parser()
    (entry,) = folder.iterdir()
    whole = entry.read_bytes()
    entry.write_bytes(whole[: len(whole) // 2])
    assert look_up(entry.name) is None
    grammar.build_parser.cache_clear()
    grammar.build_parser()
    assert look_up(entry.name) is not None


def test_tables_of_another_form_are_made_again(folder: Path) -> None:
    for content in (None, b"", b"nonsense", b"i\x01\x00\x00\x00", b"(\x02\x00\x00\x00{0{0"):
        assert grammar._from_tables(content) is None


def test_another_grammar_has_other_tables(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grammar.build_parser()
    text = folder / "other.lark"
    text.write_text(grammar.find_grammar().read_text(encoding="utf-8") + "\n// other\n", encoding="utf-8")
    monkeypatch.setattr(grammar, "find_grammar", lambda: text)
    grammar.build_parser.cache_clear()
    grammar.build_parser()
    assert len([path for path in folder.iterdir() if path.name.startswith("grammar-")]) == 2
