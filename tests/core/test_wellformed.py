"""A broken core program is found out."""

from dataclasses import replace

import pytest

from tensorprog.core.build import build
from tensorprog.core.ir import Affine, Type
from tensorprog.core.wellformed import check_wellformed, violations
from tensorprog.errors import Source
from tensorprog.nonlin.expression import Number, Symbol
from tensorprog.syntax.parser import parse

TEXT = """program p
width n
axis t : 4
input x[t] : (3)
param U : (n, 3) ~ N(0, 1)
param W : (n, n) ~ N(0, 1 / n)
param V : (1, n) ~ N(0, 1 / n)
scan t { s[t] = relu(W @ s[t - 1] + U @ x[t]) }
h = mean[t](s[t])
output f = V @ h
"""


def core():
    return build(parse(Source("p.tp", TEXT)))


def change(place, **parts):
    program = core()
    body = list(program.body)
    body[place] = replace(body[place], **parts)
    return replace(program, body=tuple(body))


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (lambda: replace(core(), body=core().body[1:]), "reads s, which is not visible"),
        (lambda: replace(core(), body=core().body[:-1]), "f is not defined"),
        (lambda: replace(core(), body=(*core().body, core().body[-1])), "defined twice"),
        (lambda: replace(core(), types={**core().types, "h": Type((), Symbol("m"))}), "has dimension"),
        (lambda: replace(core(), types={**core().types, "s.1": Type((), Symbol("n"))}), "no type"),
        (lambda: change(1, axes=()), "ranges over"),
        (lambda: change(3, indices=(Affine(Number(0)),)), "read with 1 indices"),
        (lambda: change(3, parameter="U"), "dimension"),
        (lambda: change(2, operands=()), "an operand that is not there"),
        (lambda: change(2, span=None), "no span"),
    ],
)
def test_violations_are_named(broken, words):
    assert any(words in sentence for sentence in violations(broken()))
    with pytest.raises(ValueError, match="core program p"):
        check_wellformed(broken())


def test_a_built_program_has_none():
    check_wellformed(core())
