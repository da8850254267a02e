"""Where a function of one variable needs attention: its kinks, and the places about which it bends quickly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tensorprog.nonlin.base import primitive
from tensorprog.nonlin.evaluate import evaluate
from tensorprog.nonlin.expression import Apply, Expr, operands, walk
from tensorprog.nonlin.simplify import expand, inline

__all__ = ["Features", "find_features", "function"]

Array = npt.NDArray[np.float64]

_GRID = np.sinh(np.linspace(-18.0, 18.0, 3601))  # where roots of arguments that are not affine are looked for
_BISECTIONS = 80


@dataclass(frozen=True, slots=True)
class Features:
    """The kinks of a function, its centres with the widths of the bends there, and its largest frequency."""

    kinks: Array
    centres: Array
    widths: Array
    frequency: float


def function(f: Expr, symbols: Mapping[str, Any]) -> Callable[[Array], Array]:
    """Return f as a function of arrays."""

    def value(u: Array) -> Array:
        return np.broadcast_to(np.asarray(evaluate(f, (u,), symbols), dtype=np.float64), u.shape)

    return value


def find_features(f: Expr, symbols: Mapping[str, Any]) -> Features:
    """Return the features of f, those of the functions in it traced back through their arguments."""
    kinks: list[float] = []
    bends: list[tuple[float, float]] = []
    frequency = 0.0
    for node in _distinct_nodes(f):
        record = primitive(node.function)
        argument = function(node.args[0], symbols)
        if node.function in ("sin", "cos"):
            frequency = max(frequency, float(np.abs(np.diff(argument(np.array([0.0, 1.0]))))[0]))
        for kink in record.kinks:
            kinks += [root for root, _ in _roots(argument, kink)]
        for centre in record.centres:
            bends += [(root, 1 / abs(slope)) for root, slope in _roots(argument, centre) if slope]
    unique = sorted(set(bends))
    centres, widths = np.array([root for root, _ in unique]), np.array([width for _, width in unique])
    return Features(np.array(sorted(set(kinks))), centres, widths, frequency)


def _distinct_nodes(f: Expr) -> Iterator[Apply]:
    """Yield the functions of the variable that occur in f, with min, max and their like written out."""
    seen: set[Expr] = set()
    for node in walk(expand(inline(f))):
        if isinstance(node, Apply) and node not in seen and operands(node.args[0]):
            seen.add(node)
            yield node


def _roots(argument: Callable[[Array], Array], target: float) -> list[tuple[float, float]]:
    """Return where the argument takes the value, and its slope there."""
    probe = argument(np.array([0.0, 1.0, 2.0, -3.0])) - target
    slope = probe[1] - probe[0]
    if abs(probe[2] - probe[0] - 2 * slope) + abs(probe[3] - probe[0] + 3 * slope) <= 1e-12 * np.abs(probe).max():
        return [(float(-probe[0] / slope), float(slope))] if slope else []
    values = argument(_GRID) - target
    exact = [float(root) for root in _GRID[values == 0]]
    crossings = np.flatnonzero(values[:-1] * values[1:] < 0)
    roots = exact + [_bisect(argument, target, _GRID[i], _GRID[i + 1]) for i in crossings]
    return [(root, _slope(argument, root)) for root in roots]


def _bisect(argument: Callable[[Array], Array], target: float, low: float, high: float) -> float:
    sign = float(np.sign(argument(np.array([low])) - target)[0])
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        if sign * (float(argument(np.array([middle]))[0]) - target) > 0:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def _slope(argument: Callable[[Array], Array], root: float) -> float:
    step = 1e-5 * max(1.0, abs(root))
    values = argument(np.array([root - step, root + step]))
    return float(values[1] - values[0]) / (2 * step)
