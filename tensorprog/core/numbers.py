"""What can be said of numbers before widths and data are known: signs of variances, ratios of widths."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from tensorprog.core.builder import Builder
from tensorprog.core.codes import Code
from tensorprog.core.shapes import Value, print_size
from tensorprog.errors import Span
from tensorprog.nonlin.evaluate import evaluate
from tensorprog.nonlin.expression import Expr, Number, Position, symbols, walk

__all__ = ["check_ratio", "check_variance"]

_SIZES = (1, 2, 3, 7, 64, 1000)
_BASE = 720_720
_MOST_POSITIONS = 4096


def _value(expr: Expr, sizes: dict[str, int | float], positions: dict[str, int]) -> float:
    try:
        found = float(evaluate(expr, (), sizes, positions))
    except (ArithmeticError, ValueError):
        return math.nan
    return found


def check_variance(builder: Builder, variance: Expr, span: Span, name: str) -> None:
    """Report a variance that is negative or undefined for all positive sizes at some position."""
    free = [symbol for symbol in symbols(variance) if symbol not in builder.symbols and symbol != "pi"]
    tries = [{**builder.symbols, **dict.fromkeys(free, size)} for size in (_SIZES if free else (1,))]
    for positions in _positions(builder, variance):
        values = [_value(variance, sizes, positions) for sizes in tries]
        if all(not value >= 0 or math.isinf(value) for value in values):
            shown = "undefined" if math.isnan(values[-1]) or math.isinf(values[-1]) else "negative"
            value = f": {values[0]:g}" if not free and shown == "negative" else ""
            hint = "the second argument of N is the variance of the entries, at least 0"
            builder.report(Code.NEGATIVE_VARIANCE, f"the variance of `{name}` is {shown}{value}", span, hint)
            return


def _positions(builder: Builder, expr: Expr) -> Iterator[dict[str, int]]:
    """Yield the positions of an expression as far as they are known, not too many of them."""
    names = list(dict.fromkeys(node.axis for node in walk(expr) if isinstance(node, Position)))
    ranges = []
    for name in names:
        start, extent = builder.axes[name].start, builder.axes[name].extent
        first = int(start.value) if isinstance(start, Number) else 0
        count = int(extent.value) if isinstance(extent, Number) else 1
        ranges.append(range(first, first + count))
    for point in itertools.islice(itertools.product(*ranges), _MOST_POSITIONS):
        yield dict(zip(names, point, strict=True))


def check_ratio(builder: Builder, size: Value, span: Span) -> bool:
    """Return whether a width is a fixed positive multiple of the first one; if not, that is reported."""
    names = symbols(size.expr) if size.is_constant else ()
    allowed = {"pi", *builder.symbols, *builder.widths}
    if not any(name in builder.widths for name in names) or not set(names) <= allowed:
        shown = print_size(size.expr) if size.is_constant else "this"
        hint = "a width goes to infinity: write `width n`, or `width m = 4 * n` with n declared before"
        builder.report(Code.WIDTH_RATIO, f"{shown} is not a multiple of an earlier width", span, hint)
        return False
    ratios = [_ratio(builder, size.expr, base) for base in (_BASE, 10 * _BASE)]
    if not all(ratio > 0 and math.isclose(ratio, ratios[0], rel_tol=1e-9) for ratio in ratios):
        message = f"{print_size(size.expr)} is not at a fixed positive ratio to the first width"
        builder.report(Code.WIDTH_RATIO, message, span, "a further width is a multiple of an earlier one: `4 * n`")
        return False
    return True


def _ratio(builder: Builder, size: Expr, base: int) -> float:
    sizes: dict[str, int | float] = dict(builder.symbols)
    for width in builder.widths.values():
        sizes[width.name] = base if width.size is None else _value(width.size, sizes, {})
    return _value(size, sizes, {}) / base
