"""The parser against trees written by hand, and against the rules of the language."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tensorprog.errors import ParseError, Source, Span
from tensorprog.syntax import tree as node
from tensorprog.syntax.limits import Limits
from tensorprog.syntax.parser import parse

ROOT = Path(__file__).resolve().parents[2]
NOWHERE = Span(Source("", ""), 1, 1, 1, 1)
DOCUMENTED = re.findall(r"```tp\n(.*?)```", (ROOT / "grammar" / "README.md").read_text(encoding="utf-8"), re.DOTALL)


def read(text):
    return parse(Source("test.tp", text))


def first(text):
    return read(text).statements[0]


def term(text):
    return first(f"h = {text}").value


def name(text):
    return node.Name(text, span=NOWHERE)


def number(value):
    return node.Num(value, span=NOWHERE)


def ident(text):
    return node.Identifier(text, span=NOWHERE)


def binary(operator, left, right):
    return node.Binary(operator, left, right, span=NOWHERE)


def minus(operand):
    return node.Unary(operand, span=NOWHERE)


def findings(text, limits=None):
    with pytest.raises(ParseError) as caught:
        parse(Source("test.tp", text), limits)
    return [(found.code, found.span.line, found.span.column) for found in caught.value.diagnostics]


A, B, C = name("a"), name("b"), name("c")


@pytest.mark.parametrize("text", DOCUMENTED)
def test_documented_examples_parse(text):
    assert read(text).statements


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("a - b - c", "(a - b) - c"),
        ("a / b * c", "(a / b) * c"),
        ("a // b / c", "(a // b) / c"),
        ("a @ b @ c", "a @ (b @ c)"),
        ("a ^ b ^ c", "a ^ (b ^ c)"),
        ("a * b @ c", "a * (b @ c)"),
        ("a @ b ^ c", "a @ (b ^ c)"),
        ("a @ b * c", "(a @ b) * c"),
        ("-a @ b", "-(a @ b)"),
        ("-a * b", "(-a) * b"),
        ("-a^b", "-(a^b)"),
        ("a @ -b @ c", "a @ (-(b @ c))"),
        ("a @ -b * c", "(a @ (-b)) * c"),
        ("a^-b^c", "a^(-(b^c))"),
        ("a^-b @ c", "(a^(-b)) @ c"),
        ("a^--b", "a^(-(-b))"),
        ("a - -b", "a - (-b)"),
        ("a * -b", "a * (-b)"),
        ("2*W@h + b", "(2 * (W @ h)) + b"),
        ("W.T @ relu(h)^2", "(W.T) @ ((relu(h))^2)".replace("(W.T)", "W.T")),
    ],
)
def test_precedence(text, same):
    assert term(text) == term(same)


def test_terms_are_the_nodes_of_the_tree():
    assert term("a + b * c") == binary("+", A, binary("*", B, C))
    assert term("a @ -b") == binary("@", A, minus(B))
    assert term("pi") == name("pi")
    assert term("W.T") == node.Transpose(name("W"), span=NOWHERE)
    assert term("a[2*b, c - 1]") == node.Index(
        ident("a"), (binary("*", number(2), B), binary("-", C, number(1))), span=NOWHERE
    )
    assert term("sum[i, j](a)") == node.Reduce(ident("sum"), (ident("i"), ident("j")), A, span=NOWHERE)
    arguments = (node.Argument(None, A, span=NOWHERE), node.Argument(ident("k"), number(3), span=NOWHERE))
    assert term("f(a, k = 3)") == node.CallTerm(ident("f"), arguments, span=NOWHERE)
    assert term("f()") == node.CallTerm(ident("f"), (), span=NOWHERE)


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("12", 12), ("0.5", 0.5), ("1e-6", 1e-6), ("2.5E+3", 2500.0), ("1e3", 1000.0), ("2.0", 2.0)],
)
def test_numbers(text, value):
    read_value = term(text).value
    assert read_value == value
    assert type(read_value) is type(value)


def test_statements_are_the_nodes_of_the_tree():
    where = {"span": NOWHERE}
    zero, n, d = number(0), name("n"), name("d")
    assert read("program p(a = 1, b = -2.5)").header == node.Header(
        ident("p"), ((ident("a"), number(1)), (ident("b"), number(-2.5))), **where
    )
    assert read("program p").header == read("program p()").header == node.Header(ident("p"), (), **where)
    assert first("width n") == node.WidthDecl(ident("n"), None, **where)
    assert first("width m = 4 * n") == node.WidthDecl(ident("m"), binary("*", number(4), n), **where)
    assert first("axis t : T") == node.AxisDecl(ident("t"), None, None, name("T"), False, **where)
    assert first("axis k : -1..1") == node.AxisDecl(ident("k"), minus(number(1)), number(1), None, False, **where)
    assert first("axis i : H circular") == node.AxisDecl(ident("i"), None, None, name("H"), True, **where)
    assert first("input x[i] : (d)") == node.InputDecl(ident("x"), (ident("i"),), (d,), **where)
    assert first("input A : ()") == node.InputDecl(ident("A"), (), (), **where)
    assert first("param W : (n, d) ~ N(0, d) lr 0") == node.ParamDecl(
        ident("W"), (), (n, d), zero, d, zero, True, **where
    )
    assert first("frozen b[k] : (n) ~ N(0, d)") == node.ParamDecl(
        ident("b"), (ident("k"),), (n,), zero, d, None, False, **where
    )
    assert first("h[i, j] = a") == node.Assign(ident("h"), (ident("i"), ident("j")), A, **where)
    assert first("output f[t] = a") == node.OutputDecl(ident("f"), (ident("t"),), A, **where)
    assert first("fn f(u, v) = a") == node.FnDecl(ident("f"), (ident("u"), ident("v")), A, None, **where)
    assert first("fn f(u) = a derivative b") == node.FnDecl(ident("f"), (ident("u"),), A, B, **where)
    assert first('use "l.tp"') == node.UseDecl("l.tp", **where)
    result = node.Return(A, **where)
    assert first("block f(a, b = 0) { return a }") == node.BlockDecl(
        ident("f"), ((ident("a"), None), (ident("b"), zero)), (result,), **where
    )
    assign = node.Assign(ident("h"), (), A, **where)
    assert first("for l in 0..n { h = a }") == node.For(ident("l"), zero, n, (assign,), **where)
    assert first("scan t { init s[i] = a; h = a }") == node.ScanBlock(
        ident("t"), (node.Init(ident("s"), (ident("i"),), A, **where), assign), **where
    )


@pytest.mark.parametrize(
    "text",
    [
        "a = 1\nb = 2",
        "a = 1;b = 2",
        ";\n\na = 1 ;; b = 2 ;\n",
        "a = 1\r\nb = 2\r\n",
        "a = 1 # c ; d\nb = 2 # e",
        "\ufeffa = 1\nb = 2",
        "a = (\n1\n)\nb = 2",
        "\ta = 1\n\tb = 2",
    ],
)
def test_statement_ends(text):
    assert read(text) == read("a = 1\nb = 2\n")


def test_names_of_any_script():
    assert term("σ' * χ_2 + ж") == binary("+", binary("*", name("σ'"), name("χ_2")), name("ж"))
    assert term("e\u0301") == name("\u00e9")
    assert term("fnord + into + pie") == binary("+", binary("+", name("fnord"), name("into")), name("pie"))


def test_spans():
    tree = read("\ufeffwidth n\nh = (a + b) * relu(c)\n")
    product = tree.statements[1].value
    spans = [
        (part.span.line, part.span.column, part.span.end_column) for part in (product, product.left, product.right)
    ]
    assert spans == [(2, 5, 22), (2, 6, 11), (2, 15, 22)]


def test_all_errors_of_a_file_in_order():
    text = "h = W x\nfor l in 1..2 {\n  h = (a\n  g = relu(h)[1]\n}\nk = 1\nq = 2x\nparam V (n) ~ N(0, 1)\n"
    assert findings(text) == [
        ("TP107", 1, 7),
        ("TP104", 3, 7),
        ("TP110", 4, 14),
        ("TP102", 7, 5),
        ("TP109", 8, 9),
    ]


def test_body_of_a_broken_header_is_still_read():
    assert findings("for in 1..3 {\n  h = W x\n}\ng = = 1") == [("TP106", 1, 5), ("TP107", 2, 9), ("TP100", 4, 5)]


def test_depth_limit():
    deep = " + ".join(["a"] * 1000)
    for operator in "+@^":
        assert term(deep.replace("+", operator)).span.line == 1
    assert findings(f"h = {deep} + a\ng = {deep} + a") == [("TP118", 1, 5), ("TP118", 2, 5)]
    assert findings("h = " + "-" * 5000 + "a")[0][0] == "TP118"


def test_nesting_limit():
    assert term("(" * 64 + "a" + ")" * 64) == A
    assert findings("h = " + "(" * 65 + "a" + ")" * 65) == [("TP118", 1, 69)]
    assert findings("h = " + "(" * 100_000)[0][0] == "TP118"
    assert findings("for l in 1..2 {\n" * 65)[0][0] == "TP118"


def test_size_limit():
    with pytest.raises(ParseError, match="more than 8"):
        parse(Source("big.tp", "a = 1234567"), Limits(size=8))


def test_number_of_findings_is_limited():
    assert len(findings("= 1\n" * 1000)) == Limits().findings


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "\ufeff", ";;"])
def test_empty_files(text):
    assert findings(text) == [("TP113", 1, 1)]


@pytest.mark.parametrize(
    "text", ["\x00", "h = \ud800", "{" * 64, "}" * 64, "((((", "))))", '"', "\u2028", "h = 1\x0c\x85 = 2", "[}{)"]
)
def test_garbage_is_refused_without_a_traceback(text):
    assert findings(text)


WORDS = [
    *"()[]{};\n=+-*/@^,:~#?",
    "//",
    ".T",
    "..",
    "for l in 1..2",
    "scan t",
    "block f(h)",
    "return",
    "lr",
    "pi",
    "program",
]


DAMAGED = (
    st.sampled_from(DOCUMENTED),
    st.lists(st.tuples(st.integers(0, 600), st.sampled_from(WORDS) | st.text(max_size=3))),
)


@settings(max_examples=60, deadline=None)
@given(*DAMAGED)
def test_damaged_programs_parse_or_are_refused_with_places(text, damages):
    parse_or_refuse(text, damages)


@pytest.mark.slow
@settings(max_examples=1000, deadline=None)
@given(*DAMAGED)
def test_many_damaged_programs_parse_or_are_refused_with_places(text, damages):
    parse_or_refuse(text, damages)


def parse_or_refuse(text, damages):
    for position, words in damages:
        text = text[:position] + words + text[position + 1 :]
    try:
        parse(Source("test.tp", text))
    except ParseError as error:
        places = [(found.span.line, found.span.column) for found in error.diagnostics]
        assert places == sorted(places)
        assert str(error)
