"""Derivatives of expressions: the one that backpropagation uses, and the true one of surrogate functions."""

from __future__ import annotations

import functools
from collections.abc import Callable

from tensorprog.nonlin.base import Primitive, primitive
from tensorprog.nonlin.expression import ONE, ZERO, Apply, Call, Expr, Fn, Operand, walk
from tensorprog.nonlin.simplify import bind, simplify
from tensorprog.nonlin.traverse import fold

__all__ = ["derivative", "distributional_derivative", "has_surrogate", "true_derivative"]

Partials = Callable[[Expr], tuple[Expr, ...]]


def derivative(expr: Expr, index: int) -> Expr:
    """Return ∂expr/∂Operand(index) as backpropagation sees it.

    The derivative of `step` and `sign` is 0, that of `relu` at 0 is 1/2, and an `Fn` with a `derivative` of its own
    has that one.
    """
    return _differentiate(expr, index, _backprop_partials)


def true_derivative(expr: Expr, index: int) -> Expr:
    """Return the same with the distributional derivative of its body for every `Fn` that has a surrogate derivative.

    There step′ = δ, sign′ = 2δ and |u|′ = sign(u): Eilers, Memmesheimer, Goedeke (2405.15539).
    """
    return _differentiate(expr, index, _true_partials)


def distributional_derivative(expr: Expr, index: int) -> Expr:
    """Return the derivative in the sense of distributions: step′ = δ everywhere, and surrogates are not used."""
    return _differentiate(expr, index, _distributional_partials)


def has_surrogate(expr: Expr) -> bool:
    """Return whether a function with a derivative of its own for backpropagation is called."""
    return any(isinstance(node, Call) and node.fn.derivative is not None for node in walk(expr))


def _differentiate(expr: Expr, index: int, partials: Partials) -> Expr:
    """Return Σ_i (∂_i f)(args) · ∂args_i at every node, bottom-up."""

    def rule(node: Expr, inner: tuple[Expr, ...]) -> Expr:
        if isinstance(node, Operand):
            return ONE if node.index == index else ZERO
        if all(slope == ZERO for slope in inner):
            return ZERO
        terms = [partial * slope for partial, slope in zip(partials(node), inner, strict=True) if slope != ZERO]
        return simplify(functools.reduce(lambda left, right: left + right, terms))

    return simplify(fold(expr, rule))


@functools.singledispatch
def _backprop_partials(node: Expr) -> tuple[Expr, ...]:
    raise TypeError(f"cannot differentiate {type(node).__name__}")


@_backprop_partials.register
def _(node: Apply) -> tuple[Expr, ...]:
    return tuple(rule(*node.args) for rule in primitive(node.function).derivatives)


@_backprop_partials.register
def _(node: Call) -> tuple[Expr, ...]:
    return _call_partials(node, _backprop_partials)


@functools.singledispatch
def _true_partials(node: Expr) -> tuple[Expr, ...]:
    return _backprop_partials(node)


@_true_partials.register
def _(node: Call) -> tuple[Expr, ...]:
    return _call_partials(node, _true_partials)


@functools.singledispatch
def _distributional_partials(node: Expr) -> tuple[Expr, ...]:
    raise TypeError(f"cannot differentiate {type(node).__name__}")


@_distributional_partials.register
def _(node: Apply) -> tuple[Expr, ...]:
    record: Primitive = primitive(node.function)
    rules = (record.distributional, *record.derivatives[1:]) if record.distributional else record.derivatives
    return tuple(rule(*node.args) for rule in rules)


@_distributional_partials.register
def _(node: Call) -> tuple[Expr, ...]:
    return tuple(
        bind(_differentiate(node.fn.body, i, _distributional_partials), node.args) for i in range(len(node.args))
    )


def _call_partials(node: Call, partials: Partials) -> tuple[Expr, ...]:
    return tuple(bind(_partial(node.fn, i, partials), node.args) for i in range(len(node.args)))


def _partial(fn: Fn, index: int, partials: Partials) -> Expr:
    if fn.derivative is None:
        return _differentiate(fn.body, index, partials)
    if partials is _true_partials:
        return _differentiate(fn.body, index, _distributional_partials)
    return fn.derivative
