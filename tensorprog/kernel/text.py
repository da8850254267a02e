"""The kernel IR as text: stable, one definition a line, in the order of execution."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import singledispatch

from tensorprog.kernel.ir import (
    Const,
    Copy,
    Expectation,
    Index,
    KernelIR,
    Let,
    Loop,
    Op,
    Parameter,
    Position,
    Ref,
    Scalar,
    Statement,
)

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
            *(f"  gram {name} = <{left}(x), {right}(x')>" for name, (left, right) in ir.grams.items()),
            *(f"  data {name} of {variable}" for name, variable in ir.data.items()),
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


def _lines(statements: tuple[Statement, ...], indent: str) -> Iterator[str]:
    for statement in statements:
        if isinstance(statement, Let):
            yield f"{indent}{_target(statement)} = {scalar_text(statement.value)}"
        else:
            yield from _loop_lines(statement, indent)


def _loop_lines(loop: Loop, indent: str) -> Iterator[str]:
    yield from _lines(loop.initial, indent)
    yield f"{indent}for {loop.index} = {loop.first} .. {loop.last}:"
    yield from _lines(loop.body, indent + "  ")


def _target(let: Let) -> str:
    return let.name + _brackets(let.indices)


def _brackets(indices: tuple[Index, ...]) -> str:
    return f"[{', '.join(map(_index, indices))}]" if indices else ""


def _index(index: Index) -> str:
    if index.symbol is None:
        return str(index.offset)
    return (
        index.symbol if index.offset == 0 else f"{index.symbol} {'-' if index.offset < 0 else '+'} {abs(index.offset)}"
    )


def scalar_text(scalar: Scalar) -> str:
    """Return an expression with as few brackets as its operators allow."""
    return print_scalar(scalar, _leaf, lambda operator, args: f"{operator}({', '.join(args)})")


def print_scalar(scalar: Scalar, leaf: Leaf, call: Callable[[str, list[str]], str]) -> str:
    """Return an expression as text, arithmetic with infix signs.

    Args:
        scalar: the expression.
        leaf: writes parameters, positions and references.
        call: writes an operator other than + - * / applied to arguments that are written already.
    """
    return _text(scalar, 0, leaf, call)


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
    return f"{scalar.name}{owner}{_brackets(scalar.indices)}"


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
