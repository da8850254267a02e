"""The dual of an activation by itself, of functions given as text: the smallest question that the calculus answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorprog.program import parse

if TYPE_CHECKING:
    from tensorprog.limit.activation import DualActivation
    from tensorprog.nonlin.expression import Expr

__all__ = ["dual_activation"]

_PROGRAM = """\
program dual
fn activation(u) = {}
width n
input x : (1)
param W : (n, 1) ~ N(0, 1)
param V : (1, n) ~ N(0, 1 / n)
output f = V @ activation(W @ x)
"""


def dual_activation(
    phi: str, psi: str | None = None, /, *, mean: bool = False, derivative: bool = False
) -> DualActivation:
    """Return the dual of two activations: E[φ(u) ψ(v)] of two jointly Gaussian variables, with its derivation.

    The closed form is derived, by linearity, Stein's lemma and completing the square, from a few seeds; printing the
    result shows every step.

    Args:
        phi: φ, an expression in u in the language of programs, as `"u * sin(u)"`.
        psi: ψ, likewise in u; φ itself by default.
        mean: whether u and v have means m1, m2; else these are zero.
        derivative: whether to take E[φ′(u) ψ′(v)] instead, with the derivatives that backpropagation uses.

    Raises:
        ParseError: a text is no expression.
        CheckError: an expression has a name that is not known.
        LimitError: the expectation does not exist.
    """
    from tensorprog.limit.activation import derive_activation

    left = _function(phi)
    return derive_activation(left, left if psi is None else _function(psi), has_means=mean, slopes=derivative)


def _function(text: str) -> Expr:
    """Return an expression in u as a function of Operand(0)."""
    from tensorprog.core.ir import Map
    from tensorprog.nonlin.expression import Call, walk

    body = parse(_PROGRAM.format(text)).core().body
    nodes = (node for instruction in body if isinstance(instruction, Map) for node in walk(instruction.expression))
    return next(node.fn.body for node in nodes if isinstance(node, Call) and node.fn.name == "activation")
