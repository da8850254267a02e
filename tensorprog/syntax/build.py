"""From lark's tree to the syntax tree: one method per rule of the grammar, bottom up, without recursion."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

from lark import Token, Tree
from lark.tree import Meta
from lark.visitors import Transformer_NonRecursive, v_args

from tensorprog.errors import Diagnostic, Span
from tensorprog.syntax import tree as node
from tensorprog.syntax.messages import extent
from tensorprog.syntax.places import Places
from tensorprog.syntax.recover import NOWHERE

__all__ = ["build_tree"]

_REDUCTIONS = ("sum", "mean", "max", "softmax")
_LARGEST_EXPONENT = 308  # an integer of more digits than this is larger than every double

Children = Sequence[Any]


@v_args(meta=True)
class _Builder(Transformer_NonRecursive[Token, Any]):
    """The methods are named like the rules of the grammar and take the values of the rule's parts."""

    def __init__(self, places: Places) -> None:
        super().__init__(visit_tokens=False)
        self.found: list[Diagnostic] = []
        self._places = places

    # Helpers.

    def _span(self, meta: Meta) -> Span:
        return self._places.span(0, 0) if meta.empty else self._places.span(meta.start_pos, meta.end_pos)

    def _at(self, token: Token) -> Span:
        return self._places.span(*extent(token))

    def _identifier(self, token: Token) -> node.Identifier:
        text = str(unicodedata.normalize("NFC", token))
        if text != NOWHERE and not all(_belongs_to_name(character) for character in text):
            hint = "a name has letters, digits, `_` and `'`"
            self._report("TP101", f"`{token}` is not a name", self._at(token), hint)
        return node.Identifier(text, span=self._at(token))

    def _identifiers(self, tokens: Children) -> tuple[node.Identifier, ...]:
        return tuple(self._identifier(token) for token in tokens)

    def _report(self, code: str, message: str, span: Span, hint: str | None = None) -> None:
        self.found.append(Diagnostic(code, message, span, hint))

    # Terms.

    def number(self, meta: Meta, children: Children) -> node.Num:
        (token,) = children
        if (len(token) > _LARGEST_EXPONENT and token.isdigit()) or float(token) == float("inf"):
            self._report("TP102", "the number is larger than a double can be", self._at(token), "at most 1.79e308")
            return node.Num(0, span=self._at(token))
        return node.Num(int(token) if token.isdigit() else float(token), span=self._at(token))

    def name(self, meta: Meta, children: Children) -> node.Name:
        return node.Name(self._identifier(children[0]).name, span=self._span(meta))

    def constant(self, meta: Meta, children: Children) -> node.Name:
        return node.Name(str(children[0]), span=self._span(meta))

    def indices(self, meta: Meta, children: Children) -> tuple[node.Term, ...]:
        return tuple(children)

    def index(self, meta: Meta, children: Children) -> node.Index:
        name, indices = children
        return node.Index(self._identifier(name), indices, span=self._span(meta))

    def transpose(self, meta: Meta, children: Children) -> node.Transpose:
        return node.Transpose(children[0], span=self._span(meta))

    def negative(self, meta: Meta, children: Children) -> node.Unary:
        return node.Unary(children[0], span=self._span(meta))

    def binary(self, meta: Meta, children: Children) -> node.Binary:
        left, operator, right = children
        return node.Binary(str(operator), left, right, span=self._span(meta))

    def reduce(self, meta: Meta, children: Children) -> node.Reduce:
        name, indices, operand = children
        if name not in _REDUCTIONS:
            hint = f"over axes go {', '.join(_REDUCTIONS[:-1])} and {_REDUCTIONS[-1]}, as in `sum[k](…)`"
            self._report("TP110", f"`{name}[…]` cannot be called", self._at(name), hint)
        axes = tuple(self._axis(term) for term in indices)
        return node.Reduce(self._identifier(name), axes, operand, span=self._span(meta))

    def _axis(self, term: node.Term) -> node.Identifier:
        if not isinstance(term, node.Name):
            self._report("TP117", "expected the name of an axis", term.span, "as in `sum[i, j](h[i, j])`")
            return node.Identifier(NOWHERE, span=term.span)
        return node.Identifier(term.name, span=term.span)

    def argument(self, meta: Meta, children: Children) -> node.Argument:
        name, value = children
        return node.Argument(self._identifier(name) if name is not None else None, value, span=self._span(meta))

    def arguments(self, meta: Meta, children: Children) -> tuple[node.Argument, ...]:
        keyword = False
        for argument in children:
            if keyword and argument.name is None:
                hint = "positional arguments come first"
                self._report("TP116", "a positional argument after a keyword argument", argument.span, hint)
            keyword = keyword or argument.name is not None
        return tuple(children)

    def call(self, meta: Meta, children: Children) -> node.CallTerm:
        name, arguments = children
        return node.CallTerm(self._identifier(name), arguments or (), span=self._span(meta))

    # Statements.

    def default(self, meta: Meta, children: Children) -> node.Num:
        value = self.number(meta, children[-1:]).value
        return node.Num(-value if len(children) == 2 else value, span=self._span(meta))

    def hyperparameter(self, meta: Meta, children: Children) -> tuple[node.Identifier, node.Num]:
        name, default = children
        return self._identifier(name), default

    def hyperparameters(self, meta: Meta, children: Children) -> tuple[tuple[node.Identifier, node.Num], ...]:
        return tuple(children)

    def header(self, meta: Meta, children: Children) -> node.Header:
        name, hyperparameters = children
        return node.Header(self._identifier(name), hyperparameters or (), span=self._span(meta))

    def width(self, meta: Meta, children: Children) -> node.WidthDecl:
        name, size = children
        return node.WidthDecl(self._identifier(name), size, span=self._span(meta))

    def axis(self, meta: Meta, children: Children) -> node.AxisDecl:
        name, first, last, circular = children
        start, extent_ = (None, first) if last is None else (first, None)
        return node.AxisDecl(self._identifier(name), start, last, extent_, circular is not None, span=self._span(meta))

    def axes(self, meta: Meta, children: Children) -> tuple[node.Identifier, ...]:
        return self._identifiers(children)

    def shape(self, meta: Meta, children: Children) -> tuple[node.Term, ...]:
        if len(children) > 2:
            self._report(
                "TP117", "a shape has at most two dimensions", self._span(meta), "more are axes: `W[k] : (n, m)`"
            )
        return tuple(children)

    def input(self, meta: Meta, children: Children) -> node.InputDecl:
        name, axes, shape = children
        if len(shape) > 1:
            hint = f"the rest are axes: `input {name}[i] : (c)`"
            self._report("TP117", "an input is a vector `(c)` or a real `()` at every index", shape[1].span, hint)
        return node.InputDecl(self._identifier(name), axes or (), shape, span=self._span(meta))

    def param(self, meta: Meta, children: Children) -> node.ParamDecl:
        keyword, name, axes, shape, normal, mean, variance, rate = children
        if normal != "N":
            hint = "the only distribution is the normal one, `N(mean, variance)`"
            self._report("TP117", f"unknown distribution `{normal}`", self._at(normal), hint)
        trained = keyword.type == "PARAM"
        return node.ParamDecl(
            self._identifier(name), axes or (), shape, mean, variance, rate, trained, span=self._span(meta)
        )

    def assign(self, meta: Meta, children: Children) -> node.Assign:
        name, axes, value = children
        return node.Assign(self._identifier(name), axes or (), value, span=self._span(meta))

    def output(self, meta: Meta, children: Children) -> node.OutputDecl:
        name, axes, value = children
        return node.OutputDecl(self._identifier(name), axes or (), value, span=self._span(meta))

    def init(self, meta: Meta, children: Children) -> node.Init:
        name, axes, value = children
        return node.Init(self._identifier(name), axes or (), value, span=self._span(meta))

    def return_(self, meta: Meta, children: Children) -> node.Return:
        return node.Return(children[0], span=self._span(meta))

    def variables(self, meta: Meta, children: Children) -> tuple[node.Identifier, ...]:
        return self._identifiers(children)

    def fn(self, meta: Meta, children: Children) -> node.FnDecl:
        name, variables, body, derivative = children
        return node.FnDecl(self._identifier(name), variables, body, derivative, span=self._span(meta))

    def block_parameter(self, meta: Meta, children: Children) -> tuple[node.Identifier, node.Term | None]:
        name, default = children
        return self._identifier(name), default

    def block_parameters(self, meta: Meta, children: Children) -> tuple[tuple[node.Identifier, node.Term | None], ...]:
        return tuple(children)

    def block(self, meta: Meta, children: Children) -> node.BlockDecl:
        name, parameters, body = children
        return node.BlockDecl(self._identifier(name), parameters or (), body, span=self._span(meta))

    def use(self, meta: Meta, children: Children) -> node.UseDecl:
        return node.UseDecl(str(children[0])[1:-1], span=self._span(meta))

    def body(self, meta: Meta, children: Children) -> tuple[node.Statement | node.Header, ...]:
        return tuple(children)

    def for_(self, meta: Meta, children: Children) -> node.For:
        variable, first, last, body = children
        return node.For(self._identifier(variable), first, last, body, span=self._span(meta))

    def scan(self, meta: Meta, children: Children) -> node.ScanBlock:
        axis, body = children
        return node.ScanBlock(self._identifier(axis), body, span=self._span(meta))

    def start(self, meta: Meta, children: Children) -> tuple[node.Statement | node.Header, ...]:
        return tuple(children)


# Two rules are named like reserved words of Python.
setattr(_Builder, "return", _Builder.return_)
setattr(_Builder, "for", _Builder.for_)


def _belongs_to_name(character: str) -> bool:
    return character in "_'" or character.isalpha() or unicodedata.category(character) in ("Nd", "Mn", "Mc", "Me")


def build_tree(parsed: Tree[Any], places: Places) -> tuple[tuple[node.Statement | node.Header, ...], list[Diagnostic]]:
    """Return the statements of a file, the header among them where the author put it, and what is wrong with them."""
    builder = _Builder(places)
    return builder.transform(parsed), builder.found
