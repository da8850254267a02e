"""The kernel IR as text: stable, one definition a line, in the order of execution."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import singledispatch

from tensorprog.kernel.ir import (
    AxisIndex,
    Const,
    Contraction,
    Copy,
    Definition,
    Delta,
    Expectation,
    Index,
    KernelIR,
    Largest,
    Let,
    Loop,
    Op,
    Parameter,
    Place,
    Position,
    Ref,
    Scalar,
    Softmax,
    Statement,
    Sweep,
    Within,
)
from tensorprog.nonlin.text import text as expression_text

__all__ = ["ir_text", "print_scalar", "scalar_text"]

Leaf = Callable[[Scalar], str]
Call = Callable[[str, list[str]], str]

_SIGNS = {"add": " + ", "sub": " - ", "mul": "*", "div": "/"}
_LEFT, _RIGHT = {"add": 1, "sub": 1, "mul": 2, "div": 2}, {"add": 2, "sub": 2, "mul": 3, "div": 3}


def ir_text(ir: KernelIR) -> str:
    """Return both programs and the results."""
    return "\n".join(
        [
            f"kernel {ir.name}",
            *(f"  constant {name} = {value!r}" for name, value in ir.constants.items()),
            *(f"  size {name}" for name in ir.sizes),
            *(f"  size {name} of x'" for name in ir.right_sizes),
            *_axis_lines(ir),
            *(
                f"  gram {name}{_shape(ir, name)} = {_product(ir, name, left, right)}"
                for name, (left, right) in ir.grams.items()
            ),
            *(f"  data {name}{_shape(ir, name)} of {variable}" for name, variable in ir.data.items()),
            "sample x:",
            *_lines(ir.sample, "  "),
            "pair x, x':",
            *_lines(ir.pair, "  "),
            *(
                f"{result.kind} of {result.output}: diagonal {scalar_text(result.diagonal)}, "
                f"pair {scalar_text(result.pair)}"
                for result in ir.results
            ),
            "",
        ]
    )


def _axis_lines(ir: KernelIR) -> Iterator[str]:
    for name, axis in ir.axes.items():
        circular = ", circular" if axis.circular else ""
        yield f"  axis {name}: {expression_text(axis.extent, ())} from {expression_text(axis.start, ())}{circular}"


def _product(ir: KernelIR, name: str, left: str, right: str) -> str:
    if name in ir.versines:
        return f"1 - cos({left}(x), {right}(x'))"
    return f"1 - |cos({left}(x), {right}(x'))|" if name in ir.deviations else f"<{left}(x), {right}(x')>"


def _shape(ir: KernelIR, name: str) -> str:
    axes = ir.shapes.get(name, ())
    return f"[{_symbols(axes)}]" if axes else ""


def _symbols(axes: tuple[AxisIndex, ...]) -> str:
    return ", ".join(index.symbol for index in axes)


def _lines(statements: tuple[Statement, ...], indent: str) -> Iterator[str]:
    for statement in statements:
        if isinstance(statement, Loop):
            yield from _loop_lines(statement, indent)
        elif isinstance(statement, Sweep):
            yield from _sweep_lines(statement, indent)
        else:
            yield f"{indent}{_target(statement)} = {_value(statement)}"


def _loop_lines(loop: Loop, indent: str) -> Iterator[str]:
    yield from _lines(loop.initial, indent)
    yield f"{indent}for {loop.index} = {loop.first} .. {loop.last}:"
    yield from _lines(loop.body, indent + "  ")


def _sweep_lines(sweep: Sweep, indent: str) -> Iterator[str]:
    yield f"{indent}sweep {_symbols(tuple(index for index in (sweep.left, sweep.right) if index is not None))}:"
    for number, group in enumerate(sweep.groups):
        if number:
            yield f"{indent}  then"
        yield from _lines(group, indent + "  ")


def _target(definition: Definition) -> str:
    places = tuple(Place(0, ((index.symbol, 1),)) for index in definition.axes)
    return definition.name + _brackets(definition.indices, places)


def _value(definition: Definition) -> str:
    if isinstance(definition, Let):
        return scalar_text(definition.value)
    return " + ".join(map(_term, definition.terms))


def _term(term: Contraction) -> str:
    product = "*".join(print_scalar(factor, _leaf, _call, binding=3) for factor in term.factors)
    return f"sum[{_symbols(term.bound)}]({product})" if term.bound else product


def _brackets(indices: tuple[Index, ...], places: tuple[Place, ...] = ()) -> str:
    parts = ", ".join(map(_index, indices)), ", ".join(map(_place, places))
    return f"[{'; '.join(filter(None, parts))}]" if any(parts) else ""


def _place(place: Place) -> str:
    """Return a position, with the constant last."""
    text = ""
    for name, number in (*place.terms, ("", place.constant)):
        if number or not (name or text):
            sign = ("-" if number < 0 else "") if not text else (" - " if number < 0 else " + ")
            factor = f"{abs(number)}" if not name else (name if abs(number) == 1 else f"{abs(number)} {name}")
            text += sign + factor
    return text


def _index(index: Index) -> str:
    if index.symbol is None:
        return str(index.offset)
    return (
        index.symbol if index.offset == 0 else f"{index.symbol} {'-' if index.offset < 0 else '+'} {abs(index.offset)}"
    )


def scalar_text(scalar: Scalar) -> str:
    """Return an expression with as few brackets as its operators allow."""
    return print_scalar(scalar, _leaf, _call)


def _call(operator: str, args: list[str]) -> str:
    return f"{operator}({', '.join(args)})"


def print_scalar(scalar: Scalar, leaf: Leaf, call: Call, *, binding: int = 0) -> str:
    """Return an expression as text, arithmetic with infix signs.

    Args:
        scalar: the expression.
        leaf: writes parameters, positions and references.
        call: writes an operator other than + - * / applied to arguments that are written already.
        binding: how tight what stands around binds: 0 not at all, 3 as the second factor of a product.
    """
    return _text(scalar, binding, leaf, call)


@singledispatch
def _leaf(scalar: Scalar) -> str:
    raise NotImplementedError(f"{type(scalar).__name__} has no text")


@_leaf.register
def _(scalar: Parameter) -> str:
    return scalar.name


@_leaf.register
def _(scalar: Position) -> str:
    return scalar.index


@_leaf.register
def _(scalar: Ref) -> str:
    owner = f"({scalar.copy.value})" if scalar.copy is not Copy.OWN else ""
    return f"{scalar.name}{owner}{_brackets(scalar.indices, scalar.places)}"


@_leaf.register
def _(scalar: Delta) -> str:
    return f"[{_place(scalar.left)} = {_place(scalar.right)}]"


@_leaf.register
def _(scalar: Within) -> str:
    owner = f"({scalar.copy.value})" if scalar.copy is not Copy.OWN else ""
    return f"[{_place(scalar.place)} in {scalar.axis}{owner}]"


@singledispatch
def _text(scalar: Scalar, binding: int, leaf: Leaf, call: Call) -> str:
    return leaf(scalar)


@_text.register
def _(scalar: Const, binding: int, leaf: Leaf, call: Call) -> str:
    text = repr(scalar.value)
    return f"({text})" if scalar.value < 0 and binding > 1 else text


@_text.register
def _(scalar: Expectation, binding: int, leaf: Leaf, call: Call) -> str:
    return call(scalar.kind, [*scalar.functions, *(_text(arg, 0, leaf, call) for arg in scalar.args)])


@_text.register
def _(scalar: Softmax, binding: int, leaf: Leaf, call: Call) -> str:
    return call(f"softmax[{scalar.symbol}]", [_text(scalar.arg, 0, leaf, call)])


@_text.register
def _(scalar: Largest, binding: int, leaf: Leaf, call: Call) -> str:
    return call(f"max[{_symbols(scalar.bound)}]", [_text(scalar.arg, 0, leaf, call)])


@_text.register
def _(scalar: Op, binding: int, leaf: Leaf, call: Call) -> str:
    if scalar.operator == "neg":
        return _wrap(f"-{_text(scalar.args[0], 2, leaf, call)}", 1, binding)
    if scalar.operator not in _SIGNS:
        return call(scalar.operator, [_text(arg, 0, leaf, call) for arg in scalar.args])
    left, right = _LEFT[scalar.operator], _RIGHT[scalar.operator]
    first, *others = scalar.args
    parts = [_text(first, left, leaf, call), *(_text(arg, right, leaf, call) for arg in others)]
    return _wrap(_SIGNS[scalar.operator].join(parts), left, binding)


def _wrap(text: str, own: int, binding: int) -> str:
    return f"({text})" if own < binding else text
