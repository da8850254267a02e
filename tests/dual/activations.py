"""Random activations from the algebra that has closed forms, their kinks at multiples of ½ between −2 and 3."""

from __future__ import annotations

from hypothesis import strategies as st

from tensorprog.nonlin.expression import Expr, Number, Operand, apply

__all__ = ["ACTIVATIONS", "PLAIN"]

U = Operand(0)
_KINKS = st.integers(-4, 4).map(lambda i: i / 2)
_SLOPES = st.sampled_from([-1.5, -1.0, -0.5, 0.5, 1.0, 2.0])
_SHIFTS = st.sampled_from([-0.75, 0.0, 0.0, 0.25, 1.0])


def _clip(u: Expr, low: float) -> Expr:
    return apply("min", apply("max", u, low), low + 1)


_POWERS = st.sampled_from([Number(1), Number(1), U, U - 0.5, U**2, U**3 - 2 * U])
_STEPS = st.one_of(
    st.builds(lambda t: apply("step", U - t), _KINKS),
    st.builds(lambda t: apply("step", t - U), _KINKS),
    st.builds(lambda t: apply("relu", U - t), _KINKS),
    st.builds(lambda t: apply("relu", t - U), _KINKS),
    st.builds(lambda t: apply("abs", U - t), _KINKS),
    st.builds(lambda t: apply("sign", 2 * U - 2 * t), _KINKS),
    st.builds(lambda t: apply("leaky_relu", U - t, 0.25), _KINKS),
    st.builds(lambda t: _clip(U, t), _KINKS),
    st.builds(lambda t: apply("relu", apply("relu", U - t) - 0.5), _KINKS),
    st.just(apply("relu", U)),
)
_SMOOTH_GATES = st.one_of(
    st.builds(lambda a, b: apply("erf", a * U + b), _SLOPES, _SHIFTS),
    st.builds(lambda a, b: apply("Phi", a * U + b), _SLOPES, _SHIFTS),
    st.builds(lambda b: apply("gelu", U + b), _SHIFTS),
)
_EXPONENTIALS = st.one_of(
    st.builds(lambda a, b: apply("gauss", a * U + b), _SLOPES, _SHIFTS),
    st.sampled_from([apply("exp", U / 2), apply("exp", -U), apply("exp", -(U**2) / 4 + U)]),
)
_WAVES = st.one_of(
    st.builds(lambda w, b: apply("sin", w * U + b), _SLOPES, _SHIFTS),
    st.builds(lambda w, b: apply("cos", w * U + b), _SLOPES, _SHIFTS),
)
_ONE = st.just(Number(1))


def _product(*factors: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    def multiplied(chosen: tuple[Expr, ...]) -> Expr:
        result = chosen[0]
        for factor in chosen[1:]:
            result = result * factor
        return result

    return st.tuples(*factors).map(multiplied)


_GATES = st.one_of(_STEPS, _SMOOTH_GATES)
_SUMS = st.tuples(_POWERS, _GATES).map(lambda pair: pair[0] - 0.5 * pair[1])
_ELUS = st.builds(lambda t: apply("elu", U - t), _KINKS)

PLAIN = st.one_of(_product(_POWERS, _GATES, st.one_of(_ONE, _EXPONENTIALS)), _SUMS, _ELUS)
"""Polynomials times a gate times an exponential, and sums of such."""

ACTIVATIONS = st.one_of(
    PLAIN,
    _product(_POWERS, st.one_of(_ONE, _EXPONENTIALS), _WAVES),
    _product(_POWERS, _EXPONENTIALS),
    _product(_POWERS, _GATES, _WAVES),
)
"""All of the algebra: the last kind has a gate and a sine."""
