"""`parse(unparse(tree)) == tree`, for random trees and for texts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tensorprog.errors import Source, Span
from tensorprog.syntax import tree as node
from tensorprog.syntax.parser import parse
from tensorprog.syntax.unparse import unparse, unparse_term

ROOT = Path(__file__).resolve().parents[2]
WHERE = {"span": Span(Source("", ""), 1, 1, 1, 1)}
TEXTS = [
    *ROOT.glob("examples/**/*.tp"),
    *ROOT.glob("tensorprog/library/*.tp"),
    *ROOT.glob("tests/errors/limit/*.tp"),
]


def make(kind, *parts):
    return st.builds(lambda *values: kind(*values, **WHERE), *parts)


def tuples(part, **sizes):
    return st.lists(part, max_size=3, **sizes).map(tuple)


texts = st.sampled_from(["a", "b", "h'", "σ", "_x", "N", "T", "e1", "sum", "W2", "ins"])
identifiers = make(node.Identifier, texts)
numbers = make(node.Num, st.integers(0, 10**20) | st.floats(0, allow_nan=False, allow_infinity=False))
signed = make(node.Num, st.integers(-9, 9) | st.floats(allow_nan=False, allow_infinity=False))
names = make(node.Name, texts | st.just("pi"))


def indices_of(terms):
    return make(node.Index, identifiers, tuples(terms, min_size=1))


@st.composite
def arguments(draw, terms):
    positional = draw(st.lists(make(node.Argument, st.none(), terms), max_size=2))
    return (*positional, *draw(st.lists(make(node.Argument, identifiers, terms), max_size=2)))


def larger(terms):
    return st.one_of(
        make(node.Unary, terms),
        make(node.Binary, st.sampled_from(["+", "-", "*", "/", "//", "@", "^"]), terms, terms),
        make(node.Binary, st.sampled_from(["@", "^", "-"]), terms, make(node.Unary, terms)),
        indices_of(terms),
        make(node.Transpose, make(node.Name, texts) | indices_of(terms)),
        make(node.CallTerm, identifiers, arguments(terms)),
        make(
            node.Reduce,
            make(node.Identifier, st.sampled_from(["sum", "mean", "max", "softmax"])),
            tuples(identifiers, min_size=1),
            terms,
        ),
    )


terms = st.recursive(numbers | names, larger, max_leaves=12)
axes = tuples(identifiers)
anywhere = st.one_of(
    make(node.Assign, identifiers, axes, terms),
    make(node.OutputDecl, identifiers, axes, terms),
    make(
        node.ParamDecl,
        identifiers,
        axes,
        st.lists(terms, max_size=2).map(tuple),
        terms,
        terms,
        st.none() | terms,
        st.booleans(),
    ),
)
inits = make(node.Init, identifiers, axes, terms)


@st.composite
def blocks(draw):
    parameters = draw(tuples(st.tuples(identifiers, st.none() | terms)))
    body = (*draw(tuples(bodies)), *draw(st.lists(make(node.Return, terms), max_size=1)))
    return node.BlockDecl(draw(identifiers), parameters, body, **WHERE)


def loops(inner):
    return st.one_of(
        make(node.For, identifiers, terms, terms, tuples(inner)),
        make(node.ScanBlock, identifiers, tuples(inner | inits)),
    )


bodies = st.recursive(anywhere, loops, max_leaves=4)
at_top = st.one_of(
    make(node.WidthDecl, identifiers, st.none() | terms),
    make(node.AxisDecl, identifiers, st.none(), st.none(), terms, st.booleans()),
    make(node.AxisDecl, identifiers, terms, terms, st.none(), st.booleans()),
    make(node.InputDecl, identifiers, axes, st.lists(terms, max_size=1).map(tuple)),
    make(node.FnDecl, identifiers, tuples(identifiers, min_size=1), terms, st.none() | terms),
    make(node.UseDecl, st.sampled_from(["layers.tp", "a b/ü.tp", ""])),
    blocks(),
    bodies,
)
headers = make(node.Header, identifiers, tuples(st.tuples(identifiers, signed)))
trees = make(node.SyntaxTree, st.none() | headers, tuples(at_top, min_size=1))


def read(text):
    return parse(Source("test.tp", text))


def comes_back(tree):
    text = unparse(tree)
    assert read(text) == tree
    assert unparse(read(text)) == text


@settings(max_examples=80, deadline=None)
@given(trees)
def test_random_trees_come_back(tree):
    comes_back(tree)


@pytest.mark.slow
@settings(max_examples=1000, deadline=None)
@given(trees)
def test_many_random_trees_come_back(tree):
    comes_back(tree)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_files_come_back(path):
    tree = read(path.read_text(encoding="utf-8"))
    assert read(unparse(tree)) == tree


@pytest.mark.parametrize(
    "text",
    [
        "a - (b - c)",
        "a + b - c",
        "(a @ b) @ c",
        "a @ -b @ c",
        "(a^b)^-c",
        "-a^2",
        "(-a)^2",
        "(-a) @ b",
        "a * -b",
        "W[k + 1].T @ h",
        "1e-06",
    ],
)
def test_parentheses_only_where_needed(text):
    assert unparse_term(read(f"h = {text}").statements[0].value) == text


def test_canonical_text():
    text = "program p( a=1 )\nfor l in 1 .. L-1 { h[i]=relu( h[i] ) ; scan t{s[t]=s[t-1]} }; output f=V@h"
    assert unparse(read(text)) == (
        "program p(a = 1)\n\n"
        "for l in 1..L - 1 {\n    h[i] = relu(h[i])\n    scan t {\n        s[t] = s[t - 1]\n    }\n}\n"
        "output f = V @ h\n"
    )


def test_deep_terms():
    for operator in ("+", "^"):
        text = f" {operator} ".join(["a"] * 1000)
        assert unparse_term(read(f"h = {text}").statements[0].value).replace(" ", "") == text.replace(" ", "")
