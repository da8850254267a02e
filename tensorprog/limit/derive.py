"""From a core program to its limit: the equations of NNGP and NTK, in one-copy and two-copy form."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import sympy as sp
from sympy.core.function import AppliedUndef

from tensorprog.backprop.independence import Independence, check_independence, tied_with_transpose
from tensorprog.core.ir import Core, Map, MatMul, Moment, Output, walk
from tensorprog.dual.expectation import Expectations
from tensorprog.errors import Diagnostic, LimitError, Span
from tensorprog.limit.equations import Assumption, Kind, LimitSystem, Result, Subject, X, Y
from tensorprog.limit.equations import equations as walk_equations
from tensorprog.limit.extents import NeedsExtents
from tensorprog.limit.gaussians import refuse_unknown
from tensorprog.limit.moments import Moments
from tensorprog.limit.names import name_indices
from tensorprog.limit.naming import Ledger, Names
from tensorprog.limit.one_copy import OneCopy, TwoCopies
from tensorprog.limit.rates import greatest_tangent
from tensorprog.limit.scaling import Asymptotics, Term
from tensorprog.limit.schedule import schedule
from tensorprog.limit.support import check_supported
from tensorprog.limit.variables import ONLY_ROLLED, Ref, Variables
from tensorprog.nonlin.derivative import has_surrogate

__all__ = [
    "Systems",
    "assemble",
    "check_kind",
    "derive",
    "find_results",
    "finite_kernel",
    "make_systems",
    "refuse_unsupported",
]

KERNELS = {"nngp": None, "ntk": Kind.TANGENT, "sg_ntk": Kind.SURROGATE}


@dataclass(frozen=True)
class Systems:
    """The two systems that are derived side by side."""

    one: OneCopy
    two: TwoCopies
    names: Names


def derive(core: Core, expectations: Expectations = Expectations.AUTO) -> LimitSystem:
    """Return the limit of a program as n → ∞: recursive equations for NNGP and NTK.

    NNGP: K(x, x') = lim E[f(x) f(x')].  NTK: Θ(x, x') = lim Σ_p lr_p ⟨∂f(x)/∂p, ∂f(x')/∂p⟩.

    Raises:
        LimitError: the limit is infinite, does not exist, or is outside the implemented theory.
    """
    variables = Variables(core)
    asymptotics = Asymptotics(core, variables.sizes)
    independence = refuse_unsupported(variables, asymptotics)
    systems = make_systems(variables, asymptotics, expectations)
    _warm_up(systems)
    results, refused = find_results(core.outputs, lambda *asked: _result(core, systems, independence, *asked))
    return assemble(core, systems, asymptotics, independence, results, refused)


def refuse_unsupported(variables: Variables, asymptotics: Asymptotics) -> Independence:
    """Refuse what has no limit here; return whether gradients may be taken independent.

    Raises:
        LimitError: index axes, a finite parameter that stays random, or a matrix used with its transpose.
    """
    check_supported(variables, asymptotics)
    _refuse_tied(variables.core)
    return check_independence(variables.core)


def make_systems(variables: Variables, asymptotics: Asymptotics, expectations: Expectations) -> Systems:
    """Return empty one-copy and two-copy systems of a program."""
    names = Names()
    one = OneCopy(variables, asymptotics, Ledger(variables, X, expectations, names))
    return Systems(one, TwoCopies(one, Ledger(variables, Y, expectations, names)), names)


def _refuse_tied(core: Core) -> None:
    tied = tied_with_transpose(core)
    if tied:
        hint = "the limit then has a correction term (Tensor Programs III), which is not implemented yet"
        raise LimitError([Diagnostic("TP350", violation.reason, violation.span, hint) for violation in tied])


def _warm_up(systems: Systems) -> None:
    """Derive layer by layer, in program order, so that no derivation recurses through a whole deep network.

    What a layer cannot have is refused when it is needed, not here.
    """
    variables = systems.one.variables
    for instruction in walk(variables.core.body):
        if isinstance(instruction, MatMul) and instruction.operand not in variables.data:
            (ref,) = variables.operands(variables.own(instruction.target))
            for moments in (systems.one, systems.two):
                try:
                    moments.second(variables.own(ref.name), variables.own(ref.name, Y))
                    moments.tangent(variables.own(ref.name), variables.own(ref.name, Y))
                except LimitError:
                    return


def find_results(
    outputs: Iterable[Output], result: Callable[[Output, str, Kind | None], Result]
) -> tuple[dict[tuple[str, str], Result], dict[tuple[str, str], Exception]]:
    """Return the kernels of some outputs, and why those that are missing were refused.

    Raises:
        LimitError: an output has no NNGP kernel, or not before something else is known of the program.
    """
    results: dict[tuple[str, str], Result] = {}
    refused: dict[tuple[str, str], Exception] = {}
    for output in outputs:
        for name, kind in KERNELS.items():
            try:
                results[output.name, name] = result(output, name, kind)
            except LimitError as error:
                if name == "nngp" or any(diagnostic.code == ONLY_ROLLED for diagnostic in error.diagnostics):
                    raise  # for a loop without a recurrence, so that it is unrolled
                if isinstance(error, NeedsExtents):
                    raise
                refused[output.name, name] = error
    return results, refused


def _result(
    core: Core, systems: Systems, independence: Independence, output: Output, name: str, kind: Kind | None
) -> Result:
    kind = check_kind(core, systems, independence, kind)
    refs = _both(output.source, systems.one.variables)
    one, two = (_ask(moments, refs, kind) for moments in (systems.one, systems.two))
    values = finite_kernel(one, output, name, systems), finite_kernel(two, output, name, systems)
    if not systems.one.variables.axes(output.source):
        return Result(*values)
    subject = Subject(kind or Kind.SECOND, output.source, output.source)
    ledgers = systems.one.ledger, systems.two.ledger
    return Result(
        *(ledger.over_axes(subject, value, output.span) for ledger, value in zip(ledgers, values, strict=True))
    )


def check_kind(core: Core, systems: Systems, independence: Independence, kind: Kind | None) -> Kind | None:
    """Return the kind of tangent that a kernel is, None for a second moment.

    Raises:
        LimitError: gradients may not be taken independent, or training moves an average.
    """
    if kind is not None and not independence.holds:
        raise LimitError([_not_independent(violation.reason, violation.span) for violation in independence.violations])
    if kind is not None:
        _check_averages(systems.one)
    return Kind.TANGENT if kind is Kind.SURROGATE and not _has_surrogates(core) else kind


def _check_averages(one: OneCopy) -> None:
    """Refuse rates so large that training moves an average: its gradient, of order 1/n, must add nothing to the NTK.

    Raises:
        LimitError: an average is taken of a vector whose tangent is of order n or more.
    """
    variables = one.variables
    for instruction in walk(variables.core.body):
        if isinstance(instruction, Moment) and instruction.operand not in variables.data:
            (ref,) = variables.operands(variables.own(instruction.target))
            tangent = _averaged_tangent(one, ref.name)
            if not tangent.vanishes and tangent.power >= 1:
                raise _moving_average(tangent, instruction.span)


def _averaged_tangent(one: OneCopy, name: str) -> Term:
    """Return the tangent of what is averaged: to leading order, where it has no formula here a bound of that order."""
    try:
        return one.tangent(one.variables.own(name), one.variables.own(name, Y))
    except LimitError:
        bound = greatest_tangent(name, one)
        if bound.power >= 1:
            raise
        return bound


def _moving_average(tangent: Term, span: Span) -> LimitError:
    cause = f", through the rate of `{tangent.origin.name}`" if tangent.origin is not None else ""
    statement = f"training moves this average: the tangent of what is averaged is of order n^{tangent.power}{cause}"
    hint = "the NTK then has a random term; give that parameter a learning rate `lr` of order one"
    return LimitError(Diagnostic("TP325", statement, span, hint))


def _both(name: str, variables: Variables) -> tuple[Ref, Ref]:
    """Return an output at its own positions in the two copies."""
    return variables.look_through(variables.own(name)), variables.look_through(variables.own(name, Y))


def _ask(moments: Moments, refs: tuple[Ref, Ref], kind: Kind | None) -> Term:
    return moments.second(*refs) if kind is None else moments.tangent(*refs, kind)


def _not_independent(reason: str, span: Span) -> Diagnostic:
    return Diagnostic(
        "TP351",
        f"the NTK needs the gradient independence assumption, and the simple check fails: {reason}",
        span,
        "the NNGP kernel is still given; for the NTK draw the readout with mean zero and use it in outputs only",
    )


def _has_surrogates(core: Core) -> bool:
    return any(isinstance(i, Map) and has_surrogate(i.expression) for i in walk(core.body))


def finite_kernel(term: Term, output: Output, name: str, systems: Systems) -> sp.Expr:
    """Return the coefficient of a kernel of order one; a vanishing kernel is zero, an infinite one refused."""
    if term.is_unknown:
        raise refuse_unknown(f"the {name.upper()} of `{output.name}`", output.span)
    if term.is_bound:
        systems.two.ledger.note(
            f"{name} vanishes", f"the {name.upper()} of `{output.name}` vanishes as n grows", output.span
        )
    if term.vanishes or term.power == 0:
        return term.coefficient
    cause = f", through the parameter `{term.origin.name}`" if term.origin is not None else ""
    statement = f"the {name.upper()} of `{output.name}` is of order n^{term.power}{cause}"
    if term.power < 0:
        systems.two.ledger.note(f"{name} vanishes", f"{statement}: its limit is zero", output.span)
        return sp.Integer(0)
    span = term.origin.span if term.origin is not None else output.span
    raise LimitError(
        Diagnostic(
            "TP323",
            f"{statement}: the limit is infinite",
            span,
            "scale the variance (NNGP) or the learning rate `lr` (NTK) of that parameter with the width",
        )
    )


def assemble(
    core: Core,
    systems: Systems,
    asymptotics: Asymptotics,
    independence: Independence,
    results: dict[tuple[str, str], Result],
    refused: dict[tuple[str, str], Exception],
) -> LimitSystem:
    """Return the system that the results need: equations in order, the one-copy ones that pairs read among them."""
    one, two = systems.one.ledger, systems.two.ledger
    variables = systems.one.variables
    pair = schedule(two, [result.pair for result in results.values()])
    sides = [equation.rhs for equation in walk_equations(pair)] + [result.pair for result in results.values()]
    sample = schedule(one, [*(result.diagonal for result in results.values()), *_one_copy_reads(sides)])
    system = LimitSystem(
        name=core.name,
        constants={sp.Symbol(name): float(value) for name, value in core.symbols.items()},
        sizes=variables.sizes.known,
        right_sizes=variables.sizes.right,
        axes=dict(core.axes),
        shapes={**one.shapes, **two.shapes},
        indices=variables.places.indices,
        grams={**one.grams, **two.grams},
        data={**one.scalars, **two.scalars},
        functions=dict(systems.names.functions),
        sample=sample,
        pair=pair,
        results=results,
        assumptions=(_statement(independence), *{**one.notes, **two.notes}.values()),
        refused=refused,
    )
    return name_indices(system, variables.places)


def _one_copy_reads(sides: list[sp.Expr]) -> list[sp.Expr]:
    """Return the one-copy quantities that pair equations read at x or at x', as quantities of x."""
    applied = {function for side in sides for function in side.atoms(AppliedUndef)}
    return [function.xreplace({Y: X}) for function in applied if not {X, Y} <= set(function.args)]


def _statement(independence: Independence) -> Assumption:
    if independence.holds:
        names = ", ".join(f"`{name}`" for name in independence.readouts) or "there is no readout"
        return Assumption(
            "gradient independence",
            f"holds by the simple check (Tensor Programs II, Condition 1): the readout {names} is an independent "
            "Gaussian of mean zero that is used in outputs only, and no matrix is used together with its transpose",
        )
    reasons = "; ".join(violation.reason for violation in independence.violations)
    return Assumption(
        "gradient independence", f"not justified: {reasons}; the NTK is refused", independence.violations[0].span
    )
