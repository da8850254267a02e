"""Sample programs of which only the diagonal is needed, k(p, p; x, x): angles are 0 there, however they are formed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tensorprog.kernel.axes import is_right
from tensorprog.kernel.domain import Band, Domain
from tensorprog.kernel.ir import Definition, KernelIR, Let, Loop, Op, Scalar, Statement, Sweep
from tensorprog.kernel.select import select_sample

__all__ = ["for_diagonal"]

_PLAIN = {"NearAngle": "Angle", "NearDet": "Det"}


def for_diagonal(ir: KernelIR, domains: Mapping[str, Domain]) -> KernelIR:
    """Return the program without versines in its sample program if that is run at equal positions only.

    Args:
        ir: the program, of which the diagonals of results are not needed.
        domains: the entries of the arrays of the sample program.
    """
    if not ir.versines or not all(map(_is_diagonal, domains.values())):
        return ir
    return select_sample(replace(ir, sample=tuple(map(_plain_statement, ir.sample))))


def _is_diagonal(domain: Domain) -> bool:
    """Tell whether all entries have the same positions in both copies."""
    seconds = {
        dimensions[1]
        for component, dimensions in zip(domain.components, domain.dimensions, strict=True)
        if isinstance(component, Band) and not any(component.displacements)
    }
    return all(place in seconds for place, index in enumerate(domain.axes) if is_right(index))


def _plain_statement(statement: Statement) -> Statement:
    match statement:
        case Loop():
            initial = tuple(map(_plain_definition, statement.initial))
            return replace(statement, initial=initial, body=tuple(map(_plain_statement, statement.body)))
        case Sweep():
            return replace(statement, groups=tuple(tuple(map(_plain_definition, group)) for group in statement.groups))
    return _plain_definition(statement)


def _plain_definition(definition: Definition) -> Definition:
    return replace(definition, value=_plain(definition.value)) if isinstance(definition, Let) else definition


def _plain(scalar: Scalar) -> Scalar:
    """Return an expression with angles and determinants from second moments."""
    if not isinstance(scalar, Op):
        return scalar
    args = tuple(map(_plain, scalar.args))
    plain = _PLAIN.get(scalar.operator)
    return Op(scalar.operator, args) if plain is None else Op(plain, args[:3])
