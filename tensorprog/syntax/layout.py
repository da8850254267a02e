"""From lark's tokens to the tokens that the grammar reads: where statements end, which brackets belong together.

Line ends inside ( ) and [ ] vanish; every other line end and `;` becomes one `_END`, none doubled, one before each `}`.
What is wrong at this level is reported here, and a BROKEN token left in its place. The result is always well bracketed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lark import Token

from tensorprog.errors import Diagnostic, ParseError
from tensorprog.syntax import messages
from tensorprog.syntax.limits import Limits
from tensorprog.syntax.places import Places

__all__ = ["STATEMENTS", "Layout"]

STATEMENTS = frozenset("PROGRAM WIDTH AXIS INPUT PARAM FROZEN FN BLOCK RETURN USE FOR SCAN INIT OUTPUT".split())
_CLOSERS = {"LPAR": "RPAR", "LSQB": "RSQB", "LBRACE": "RBRACE"}
_JOINING = frozenset({"LPAR", "LSQB", "COMMA"})


class Layout:
    """One pass over the tokens of one text; `tokens` and `found` are its results."""

    def __init__(self, places: Places, limits: Limits) -> None:
        self.tokens: list[Token] = []
        self.found: list[Diagnostic] = []
        self._places = places
        self._limits = limits
        self._open: list[Token] = []
        self._rules: dict[str, Callable[[Token], None]] = {
            "SEMICOLON": self._end_firmly,
            "LPAR": self._open_bracket,
            "LSQB": self._open_bracket,
            "LBRACE": self._open_block,
            "RPAR": self._close_bracket,
            "RSQB": self._close_bracket,
            "RBRACE": self._close_block,
            "BAD_NUMBER": self._refuse,
            "BAD_STRING": self._refuse,
            "STRAY": self._refuse,
        }

    def run(self, raw: Sequence[Token]) -> None:
        """Lay out all tokens of a text."""
        for position, token in enumerate(raw):
            if token.type == "NEWLINE":
                if not self._inside_bracket() or _starts_statement(raw, position + 1, self.tokens[-1]):
                    self._end_firmly(token)
            else:
                self._rules.get(token.type, self.tokens.append)(token)
        self._finish()

    def _report(self, token: Token, finding: messages.Finding) -> None:
        self.found.append(finding.at(self._places.span(*messages.extent(finding.token or token))))

    def _break(self, token: Token) -> None:
        self.tokens.append(Token.new_borrow_pos("BROKEN", str(token), token))

    def _refuse(self, token: Token) -> None:
        previous = self.tokens[-1] if self.tokens else None
        if not (
            token.type == "STRAY" and previous and previous.type == "BROKEN" and previous.end_pos == token.start_pos
        ):
            self._report(token, messages.explain_no_token(token))
        self._break(token)

    def _inside_bracket(self) -> bool:
        return bool(self._open) and self._open[-1].type != "LBRACE"

    def _end(self, token: Token) -> None:
        """End the statement, unless nothing has been said since the last end."""
        if self.tokens and self.tokens[-1].type not in ("_END", "LBRACE"):
            last = self.tokens[-1]
            self.tokens.append(
                Token(
                    "_END",
                    "",
                    start_pos=last.end_pos,
                    line=last.end_line,
                    column=last.end_column,
                    end_line=last.end_line,
                    end_column=last.end_column,
                    end_pos=last.end_pos,
                )
            )

    def _end_firmly(self, token: Token) -> None:
        """End the statement, and any bracket that is still open in it."""
        self._drop_brackets()
        self._end(token)

    def _drop_brackets(self) -> None:
        if self._inside_bracket():
            self._report(self._open[-1], messages.explain_unclosed(self._open[-1]))
            self._break(self.tokens[-1])
        while self._inside_bracket():
            self._open.pop()

    def _open_bracket(self, token: Token) -> None:
        self._open.append(token)
        self.tokens.append(token)
        if len(self._open) > self._limits.nesting:
            self._report(token, messages.explain_nesting(self._limits.nesting))
            raise ParseError(self.found)

    def _open_block(self, token: Token) -> None:
        self._drop_brackets()
        self._open_bracket(token)

    def _close_bracket(self, token: Token) -> None:
        opener = self._open[-1] if self._inside_bracket() else None
        if opener is not None and _CLOSERS[opener.type] == token.type:
            self._open.pop()
            self.tokens.append(token)
            return
        self._report(token, messages.explain_wrong_closer(token, opener))
        self._break(token)
        self._close_as_meant(token)

    def _close_as_meant(self, token: Token) -> None:
        """Close what a wrong closing bracket was meant to close: its partner if that is open, else the last one."""
        base = self._bracket_base()
        inside = self._open[base:]
        partners = [depth for depth, opener in enumerate(inside) if _CLOSERS[opener.type] == token.type]
        if inside:
            del self._open[base + (partners or [len(inside) - 1])[-1] :]

    def _bracket_base(self) -> int:
        """Return how many open brackets, up to the last `{`, are out of the reach of ) and ]."""
        return next((at + 1 for at in reversed(range(len(self._open))) if self._open[at].type == "LBRACE"), 0)

    def _close_block(self, token: Token) -> None:
        self._end_firmly(token)
        if self._open:
            self._open.pop()
            self.tokens.append(token)
        else:
            self._report(token, messages.explain_wrong_closer(token, None))

    def _finish(self) -> None:
        """End what is open at the end of the text."""
        self._drop_brackets()
        if self._open:
            self._report(self._open[-1], messages.explain_unclosed(self._open[-1]))
        while self._open:
            self._open.pop()
            self._end(self.tokens[-1])
            self.tokens.append(Token.new_borrow_pos("RBRACE", "}", self.tokens[-1]))
        if self.tokens:
            self._end(self.tokens[-1])


def _starts_statement(raw: Sequence[Token], position: int, previous: Token) -> bool:
    """Tell whether a line inside a bracket looks like a new statement, so that the bracket was left open."""
    line = [token.type for token in raw[position : position + 64]]
    line = line[next((at for at, kind in enumerate(line) if kind != "NEWLINE"), 0) :]
    if not line or line[0] in STATEMENTS:
        return bool(line)
    if line[:2] == ["NAME", "EQUAL"]:
        return previous.type not in _JOINING
    return line[:2] == ["NAME", "LSQB"] and "RSQB" in line and line[line.index("RSQB") + 1 :][:1] == ["EQUAL"]
