"""Whether the expectation of a function of several Gaussians exists, told from bounds of its values and of its growth.

A denominator must stay away from zero, the argument of a logarithm or a root must not be negative, and the argument of
an exponential must be bounded above or grow no faster than the variables: E exp(u v) is infinite for variances of one,
E 1/(u + relu(v))² for all. Of ratios of Gaussians (`dual.joint.ratios`) powers are counted where denominators vanish
(`dual.joint.poles`). What can be shown neither so nor by intervals is refused: the rule is sufficient, not necessary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tensorprog.dual.joint.poles import check_poles
from tensorprog.dual.joint.reading import find_ratios
from tensorprog.dual.undefined import InfiniteExpectation, UndefinedExpectation
from tensorprog.nonlin.expression import Apply, Expr, Number, Operand, Symbol, operands
from tensorprog.nonlin.simplify import inline
from tensorprog.nonlin.text import text
from tensorprog.nonlin.traverse import fold

__all__ = ["check_integrable"]

Array = npt.NDArray[np.float64]

_INF = math.inf


@dataclass(frozen=True, slots=True)
class _Range:
    """low ≤ value ≤ high, and |value| ≤ C (1 + |u|)^degree; the degree is infinite if it grows exponentially."""

    low: float
    high: float
    degree: float

    @property
    def bound(self) -> float:
        """The greatest absolute value."""
        return max(-self.low, self.high)


_UNIT = _Range(0.0, 1.0, 0.0)
_SIGNED = _Range(-1.0, 1.0, 0.0)
_ANY = _Range(-_INF, _INF, _INF)


def check_integrable(function: Expr, values: Mapping[str, float], spans: Iterable[Array] | None = None) -> None:
    """Raise if E f(u_1, …, u_k) may not exist.

    Args:
        function: f, over Operand(0), …, Operand(k − 1).
        values: those of the hyperparameters.
        spans: the laws, if they are centred: the variables as vectors (k, m) of independent ones.

    Raises:
        UndefinedExpectation: a denominator that may vanish, a root or logarithm of what may be negative.
        InfiniteExpectation: growth like exp(u v), denominators that come near zero together too often.
    """
    if spans is None or not _is_ratio(function, values, spans):
        _check_ranges(function, values)


def _is_ratio(function: Expr, values: Mapping[str, float], spans: Iterable[Array]) -> bool:
    """Return whether the function is a ratio of Gaussians, the powers in which are counted then.

    Raises:
        InfiniteExpectation: there are too many in the denominator.
    """
    size = max(operands(function), default=-1) + 1
    terms = find_ratios(function, size, tuple(sorted((name, float(value)) for name, value in values.items())))
    if terms is None or not any(term.powers for term in terms):
        return False
    if any(form.constant == 0 for term in terms for form, _ in term.powers):
        for span in spans:
            check_poles(terms, span[:size])
    return True


def _check_ranges(function: Expr, values: Mapping[str, float]) -> None:

    def rule(node: Expr, args: tuple[_Range, ...]) -> _Range:
        match node:
            case Number(value):
                return _Range(value, value, 0.0)
            case Symbol(name):
                known = math.pi if name == "pi" else values.get(name)
                return _Range(-_INF, _INF, 0.0) if known is None else _Range(known, known, 0.0)
            case Operand():
                return _Range(-_INF, _INF, 1.0)
            case Apply("pow", (base, Apply("neg", (Number(exponent),)))):
                return _power(Apply("pow", (base, Number(-exponent))), args[0], -float(exponent))
            case Apply("pow"):
                return _power(node, args[0], args[1].low if args[1].low == args[1].high else None)
            case Apply("mul", (left, right)) if left == right:
                return _square(args[0])
            case Apply(name) if name in _CHECKS:
                _CHECKS[name](node, args)
        return _RULES[node.function](*args) if isinstance(node, Apply) and node.function in _RULES else _ANY

    fold(inline(function), rule)


def _product(a: float, b: float) -> float:
    return 0.0 if a == 0 or b == 0 else a * b


def _multiply(a: _Range, b: _Range) -> _Range:
    ends = [_product(x, y) for x in (a.low, a.high) for y in (b.low, b.high)]
    return _Range(min(ends), max(ends), a.degree + b.degree)


def _divide(a: _Range, b: _Range) -> _Range:
    ends = sorted(1 / end if math.isfinite(end) else 0.0 for end in (b.low, b.high))
    return _multiply(a, _Range(ends[0], ends[1], 0.0))


def _power(node: Apply, base: _Range, exponent: float | None) -> _Range:
    if exponent is None or (exponent != int(exponent) and base.low < 0):
        raise UndefinedExpectation(f"{_told(node)} is undefined where its base is negative")
    if exponent < 0 and base.low <= 0 <= base.high:
        raise UndefinedExpectation(f"{_told(node)} may have no expectation: its base may come near zero")
    if exponent < 0:
        positive = _power(node, base, -exponent)
        return _divide(_Range(1.0, 1.0, 0.0), positive)
    ends = [_root(base.low, exponent), _root(base.high, exponent)]
    low = 0.0 if exponent % 2 == 0 and base.low <= 0 <= base.high else min(ends)
    return _Range(low, max(ends), base.degree * exponent if exponent else 0.0)


def _square(a: _Range) -> _Range:
    low = 0.0 if a.low <= 0 <= a.high else min(_root(a.low, 2), _root(a.high, 2))
    return _Range(low, _root(a.bound, 2), 2 * a.degree)


def _root(value: float, exponent: float) -> float:
    try:
        return float(value**exponent)
    except OverflowError:
        return _INF


def _exponential(a: _Range) -> _Range:
    low, high = (math.exp(end) if end < 700 else _INF for end in (a.low, a.high))
    return _Range(low, high, 0.0 if high < _INF else _INF)


def _check_denominator(node: Apply, args: tuple[_Range, ...]) -> None:
    if args[1].low <= 0 <= args[1].high:
        raise UndefinedExpectation(f"{_told(node)} may have no expectation: its denominator may come near zero")


def _check_sign(node: Apply, args: tuple[_Range, ...]) -> None:
    if args[0].low < 0:
        raise UndefinedExpectation(f"{_told(node)} may be undefined: its argument may be negative")


def _check_growth(node: Apply, args: tuple[_Range, ...]) -> None:
    if args[0].high == _INF and args[0].degree > 1:
        raise InfiniteExpectation(f"{_told(node)} may have an infinite expectation: its argument grows too fast")


def _told(node: Apply) -> str:
    names = [f"u{number}" for number in range(1, 100)]
    return text(node, names)


def _like_relu(a: _Range) -> _Range:
    return _Range(max(a.low, 0.0), max(a.high, 0.0), a.degree)


_CHECKS: Mapping[str, Callable[[Apply, tuple[_Range, ...]], None]] = {
    "div": _check_denominator,
    "log": _check_sign,
    "sqrt": _check_sign,
    "exp": _check_growth,
}

_RULES: Mapping[str, Callable[..., _Range]] = {
    "add": lambda a, b: _Range(a.low + b.low, a.high + b.high, max(a.degree, b.degree)),
    "sub": lambda a, b: _Range(a.low - b.high, a.high - b.low, max(a.degree, b.degree)),
    "neg": lambda a: _Range(-a.high, -a.low, a.degree),
    "mul": _multiply,
    "div": _divide,
    "square": _square,
    "cube": lambda a: _Range(_root(a.low, 3), _root(a.high, 3), 3 * a.degree),
    "sqrt": lambda a: _Range(math.sqrt(max(a.low, 0.0)), math.sqrt(max(a.high, 0.0)), a.degree / 2),
    "exp": _exponential,
    "log": lambda a: _Range(-_INF, _INF, 1.0 if a.degree == _INF else 0.0),
    "abs": lambda a: _Range(max(a.low, -a.high, 0.0), a.bound, a.degree),
    "relu": _like_relu,
    "relu_k": lambda a, k: _Range(0.0, _INF if a.high > 0 else 0.0, a.degree * k.high),
    "hermite": lambda a, k: _Range(-_INF, _INF, a.degree * k.high),
    "leaky_relu": lambda a, slope: _Range(-_INF, _INF, a.degree),
    "max": lambda a, b: _Range(max(a.low, b.low), max(a.high, b.high), max(a.degree, b.degree)),
    "min": lambda a, b: _Range(min(a.low, b.low), min(a.high, b.high), max(a.degree, b.degree)),
    "elu": lambda a: _Range(-1.0, max(a.high, 0.0), a.degree),
    "softplus": lambda a: _Range(0.0, _INF, a.degree),
    "silu": lambda a: _Range(-0.28, max(a.high, 0.0), a.degree),
    "gelu": lambda a: _Range(-0.18, max(a.high, 0.0), a.degree),
    **dict.fromkeys(("step", "Phi", "sigmoid", "gauss"), lambda a: _UNIT),
    **dict.fromkeys(("tanh", "erf", "sin", "cos", "sign"), lambda a: _SIGNED),
}
