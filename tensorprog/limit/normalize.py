"""From a variable of the program to its normal form over Gaussian variables, looking through nonlinear ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import sympy as sp

from tensorprog.core.ir import Map
from tensorprog.limit.affine import affine_form
from tensorprog.limit.composite import Composer, refuse_gate, refuse_inseparable, written_out
from tensorprog.limit.equations import X
from tensorprog.limit.linear import linear_form
from tensorprog.limit.normal_form import Inseparable, Reader, compose, join, products, repeat
from tensorprog.limit.product import ARGUMENT, Fixed, Joint, Product
from tensorprog.limit.scaling import UNIT, Asymptotics, Term
from tensorprog.limit.variables import Ref, Variables
from tensorprog.nonlin.expression import Apply, Expr, Number, Position, substitute
from tensorprog.nonlin.simplify import simplify

__all__ = ["Normalizer"]


class Normalizer:
    """Gives Z^v as Σ coefficient · Π f(Z^g, …) with Gaussian g; scalars are taken at the first copy of the input."""

    def __init__(self, variables: Variables, asymptotics: Asymptotics, scalar: Callable[[Ref], Term]) -> None:
        self._variables = variables
        self._asymptotics = asymptotics
        self._scalar = scalar
        self._composed = Composer(variables, self._definition)
        self._known: dict[Ref, tuple[Product, ...]] = {}
        self._open: set[str] = set()

    def __call__(self, ref: Ref) -> tuple[Product, ...]:
        """Return the normal form of `ref`.

        Raises:
            LimitError: Z^ref is not a function of finitely many Gaussians, or a width stands inside it.
        """
        if ref.name in self._variables.gaussian:
            return (Product(UNIT, {ref: ARGUMENT}),)
        if ref not in self._known:
            self._known[ref] = tuple(p for case in self._cases(ref) for p in _scaled(case.where, case.inside()))
        return self._known[ref]

    def _cases(self, ref: Ref) -> tuple[_Case, ...]:
        """Return the cases in which a variable that is not Gaussian is not zero by reading beyond an axis."""
        variables = self._variables
        if variables.is_alias(ref.name) or ref.name in variables.states:
            form = linear_form(ref, variables, X)
            assert form is not None
            found = [
                _Case(inner.where * part.where, inner.inside)
                for part in form.parts
                for inner in self._cases_of(part.ref)
            ]
        else:
            found = [_Case(sp.Integer(1), lambda: self._derive(ref))]
        outside = [
            variables.places.within(place, axis, X)
            for place, axis in zip(ref.index, variables.axes(ref.name), strict=True)
            if not variables.places.is_inside(place, axis)
        ]
        if outside and any(variables.core.axes[axis].circular for axis in variables.axes(ref.name)):
            message = f"{variables.describe(ref.name)} is read round a circular axis inside a nonlinearity"
            raise refuse_inseparable(message, variables.definitions[ref.name].span)
        return tuple(_Case(sp.Mul(case.where, *outside), case.inside) for case in found)

    def _cases_of(self, ref: Ref) -> tuple[_Case, ...]:
        if ref.name in self._variables.gaussian:
            return (_Case(sp.Integer(1), lambda: self(ref)),)
        return self._cases(ref)

    def outer(self, ref: Ref) -> tuple[Product, ...]:
        """Return the normal form with independent factors left as they are: g · y of y = (h − m)/√v stays g · y.

        A variable that is not Gaussian stays if it is a factor by itself, independent of all others of its product.
        """
        definition = self._variables.definitions[ref.name]
        if ref.name in self._variables.gaussian or not isinstance(definition, Map):
            return self(ref)
        try:
            found = products(self._placed(definition.expression, ref), self.reader(ref))
        except Inseparable:
            return self(ref)
        is_plain = all(self._stands_alone(product) for product in found)
        return found if is_plain and any(len(product.factors) > 1 for product in found) else self(ref)

    def _stands_alone(self, product: Product) -> bool:
        """Return whether every variable is Gaussian, or read as it stands and independent of the other factors."""
        factors = product.factors.items()
        opaque = [(ref, function) for ref, function in factors if ref.name not in self._variables.gaussian]
        return not product.joint and all(
            function == ARGUMENT
            and all(other == ref or self._variables.independent(ref, other) for other in product.factors)
            for ref, function in opaque
        )

    def reader(self, ref: Ref) -> Reader:
        """Return how the operands of the definition of `ref` read."""
        definition, variables = self._variables.definitions[ref.name], self._variables
        assert isinstance(definition, Map)
        refs = variables.operands(ref)
        random = frozenset(i for i, name in enumerate(definition.operands) if variables.is_random(name))
        values = {i: self._scalar(r) for i, r in enumerate(refs) if i not in random and not self._is_data_vector(r)}
        return Reader(refs, random, values, self._asymptotics, variables.independent)

    def _placed(self, expr: Expr, ref: Ref) -> Expr:
        """Return an expression with positions that stand for the indices at `ref`, which it keeps wherever it goes."""
        values = self._variables.values(ref)

        def place(node: Expr) -> Expr | None:
            return Position(self._variables.places.stand_in(values[node.axis])) if isinstance(node, Position) else None

        return substitute(expr, place) if values else expr

    def _is_data_vector(self, ref: Ref) -> bool:
        return self._variables.is_vector(ref.name)

    def _derive(self, ref: Ref) -> tuple[Product, ...]:
        definition, variables = self._variables.definitions[ref.name], self._variables
        if ref.name in self._open:
            raise refuse_gate(ref, variables)
        self._open.add(ref.name)
        try:
            if not isinstance(definition, Map):
                parts = written_out(ref, linear_form(ref, variables, X), variables)
                return tuple(p for part in parts for p in _scaled(part.where, self._lift(part.ref, ARGUMENT)))
            found = products(self._placed(definition.expression, ref), self.reader(ref))
            return tuple(total for product in found for total in self._expand(product))
        except Inseparable as error:
            message = f"a width stands inside {variables.describe(ref.name)}, a function of several Gaussians"
            raise refuse_inseparable(message, definition.span) from error
        finally:
            self._open.discard(ref.name)

    def _definition(self, ref: Ref) -> Joint:
        """Return a map as a function of its operands."""
        definition = self._variables.definitions[ref.name]
        assert isinstance(definition, Map)
        return join(self._placed(definition.expression, ref), self.reader(ref))

    def _expand(self, product: Product) -> tuple[Product, ...]:
        """Return a product with the normal forms of its variables in place of them."""
        result: tuple[Product, ...] = (Product(product.coefficient, {}),)
        for ref, function in product.factors.items():
            lifted = self._lift(ref, function)
            result = tuple(a.times(b) for a in result for b in lifted)
        for joint in product.joint:
            result = tuple(a.times(self._compose(joint)) for a in result)
        return result

    def _compose(self, joint: Joint) -> Product:
        """Return a function of several variables over Gaussians."""
        found = self._composed(joint)
        match found.arguments:
            case ():
                return Product(self._asymptotics.evaluate(found.function), {})
            case (Ref() as ref,):
                return Product(UNIT, {ref: found.function})
            case (Fixed(value),) if found.function == ARGUMENT:
                return Product(Term(value), {})
        return Product(UNIT, {}, (found,))

    def _lift(self, ref: Ref, function: Expr) -> tuple[Product, ...]:
        """Return function(Z^ref) over Gaussians."""
        if ref.name in self._variables.gaussian:
            return (Product(UNIT, {ref: function}),)
        try:
            return self._lift_apart(ref, function)
        except Inseparable:
            return (self._compose(Joint(function, (ref,))),)

    def _lift_apart(self, ref: Ref, function: Expr) -> tuple[Product, ...]:
        """Return function(Z^ref), of a variable that is not Gaussian, as a sum of products.

        Raises:
            Inseparable: it does not come apart.
        """
        cases = self._cases(ref)
        if cases[0].where == 1:
            return self._through_one(function, self(ref))
        at_zero = Product(self._asymptotics.evaluate(_at_zero(function)), {})
        remainder = sp.Integer(1) - sp.Add(*(case.where for case in cases))
        within = [p for case in cases for p in _scaled(case.where, self._through_one(function, case.inside()))]
        return (*within, *_scaled(remainder, (at_zero,))) if not at_zero.coefficient.vanishes else tuple(within)

    def _through_one(self, function: Expr, inner: tuple[Product, ...]) -> tuple[Product, ...]:
        """Return function(Z) of a variable in normal form."""
        if len(inner) == 1 and len(inner[0].refs) == len(inner[0].factors) == 1 and inner[0].coefficient == UNIT:
            ((gaussian, below),) = inner[0].factors.items()
            return (Product(UNIT, {gaussian: simplify(compose(function, below))}),)
        return self._through(function, inner)

    def _through(self, function: Expr, inner: tuple[Product, ...]) -> tuple[Product, ...]:
        """Return a linear function, or a small power, of a sum of products."""
        form = affine_form(function, frozenset({0}))
        if form is not None:
            scale = Product(self._asymptotics.evaluate(form.coefficients[0]), {})
            constant = Product(self._asymptotics.evaluate(form.constant), {})
            linear = tuple(scale.times(product) for product in inner)
            return linear if constant.coefficient.vanishes else (*linear, constant)
        if any(product.joint for product in inner):
            raise Inseparable
        return repeat(inner, _integer_power(function))


@dataclass(frozen=True, slots=True)
class _Case:
    """The bracket `where` is 1 in the case that the variable has the normal form `inside()`."""

    where: sp.Expr
    inside: Callable[[], tuple[Product, ...]]


def _scaled(where: sp.Expr, products: tuple[Product, ...]) -> tuple[Product, ...]:
    if where == 1:
        return products
    return tuple(Product(Term(where) * product.coefficient, product.factors, product.joint) for product in products)


def _at_zero(function: Expr) -> Expr:
    """Return function(0) as an expression without operands."""
    return simplify(substitute(function, lambda node: Number(0) if node == ARGUMENT else None))


def _integer_power(function: Expr) -> int:
    """Return k if the function is u^k with 1 ≤ k ≤ 6."""
    if isinstance(function, Apply) and function.args[0] == ARGUMENT:
        named = {"square": 2, "cube": 3}.get(function.function)
        if named is not None:
            return named
        exponent = function.args[1] if function.function == "pow" else None
        if isinstance(exponent, Number) and exponent.value in (1, 2, 3, 4, 5, 6):
            return int(exponent.value)
    raise Inseparable
