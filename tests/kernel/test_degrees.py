"""Degrees of homogeneity: of networks for which they are known."""

from fractions import Fraction

import pytest

import tensorprog as tp
from tensorprog.kernel.degrees import result_degrees
from tensorprog.kernel.effort import effort
from tensorprog.kernel.lower import lower

NETWORK = """
program p
width n
input x : (d)
param W : (n, d) ~ N(0, 2 / d)
param b : (n) ~ N(0, {bias})
param U : (n, n) ~ N(0, 1 / n)
param V : (1, n) ~ N(0, 1 / n)
g = W @ x {plus}
h = U @ {inner}
output f = V @ {outer}
"""


def degrees(inner: str, outer: str, bias: str = "1", plus: str = "") -> tuple[tuple[Fraction, Fraction], ...] | None:
    text = NETWORK.format(inner=inner, outer=outer, bias=bias, plus=plus)
    text = text if plus else text.replace("param b : (n) ~ N(0, 1)\n", "")
    return result_degrees(lower(tp.parse(text).derive().system))


@pytest.mark.parametrize(
    ("inner", "outer", "degree"),
    [
        ("relu(g)", "relu(h)", 1),
        ("abs(g)", "leaky_relu(h, 0.1)", 1),
        ("relu(g)^2", "relu(h)", 2),
        ("relu(g)", "h^3", 3),
        ("sign(g)", "relu(h)", 0),
        ("relu(g)", "sign(h)", 0),
        ("g * relu(g)", "h", 2),
    ],
)
def test_a_network_of_homogeneous_functions_has_the_product_of_their_degrees(
    inner: str, outer: str, degree: int
) -> None:
    """φ(a u) = a^p φ(u) and ψ(a u) = a^q ψ(u) give f(a x) = a^(pq) f(x), and every kernel the degree (pq, pq)."""
    found = degrees(inner, outer)
    assert found
    assert set(found) == {(Fraction(degree), Fraction(degree))}


@pytest.mark.parametrize(
    ("inner", "outer", "plus"), [("relu(g)", "relu(h)", "+ b"), ("erf(g)", "h", ""), ("relu(g)", "relu(h) + 1", "")]
)
def test_a_bias_or_another_function_has_no_degree(inner: str, outer: str, plus: str) -> None:
    assert degrees(inner, outer, plus=plus) is None


def test_the_effort_grows_with_the_number_of_layers() -> None:
    def of(depth: int) -> float:
        lines = "\n".join(
            f"param U{i} : (n, n) ~ N(0, 2 / n)\nh{i} = U{i} @ relu(h{i - 1})" for i in range(1, depth + 1)
        )
        start = "program p\nwidth n\ninput x : (d)\nparam W : (n, d) ~ N(0, 2 / d)\nparam V : (1, n) ~ N(0, 1 / n)\n"
        text = f"{start}h0 = W @ x\n{lines}\noutput f = V @ relu(h{depth})\n"
        return effort(lower(tp.parse(text).derive().system).pair)

    assert of(4) - of(3) == of(3) - of(2) > 0
