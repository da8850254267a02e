"""Drives lark's parser over laid-out tokens; after an error it drops the statement and goes on with the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lark import Lark, Token, Tree, UnexpectedToken
from lark.parsers.lalr_interactive_parser import InteractiveParser

from tensorprog.errors import Diagnostic
from tensorprog.syntax.messages import Trouble, explain, extent
from tensorprog.syntax.places import Places

__all__ = ["NOWHERE", "parse_tokens"]

NOWHERE = "?"  # the name in a header that stands in for a broken one; no text can contain it
_STAND_INS = {
    "FOR": (("FOR", "for"), ("NAME", NOWHERE), ("IN", "in"), ("NUMBER", "0"), ("RANGE", ".."), ("NUMBER", "0")),
    "SCAN": (("SCAN", "scan"), ("NAME", NOWHERE)),
    "BLOCK": (("BLOCK", "block"), ("NAME", NOWHERE), ("LPAR", "("), ("RPAR", ")")),
}
_BOUNDARIES = frozenset({"_END", "LBRACE", "RBRACE"})


class _Drive:
    """One parse: the parser, the tokens, and what to go back to: the parser's stacks at the last boundary."""

    def __init__(self, parser: InteractiveParser, tokens: Sequence[Token], places: Places) -> None:
        self.found: list[Diagnostic] = []
        self._parser = parser
        self._tokens = tokens
        self._places = places
        self._remember(0)

    def _remember(self, position: int) -> None:
        state = self._parser.parser_state
        self._start, self._states, self._values = position, list(state.state_stack), list(state.value_stack)

    def _go_back(self) -> None:
        state = self._parser.parser_state
        state.state_stack[:], state.value_stack[:] = self._states, self._values

    def run(self) -> Tree[Any]:
        """Feed all tokens and return lark's tree, without the statements that were dropped."""
        position = 0
        while position < len(self._tokens):
            token = self._tokens[position]
            try:
                self._parser.feed_token(token)
            except UnexpectedToken:
                position = self._recover(position)
            else:
                position += 1
                if token.type in _BOUNDARIES:
                    self._remember(position)
        tree: Tree[Any] = self._parser.feed_token(Token("$END", ""))
        return tree

    def _recover(self, position: int) -> int:
        """Report the token at `position`, drop its statement, and return the position at which to go on."""
        self._report(position)
        self._go_back()
        if self._start and self._tokens[self._start - 1].type == "RBRACE":
            self._parser.feed_token(Token.new_borrow_pos("_END", "", self._tokens[position]))
        after = next(at for at in range(position, len(self._tokens)) if self._tokens[at].type in _BOUNDARIES)
        if self._tokens[after].type == "LBRACE":
            for kind, text in _STAND_INS.get(self._tokens[self._start].type, _STAND_INS["BLOCK"]):
                self._parser.feed_token(Token.new_borrow_pos(kind, text, self._tokens[position]))
            return after
        self._remember(after + 1)
        return after + 1

    def _report(self, position: int) -> None:
        statement, token = self._tokens[self._start : position], self._tokens[position]
        if token.type == "BROKEN" or any(part.type == "BROKEN" for part in statement):
            return
        expected: set[str] = self._parser.accepts()  # type: ignore[no-untyped-call]
        trouble = Trouble(token, statement, frozenset(expected))
        finding = explain(trouble)
        self.found.append(finding.at(self._places.span(*extent(finding.token or token))))


def parse_tokens(parser: Lark, tokens: Sequence[Token], places: Places) -> tuple[Tree[Any], list[Diagnostic]]:
    """Return lark's tree of the statements that parse, and one diagnostic for each that does not."""
    drive = _Drive(parser.parse_interactive(), tokens, places)
    return drive.run(), drive.found
