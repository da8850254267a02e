"""Programs for which a limit was once wrong, and pairs of programs that say the same and so have one kernel."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad

import tensorprog as tp
from tensorprog.finite.measure import integrate_readout

X = np.random.default_rng(5).standard_normal((4, 3))
Q = np.sum(X * X, axis=1) / X.shape[1]
"""E h² of h = U x, U of variance 1/d."""

HEAD = """program p(zero = 0, alpha = 0.7)
width n
input x : (d)
param U : (n, d) ~ N(0, 1 / d)
param V : (1, n) ~ N(0, 1 / n)
"""


def matrices(*names: str, of: str = "N(0, 1 / n)") -> str:
    """Return declarations of square matrices."""
    return "".join(f"param {name} : (n, n) ~ {of}\n" for name in names)


def kernels(text: str, x: object = X) -> tuple[np.ndarray, np.ndarray]:
    """Return the NNGP and the NTK of a program."""
    result = tp.parse(text).compile(backend="interpret")(x, get=("nngp", "ntk"))
    return result.nngp, result.ntk


def assert_same(first: str, second: str, tolerance: float = 1e-12) -> None:
    """Check that two programs have the same kernels."""
    for left, right in zip(kernels(first), kernels(second), strict=True):
        scale = np.sqrt(np.outer(np.diag(right), np.diag(right)))
        assert np.max(np.abs(left - right) / scale) < tolerance


W = "param W : (n, n) ~ N(0, 1 / n)\n"
STEPS = matrices("A", "B")

# A loop, and the same written out: what the loop enters with differs in some way from what its steps make.
LOOPS = {
    "initial_value_is_read_again": (
        "g = U @ x\nh = g\nfor l in 1..2 {\n" + W + "h = W @ (relu(h) + relu(g))\n}\noutput f = V @ h",
        STEPS + "g = U @ x\nh = A @ (2 * relu(g))\nk = B @ (relu(h) + relu(g))\noutput f = V @ k",
    ),
    "function_of_a_function_of_the_step_before": (
        "h = U @ x\nfor l in 1..2 {\n" + W + "h = relu(W @ tanh(h))\n}\noutput f = V @ h",
        STEPS + "h = relu(A @ tanh(U @ x))\nk = relu(B @ tanh(h))\noutput f = V @ k",
    ),
    "initial_mean": (
        "param b : (n) ~ N(1, 0.1)\nh = U @ x + b\nfor l in 1..2 {\n" + W + "h = W @ relu(h)\n}\noutput f = V @ h",
        STEPS + "param b : (n) ~ N(1, 0.1)\nh = A @ relu(U @ x + b)\nk = B @ relu(h)\noutput f = V @ k",
    ),
    "initial_value_is_not_gaussian": (
        "h = relu(U @ x)\nfor l in 1..2 {\n" + W + "h = W @ tanh(h)\n}\noutput f = V @ h",
        STEPS + "h = A @ tanh(relu(U @ x))\nk = B @ tanh(h)\noutput f = V @ k",
    ),
    "data_scaled_by_the_index": (
        "h = U @ x\nfor l in 1..2 {\nparam Q : (n, d) ~ N(0, 1 / d)\nh = h + Q @ (x / l)\n}\noutput f = V @ relu(h)",
        "param A : (n, d) ~ N(0, 1 / d)\nparam B : (n, d) ~ N(0, 1 / d)\n"
        "h = U @ x + A @ x + B @ (x / 2)\noutput f = V @ relu(h)",
    ),
    "data_carried": (
        "h = U @ x\nz = x\nfor l in 1..2 {\nparam Q : (n, d) ~ N(0, 1 / d)\nz = z / 2\nh = h + Q @ z\n}\n"
        "output f = V @ relu(h)",
        "param A : (n, d) ~ N(0, 1 / d)\nparam B : (n, d) ~ N(0, 1 / d)\n"
        "h = U @ x + A @ (x / 2) + B @ (x / 4)\noutput f = V @ relu(h)",
    ),
    "readouts_summed": (
        "h = U @ x\nf = V @ h\nfor l in 1..2 {\nparam R : (1, n) ~ N(0, 1 / n)\n"
        + W
        + "h = W @ relu(h)\nf = f + R @ h\n}\n"
        "output g = f",
        STEPS + "param R : (1, n) ~ N(0, 1 / n)\nparam S : (1, n) ~ N(0, 1 / n)\n"
        "h = A @ relu(U @ x)\nk = B @ relu(h)\noutput g = V @ (U @ x) + R @ h + S @ k",
    ),
    "two_steps_in_one_product": (
        "h = U @ x\ns = h\nfor l in 1..2 {\nparam Q : (n, n) ~ N(0, 1 / n)\n"
        + W
        + "p = h\nh = W @ erf(h)\ns = s + Q @ (h * p)\n}\n"
        "output f = V @ s",
        STEPS + matrices("C", "D") + "o = U @ x\nh = A @ erf(o)\nk = B @ erf(h)\n"
        "output f = V @ (o + C @ (h * o) + D @ (k * h))",
    ),
    "tangent_that_vanishes_after_the_first_step": (
        "h = U @ x\ns = h\nfor l in 1..2 {\nfrozen W : (n, n) ~ N(0, 1 / n)\nparam Q : (n, n) ~ N(0, 1 / n)\n"
        "s = s + Q @ relu(h)\nh = W @ step(h)\n}\noutput f = V @ s",
        "frozen A : (n, n) ~ N(0, 1 / n)\n" + matrices("C", "D") + "h = U @ x\nk = A @ step(h)\n"
        "output f = V @ (h + C @ relu(h) + D @ relu(k))",
    ),
    "state_and_a_function_of_it_after_the_loop": (
        "h = U @ x\nfor l in 1..2 {\n" + W + "h = W @ h\n}\noutput f = V @ sin(h) + 0.5 * V @ h",
        STEPS + "h = B @ (A @ (U @ x))\noutput f = V @ (sin(h) + 0.5 * h)",
    ),
    "loop_that_is_unrolled_for_the_ntk_alone": (
        "h = erf(U @ x)\nfor l in 1..2 {\nh = h * 0.5 + relu(h)\n}\noutput f = V @ sin(h)",
        "h = erf(U @ x)\na = h * 0.5 + relu(h)\nb = a * 0.5 + relu(a)\noutput f = V @ sin(b)",
    ),
    "index_and_width_in_the_scale": (
        "h = U @ x\nfor l in 1..2 {\nparam W : (n, n) ~ N(0, l / n)\n"
        "h = h + alpha / sqrt(l) * (W @ cos(l * h))\n}\noutput f = V @ h",
        matrices("A")
        + matrices("B", of="N(0, 2 / n)")
        + "h = U @ x\nk = h + alpha * (A @ cos(h))\nm = k + alpha / sqrt(2) * (B @ cos(2 * k))\noutput f = V @ m",
    ),
}


@pytest.mark.parametrize("name", LOOPS)
def test_loop_is_the_same_as_its_steps_written_out(name: str) -> None:
    loop, written = LOOPS[name]
    assert_same(HEAD + loop, HEAD + written)


# Two ways to say one thing.
PAIRS = {
    "scale_moved_from_variance_to_factor": (
        STEPS.replace("1 / n", "1 / n", 1) + "h = A @ relu(U @ x)\noutput f = V @ relu(B @ h)",
        matrices("A", "B", of="N(0, 1)") + "h = (A @ relu(U @ x)) / sqrt(n)\noutput f = V @ relu(n^(-0.5) * (B @ h))",
    ),
    "nothing_added": (
        STEPS + "h = A @ relu(U @ x)\noutput f = V @ relu(h)",
        STEPS + "g = U @ x\nh = A @ relu(g) + zero * (B @ g) + 0 * g\noutput f = V @ relu(h)",
    ),
    "statements_permuted": (
        STEPS + "g = U @ x\na = A @ erf(g)\nb = B @ relu(g)\noutput f = V @ (sin(a) * tanh(b))",
        STEPS + "g = U @ x\nb = B @ relu(g)\na = A @ erf(g)\noutput f = V @ (tanh(b) * sin(a))",
    ),
    "matrix_is_linear": (
        STEPS + "g = U @ x\noutput f = V @ relu(A @ relu(g) + A @ sin(g))",
        STEPS + "g = U @ x\noutput f = V @ relu(A @ (relu(g) + sin(g)))",
    ),
    "variables_renamed": (
        STEPS + "h = A @ relu(U @ x)\nk = B @ erf(h)\noutput f = V @ k",
        STEPS + "K_h = A @ relu(U @ x)\nT_K_h = B @ erf(K_h)\noutput D_f = V @ T_K_h",
    ),
    "coefficient_folded": (
        STEPS + "g = U @ x\nh = g + alpha * (A @ relu(g))\noutput f = V @ relu(h)",
        "param A : (n, n) ~ N(0, alpha^2 / n)\ng = U @ x\nh = g + A @ relu(g)\noutput f = V @ relu(h)",
    ),
    "relu_from_abs": (
        STEPS + "h = A @ relu(U @ x)\noutput f = V @ relu(h)",
        STEPS + "g = U @ x\nh = A @ ((g + abs(g)) / 2)\noutput f = V @ (0.5 * h + 0.5 * abs(h))",
    ),
    "block_written_out": (
        "block two(v, n) {\nparam A : (n, n) ~ N(0, 1 / n)\nparam b : (n) ~ N(0.2, 0.1)\nreturn A @ erf(v) + b\n}\n"
        "output f = V @ two(two(U @ x, n), n)",
        STEPS + "param b : (n) ~ N(0.2, 0.1)\nparam c : (n) ~ N(0.2, 0.1)\n"
        "h = A @ erf(U @ x) + b\noutput f = V @ (B @ erf(h) + c)",
    ),
    "mean_of_a_bias_added_by_hand": (
        STEPS + "param b : (n) ~ N(0.4, 0.3)\noutput f = V @ relu(A @ erf(U @ x + b))",
        STEPS + "param b : (n) ~ N(0, 0.3)\nh = U @ x + b\noutput f = V @ relu(A @ erf(h + 0.4))",
    ),
    "scalar_function_inlined": (
        "fn phi(u) = u / (1 + u^2)\nh = U @ x\noutput f = V @ (relu(h) * phi(avg(h^2)))",
        "h = U @ x\nc = avg(h^2)\ne = c / (1 + c^2)\noutput f = V @ (e * relu(h))",
    ),
    "product_expanded": (
        STEPS + "g = U @ x\na = A @ relu(g)\nb = B @ relu(g)\noutput f = V @ ((a + b) * (a - b))",
        STEPS + "g = U @ x\na = A @ relu(g)\nb = B @ relu(g)\noutput f = V @ (a^2 - b^2)",
    ),
    "layer_norm_of_a_shifted_vector": (
        STEPS
        + "h = A @ relu(U @ x)\nm = avg(h)\nv = avg((h - m)^2)\noutput f = V @ relu(B @ ((h - m) / sqrt(v + 0.1)))",
        STEPS + "h = A @ relu(U @ x) + 3\nm = avg(h)\nv = avg((h - m)^2)\n"
        "y = (h - m) / sqrt(v + 0.1)\noutput f = V @ relu(B @ y)",
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_rewritten_program_has_the_same_kernel(name: str) -> None:
    first, second = PAIRS[name]
    if name in ("scale_moved_from_variance_to_factor", "coefficient_folded"):
        first, second = HEAD + first, HEAD + second
        assert np.allclose(kernels(first)[0], kernels(second)[0], rtol=1e-12)
        return
    assert_same(HEAD + first, HEAD + second)


def test_scalar_input_may_be_called_like_a_derived_quantity() -> None:
    text = HEAD + "input NAME : ()\nh = (U @ x) * NAME\noutput f = V @ relu(h)"
    results = [kernels(text.replace("NAME", name), {"x": X, name: X[:, 0]}) for name in ("K_h", "s")]
    assert all(np.array_equal(*pair) for pair in zip(*results, strict=True))


@pytest.mark.parametrize(
    ("function", "mean", "square"),
    [
        # E[u F(sign u)] = (F(1) − F(−1)) √(q / 2π): not F′(sign 0) times the density.
        ("erf(sign(h))", 2 * math.erf(1), math.erf(1) ** 2),
        ("step(h)^3", 1.0, 0.5),
        ("(sign(h) * cos(zero * h))", 2.0, 1.0),
    ],
)
def test_linear_function_against_a_function_that_jumps(function: str, mean: float, square: float) -> None:
    nngp, _ = kernels(HEAD + f"h = U @ x\noutput f = V @ {function} + V @ h")
    expected = square + 2 * mean * np.sqrt(Q / (2 * np.pi)) + Q
    np.testing.assert_allclose(np.diag(nngp), expected, rtol=1e-10)


def test_function_whose_inner_argument_is_zero_on_a_half_line() -> None:
    # relu(u) + step(u) is 0 for u < 0, so that step of it is 1/2 there and 1 elsewhere.
    text = HEAD + "h = U @ x\ny = relu(h) + step(h)\noutput f = V @ (y + step(y))"
    net = tp.parse(text).compile(backend="interpret")
    off, on = net(X, X, get="nngp"), net(X, get="nngp")
    for i, q in enumerate(Q):
        density = lambda u, q=q: math.exp(-u * u / (2 * q)) / math.sqrt(2 * math.pi * q)  # noqa: E731
        right = quad(lambda u, p=density: (u + 2) ** 2 * p(u), 0, 40, epsabs=1e-13)[0]
        assert on[i, i] == pytest.approx(right + 0.125, rel=1e-10)
        assert off[i, i] == pytest.approx(right + 0.125, rel=1e-7)  # a jump at a correlation of 1 − 1e-16


# The quadrature of a square root ends with a stated error of 4e-6.
@pytest.mark.filterwarnings("ignore::tensorprog.PrecisionWarning")
@pytest.mark.parametrize("function", ["log(abs(h))", "sqrt(abs(h))", "abs(h)^0.5", "sqrt(relu(h))", "abs(h)^(1 / 4)"])
def test_infinite_ntk_is_refused_where_the_nngp_is_finite(function: str) -> None:
    net = tp.parse(HEAD + f"h = U @ x\noutput f = V @ {function}").compile(backend="interpret")
    assert np.isfinite(net(X, get="nngp")).all()
    with pytest.raises(tp.TensorProgramError, match=r"has (no|an infinite) expectation"):
        net(X, get="ntk")


def test_second_moment_of_a_logarithm_against_the_vector_itself() -> None:
    # h and log |h| are uncorrelated, so K(h + log |h|) = K(h) + K(log |h|).
    both, _log, _h = (
        tp.parse(HEAD + "h = U @ x\noutput f = " + f).compile(backend="interpret")(X, get="nngp")
        for f in ("V @ (h + log(abs(h)))", "V @ log(abs(h))", "V @ h")
    )
    np.testing.assert_allclose(both, _log + _h, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("relu_k(c, 2)", lambda c: c**2),
        ("hermite(c, 2)", lambda c: (c**2 - 1) / math.sqrt(2)),
        ("max(c, 0.5)", lambda c: np.maximum(c, 0.5)),
        ("min(c, 0.5)", lambda c: np.minimum(c, 0.5)),
        ("leaky_relu(0.5 - c, 0.1)", lambda c: np.where(c < 0.5, 0.5 - c, 0.1 * (0.5 - c))),
        ("step(c - 0.5)", lambda c: (c > 0.5).astype(float)),
        ("elu(-c)", lambda c: np.expm1(-c)),
    ],
)
@pytest.mark.parametrize("backend", ["interpret", "cpu"])
def test_functions_of_scalars(formula: str, value: object, backend: str) -> None:
    text = HEAD + f"h = U @ x\nc = avg(h^2)\noutput f = V @ ({formula} * h)"
    scalar = value(Q)  # type: ignore[operator]
    nngp = tp.parse(text).compile(backend=backend)(X, get="nngp")
    np.testing.assert_allclose(nngp, np.outer(scalar, scalar) * (X @ X.T) / 3, rtol=1e-12, atol=1e-14)


SHRINKING = "param R : (1, n) ~ N(0, 1)\n" + matrices("A", of="N(0, 1 / n^2)") + "h = A @ relu(U @ x)\n"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("param b : (n) ~ N(0, 1)\nh = U @ x\noutput f = V @ relu(h / avg(b))", "TP322"),
        (STEPS + "h = U @ x\nc = dot(A @ h, B @ h) / sqrt(n)\noutput f = V @ (relu(h) * tanh(c) + h)", "TP322"),
        ("h = U @ x\nc = sqrt(n) * avg(h)\noutput f = V @ (relu(h) * c + h)", "TP324"),
        # h is of order n^-1/2, R of order one: E f² is of order one, but not E of the functions at h = 0.
        (SHRINKING + "output f = R @ relu(h)", "TP324"),
        (SHRINKING + "output f = R @ tanh(h)", "TP323"),
        (SHRINKING + "output f = V @ sign(h)", "TP326"),
        ("c = avg((U @ x)^2)\nparam A : (n, d) ~ N(0, 1 / d)\noutput f = V @ relu(A @ (x * c))", "TP334"),
    ],
)
def test_what_has_no_limit_is_refused_with_its_place(body: str, code: str) -> None:
    with pytest.raises(tp.TensorProgramError) as caught:
        tp.parse(HEAD + body).derive()
    assert caught.value.code == code
    assert caught.value.span is not None


SAMPLED = ["initial_value_is_read_again", "initial_mean", "initial_value_is_not_gaussian", "data_carried"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["initial_value_is_read_again", "initial_mean", "initial_value_is_not_gaussian", "data_carried"]
)
def test_loop_agrees_with_sampled_networks(name: str) -> None:
    net, draws = tp.parse(HEAD + LOOPS[name][0]), 60
    source, limits = net.outputs[0].source, kernels(HEAD + LOOPS[name][0])
    means, errors = [], []
    for width in (200, 800):
        drawn = [net.sample(width, seed=seed) for seed in range(draws)]
        found = np.array([[integrate_readout(network, X, source), network.ntk(X)] for network in drawn])
        means.append(found.mean(0))
        errors.append(found.std(0, ddof=1) / math.sqrt(draws))
    extrapolated = (4 * means[1] - means[0]) / 3
    error = np.sqrt((4 * errors[1]) ** 2 + errors[0] ** 2) / 3
    for limit, mean, deviation in zip(limits, extrapolated, error, strict=True):
        scale = np.sqrt(np.outer(np.diag(limit), np.diag(limit)))
        assert np.max(np.abs(mean - limit) / (deviation + 2e-3 * scale)) < 5


def test_a_law_that_is_a_number_has_a_support():
    """relu(W cos(b)), b ~ N(0, 0.3): K = q / 2 and Θ = K + (q + 0.3 E sin²) / 2, q = E cos² = (1 + e^-0.6) / 2."""
    body = "param b : (n) ~ N(0, 0.3)\nparam W : (n, n) ~ N(0, 1 / n)\noutput f = V @ relu(W @ cos(b))"
    q, sine = (1 + np.exp(-0.6)) / 2, (1 - np.exp(-0.6)) / 2
    nngp, ntk = constant_kernels(body)
    np.testing.assert_allclose(nngp, q / 2, rtol=1e-13)
    np.testing.assert_allclose(ntk, q / 2 + (q + 0.3 * sine) / 2, rtol=1e-13)


def test_a_kernel_that_is_a_number():
    """erf(b): K = 2/π asin(2 q / (1 + 2 q)), K̇ = 4/π / √((1 + 2 q)² − 4 q²), q = 0.3 (Williams 1997)."""
    nngp, ntk = constant_kernels("param b : (n) ~ N(0, 0.3)\noutput f = V @ erf(b)")
    kernel = 2 / np.pi * np.arcsin(0.6 / 1.6)
    np.testing.assert_allclose(nngp, kernel, rtol=1e-13)
    np.testing.assert_allclose(ntk, kernel + 0.3 * 4 / np.pi / np.sqrt(1.6**2 - 0.6**2), rtol=1e-13)


def constant_kernels(body: str) -> tuple[np.ndarray, np.ndarray]:
    text = f"program p\nwidth n\ninput x : (d)\nparam V : (1, n) ~ N(0, 1 / n)\n{body}"
    kernel = tp.parse(text).compile(backend="interpret")
    return kernel(np.eye(2), np.ones((3, 2)), get=("nngp", "ntk"))
