"""What an entry of a kernel costs: operations of its pair program, in units of one addition in vectors."""

from __future__ import annotations

from collections.abc import Mapping

from tensorprog.kernel.ir import Expectation, Let, Loop, Op, Scalar, Statement, expressions, walk

__all__ = ["effort"]

_SLOW: Mapping[str, float] = {
    **dict.fromkeys(("div", "sqrt", "Sine", "Share", "Standard", "Shortfall", "Reciprocal"), 8.0),
    **dict.fromkeys(("add", "sub", "mul", "neg", "abs", "max", "min", "Versine", "Either", "Support"), 1.0),
    "Det": 6.0,
}
_SPECIAL = 30.0
"""Functions such as exp and arccos, and powers."""

_EXPECTATION = 200.0


def effort(statements: tuple[Statement, ...]) -> float:
    """Return the cost of the statements, loops with all their steps."""
    total = 0.0
    for statement in statements:
        if isinstance(statement, Loop):
            total += effort(statement.initial) + effort(statement.body) * (statement.last - statement.first + 1)
        elif isinstance(statement, Let):
            total += sum(_cost(node) for scalar in expressions(statement) for node in walk(scalar))
    return total


def _cost(scalar: Scalar) -> float:
    match scalar:
        case Op(operator, args):
            return _SLOW.get(operator, _SPECIAL) * max(1, len(args) - 1)
        case Expectation():
            return _EXPECTATION
    return 0.0
