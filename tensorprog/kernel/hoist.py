"""From the expression of an equation to definitions: pointwise values, contractions, and temporaries before them.

An expression is pointwise if it has no sums and all its reads are plain. If sums and other reads stand only in a sum of
products, the equation is one `Contract`; else they, and expectations inside an expression, become temporaries.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from tensorprog.kernel.axes import AxisTable, Sum, free_indices, is_right
from tensorprog.kernel.contraction import Term, split
from tensorprog.kernel.ir import (
    AxisIndex,
    Const,
    Contract,
    Contraction,
    Definition,
    Delta,
    Expectation,
    Largest,
    Let,
    Note,
    Op,
    Place,
    Position,
    Ref,
    Scalar,
    Softmax,
    Within,
    children,
)

__all__ = ["Hoist", "plain_places"]


_ATOMS = frozenset(("Far", "Gap", "Near"))
"""Operators that stand in sums as they are: of what they are applied to there would be too much to keep."""


def plain_places(axes: Iterable[AxisIndex]) -> tuple[Place, ...]:
    """Return the places of an array that is read where it is defined."""
    return tuple(Place(0, ((index.symbol, 1),)) for index in axes)


@dataclass(slots=True)
class Hoist:
    """Makes the definitions of one equation: of `target`, whose `axes` are its indices.

    Temporaries always depend on the indices `swept`, those of the sweep around the equation that it has.
    """

    target: Ref
    axes: tuple[AxisIndex, ...]
    table: AxisTable
    note: Note | None = None
    swept: tuple[AxisIndex, ...] = ()
    made: list[Definition] = field(default_factory=list)
    known: dict[Scalar, Ref] = field(default_factory=dict)

    def define(self, value: Scalar) -> Iterator[Definition]:
        """Yield the definition of the target, before it those of the temporaries that it reads."""
        last = self._definition(value, self.axes)
        yield from self.made
        yield replace(last, name=self.target.name)

    def _definition(self, scalar: Scalar, axes: tuple[AxisIndex, ...]) -> Definition:
        """Return the definition of a new temporary with the value of an expression."""
        if not self._is_pointwise(scalar) and self._is_linear(scalar):
            return self._contract(self._terms(scalar, axes), axes)
        value = self._pointwise(scalar, outermost=True)
        return Let(self._fresh(), self.target.indices, value, self.note, axes)

    def _contract(self, terms: tuple[Contraction, ...], axes: tuple[AxisIndex, ...]) -> Contract:
        return Contract(self._fresh(), self.target.indices, terms, self.note, axes)

    def _fresh(self) -> str:
        return f"%{self.target.name}.{len(self.made) + 1}"

    def _add(self, definition: Definition) -> Ref:
        """Add a definition before the last one, and return a reference to it."""
        self.made.append(definition)
        return Ref(definition.name, definition.indices, places=plain_places(definition.axes))

    def _is_pointwise(self, scalar: Scalar) -> bool:
        if isinstance(scalar, Sum) or (isinstance(scalar, Ref) and not self.table.is_plain(scalar)):
            return False
        return all(self._is_pointwise(child) for child in children(scalar))

    def _is_linear(self, scalar: Scalar) -> bool:
        """Tell whether sums and reads that are not plain stand in sums of products only."""
        if isinstance(scalar, Op) and scalar.operator in ("add", "sub", "neg", "mul"):
            return all(self._is_linear(arg) for arg in scalar.args)
        if isinstance(scalar, Op) and scalar.operator == "div":
            return self._is_linear(scalar.args[0]) and self._is_coefficient(scalar.args[1])
        return isinstance(scalar, Sum | Ref) or self._is_pointwise(scalar)

    def _is_coefficient(self, scalar: Scalar) -> bool:
        """Tell whether an expression has the same value at all positions, and nothing in it needs a definition."""
        if isinstance(scalar, Sum | Expectation | Softmax | Largest) or (isinstance(scalar, Ref) and scalar.places):
            return False
        if isinstance(scalar, Position | Delta | Within) and free_indices(scalar, self.table):
            return False
        return all(self._is_coefficient(child) for child in children(scalar))

    def _pointwise(self, scalar: Scalar, *, outermost: bool = False) -> Scalar:
        """Return a pointwise expression of the same value; one that has to be a whole definition may be outermost."""
        match scalar:
            case Ref():
                return scalar if self.table.is_plain(scalar) else self._temporary(scalar)
            case Sum():
                return self._temporary(scalar)
            case Op():
                return replace(scalar, args=tuple(self._pointwise(arg) for arg in scalar.args))
            case Expectation():
                whole: Scalar = replace(scalar, args=tuple(self._pointwise(arg) for arg in scalar.args))
            case Softmax() | Largest():
                whole = replace(scalar, arg=self._pointwise(scalar.arg))
            case _:
                return scalar
        return whole if outermost else self._temporary(whole)

    def _temporary(self, scalar: Scalar) -> Ref:
        """Return a reference to a definition with the value of an expression, the same for the same expression."""
        if scalar not in self.known:
            axes = self._ordered((*self.swept, *free_indices(scalar, self.table).values()))
            self.known[scalar] = self._add(self._definition(scalar, axes))
        return self.known[scalar]

    def _ordered(self, indices: Iterable[AxisIndex]) -> tuple[AxisIndex, ...]:
        """Return indices without repetition: those of the left argument first, and each as the target has them."""
        order = {index: place for place, index in enumerate(self.axes)}
        distinct = dict.fromkeys(indices)
        return tuple(sorted(distinct, key=lambda index: (is_right(index), order.get(index, len(order)))))

    def _terms(self, scalar: Scalar, axes: tuple[AxisIndex, ...]) -> tuple[Contraction, ...]:
        """Return a sum of products as contractions, costly ones in two steps."""
        return tuple(self._contraction(term, axes) for term in self._expand(scalar))

    def _contraction(self, term: Term, axes: tuple[AxisIndex, ...]) -> Contraction:
        while parts := split(term, [index for index in axes if index not in self.swept], self.table):
            inner, rest = parts
            ref = self._temporary(Sum(Op("mul", inner.factors), inner.bound))
            term = Term((*rest.factors, ref), rest.bound)
        return Contraction(term.factors or (Const(1.0),), term.bound)

    def _expand(self, scalar: Scalar) -> Iterator[Term]:
        """Yield the terms of a sum of products; factors that are neither reads nor coefficients become temporaries."""
        match scalar:
            case Op("add", args):
                for arg in args:
                    yield from self._expand(arg)
            case Op("sub", (first, second)):
                yield from self._expand(first)
                yield from (term.scaled(Const(-1.0)) for term in self._expand(second))
            case Sum(arg, bound):
                inner = list(self._expand(arg))
                if any(_symbols(term.bound) & _symbols(bound) for term in inner):
                    inner = [Term((self._temporary(arg),))]
                yield from (Term(term.factors, (*bound, *term.bound)) for term in inner)
            case _:
                yield from self._expand_product(list(_factors(scalar)))

    def _expand_product(self, factors: list[tuple[Scalar, bool]]) -> Iterator[Term]:
        """Yield the terms of a product; what is divided by is marked."""
        above = [factor for factor, below in factors if not below and self._is_coefficient(factor)]
        below = [factor for factor, below in factors if below and self._is_coefficient(factor)]
        others = [entry for entry in factors if not self._is_coefficient(entry[0])]
        coefficient = _quotient(above, below)
        match others:
            case [(Sum() | Op("add" | "sub"), False)]:
                yield from (term.scaled(coefficient) for term in self._expand(others[0][0]))
            case _:
                yield self._product(others).scaled(coefficient)

    def _product(self, factors: list[tuple[Scalar, bool]]) -> Term:
        """Return a product with at most one sum opened: its indices are bound in the others nowhere."""
        sums = [factor for factor, below in factors if isinstance(factor, Sum) and not below]
        rest = [entry for entry in factors if not (len(sums) == 1 and entry[0] is sums[0])]
        atoms = tuple(self._atom(factor, below=below) for factor, below in rest)
        if len(sums) != 1:
            return Term(atoms)
        inner = tuple(self._expand(sums[0]))
        taken = {name for atom in atoms for name in free_indices(atom, self.table)}
        if len(inner) > 1 or taken & _symbols(inner[0].bound):
            return Term((*atoms, self._temporary(sums[0])))
        return Term((*atoms, *inner[0].factors), inner[0].bound)

    def _atom(self, factor: Scalar, *, below: bool) -> Scalar:
        if below:
            return self._temporary(Op("div", (Const(1.0), factor)))
        if isinstance(factor, Op) and factor.operator in _ATOMS and all(isinstance(arg, Ref) for arg in factor.args):
            return factor
        return factor if isinstance(factor, Ref | Delta | Within | Position) else self._temporary(factor)


def _symbols(indices: Iterable[AxisIndex]) -> set[str]:
    return {index.symbol for index in indices}


def _factors(scalar: Scalar, *, below: bool = False) -> Iterator[tuple[Scalar, bool]]:
    """Yield the factors of a product, and whether they stand below the line."""
    match scalar:
        case Op("mul", args):
            for arg in args:
                yield from _factors(arg, below=below)
        case Op("div", (first, second)):
            yield from _factors(first, below=below)
            yield from _factors(second, below=not below)
        case Op("neg", (arg,)):
            yield Const(-1.0), False
            yield from _factors(arg, below=below)
        case _:
            yield scalar, below


def _quotient(above: list[Scalar], below: list[Scalar]) -> Scalar:
    """Return a product over a product."""
    numerator = _product_of(above)
    return Op("div", (numerator, _product_of(below))) if below else numerator


def _product_of(factors: list[Scalar]) -> Scalar:
    return (factors[0] if len(factors) == 1 else Op("mul", tuple(factors))) if factors else Const(1.0)
