"""The components of an array of the pair, as far as its axes tell them: the same rule as that of domains."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from tensorprog.kernel.ir import AxisIndex, Copy, Delta, Place, Position, Ref, Scalar, Within, children, references

__all__ = ["components", "is_placed", "symbols_of", "symbols_of_place"]


def components(axes: tuple[AxisIndex, ...]) -> tuple[tuple[int, ...], ...]:
    """Return the dimensions of each component: those of both copies over one axis in pairs, the others alone."""
    partner = dict(_pairs(axes))
    seconds = set(partner.values())
    return tuple(
        (dimension, partner[dimension]) if dimension in partner else (dimension,)
        for dimension in range(len(axes))
        if dimension not in seconds
    )


def _pairs(axes: tuple[AxisIndex, ...]) -> Iterator[tuple[int, int]]:
    for axis in dict.fromkeys(index.axis for index in axes):
        here = [dimension for dimension, index in enumerate(axes) if index.axis == axis]
        left = [dimension for dimension in here if axes[dimension].copy is not Copy.RIGHT]
        right = [dimension for dimension in here if axes[dimension].copy is Copy.RIGHT]
        yield from zip(left, right, strict=False)


def symbols_of_place(place: Place) -> frozenset[str]:
    """Return the names in a place: indices and sizes."""
    return frozenset(name for name, _ in place.terms)


def symbols_of(scalar: Scalar) -> frozenset[str]:
    """Return the names of indices and sizes on whose values an expression depends through places."""
    found: set[str] = set()
    if isinstance(scalar, Ref):
        found.update(name for place in scalar.places for name in symbols_of_place(place))
    elif isinstance(scalar, Delta):
        found.update(symbols_of_place(scalar.left) | symbols_of_place(scalar.right))
    elif isinstance(scalar, Within):
        found.update(symbols_of_place(scalar.place))
    elif isinstance(scalar, Position):
        found.add(scalar.index)
    for child in children(scalar):
        found |= symbols_of(child)
    return frozenset(found)


def is_placed(scalar: Scalar, symbols: Collection[str]) -> bool:
    """Tell whether an expression depends on one of the indices, or is a condition on places, or reads an array."""
    if isinstance(scalar, Delta | Within) or symbols_of(scalar) & set(symbols):
        return True
    return any(ref.places for ref in references(scalar))
