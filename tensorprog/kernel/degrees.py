"""Degrees of homogeneity: how the quantities of a kernel program scale with its data.

If x is multiplied by a > 0 and x′ by b > 0, a quantity of degree (α, β) is multiplied by a^α b^β. Inner products have
degree (1, 1); sums keep the degree that all their terms have, products add degrees; an angle has degree (0, 0). A ReLU
network without biases has kernels of degree (1, 1) throughout, so they are ‖x‖ ‖x′‖ times a function of the angle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

from tensorprog.kernel.ir import Const, Copy, KernelIR, Let, Loop, Op, Parameter, Position, Ref, Scalar, Statement

__all__ = ["UNCHANGED", "Degree", "result_degrees"]

Degree = tuple[Fraction, Fraction]
"""α and β."""

UNCHANGED = (Fraction(0), Fraction(0))
_HALF = Fraction(1, 2)


class _Inhomogeneous(Exception):
    """A quantity has no degree."""


def result_degrees(ir: KernelIR) -> tuple[Degree, ...] | None:
    """Return the degree of every result of a pair program without axes, None unless all have one."""
    sample = dict.fromkeys(ir.grams, (Fraction(2), Fraction(0)))
    pair = {name: UNCHANGED if name in ir.deviations else (Fraction(1), Fraction(1)) for name in ir.grams}
    try:
        _Scaling({Copy.OWN: sample}).run(ir.sample)
        right = {name: (beta, alpha) for name, (alpha, beta) in sample.items()}
        scaling = _Scaling({Copy.OWN: pair, Copy.LEFT: sample, Copy.RIGHT: right})
        scaling.run(ir.pair)
        return tuple(scaling.of(result.pair) or UNCHANGED for result in ir.results)
    except _Inhomogeneous:
        return None


class _Scaling:
    """The degrees of one program, as they are found."""

    def __init__(self, known: Mapping[Copy, dict[str, Degree]]) -> None:
        self.known = known

    def run(self, statements: tuple[Statement, ...]) -> None:
        """Find the degrees of all definitions; a quantity of a loop has one degree at all its steps."""
        for statement in statements:
            if isinstance(statement, Loop):
                self.run(statement.initial)
                self.run(statement.body)
                self.run(statement.body)  # what a step reads of the one before is known now, and must agree
            elif isinstance(statement, Let) and not statement.axes:
                self._define(statement.name, self.of(statement.value))
            else:
                raise _Inhomogeneous

    def _define(self, name: str, degree: Degree | None) -> None:
        if degree is not None and self.known[Copy.OWN].setdefault(name, degree) != degree:
            raise _Inhomogeneous

    def of(self, scalar: Scalar) -> Degree | None:
        """Return the degree of an expression, None for zero, which has every degree."""
        match scalar:
            case Const(value):
                return None if value == 0 else UNCHANGED
            case Parameter() | Position():
                return UNCHANGED
            case Ref(name, copy=copy) if name in self.known[copy]:
                return self.known[copy][name]
            case Op(operator, args):
                return _RULES.get(operator, _invariant)([self.of(arg) for arg in args], args)
        raise _Inhomogeneous


def _times(degree: Degree, factor: Fraction) -> Degree:
    return degree[0] * factor, degree[1] * factor


def _plus(one: Degree, other: Degree, sign: int = 1) -> Degree:
    return one[0] + sign * other[0], one[1] + sign * other[1]


_Args = list[Degree | None]
_Rule = Callable[[_Args, tuple[Scalar, ...]], Degree | None]


def _same(degrees: _Args, args: tuple[Scalar, ...]) -> Degree | None:
    """Sums, maxima, minima: all terms have one degree, which is that of the result."""
    found = {degree for degree in degrees if degree is not None}
    if len(found) > 1:
        raise _Inhomogeneous
    return found.pop() if found else None


def _product(degrees: _Args, args: tuple[Scalar, ...]) -> Degree | None:
    total = UNCHANGED
    for degree in degrees:
        if degree is None:
            return None
        total = _plus(total, degree)
    return total


def _quotient(degrees: _Args, args: tuple[Scalar, ...]) -> Degree | None:
    above, below = degrees
    return None if above is None or below is None else _plus(above, below, -1)


def _power(degrees: _Args, args: tuple[Scalar, ...]) -> Degree | None:
    if not isinstance(args[1], Const):
        return _invariant(degrees, args)
    return None if degrees[0] is None else _times(degrees[0], Fraction(args[1].value))


def _root(degrees: _Args, args: tuple[Scalar, ...]) -> Degree | None:
    return None if degrees[0] is None else _times(degrees[0], _HALF)


def _ratio_root(degrees: _Args, args: tuple[Scalar, ...]) -> Degree | None:
    found = _quotient(degrees, args)
    return None if found is None else _times(found, _HALF)


def _determinant(degrees: _Args, args: tuple[Scalar, ...]) -> Degree | None:
    first, second, product = degrees
    if first is None or second is None:
        return None
    total = _plus(first, second)
    if product is not None and _times(product, Fraction(2)) != total:
        raise _Inhomogeneous
    return total


def _angle(degrees: _Args, args: tuple[Scalar, ...]) -> Degree:
    """Functions of the correlation alone."""
    _determinant(degrees, args)
    return UNCHANGED


def _direction(degrees: _Args, args: tuple[Scalar, ...]) -> Degree:
    """Functions of the direction of (y, x) alone."""
    _same(degrees, args)
    return UNCHANGED


def _arc(degrees: _Args, args: tuple[Scalar, ...]) -> Degree:
    _invariant(degrees[:1], args)
    return UNCHANGED


def _shortfall(degrees: _Args, args: tuple[Scalar, ...]) -> Degree:
    _same([_product(degrees[:2], args), degrees[2]], args)
    return UNCHANGED


def _chosen(degrees: _Args, args: tuple[Scalar, ...]) -> Degree | None:
    return _same(degrees[1:], args)


def _sign(degrees: _Args, args: tuple[Scalar, ...]) -> Degree:
    return UNCHANGED


def _invariant(degrees: _Args, args: tuple[Scalar, ...]) -> Degree:
    """Any other function: of arguments that do not change."""
    if any(degree not in (None, UNCHANGED) for degree in degrees):
        raise _Inhomogeneous
    return UNCHANGED


def _reciprocal(degrees: _Args, args: tuple[Scalar, ...]) -> Degree | None:
    return None if degrees[0] is None else _times(degrees[0], Fraction(-1))


_RULES: Mapping[str, _Rule] = {
    **dict.fromkeys(("add", "sub", "neg", "abs", "max", "min"), _same),
    "mul": _product,
    "div": _quotient,
    "pow": _power,
    "sqrt": _root,
    "Sine": _root,
    "Share": _ratio_root,
    "Det": _determinant,
    "Angle": _angle,
    **dict.fromkeys(("Atan2", "atan2"), _direction),
    "Arc": _arc,
    "Versine": lambda degrees, args: _invariant(degrees[:1], args),
    "Shortfall": _shortfall,
    "Either": _chosen,
    **dict.fromkeys(("Support", "sign"), _sign),
    "Reciprocal": _reciprocal,
}
