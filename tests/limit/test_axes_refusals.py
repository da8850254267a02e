"""Programs with axes whose limit is refused, and data that do not fit their axes: codes, places, hints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tensorprog as tp

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

HEAD = """program refused(sw2 = 1.0)
width n
axis i : T
axis j : T
axis k : -1..1
input x[i] : (c)
param E : (n, c) ~ N(0, 1 / c)
param W : (n, n) ~ N(0, sw2 / n)
param U : (n, n) ~ N(0, sw2 / n)
param b : (n) ~ N(0, 0.1)
param V : (1, n) ~ N(0, 1 / n)
h[i] = relu(E @ x[i] + b)
"""
POOLED = "output f = V @ mean[i](y[i])\n"

# A body, the code of its refusal, and the line of the body that is at fault.
REFUSALS = {
    "the largest over an axis of any length": ("output f = V @ max[i](h[i])\n", "TP310", 1),
    "a function of a sum over an axis of any length": ("output f = V @ tanh(sum[i](h[i]))\n", "TP331", 1),
    "scores of the scale 1 / sqrt(n)": (
        "s[i, j] = dot(W @ h[i], U @ h[j]) / sqrt(n)\na[i, j] = softmax[j](s[i, j])\n"
        f"y[i] = sum[j](a[i, j] * (W @ h[j]))\n{POOLED}",
        "TP324",
        2,
    ),
    "scores of one matrix of the scale 1 / sqrt(n)": (
        "s[i, j] = dot(W @ h[i], W @ h[j]) / sqrt(n)\na[i, j] = softmax[j](s[i, j])\n"
        f"y[i] = sum[j](a[i, j] * (U @ h[j]))\n{POOLED}",
        "TP322",
        2,
    ),
    "an encoding of finite dimension": (
        f"param P[i] : (c) ~ N(0, 0.5)\ny[i] = relu(E @ (x[i] + P[i]))\n{POOLED}",
        "TP330",
        2,
    ),
    "weights of positions that all channels share": (
        f"param m[i, j] : () ~ N(0, 1)\ny[i] = sum[j](m[i, j] * h[j])\n{POOLED}",
        "TP330",
        2,
    ),
    "weights around a ring of any length": (
        f"axis r : T circular\nparam D[r] : (n, n) ~ N(0, 1 / n)\ny[i] = sum[j](D[i - j] @ h[j])\n{POOLED}",
        "TP337",
        3,
    ),
    "gates of a recurrence": (
        "scan i { g[i] = sigmoid(W @ y[i - 1] + E @ x[i]) ; y[i] = g[i] * y[i - 1] + erf(U @ y[i - 1] + E @ x[i]) }\n"
        f"{POOLED}",
        "TP335",
        1,
    ),
    "a recurrence with a matrix and its transpose": (
        f"scan i {{ y[i] = erf(W @ relu(W.T @ y[i - 1]) + E @ x[i]) }}\n{POOLED}",
        "TP350",
        1,
    ),
}


def refusal(text: str) -> tp.LimitError:
    with pytest.raises(tp.LimitError) as caught:
        tp.parse(text).derive()
    return caught.value


@pytest.mark.parametrize("name", REFUSALS)
def test_limits_outside_the_theory_are_refused(name: str) -> None:
    body, code, line = REFUSALS[name]
    error = refusal(HEAD + body)
    assert error.code == code, str(error)
    assert error.span is not None
    assert error.span.line == HEAD.count("\n") + line
    assert error.message


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape)


# An example, two data sets, the code, and words of the message.
UNFIT = {
    "a filter without a place": ("cnn1d", normal(2, 2, 3), None, "TP405", "`o`"),
    "a place in one of two data sets": ("cnn1d", normal(2, 5, 3), normal(2, 1, 3), "TP405", "`o`"),
    "a window without a place": ("cnn_flatten", normal(2, 4, 1, 3), None, "TP405", "`q`"),
    "an axis too few": ("cnn", normal(2, 4, 3), None, "TP403", "`x`"),
    "an empty sequence": ("rnn", normal(2, 0, 3), None, "TP405", "`t`"),
    "other features": ("rnn", normal(2, 4, 3), normal(2, 4, 2), "TP406", "`x`"),
    "one input of two": ("graph", normal(2, 4, 3), None, "TP401", "A"),
    "edges of other nodes": ("graph", {"A": normal(2, 3, 3), "x": normal(2, 4, 3)}, None, "TP403", "N"),
    "other numbers of graphs": ("graph", {"A": normal(3, 4, 4), "x": normal(2, 4, 3)}, None, "TP403", "samples"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_data_that_do_not_fit_are_refused(name: str) -> None:
    example, x1, x2, code, words = UNFIT[name]
    kernel = tp.load(EXAMPLES / f"{example}.tp").compile(backend="interpret")
    with pytest.raises(tp.DataError) as caught:
        kernel(x1, x2)
    assert caught.value.code == code
    assert words in caught.value.message
