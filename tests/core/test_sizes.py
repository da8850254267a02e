"""Sizes in normal form mean what they meant, and equal polynomials are equal."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tensorprog.core.ir import Affine
from tensorprog.core.sizes import SizeError, affine, normal, product
from tensorprog.nonlin.evaluate import evaluate
from tensorprog.nonlin.expression import Number, Position, Symbol, apply

LEAVES = st.one_of(st.integers(-4, 4).map(Number), st.sampled_from([Symbol("H"), Symbol("T"), Symbol("p")]))
OPERATORS = st.sampled_from(["add", "sub", "mul", "floordiv"])


def _grow(inner):
    return st.builds(lambda f, a, b: apply(f, a, b), OPERATORS, inner, inner) | inner.map(lambda a: apply("neg", a))


@settings(deadline=None)
@given(st.recursive(LEAVES, _grow, max_leaves=8), st.integers(1, 9), st.integers(1, 9))
def test_normal_forms_keep_values_and_are_unique(expr, height, length):
    sizes = {"H": height, "T": length, "p": 3}
    try:
        expected, found = evaluate(expr, (), sizes), normal(expr, {"p": 3})
        value = evaluate(found, (), sizes)
    except ZeroDivisionError:
        return
    assert value == expected
    assert normal(found, {}) == found


@settings(deadline=None)
@given(st.lists(st.sampled_from(["H", "T", "H*T", "2"]), min_size=1, max_size=5), st.randoms())
def test_the_order_of_terms_does_not_matter(names, random):
    pieces = {"H": Symbol("H"), "T": Symbol("T"), "H*T": Symbol("T") * Symbol("H"), "2": Number(2)}
    shuffled = list(names)
    random.shuffle(shuffled)

    def total(order):
        found = Number(0)
        for name in order:
            found = found + pieces[name]
        return normal(found, {})

    assert total(names) == total(shuffled)


def test_affine_forms():
    i, j, size = Position("i"), Position("j"), Symbol("T")
    assert affine((i + j) * 2 - i + size - 1, {}) == Affine(size - 1, (("i", Number(1)), ("j", Number(2))))
    assert affine(i - i, {}) == Affine(Number(0))
    assert affine(size * i, {"T": 3}) == Affine(Number(0), (("i", Number(3)),))
    assert affine(apply("floordiv", 4 * i + 2, 2), {}) == Affine(Number(1), (("i", Number(2)),))


@pytest.mark.parametrize(
    "expr",
    [Position("i") * Position("j"), apply("floordiv", Position("i"), 2), apply("sqrt", 4), Number(0.5), Number(3) / 2],
)
def test_what_is_not_affine(expr):
    with pytest.raises(SizeError):
        affine(expr, {})


def test_products():
    assert product([Number(3), Symbol("T"), Number(2)]) == 6 * Symbol("T")
