"""The grammar file, and the parser that lark makes of it: once, when the first text is parsed.

To make its tables takes longer than to parse a program, so they are kept on disk. Of what `Lark.save` would pickle they
are the plain part, numbers and texts in tuples, lists and mappings: reading them runs no code.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from lark import Lark, Token
from lark.grammar import Rule
from lark.lark import PostLex
from lark.lexer import TerminalDef

from tensorprog.store import digest, keep, library_stamp, look_up, python_stamp

__all__ = ["build_parser", "find_grammar", "split_tokens"]

_PACKAGE = Path(__file__).resolve().parent.parent

_OPTIONS: dict[str, Any] = {
    "parser": "lalr",
    "lexer": "basic",
    "propagate_positions": True,
    "maybe_placeholders": True,
}


def find_grammar() -> Path:
    """Return the path of the grammar: inside the package if it was installed from a wheel, else beside the package."""
    inside = _PACKAGE / "grammar" / "tensorprog.lark"
    return inside if inside.is_file() else _PACKAGE.parent / "grammar" / "tensorprog.lark"


class _KeepAll(PostLex):
    """Keeps the tokens that no rule uses: the layout pass reads line ends and reports what is no token."""

    always_accept = ("NEWLINE", "SEMICOLON", "BAD_NUMBER", "BAD_STRING", "STRAY")

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        return stream


@cache
def build_parser() -> Lark:
    """Return the LALR parser of the language."""
    text = find_grammar().read_text(encoding="utf-8")
    name = f"grammar-{digest((text, _settings(), library_stamp('lark'), python_stamp()))}"
    parser = _from_tables(look_up(name))
    if parser is None:
        parser = Lark(text, postlex=_KeepAll(), **_OPTIONS)
        keep(name, _tables(parser))
    return parser


def _settings() -> str:
    return f"{sorted(_OPTIONS.items())} {_KeepAll.always_accept}"


def _tables(parser: Lark) -> bytes:
    data, memo = parser.memo_serialize([TerminalDef, Rule])
    plain = {**data, "options": {**data["options"], "postlex": None}}
    return marshal.dumps((plain, memo))


def _from_tables(content: bytes | None) -> Lark | None:
    """Return the parser of some tables; None if there are none, or none that this lark can read."""
    if content is None:
        return None
    try:
        data, memo = marshal.loads(content)
        parser: Lark = Lark.__new__(Lark)
        return parser._load({"data": data, "memo": memo}, postlex=_KeepAll())
    except (AssertionError, AttributeError, EOFError, KeyError, TypeError, ValueError):
        return None


def split_tokens(text: str) -> list[Token]:
    """Return the tokens of `text`, without comments and blanks; any text can be split."""
    return list(build_parser().lex(text))
