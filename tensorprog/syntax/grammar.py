"""The grammar file, and the parser that lark makes of it: once, when the first text is parsed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from lark import Lark, Token
from lark.lark import PostLex

__all__ = ["build_parser", "find_grammar", "split_tokens"]

_PACKAGE = Path(__file__).resolve().parent.parent


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
    return Lark(
        text, parser="lalr", lexer="basic", propagate_positions=True, maybe_placeholders=True, postlex=_KeepAll()
    )


def split_tokens(text: str) -> list[Token]:
    """Return the tokens of `text`, without comments and blanks; any text can be split."""
    return list(build_parser().lex(text))
