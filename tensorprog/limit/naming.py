"""The ledger of a limit system: every quantity is derived once, gets a name, and is referred to by it.

A quantity of variables in a loop is derived at the loop's index l, and read as F(l, …), F(l − 1, …) or F(3, …); where
it is read one step back, the ledger also asks for its value before the first step. Quantities of unnamed temporaries
that follow by a linear rule get no name: their right side stands where it is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import sympy as sp
from sympy.core.function import AppliedUndef

from tensorprog.core.ir import Map
from tensorprog.dual.expectation import Expectations
from tensorprog.errors import Diagnostic, LimitError, Span
from tensorprog.limit.equations import Assumption, AxisSum, Equation, Kind, Subject, X, Y
from tensorprog.limit.scaling import Term
from tensorprog.limit.sizes import PRIME
from tensorprog.limit.sums import add_up
from tensorprog.limit.variables import TEMPORARY, Loop, Ref, Variables, refuse_rolled
from tensorprog.nonlin.expression import Apply, Expr, Operand, Position, walk

__all__ = ["Derived", "Ledger", "Names", "PositionInside", "Record"]

LINEAR_RULES = frozenset({"linear combination", "matrix product", "random vector", "second moment"})

LONGEST_INLINE = 4
"""The moments of two different variables get a name if their linear combination is longer than this."""

LABELS = (*(f"{kind.value}_" for kind in Kind), "Ds_")
"""How the names of derived quantities begin."""

Rule = Callable[..., "Derived"]
Again = Callable[..., Term]


@dataclass(frozen=True, slots=True)
class Derived:
    """What a rule gives: the right side, and the name of the rule."""

    term: Term
    rule: str


@dataclass(frozen=True, slots=True)
class Record:
    """An equation of the ledger: its left side at the index of its loop, and what is on the right."""

    function: sp.Function
    subject: Subject
    loop: Loop | None
    span: Span
    refs: tuple[Ref, ...]
    derived: Derived | None = None
    is_read_in_itself: bool = False
    is_named: bool = False


class PositionInside(Exception):
    """A function whose expectation is taken numerically depends on an index."""


class Names:
    """The elementwise functions that occur by name in numerical expectations."""

    def __init__(self) -> None:
        self.functions: dict[str, Expr] = {}

    def __call__(self, function: Expr) -> sp.Symbol:
        """Return the name of a function of Operand(0), the same for the same function.

        Raises:
            PositionInside: its value depends on an index.
        """
        positions = [node.axis for node in walk(function) if isinstance(node, Position)]
        if positions:
            raise PositionInside(positions[0])
        for name, known in self.functions.items():
            if known == function:
                return sp.Symbol(name)
        stem = function.function if isinstance(function, Apply) and function.args == (Operand(0),) else "phi"
        name = stem if stem != "phi" and stem not in self.functions else f"{stem}{len(self.functions) + 1}"
        self.functions[name] = function
        return sp.Symbol(name)


@dataclass
class Ledger:
    """The equations of one system (one copy or two), in the order in which they were derived."""

    variables: Variables
    right: sp.Symbol
    mode: Expectations
    names: Names
    records: dict[str, Record] = field(default_factory=dict)
    initials: dict[str, Equation] = field(default_factory=dict)
    grams: dict[sp.Function, tuple[str, str]] = field(default_factory=dict)
    scalars: dict[sp.Function, str] = field(default_factory=dict)
    notes: dict[str, Assumption] = field(default_factory=dict)
    shapes: dict[str, tuple[tuple[str, sp.Symbol], ...]] = field(default_factory=dict)

    def gram(self, left: Ref, right: Ref) -> Term:
        """Return ⟨left(x), right(x')⟩ of two data vectors."""
        names = left.name, right.name
        function = sp.Function(f"<{left.name}>" if len(set(names)) == 1 else f"<{left.name},{right.name}>")
        self.grams[function] = names
        self._shape(str(function), (left, right))
        return Term(function(*left.index, *self.across_sizes(right.index), X, self.right))

    def data(self, ref: Ref) -> Term:
        """Return a scalar that is data."""
        function = sp.Function(f"data {ref.name}" if ref.name.startswith(LABELS) else ref.name)
        self.scalars[function] = ref.name
        self._shape(str(function), (ref,))
        return Term(function(*ref.index, X))

    def _shape(self, label: str, refs: tuple[Ref, ...]) -> None:
        """Remember the axis and the copy of every position argument of a quantity."""
        copies = (X, self.right)
        shape = tuple(
            (axis, copy) for ref, copy in zip(refs, copies, strict=False) for axis in self.variables.axes(ref.name)
        )
        if shape:
            self.shapes[label] = shape

    def add_up(self, term: Term, indices: tuple[sp.Symbol, ...]) -> Term:
        """Return Σ_indices term."""
        if not indices:
            return term
        return replace(term, coefficient=add_up(term.coefficient, indices, self.variables.places, self.shapes))

    def across(self, expr: sp.Expr) -> sp.Expr:
        """Return a one-copy expression in x as the same expression of the second copy, with its sizes and indices."""
        if self.right == X:
            return expr
        places = self.variables.places
        bound = {index for node in expr.atoms(AxisSum) for index in node.indices if places.indices[index][1] == X}
        fresh = {index: places.fresh(places.indices[index][0], self.right) for index in bound}
        return expr.xreplace({X: self.right, **self.variables.sizes.twins, **fresh})

    def across_sizes(self, places: tuple[sp.Expr, ...]) -> tuple[sp.Expr, ...]:
        """Return positions of the second copy with the sizes of that copy."""
        if self.right == X:
            return places
        twins = dict(self.variables.sizes.twins)
        return tuple(place.xreplace(twins) for place in places)

    def note(self, name: str, statement: str, span: Span) -> None:
        """Keep a remark about the limit."""
        self.notes.setdefault(name, Assumption(name, statement, span))

    def named(self, kind: Kind, refs: tuple[Ref, ...], rule: Rule, again: Again) -> Term:
        """Return the quantity `kind` of `refs` by its name, derived by `rule` if it is new.

        `again` asks for the same quantity of other variables, for the values before the first step of a loop.
        """
        label = f"{kind.value}_{_subject_label(refs)}"
        return self._entry(label, kind, refs, rule, again)

    def named_factor(self, kind: Kind, outer: tuple[Ref, Ref], inner: tuple[Ref, Ref], rule: Rule) -> Term:
        """Return the factor E[∂_g φ ∂_h ψ] with which the nonlinearities `outer` pass on the tangent of `inner`."""
        label = f"D{'s' if kind is Kind.SURROGATE else ''}_{_subject_label(outer)}"
        through = f"[{','.join(dict.fromkeys(map(self._argument_label, outer, inner)))}]"
        suffix = "" if self._is_only_argument(outer, inner) else through
        return self._entry(label + suffix, Kind.DERIVATIVE, outer, rule, None)

    def _argument_label(self, outer: Ref, inner: Ref) -> str:
        """Return the name of an argument, with its position if that is not the one of the function's value."""
        values = self.variables.values(outer)
        usual = tuple(values.get(axis) for axis in self.variables.axes(inner.name))
        if usual == inner.index:
            return inner.name
        return f"{inner.name}({', '.join(str(place).replace(PRIME, '') for place in inner.index)})"

    def _is_only_argument(self, outer: tuple[Ref, Ref], inner: tuple[Ref, Ref]) -> bool:
        reads = [
            set(self.variables.operands(ref)) if isinstance(self.variables.definitions.get(ref.name), Map) else set()
            for ref in outer
        ]
        return all(refs <= {ref} for refs, ref in zip(reads, inner, strict=True))

    def _entry(self, label: str, kind: Kind, refs: tuple[Ref, ...], rule: Rule, again: Again | None) -> Term:
        loops = {
            self.variables.loops[r.name].scan.target: self.variables.loops[r.name] for r in refs if r.at is not None
        }
        steps = {r.at for r in refs if r.at is not None}
        if len(loops) > 1 or len(steps) > 1 or self._looks_back(refs):
            return self._derived_in_place(refs, rule)
        loop = next(iter(loops.values()), None)
        step = next(iter(steps), None)
        record = self._record(label, kind, refs, loop, rule)
        assert loop is not None or step is None
        if not record.is_named and not all(map(self.variables.is_inside, refs)):
            self.records[label] = record = replace(record, is_named=True)
        if loop is not None and step is not None and step != loop.index:
            self.records[label] = record = replace(record, is_named=True)
            if not step.is_number:
                return self._read_past(record, self._begin(record, kind, refs, loop, again), step, refs)
        return self._read(record, step, refs)

    def _derived_in_place(self, refs: tuple[Ref, ...], rule: Rule) -> Term:
        """Return what a rule gives for variables of different loops or steps, which has no name."""
        own = self._own(refs)
        term = self._placed(rule(*(replace(o, at=r.at) for o, r in zip(own, refs, strict=True))).term, refs)
        brackets = [
            bracket for place, ref in enumerate(refs) for bracket in self._brackets(ref, (X, self.right)[place])
        ]
        return replace(term, coefficient=sp.Mul(term.coefficient, *brackets))

    def _brackets(self, ref: Ref, copy: sp.Symbol) -> list[sp.Expr]:
        """Return the brackets [place ∈ axis] that hold for a read within the range of a variable."""
        found = []
        for place, axis in zip(ref.index, self.variables.axes(ref.name), strict=True):
            if self.variables.places.is_inside(place, axis):
                continue
            if self.variables.core.axes[axis].circular:
                span = self.variables.definitions[ref.name].span
                raise refuse_rolled(f"`{ref.name}` is read round a circular axis after a loop", span)
            found.append(self.variables.places.within(place, axis, copy))
        return found

    def _looks_back(self, refs: tuple[Ref, ...]) -> bool:
        """Return whether a variable of a loop stands beside one made after the loop: no quantity of every step."""
        inside = [self.variables.position[ref.name] for ref in refs if ref.at is not None]
        outside = [self.variables.position.get(ref.name, -1) for ref in refs if ref.at is None]
        return bool(inside and outside) and max(outside) > max(inside)

    def _record(self, label: str, kind: Kind, refs: tuple[Ref, ...], loop: Loop | None, rule: Rule) -> Record:
        """Return the record of a label, deriving it at the index of its loop if it is new."""
        known = self.records.get(label)
        if known is not None:
            if known.derived is None:
                self.records[label] = known = replace(known, is_read_in_itself=True, is_named=True)
            return known
        own = self._own(refs)
        self._shape(label, own)
        span = self.variables.definitions[max(refs, key=lambda r: self.variables.position[r.name]).name].span
        subject = Subject(kind, refs[0].name, refs[1].name if len(refs) > 1 else None)
        self.records[label] = Record(sp.Function(label), subject, loop, span, own)
        try:
            derived = rule(*own)
        except BaseException as error:
            del self.records[label]
            if isinstance(error, ArithmeticError):
                raise _no_limit(self.variables.describe(refs[0].name), error, span) from error
            raise
        open_record = self.records.pop(label)
        values = self.variables.places.values
        if values:
            derived = replace(
                derived, term=replace(derived.term, coefficient=derived.term.coefficient.xreplace(values))
            )
        named = open_record.is_named or not self._stays_unnamed(refs, derived)
        self._check_stationary(open_record, derived)
        self.records[label] = record = replace(open_record, derived=derived, is_named=named)
        return record

    def _stays_unnamed(self, refs: tuple[Ref, ...], derived: Derived) -> bool:
        coefficient = derived.term.coefficient
        if coefficient.is_Symbol or coefficient.is_number:
            return True
        is_alias = isinstance(coefficient, AppliedUndef)
        if derived.rule == "law of large numbers":
            is_mean = is_alias and str(coefficient.func).startswith(f"{Kind.MEAN.value}_")
            return is_mean or (is_alias and bool(TEMPORARY.search(refs[0].name)))
        if derived.rule not in LINEAR_RULES:
            return False
        if len({ref.name for ref in refs}) > 1:
            return len({f for f in coefficient.atoms(AppliedUndef) if "_" in str(f.func)}) <= LONGEST_INLINE
        return all(TEMPORARY.search(r.name) and (is_alias or r.name not in self.variables.arguments) for r in refs)

    def _check_stationary(self, record: Record, derived: Derived) -> None:
        if record.is_read_in_itself and not derived.term.vanishes and derived.term.power != 0:
            raise _refuse_order(record)

    def _read(self, record: Record, step: sp.Expr | None, refs: tuple[Ref, ...]) -> Term:
        derived = record.derived
        if derived is not None and not record.is_named:
            return self._placed(derived.term, refs)
        power, origin = (derived.term.power, derived.term.origin) if derived is not None else (sp.Integer(0), None)
        if derived is not None and derived.term.vanishes and not record.is_read_in_itself:
            return derived.term
        return Term(record.function(*self.arguments(record.subject.kind, step, refs)), power, origin)

    def without_zeros(self, term: Term) -> Term:
        """Return a term without the quantities that are zero where they are read, as K_h(0, 1) of [k = k′] K."""
        read = term.coefficient.atoms(AppliedUndef)
        zeros = {function: sp.Integer(0) for function in read if self._is_zero(function)}
        return replace(term, coefficient=term.coefficient.xreplace(zeros)) if zeros else term

    def _is_zero(self, function: sp.Expr) -> bool:
        """Return whether the rule of a quantity gives zero at the positions, all numbers, where it is read."""
        record = self.records.get(str(function.func))
        if record is None or record.derived is None or record.loop is not None:
            return False
        if any(self.variables.core.axes[axis].circular for axis, _ in self.shapes.get(str(function.func), ())):
            return False
        own = self.arguments(record.subject.kind, None, record.refs)
        places = dict(zip(own, function.args, strict=True))
        here = {index: place for index, place in places.items() if index not in (X, self.right)}
        if not here or not all(place.is_Integer for place in here.values()):
            return False
        return bool(record.derived.term.coefficient.xreplace(here) == 0)

    def over_axes(self, subject: Subject, value: sp.Expr, span: Span) -> sp.Expr:
        """Return a moment of two variables as one quantity at their own indices, also where it is constant."""
        refs = self._own((Ref(subject.left), Ref(subject.right or subject.left)))
        arguments = self.arguments(subject.kind, None, refs)
        if isinstance(value, AppliedUndef) and value.args == arguments:
            return value
        label = f"{subject.kind.value}_{_subject_label(refs)}"
        known = self.records.get(label)
        if known is not None and known.is_named:
            label = f"{label}.output"
        derived = Derived(Term(value), "output")
        self.records[label] = Record(sp.Function(label), subject, None, span, refs, derived, is_named=True)
        self._shape(label, refs)
        return sp.Function(label)(*arguments)

    def _own(self, refs: tuple[Ref, ...]) -> tuple[Ref, ...]:
        """Return variables at the step at which they are made and at their own indices, the second in copy x'."""
        return tuple(self.variables.own(ref.name, copy) for ref, copy in zip(refs, (X, Y), strict=False))

    def _placed(self, term: Term, refs: tuple[Ref, ...]) -> Term:
        """Return a term derived at the indices of its variables, at other positions."""
        places: dict[sp.Expr, sp.Expr] = {}
        for number, (own, ref) in enumerate(zip(self._own(refs), refs, strict=True)):
            index = self.across_sizes(ref.index) if number == 1 else ref.index
            places.update(zip(own.index, index, strict=True))
        return replace(term, coefficient=term.coefficient.xreplace(places)) if places else term

    def _read_past(self, record: Record, initial: sp.Expr, step: sp.Expr, refs: tuple[Ref, ...]) -> Term:
        """Return a quantity of the step before: its initial value counts, where its own rule gives zero too."""
        derived = record.derived
        if initial == 0 or derived is None:
            return self._read(record, step, refs)
        if not derived.term.vanishes and derived.term.power != 0:
            raise _refuse_order(record)
        return Term(record.function(*self.arguments(record.subject.kind, step, refs)))

    def arguments(self, kind: Kind, step: sp.Expr | None, refs: tuple[Ref, ...]) -> tuple[sp.Expr, ...]:
        """Return what a quantity is applied to: its step in a loop, its positions, the copies that it depends on."""
        copies = (X,) if kind in (Kind.MEAN, Kind.SCALAR) else (X, self.right)
        places = [refs[0].index, *(self.across_sizes(ref.index) for ref in refs[1:])]
        steps = () if step is None else (step,)
        return (*steps, *(place for index in places for place in index), *copies)

    def _begin(self, record: Record, kind: Kind, refs: tuple[Ref, ...], loop: Loop, again: Again | None) -> sp.Expr:
        """Ask for the value before the first step, and return it.

        Raises:
            LimitError: there is none, or it is not of order one.
        """
        label = str(record.function)
        if label in self.initials:
            return self.initials[label].rhs
        if again is None or any(r.at is not None and r.name not in self.variables.initials for r in refs):
            raise refuse_rolled(f"`{refs[0].name}` has no initial value", record.span)
        outer = [self.variables.initials[r.name] if r.at is not None else r.name for r in refs]
        own = self._own(refs)
        lhs = record.function(*self.arguments(kind, sp.Integer(loop.first - 1), own))
        placeholder = Equation(
            f"{label}({loop.first - 1})", lhs, sp.Integer(0), "initial value", record.subject, record.span
        )
        self.initials[label] = placeholder
        if all(name is not None for name in outer):
            value = again(*map(self._before, outer, own))
            if not value.vanishes and value.power != 0:
                raise _refuse_order(record)
            self.initials[label] = replace(placeholder, rhs=value.coefficient)
        return self.initials[label].rhs

    def _before(self, name: str | None, own: Ref) -> Ref:
        """Return the initial value of a variable, at the positions of the variable."""
        assert name is not None
        return self.variables.resolve(name, None, self.variables.values(own))


def _refuse_order(record: Record) -> LimitError:
    reason = f"`{record.subject.left}` changes its order in the width from step to step"
    if record.loop is not None:
        return refuse_rolled(f"{reason} of a loop", record.span)
    hint = "a matrix (n, m) keeps coordinates of order one with entries of variance proportional to 1 / m"
    return LimitError(Diagnostic("TP336", f"{reason} of a recurrence", record.span, hint))


def _no_limit(what: str, error: ArithmeticError, span: Span) -> LimitError:
    return LimitError(Diagnostic("TP322", f"{what} has no limit of order one: {error}", span))


def _subject_label(refs: tuple[Ref, ...]) -> str:
    names = [ref.name for ref in refs]
    return names[0] if len(set(names)) == 1 else ",".join(names)
