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

from tensorprog.dual.expectation import Expectations
from tensorprog.errors import Diagnostic, LimitError, Span
from tensorprog.limit.equations import Assumption, Equation, Kind, Subject, X
from tensorprog.limit.scaling import Term
from tensorprog.limit.variables import TEMPORARY, Loop, Ref, Variables, refuse_rolled
from tensorprog.nonlin.expression import Apply, Expr, Operand

__all__ = ["Derived", "Ledger", "Names", "Record"]

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
    derived: Derived | None = None
    is_read_in_itself: bool = False
    is_named: bool = False


class Names:
    """The elementwise functions that occur by name in numerical expectations."""

    def __init__(self) -> None:
        self.functions: dict[str, Expr] = {}

    def __call__(self, function: Expr) -> sp.Symbol:
        """Return the name of a function of Operand(0), the same for the same function."""
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

    def gram(self, left: str, right: str) -> Term:
        """Return ⟨left(x), right(x')⟩ of two data vectors."""
        function = sp.Function(f"<{left}>" if left == right else f"<{left},{right}>")
        self.grams[function] = (left, right)
        return Term(function(X, self.right))

    def data(self, name: str) -> Term:
        """Return a scalar that is data."""
        function = sp.Function(f"data {name}" if name.startswith(LABELS) else name)
        self.scalars[function] = name
        return Term(function(X))

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
        through = "" if inner[0].name == inner[1].name else f"[{_subject_label(inner)}]"
        unique = self._is_only_argument(outer, inner)
        suffix = "" if unique else through or f"[{inner[0].name}]"
        return self._entry(label + suffix, Kind.DERIVATIVE, outer, rule, None)

    def _is_only_argument(self, outer: tuple[Ref, Ref], inner: tuple[Ref, Ref]) -> bool:
        reads = [
            {r.name for r in self.variables.operands(self.variables.own(ref.name))}
            if ref.name in self.variables.definitions
            else set()
            for ref in outer
        ]
        return all(names <= {ref.name} for names, ref in zip(reads, inner, strict=True))

    def _entry(self, label: str, kind: Kind, refs: tuple[Ref, ...], rule: Rule, again: Again | None) -> Term:
        loops = {
            self.variables.loops[r.name].scan.target: self.variables.loops[r.name] for r in refs if r.at is not None
        }
        steps = {r.at for r in refs if r.at is not None}
        if len(loops) > 1 or len(steps) > 1 or self._looks_back(refs):
            return rule(*refs).term
        loop = next(iter(loops.values()), None)
        step = next(iter(steps), None)
        record = self._record(label, kind, refs, loop, rule)
        assert loop is not None or step is None
        if loop is not None and step is not None and step != loop.index:
            self.records[label] = record = replace(record, is_named=True)
            if not step.is_number:
                return self._read_past(label, record, self._begin(record, kind, refs, loop, again), step)
        return self._read(label, record, step)

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
        own = tuple(self.variables.own(ref.name) for ref in refs)
        span = self.variables.definitions[max(refs, key=lambda r: self.variables.position[r.name]).name].span
        subject = Subject(kind, refs[0].name, refs[1].name if len(refs) > 1 else None)
        self.records[label] = Record(sp.Function(label), subject, loop, span)
        try:
            derived = rule(*own)
        except BaseException as error:
            del self.records[label]
            if isinstance(error, ArithmeticError):
                raise _no_limit(self.variables.describe(refs[0].name), error, span) from error
            raise
        open_record = self.records.pop(label)
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

    def _read(self, label: str, record: Record, step: sp.Expr | None) -> Term:
        derived = record.derived
        if derived is not None and not record.is_named:
            return derived.term
        power, origin = (derived.term.power, derived.term.origin) if derived is not None else (sp.Integer(0), None)
        if derived is not None and derived.term.vanishes and not record.is_read_in_itself:
            return derived.term
        return Term(record.function(*self.arguments(record.subject.kind, step)), power, origin)

    def _read_past(self, label: str, record: Record, initial: sp.Expr, step: sp.Expr) -> Term:
        """Return a quantity of the step before: its initial value counts, where its own rule gives zero too."""
        derived = record.derived
        if initial == 0 or derived is None:
            return self._read(label, record, step)
        if not derived.term.vanishes and derived.term.power != 0:
            raise _refuse_order(record)
        return Term(record.function(*self.arguments(record.subject.kind, step)))

    def arguments(self, kind: Kind, step: sp.Expr | None) -> tuple[sp.Expr, ...]:
        """Return what a quantity of a kind is applied to: its step in a loop, and the copies that it depends on."""
        copies = (X,) if kind in (Kind.MEAN, Kind.SCALAR) else (X, self.right)
        return copies if step is None else (step, *copies)

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
        lhs = record.function(*self.arguments(kind, sp.Integer(loop.first - 1)))
        placeholder = Equation(
            f"{label}({loop.first - 1})", lhs, sp.Integer(0), "initial value", record.subject, record.span
        )
        self.initials[label] = placeholder
        if all(name is not None for name in outer):
            value = again(*(self.variables.resolve(name, None) for name in outer if name is not None))
            if not value.vanishes and value.power != 0:
                raise _refuse_order(record)
            self.initials[label] = replace(placeholder, rhs=value.coefficient)
        return self.initials[label].rhs


def _refuse_order(record: Record) -> LimitError:
    reason = f"`{record.subject.left}` changes its order in the width from step to step of a loop"
    return refuse_rolled(reason, record.span)


def _no_limit(what: str, error: ArithmeticError, span: Span) -> LimitError:
    return LimitError(Diagnostic("TP322", f"{what} has no limit of order one: {error}", span))


def _subject_label(refs: tuple[Ref, ...]) -> str:
    names = [ref.name for ref in refs]
    return names[0] if len(set(names)) == 1 else ",".join(names)
