"""The limit system: an ordered list of named equations, in let-form, for one copy of the input and for two.

Every quantity is an applied sympy function of the copies it depends on, `X` (a sample x) and `Y` (a sample x′), and in
a loop of its index first:

    M_h(x)          E Z^h                                    one copy
    K_h(x, x')      E[Z^h(x) Z^h(x')]                        second moment of h with itself: K_h,g for h with g
    C_h(x, x')      Cov(Z^h(x), Z^h(x'))                     for Gaussian variables whose mean is not zero
    T_h(x, x')      lim Σ_p lr_p ⟨∂h_α(x)/∂p, ∂h_α(x')/∂p⟩     tangent; S_h likewise for the surrogate NTK
    D_h(x, x')      E[∂φ(u) ∂ψ(v)], the factor with which a nonlinearity passes a tangent on
    K_h(l, x, x')   the same inside a recurrence over l
    K_h(i, i′, x, x')   for a variable h[i]: h at position i of x with h at position i′ of x'

A quantity of indexed variables has one argument per axis of the left variable, then one per axis of the right one; what
stands there is an affine expression in indices. Reads out of the range of an axis are zero, or wrap if it is circular.
One-copy equations define functions of (x) or (x, x); the pair system defines functions of (x, x') and may read the
one-copy quantities at (x, x) and at (x', x'). The data enter as `Gram` functions. Nothing is ever substituted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

import sympy as sp

from tensorprog.core.ir import Axis
from tensorprog.errors import Span
from tensorprog.limit.ranks import Ranks
from tensorprog.nonlin.expression import Expr

__all__ = [
    "Assumption",
    "AxisSum",
    "Block",
    "Earlier",
    "Equation",
    "Kind",
    "Largest",
    "LimitSystem",
    "Ranks",
    "Recurrence",
    "Result",
    "SoftmaxOver",
    "Subject",
    "Sweep",
    "Within",
    "X",
    "Y",
    "equations",
]

# Assumptions keep the copies apart from a hyperparameter that happens to be called x.
X, Y = sp.Symbol("x", extended_real=True), sp.Symbol("x'", extended_real=True)


class _Binder(sp.Expr):
    """An expression (body, index, …) in which the indices are bound."""

    def __new__(cls, body: sp.Expr, *indices: sp.Symbol) -> _Binder:
        """Return the expression; `indices` are known to `LimitSystem.indices`."""
        return super().__new__(cls, body, *indices)

    @property
    def body(self) -> sp.Expr:
        """What stands under the sum."""
        return self.args[0]

    @property
    def indices(self) -> tuple[sp.Symbol, ...]:
        """The indices that are bound (by a softmax: the one that is normalized over)."""
        return tuple(self.args[1:])


class AxisSum(_Binder):
    """AxisSum(body, k, …): Σ_k … body over the axes of the indices."""

    @property
    def free_symbols(self) -> set[sp.Basic]:
        """The symbols that are not bound."""
        return set(self.body.free_symbols) - set(self.indices)


class Largest(AxisSum):
    """Largest(body, k, …): max_k … body over the axes of the indices, for deterministic scalars."""


class SoftmaxOver(_Binder):
    """SoftmaxOver(body, j): exp(body) / Σ_j exp(body), a function of j; for deterministic scalars."""


class Within(sp.Function):
    """Within(e, a, x): 1 if e is in the range of the axis that the symbol a names, at the extent of copy x, else 0."""

    nargs = 3
    is_real = True

    def _eval_power(self, exponent: sp.Expr) -> sp.Expr | None:
        return self if exponent.is_positive else None


class Kind(Enum):
    """What an equation defines."""

    MEAN = "M"
    SECOND = "K"
    COVARIANCE = "C"
    TANGENT = "T"
    SURROGATE = "S"
    DERIVATIVE = "D"
    SCALAR = "c"


@dataclass(frozen=True, slots=True)
class Subject:
    """The claim of an equation about core variables: its kind, and the variable(s) whose moment or tangent it is."""

    kind: Kind
    left: str
    right: str | None = None


@dataclass(frozen=True, slots=True)
class Equation:
    """lhs := rhs. `lhs` is an applied function; in `rhs` stand lhs's of earlier equations, data and constants."""

    name: str
    lhs: sp.Expr
    rhs: sp.Expr
    rule: str
    subject: Subject
    span: Span = field(compare=False, repr=False)

    @property
    def line(self) -> int:
        """The source line that this equation comes from."""
        return self.span.line


@dataclass(frozen=True, slots=True)
class Recurrence:
    """For index = first … last, in this order: the equations of `body`, which may read their own values at index − 1.

    `initial` gives those values at first − 1: its lhs's are the body's lhs's with the index replaced by first − 1.
    After the recurrence, later equations read the body's functions at a number, as `K_h(3, x, x')`; inside another
    recurrence over the same symbol they are read at the symbol or at the symbol − 1.
    """

    index: sp.Symbol
    first: int
    last: int
    initial: tuple[Equation, ...]
    body: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Earlier:
    """A scan that is through before the one of a sweep: its index in either copy, and the ranks of its variables.

    One of the two indices is None where no equation has such a side.
    """

    left: sp.Symbol | None
    right: sp.Symbol | None
    ranks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Sweep:
    """A recurrence along a `scan`: for all steps of `left` in the first copy and of `right` in the second, upwards.

    The equations may read their own values at the steps before; at step −1 these are zero, and initial values stand in
    the equations. One of the two indices is None where no equation has such a side. `groups` holds the equations by
    the `ranks` of their variables. There are two ways of going through the steps:

    * where x and x' differ, step by step (t, t′) in lexicographic order, at each all groups in order;
    * for one copy, where an equation at (t, t′) also reads the laws at (t, t) and (t′, t′): for τ = 0, 1, …, for every
      rank r, what has r for its later variable: first the groups of one index, at τ; then for t′ = 0, …, τ the groups
      of left rank r at (τ, t′) and those of right rank r at (t′, τ), by the rank of the other side, at t′ = τ those
      with the other rank not above r.

    For one copy, a side may also be made in one of the `earlier` scans, in program order, of which all steps are known
    but for those pairs. At τ and r these come after the groups of one index: scan by scan, its steps upwards, at each
    its ranks upwards.
    """

    left: sp.Symbol | None
    right: sp.Symbol | None
    groups: tuple[tuple[Equation, ...], ...]
    ranks: tuple[Ranks, ...]
    earlier: tuple[Earlier, ...] = ()


Block = Equation | Recurrence | Sweep


@dataclass(frozen=True, slots=True)
class Result:
    """The kernel of an output: an expression over the one-copy system (its diagonal) and one over the pair system."""

    diagonal: sp.Expr
    pair: sp.Expr


@dataclass(frozen=True, slots=True)
class Assumption:
    """Something the limit rests on, or a remark about it, with the argument by which it holds."""

    name: str
    statement: str
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class LimitSystem:
    """The limit of a program.

    `grams` maps a function `G(x, x')` to the pair (u, v) of core data variables (finite vectors computed from the data
    alone, mostly u = v) whose inner product ⟨u(x), v(x')⟩ it is; `data` maps a function `c(x)` to a scalar core data
    variable. `sizes` maps a symbol to the size expression that the data binds, `right_sizes` to one that the data of
    the second copy bind (where extents of axes may differ, T is that of x and T′ that of x'). `axes` holds the axes of
    the program, `shapes` for every indexed quantity (also grams and data) the axis and the copy, X or Y, of each of its
    position arguments, and `indices` the axis and the copy of every index. `functions` holds the elementwise
    functions of one variable, Operand(0), that occur by name in numerical expectations. `results` is keyed by
    (output, "nngp" | "ntk" | "sg_ntk"); a key that is missing was refused for the reason in `refused`.
    """

    name: str
    constants: Mapping[sp.Symbol, float]
    sizes: Mapping[sp.Symbol, Expr]
    grams: Mapping[sp.Function, tuple[str, str]]
    data: Mapping[sp.Function, str]
    functions: Mapping[str, Expr]
    sample: tuple[Block, ...]
    pair: tuple[Block, ...]
    results: Mapping[tuple[str, str], Result]
    assumptions: tuple[Assumption, ...]
    refused: Mapping[tuple[str, str], Exception] = field(default_factory=dict)
    right_sizes: Mapping[sp.Symbol, Expr] = field(default_factory=dict)
    axes: Mapping[str, Axis] = field(default_factory=dict)
    shapes: Mapping[str, tuple[tuple[str, sp.Symbol], ...]] = field(default_factory=dict)
    indices: Mapping[sp.Symbol, tuple[str, sp.Symbol]] = field(default_factory=dict)


def equations(blocks: Iterable[Block]) -> Iterator[Equation]:
    """Yield the equations of a system in order, those of recurrences included."""
    for block in blocks:
        if isinstance(block, Recurrence):
            yield from block.initial
            yield from equations(block.body)
        elif isinstance(block, Sweep):
            yield from (equation for group in block.groups for equation in group)
        else:
            yield block
