"""The versine behind a continuous nonlinearity without a rule of its own: the expansion to second order.

Let F be a kernel that is a function of another one, K: of q = K(x, x), q' = K(x', x') and K(x, x') = √(q q') (1 − v).
Its versine is even in Δ = log √(q'/q), and zero at x = x':

    1 − F(x, x') / √(F(x, x) F(x', x')) = a v + b Δ² + …

Close to duplicates this is taken, with differences of F for a and b, of one sample each; elsewhere the left side as it
stands. Both are right to about 1e-10 in the angle √(2 …) where they meet. Behind a jump a is infinite: differences of
two sizes do not agree then, and the left side is taken wherever x and x' differ.
"""

from __future__ import annotations

import sympy as sp
from sympy.core.function import AppliedUndef

from tensorprog.dual.special import (
    Angle,
    Det,
    Either,
    JointExpectation,
    PairExpectation,
    PointExpectation,
    Shortfall,
    Sine,
)
from tensorprog.kernel.pieces import Piece, Shared, at_right, diagonal
from tensorprog.limit.equations import X, Y

__all__ = ["inner_kernel", "smooth_versine"]

_STEP = sp.Integer(2) ** -33
"""The difference in v: the next term of F may be of order v^{3/2}."""

_RATIO = 1 + sp.Integer(2) ** -12
"""The ratio of standard deviations over which the difference in Δ is taken, around the sample's own."""

_NEAR = sp.Float(4e-11)
_DISAGREEMENT = sp.Float(1e-4)
_INFINITE = sp.Float(1e300)


def inner_kernel(expr: sp.Expr) -> AppliedUndef | None:
    """Return the kernel K(x, x') that an expression is a function of; None if it reads anything else."""
    if expr.has(PairExpectation, PointExpectation, JointExpectation):
        return None
    pairs = [read for read in expr.atoms(AppliedUndef) if read.has(X) and read.has(Y)]
    if len(pairs) != 1 or pairs[0].args[-2:] != (X, Y):
        return None
    known = {pairs[0], diagonal(pairs[0]), at_right(diagonal(pairs[0]))}
    return pairs[0] if expr.atoms(AppliedUndef) <= known else None


def smooth_versine(expr: sp.Expr, turned: sp.Expr, inner: Piece, shared: Shared) -> sp.Expr:
    """Return the versine of an expression that is a function of one kernel, whose own versine is known.

    Args:
        expr: the expression.
        turned: the same with its angles from that versine.
        inner: the kernel.
        shared: names quantities of one sample.
    """
    left = diagonal(inner.value)
    own = _at(expr, inner.value, left, left, left)
    slope = shared(_slope(turned, inner, own), "slope")
    bend = shared(Either(_INFINITE / 10 - slope, _bend(expr, inner.value), _INFINITE), "bend")
    first = shared(Sine(left), "root")
    root = shared(Sine(own), "root")
    change = 2 * (at_right(first) - first) / (at_right(first) + first)
    half = sp.Rational(1, 2)
    near = half * (slope + at_right(slope)) * inner.versine + half * (bend + at_right(bend)) * change**2
    plain = Shortfall(root, at_right(root), expr)
    return Either(_NEAR - near - change**2 / 10, near, plain)


def _at(expr: sp.Expr, kernel: sp.Expr, left: sp.Expr, right: sp.Expr, cross: sp.Expr) -> sp.Expr:
    """Return F at other values of K(x, x), K(x', x') and K(x, x')."""
    return expr.xreplace({diagonal(kernel): left, at_right(diagonal(kernel)): right, kernel: cross})


def _slope(turned: sp.Expr, inner: Piece, own: sp.Expr) -> sp.Expr:
    """Return a = −∂_v F/F, infinite where differences do not agree."""
    carried = inner.versine if inner.deviation is None else inner.deviation
    fine, coarse = (
        (1 - diagonal(turned.xreplace({inner.value: inner.diagonal * (1 - step), carried: step})) / own) / step
        for step in (_STEP, 4 * _STEP)
    )
    return Either(_DISAGREEMENT * fine - sp.Abs(fine - coarse), fine, _INFINITE)


def _bend(expr: sp.Expr, kernel: sp.Expr) -> sp.Expr:
    """Return b, half of the second derivative in Δ at v = 0, where angles and determinants vanish."""
    q = diagonal(kernel)
    flat = expr.replace(Angle, lambda *law: sp.Integer(0)).replace(Det, lambda *law: sp.Integer(0))
    low, high = q / _RATIO**2, q * _RATIO**2
    ends = sp.sqrt(_at(flat, kernel, low, low, low)) * sp.sqrt(_at(flat, kernel, high, high, high))
    return (1 - _at(flat, kernel, low, high, q) / ends) / (4 * sp.log(_RATIO) ** 2)
