"""What is wrong with a text, said to a person: the codes TP1xx, their sentences and hints.

TP100 unexpected word             TP107 operator missing           TP113 nothing in the file
TP101 stray character             TP108 expression missing         TP114 `program` not first
TP102 bad number                  TP109 punctuation missing        TP115 statement in the wrong place
TP103 string not closed           TP110 only names are …           TP116 positional after keyword argument
TP104 bracket not closed          TP111 no beginning of statement  TP117 not of the form that is asked for
TP105 bracket closes nothing      TP112 statement unknown          TP118 beyond a limit
TP106 reserved word as a name                                      TP120 … TP124 `use`
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lark import Token

from tensorprog.errors import Diagnostic, Span

__all__ = [
    "Finding",
    "Trouble",
    "explain",
    "explain_nesting",
    "explain_no_token",
    "explain_unclosed",
    "explain_wrong_closer",
    "extent",
]


@dataclass(frozen=True, slots=True)
class Finding:
    """A diagnostic that has no place yet."""

    code: str
    message: str
    hint: str | None = None
    token: Token | None = None  # where to point, if not at the token that the grammar refused

    def at(self, span: Span) -> Diagnostic:
        """Return the diagnostic at `span`."""
        return Diagnostic(self.code, self.message, span, self.hint)


@dataclass(frozen=True, slots=True)
class Trouble:
    """A token that the grammar does not allow here: what it is, the statement so far, and what would be allowed."""

    token: Token
    statement: Sequence[Token]
    expected: frozenset[str]

    @property
    def first(self) -> str:
        """The kind of the token with which the statement starts."""
        return self.statement[0].type if self.statement else self.token.type

    @property
    def previous(self) -> Token:
        """The token before; only asked for where there is one."""
        return self.statement[-1]


def extent(token: Token) -> tuple[int, int]:
    """Return the offsets at which a token starts and ends."""
    start = token.start_pos or 0
    return start, token.end_pos if token.end_pos is not None else start


_KEYWORDS = tuple("program width axis input param frozen fn block return use for scan init output".split())
_RESERVED = frozenset(word.upper() for word in (*_KEYWORDS, "in", "circular", "lr", "derivative", "pi"))
_OPERATORS = frozenset({"PLUS", "MINUS", "STAR", "SLASH", "FLOOR", "AT", "CARET", "_TRANSPOSE", "LSQB", "LPAR"})
_TERM_STARTS = frozenset({"NAME", "NUMBER", "PI", "LPAR"})
_SIGNS = {
    "EQUAL": "`=`", "COLON": "`:`", "COMMA": "`,`", "TILDE": "`~`", "RANGE": "`..`", "PLUS": "`+`", "MINUS": "`-`",
    "STAR": "`*`", "SLASH": "`/`", "FLOOR": "`//`", "AT": "`@`", "CARET": "`^`", "LPAR": "`(`", "RPAR": "`)`",
    "LSQB": "`[`", "RSQB": "`]`", "LBRACE": "`{`", "RBRACE": "`}`", "_TRANSPOSE": "`.T`", "NAME": "a name",
    "NUMBER": "a number", "STRING": "a file name in quotes", "_END": "the end of the statement",
    "$END": "the end of the file",
}  # fmt: skip
_CHARACTERS = {
    "−": "write the minus sign `-`",
    "–": "write the minus sign `-`",
    "×": "write `*`",
    "·": "write `*`",
    "÷": "write `/`",
    "“": 'write straight quotes, "…"',
    "”": 'write straight quotes, "…"',
    "'": 'text stands in double quotes, "…"; in a name, `\'` follows a letter',
    "%": "there is no remainder operator; integers are divided by `//`",
    "<": "there are no comparisons; `step(u)` is 1 where u > 0",
    ">": "there are no comparisons; `step(u)` is 1 where u > 0",
    "!": "comments start with `#`",
    "\\": "inside ( ) and [ ] a statement goes on over line ends; nothing else is needed",
    ".": "a parameter is transposed by `.T`; a range is written `..`; a number has digits on both sides of its point",
}


def explain_no_token(token: Token) -> Finding:
    """Return the finding for a stretch of text that is no token: a bad number, an open string, a stray character."""
    if token.type == "BAD_STRING":
        return Finding("TP103", "the text is not closed on its line", 'it ends with a second `"`')
    if token.type == "BAD_NUMBER":
        return Finding("TP102", f"`{token}` is not a number", _number_hint(str(token)))
    hint = "a power is written `^`" if _is_superscript(str(token)) else _CHARACTERS.get(str(token))
    return Finding("TP101", f"{_describe_character(str(token))} means nothing here", hint)


def _describe_character(character: str) -> str:
    name = f"U+{ord(character[0]):04X}"
    return f"the character `{character}` ({name})" if character.isprintable() else f"the character {name}"


def _is_superscript(character: str) -> bool:
    return unicodedata.normalize("NFKC", character) != character and character.isdigit()


def _number_hint(text: str) -> str:
    if text.startswith("."):
        return f"write `0{text}`"
    if text.endswith("."):
        return f"write `{text}0` or `{text[:-1]}`"
    digits = len(text) - len(text.lstrip("0123456789"))
    if text[digits:].isidentifier() and "_" not in text and text[:2] not in ("0x", "0b", "0o"):
        return f"a product is written with its sign: `{text[:digits]} * {text[digits:]}`"
    return "numbers are written like 3, 0.5 or 1e-6"


def explain_unclosed(opener: Token) -> Finding:
    """Return the finding for a bracket that is still open where its statement, or the file, ends."""
    if opener.type == "LBRACE":
        return Finding("TP104", "`{` is never closed: the file ends inside the block", "a block ends with `}`")
    closer = {"LPAR": ")", "LSQB": "]"}[opener.type]
    return Finding("TP104", f"`{opener}` is never closed", f"the statement ends before the `{closer}` that it needs")


def explain_wrong_closer(closer: Token, opener: Token | None) -> Finding:
    """Return the finding for a closing bracket without, or with the wrong, opening one."""
    if opener is None:
        return Finding("TP105", f"`{closer}` closes nothing", "remove it, or open the bracket before it")
    wanted = {"LPAR": ")", "LSQB": "]"}[opener.type]
    return Finding("TP105", f"`{closer}` does not close `{opener}`", f"write `{wanted}`")


def explain_nesting(limit: int) -> Finding:
    """Return the finding for brackets or blocks nested too deeply."""
    return Finding(
        "TP118", f"more than {limit} brackets and blocks in each other", "give inner parts names of their own"
    )


def _shown(token: Token) -> str:
    return "the end of the statement" if token.type == "_END" else f"`{token}`"


def _at_beginning(trouble: Trouble) -> Finding | None:
    if trouble.statement:
        return None
    token = trouble.token
    if token.type == "LBRACE":
        hint = "`{` stands on the line of its `for`, `scan` or `block`"
        return Finding("TP111", "a block without a beginning", hint)
    if token.type in _RESERVED:
        return Finding("TP111", f"`{token}` does not start a statement", "it stands inside one")
    if trouble.expected == {"_END"}:
        return Finding("TP111", f"{_shown(token)} stands on the line of a `}}`", "a line end or `;` follows the `}`")
    hint = "a statement is `name = expression`, or starts with a word such as `param`, `for` or `output`"
    return Finding("TP111", f"a statement cannot start with {_shown(token)}", hint)


def _reserved_word(trouble: Trouble) -> Finding | None:
    token = trouble.token
    if token.type not in _RESERVED or "NAME" not in trouble.expected:
        return None
    return Finding("TP106", f"`{token}` is a reserved word, not a name", f"another name will do, such as `{token}_`")


def _no_equals_sign(trouble: Trouble) -> Finding | None:
    """Explain a statement that starts with a name and goes on with neither `=` nor `[`."""
    if len(trouble.statement) != 1 or trouble.first != "NAME":
        return None
    word, token = str(trouble.previous), trouble.token
    near = difflib.get_close_matches(word, _KEYWORDS, n=1)
    if token.type in ("NAME", "STRING") and near:
        return Finding("TP112", f"`{word}` starts no statement", f"did you mean `{near[0]}`?", trouble.previous)
    if token.type == "NAME":
        hint = f"a definition is `{word} = expression`"
        return Finding("TP112", f"`{word}` starts no statement", hint, trouble.previous)
    if token.type == "LPAR":
        return Finding("TP109", "the result has no name", f"write `name = {word}(…)`", trouble.previous)
    if token.type in ("COLON", "TILDE"):
        hint = "a declaration starts with `axis`, `input`, `param` or `frozen`"
        return Finding("TP112", f"`{word}` is not declared as anything", hint, trouble.previous)
    return Finding("TP109", f"`=` is missing after `{word}`", f"a definition is `{word} = expression`")


def _axes_on_the_left(trouble: Trouble) -> Finding | None:
    kinds = [token.type for token in trouble.statement]
    inside = "LSQB" in kinds and "RSQB" not in kinds and "EQUAL" not in kinds and "COLON" not in kinds
    if not inside or not trouble.expected <= {"NAME", "COMMA", "RSQB"}:
        return None
    hint = "shift the reading, not the definition: `h[i] = x[i + 1]`"
    return Finding("TP117", f"expected the name of an axis, not {_shown(trouble.token)}", hint)


def _postfix(trouble: Trouble) -> Finding | None:
    token = trouble.token
    if "PLUS" not in trouble.expected or trouble.previous.type == "LBRACE":
        return None
    if token.type == "LSQB":
        return Finding("TP110", "only names are indexed", "name the value first: `h[i] = …`, then `h[i + 1]`")
    if token.type == "_TRANSPOSE":
        return Finding("TP110", "only parameters are transposed", "`.T` stands on the name of a parameter: `W.T @ h`")
    if token.type == "LPAR" and trouble.previous.type != "NUMBER":
        return Finding("TP110", "only names are called", "a product is written with `*` or `@`")
    return None


def _operator_missing(trouble: Trouble) -> Finding | None:
    token = trouble.token
    if "PLUS" not in trouble.expected or token.type not in _TERM_STARTS:
        return None
    hint = "write `*` for a product of numbers or coordinates, `@` for a matrix times a vector"
    return Finding("TP107", f"an operator is missing between `{trouble.previous}` and `{token}`", hint)


def _power_of_python(trouble: Trouble) -> Finding | None:
    if trouble.token.type != "STAR" or trouble.previous.type != "STAR":
        return None
    return Finding("TP108", "`**` is no operator", "a power is written `^`")


def _string_in_expression(trouble: Trouble) -> Finding | None:
    if trouble.token.type != "STRING" or "STRING" in trouble.expected:
        return None
    return Finding("TP100", "text in quotes stands only after `use`", "names are written without quotes")


def _second_equals_sign(trouble: Trouble) -> Finding | None:
    if trouble.token.type != "EQUAL" or "EQUAL" in trouble.expected or trouble.first in ("FOR", "SCAN"):
        return None
    if trouble.previous.type == "EQUAL":
        return Finding("TP100", "`==` is no operator", "there are no comparisons; a definition is `name = expression`")
    if not any(token.type == "EQUAL" for token in trouble.statement):
        return None
    hint = "one statement defines one name; a keyword argument is `name = value`"
    return Finding("TP100", "`=` cannot stand inside an expression", hint)


_FORMS = {
    "AXIS": "axis t : T",
    "INPUT": "input x[i] : (c)",
    "PARAM": "param W[k] : (n, m) ~ N(0, 1 / m)",
    "FROZEN": "frozen W[k] : (n, m) ~ N(0, 1 / m)",
    "OUTPUT": "output f[t] = V @ h[t]",
    "INIT": "init s[i] = h[i]",
    "FN": "fn phi(u) = u * sigmoid(u)",
    "USE": 'use "layers.tp"',
    "FOR": "for l in 1..L { … }",
    "SCAN": "scan t { … }",
    "BLOCK": "block dense(h, fan, sw2 = 2) { … }",
}


def _form(trouble: Trouble) -> str | None:
    return f"the form is `{_FORMS[trouble.first]}`" if trouble.first in _FORMS else None


def _no_sign(trouble: Trouble) -> Finding | None:
    """Explain a declaration that lacks its `:`, or an output that lacks its `=`, after the name."""
    sign = next((sign for sign in ("COLON", "EQUAL") if sign in trouble.expected), None)
    if sign is None or trouble.first not in _FORMS or "NUMBER" in trouble.expected or "COMMA" in trouble.expected:
        return None
    return Finding("TP109", f"{_SIGNS[sign]} is missing before {_shown(trouble.token)}", _form(trouble))


def _range(trouble: Trouble) -> Finding | None:
    if trouble.token.type != "RANGE":
        return None
    return Finding("TP100", "a range cannot stand here", "ranges are for `axis k : -1..1` and `for l in 1..L`")


def _normal(trouble: Trouble) -> Finding | None:
    kinds = [token.type for token in trouble.statement]
    if trouble.first not in ("PARAM", "FROZEN") or "TILDE" not in kinds or "LR" in kinds or kinds[-1] == "TILDE":
        return None
    if trouble.expected - _OPERATORS in ({"COMMA"}, {"RPAR"}):
        return Finding("TP117", "a distribution is N(mean, variance)", "such as `~ N(0, 1 / n)`")
    return None


def _default(trouble: Trouble) -> Finding | None:
    if trouble.first != "PROGRAM" or len(trouble.statement) < 3:
        return None
    if "NUMBER" in trouble.expected or trouble.previous.type == "NUMBER":
        return Finding("TP117", "the default of a hyperparameter is a number", "such as `sw2 = 2.0` or `b = -1`")
    if "EQUAL" in trouble.expected:
        hint = f"write `{trouble.previous} = 1`: every hyperparameter has a default"
        return Finding("TP109", f"the hyperparameter `{trouble.previous}` has no default", hint)
    return None


def _expression_missing(trouble: Trouble) -> Finding | None:
    if "NUMBER" not in trouble.expected:
        return None
    after, before = trouble.previous, trouble.token
    if before.type == "_END":
        return Finding("TP108", f"an expression is missing after `{after}`", _going_on(trouble))
    return Finding("TP108", f"an expression is missing between `{after}` and `{before}`")


def _going_on(trouble: Trouble) -> str | None:
    if trouble.previous.type in _OPERATORS:
        return "a statement goes on over line ends only inside ( ) and [ ]"
    return None


def _punctuation_missing(trouble: Trouble) -> Finding | None:
    wanted = trouble.expected - _OPERATORS if "PLUS" in trouble.expected else trouble.expected
    if len(wanted) != 1 or wanted == {"_END"}:
        return None
    kind = min(wanted)
    sign = _SIGNS.get(kind, f"`{kind.lower()}`")
    hint = "`{` stands on the line of its statement" if kind == "LBRACE" else _form(trouble)
    return Finding("TP109", f"{sign} is missing before {_shown(trouble.token)}", hint)


def _going_on_after_end(trouble: Trouble) -> Finding | None:
    if "_END" not in trouble.expected:
        return None
    hint = "a statement ends at the end of its line or at `;`"
    return Finding("TP100", f"{_shown(trouble.token)} does not belong to this statement", hint)


def _anything(trouble: Trouble) -> Finding:
    wanted = sorted(_SIGNS.get(kind, f"`{kind.lower()}`") for kind in trouble.expected - {"BROKEN"})
    listed = f"{', '.join(wanted[:-1])} or {wanted[-1]}" if len(wanted) > 1 else "".join(wanted)
    return Finding("TP100", f"{_shown(trouble.token)} cannot stand here", f"expected {listed}" if listed else None)


_RULES: tuple[Callable[[Trouble], Finding | None], ...] = (
    _at_beginning,
    _reserved_word,
    _no_equals_sign,
    _axes_on_the_left,
    _default,
    _normal,
    _postfix,
    _power_of_python,
    _string_in_expression,
    _second_equals_sign,
    _no_sign,
    _range,
    _operator_missing,
    _expression_missing,
    _punctuation_missing,
    _going_on_after_end,
)


def explain(trouble: Trouble) -> Finding:
    """Return the finding of the first rule that knows this trouble; there is always one."""
    return next((found for rule in _RULES if (found := rule(trouble)) is not None), None) or _anything(trouble)
