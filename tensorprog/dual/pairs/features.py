"""Where a function of one variable needs attention: its kinks, and the places about which it bends quickly."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tensorprog.nonlin.base import primitive
from tensorprog.nonlin.evaluate import evaluate
from tensorprog.nonlin.expression import Apply, Expr, Number, operands, walk
from tensorprog.nonlin.simplify import expand, inline

__all__ = ["Features", "Function", "find_features", "function", "has_kinks"]

Array = npt.NDArray[np.float64]
Function = Callable[[Array], Array]

_HALF_GRID = np.sinh(np.linspace(0.01, 18.0, 1800))
_GRID = np.concatenate([-_HALF_GRID[::-1], [0.0], _HALF_GRID])  # where roots and minima are looked for
_DISTANCES = np.ldexp(1.0, np.arange(-120, 121)) ** 0.25  # candidates for the width of a bend
_STEPS = 80  # of a bisection or a trisection


@dataclass(frozen=True, slots=True)
class Features:
    """The kinks of a function, its centres with the widths of the bends there, and its largest frequency."""

    kinks: Array
    centres: Array
    widths: Array
    frequency: float


def function(f: Expr, symbols: Mapping[str, Any]) -> Function:
    """Return f as a function of arrays."""

    def value(u: Array) -> Array:
        return np.broadcast_to(np.asarray(evaluate(f, (u,), symbols), dtype=np.float64), u.shape)

    return value


def find_features(f: Expr, symbols: Mapping[str, Any]) -> Features:
    """Return the features of f, those of the functions in it traced back through their arguments."""
    return _find_features(f, tuple(sorted(symbols.items())))


def has_kinks(f: Expr) -> bool:
    """Return whether a function with a kink of its own occurs in f."""
    return any(primitive(node.function).kinks for node in _distinct_nodes(f))


@functools.lru_cache(256)
def _find_features(f: Expr, items: tuple[tuple[str, Any], ...]) -> Features:
    symbols = dict(items)
    kinks: list[float] = []
    bends: list[tuple[float, float]] = []
    frequency = 0.0
    for node in _distinct_nodes(f):
        argument = function(node.args[0], symbols)
        if node.function in ("sin", "cos"):
            frequency = max(frequency, float(np.abs(np.diff(argument(np.array([0.0, 1.0]))))[0]))
        kinks += [root for kink in primitive(node.function).kinks for root in _roots(argument, kink)]
        bends += _bends(node, symbols)
    unique = sorted(set(bends))
    centres, widths = np.array([place for place, _ in unique]), np.array([width for _, width in unique])
    return Features(np.array(sorted(set(kinks))), centres, widths, frequency)


def _distinct_nodes(f: Expr) -> Iterator[Apply]:
    """Yield the functions of the variable that occur in f, with min, max and their like written out."""
    seen: set[Expr] = set()
    for node in walk(expand(inline(f))):
        if isinstance(node, Apply) and node not in seen and operands(node):
            seen.add(node)
            yield node


def _bends(node: Apply, symbols: Mapping[str, Any]) -> list[tuple[float, float]]:
    """Return the places about which a function bends, and on what scale of the variable."""
    argument = function(node.args[1 if node.function == "div" else 0], symbols)
    bends = []
    for centre in primitive(node.function).centres:
        away = _shifted(argument, centre)
        roots = np.array(_roots(argument, centre))
        bends += _with_widths(roots, away, np.ones(len(roots)))
    if _singular_at_zero(node):
        size = _absolute(argument)
        places = _minima(size)
        bends += _with_widths(places, size, 2 * size(places))
    if node.function == "exp" and _affine(argument, 0.0) is None:
        depth = _negated(argument)
        for place in _minima(depth):
            away = _shifted(depth, float(depth(np.array([place]))[0]))
            bends += _with_widths(np.array([place]), away, np.ones(1))
    return bends


def _singular_at_zero(node: Apply) -> bool:
    """Return whether the function has a singularity where its argument (the denominator) vanishes."""
    if node.function == "pow":
        exponent = node.args[1]
        return not isinstance(exponent, Number) or exponent.value < 0 or exponent.value != int(exponent.value)
    return node.function in ("sqrt", "log") or (node.function == "div" and bool(operands(node.args[1])))


def _shifted(argument: Function, target: float) -> Function:
    return lambda u: np.abs(argument(u) - target)


def _absolute(argument: Function) -> Function:
    return lambda u: np.abs(argument(u))


def _negated(argument: Function) -> Function:
    return lambda u: -argument(u)


def _with_widths(places: Array, size: Function, levels: Array) -> list[tuple[float, float]]:
    """Return places with the least distances from them at which a function reaches a level."""
    if not places.size:
        return []
    sides = size(places[:, None] - _DISTANCES), size(places[:, None] + _DISTANCES)
    reached = np.maximum(*sides) >= levels[:, None]
    first = np.where(reached.any(axis=1), np.argmax(reached, axis=1), len(_DISTANCES) - 1)
    return list(zip(places.tolist(), _DISTANCES[first].tolist(), strict=True))


def _affine(argument: Function, target: float) -> tuple[float, float] | None:
    """Return value and slope of argument − target at zero if it is affine."""
    probe = argument(np.array([0.0, 1.0, 2.0, -3.0])) - target
    slope = probe[1] - probe[0]
    residue = abs(probe[2] - probe[0] - 2 * slope) + abs(probe[3] - probe[0] + 3 * slope)
    return (float(probe[0]), float(slope)) if residue <= 1e-12 * np.abs(probe).max() else None


def _roots(argument: Function, target: float) -> list[float]:
    """Return where the argument takes the value, of an interval on which it does the ends."""
    affine = _affine(argument, target)
    if affine is not None:
        return [-affine[0] / affine[1]] if affine[1] else []
    values = argument(_GRID) - target
    taken = _takes(argument, target)
    hit = np.concatenate([[False], taken(_GRID), [False]])
    alone = hit[1:-1] & ~hit[:-2] & ~hit[2:]
    exact = _GRID[alone]
    on = hit[1:-1] & ~alone
    (ends,) = np.nonzero(on[:-1] != on[1:])
    left = _bisected(taken, _GRID[ends], _GRID[ends + 1])
    values[on] = 0
    (crossings,) = np.nonzero(values[:-1] * values[1:] < 0)
    crossed = _bisected(lambda u: argument(u) > target, _GRID[crossings], _GRID[crossings + 1])
    return [*exact.tolist(), *left.tolist(), *crossed.tolist()]


def _takes(argument: Function, target: float) -> Callable[[Array], npt.NDArray[np.bool_]]:
    """Return whether the argument takes a value up to rounding, which is judged on the other side of zero."""

    def takes(u: Array) -> npt.NDArray[np.bool_]:
        away = np.abs(argument(u) - target)
        return np.asarray(away <= 8e-15 * np.minimum(np.abs(argument(-u) - target), np.abs(u)))

    return takes


def _bisected(test: Callable[[Array], npt.NDArray[np.bool_]], low: Array, high: Array) -> Array:
    """Return where between `low` and `high` a test ceases to give what it gives at `low`."""
    if not low.size:
        return low
    first = test(low)
    for _ in range(_STEPS):
        middle = 0.5 * (low + high)
        same = test(middle) == first
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return 0.5 * (low + high)


def _minima(size: Function) -> Array:
    """Return the local minima of a function, by trisection."""
    values = size(_GRID)
    (inner,) = np.nonzero((values[1:-1] < values[:-2]) & (values[1:-1] <= values[2:]))
    low, high = _GRID[inner], _GRID[inner + 2]
    if not low.size:
        return low
    for _ in range(_STEPS):
        third = (high - low) / 3
        left = size(low + third) < size(high - third)
        low, high = np.where(left, low, low + third), np.where(left, high - third, high)
    return 0.5 * (low + high)
