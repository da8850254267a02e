"""The laws of numerical pair expectations E[φ(u) ψ(v)]: that of u belongs to one sample, that of v to the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tensorprog.kernel.ir import Copy, Expectation, Loop, Position, Scalar, references, walk

__all__ = ["IrregularLawError", "Side", "find_sides"]


class IrregularLawError(NotImplementedError):
    """A numerical expectation is not that of two functions, each of a law of one of the two samples."""


@dataclass(frozen=True, slots=True)
class Side:
    """A function under the law N(mean, variance) of one sample, for all values of the loop indices `symbols`."""

    function: str
    mean: Scalar
    variance: Scalar
    symbols: tuple[str, ...]


def find_sides(
    name: str, node: Expectation, around: tuple[Loop, ...], inline: Callable[[Scalar], Scalar]
) -> tuple[Side, Side]:
    """Return the sides of the left and of the right sample, whichever function is whose.

    Args:
        name: the quantity.
        node: its value.
        around: the loops around it.
        inline: writes out the temporaries in a law.

    Raises:
        IrregularLawError: a law is not that of one sample.
    """
    if node.kind != "PairExpectation":
        raise IrregularLawError(f"{name} is a {node.kind} that generated code cannot compute")
    m1, m2, q1, q2, _ = node.args
    laws = (node.functions[0], m1, q1), (node.functions[1], m2, q2)
    one, other = (_side(function, inline(m), inline(q), around) for function, m, q in laws)
    copies = _copies(one), _copies(other)
    if copies[0] <= {Copy.LEFT} and copies[1] <= {Copy.RIGHT}:
        return one, other
    if copies[0] <= {Copy.RIGHT} and copies[1] <= {Copy.LEFT}:
        return other, one
    raise IrregularLawError(f"the laws of {name} are not those of one sample each")


def _side(function: str, mean: Scalar, variance: Scalar, around: tuple[Loop, ...]) -> Side:
    used = {symbol for scalar in (mean, variance) for symbol in _symbols(scalar)}
    return Side(function, mean, variance, tuple(loop.index for loop in around if loop.index in used))


def _symbols(scalar: Scalar) -> Iterator[str | None]:
    yield from (index.symbol for ref in references(scalar) for index in ref.indices)
    yield from (node.index for node in walk(scalar) if isinstance(node, Position))


def _copies(side: Side) -> set[Copy]:
    """Return whose quantities a law reads; an expectation inside it is its own program's."""
    scalars = side.mean, side.variance
    inner = {Copy.OWN} if any(isinstance(node, Expectation) for scalar in scalars for node in walk(scalar)) else set()
    return inner | {ref.copy for scalar in scalars for ref in references(scalar)}
