"""Expectations with a Dirac delta, which the true derivative of a function with a surrogate derivative brings.

E[δ(a u + b) g(u) ψ(v)] = p(u₀)/|a| · g(u₀) · E[ψ(v) | u = u₀],   u₀ = −b/a, p the density of u.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tensorprog.nonlin.expression import ONE, ZERO, Apply, Expr, apply, rebuild
from tensorprog.nonlin.simplify import inline, simplify
from tensorprog.nonlin.traverse import fold

__all__ = ["Spike", "has_delta", "split_deltas"]


@dataclass(frozen=True, slots=True)
class Spike:
    """weight(u) · δ(argument(u))."""

    weight: Expr
    argument: Expr


@dataclass(frozen=True, slots=True)
class _Parts:
    rest: Expr
    spikes: tuple[Spike, ...] = ()


def has_delta(phi: Expr) -> bool:
    """Return whether a delta occurs in φ."""
    return fold(phi, lambda node, args: any(args) or (isinstance(node, Apply) and node.function == "delta"))


def split_deltas(phi: Expr) -> tuple[Expr, tuple[Spike, ...]]:
    """Return the ordinary part of φ and its spikes.

    Raises:
        ValueError: a delta times a delta, or a function of one.
    """
    parts = fold(inline(phi), _split)
    return simplify(parts.rest), parts.spikes


def _split(node: Expr, args: tuple[_Parts, ...]) -> _Parts:
    if isinstance(node, Apply) and node.function == "delta" and not args[0].spikes:
        return _Parts(ZERO, (Spike(ONE, args[0].rest),))
    whole = rebuild(node, tuple(arg.rest for arg in args))
    if not any(arg.spikes for arg in args) or not isinstance(node, Apply):
        return _Parts(whole)
    match node.function:
        case "add":
            return _Parts(whole, args[0].spikes + args[1].spikes)
        case "sub":
            return _Parts(whole, args[0].spikes + _times(args[1].spikes, -ONE))
        case "neg":
            return _Parts(whole, _times(args[0].spikes, -ONE))
        case "mul" if not (args[0].spikes and args[1].spikes):
            return _Parts(whole, _times(args[0].spikes, args[1].rest) + _times(args[1].spikes, args[0].rest))
        case "div" if not args[1].spikes:
            return _Parts(whole, _times(args[0].spikes, apply("div", ONE, args[1].rest)))
        case _:
            raise ValueError("a function of a delta distribution")


def _times(spikes: tuple[Spike, ...], factor: Expr) -> tuple[Spike, ...]:
    return tuple(replace(spike, weight=simplify(spike.weight * factor)) for spike in spikes)
