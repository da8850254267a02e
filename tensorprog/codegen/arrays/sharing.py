"""Sums that contain other sums: T_g = K_g + Σ … where K_g is a sum of some of the same terms, computed before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from tensorprog.kernel.ir import (
    Contract,
    Contraction,
    Copy,
    Expectation,
    KernelIR,
    Let,
    Loop,
    Op,
    Place,
    Ref,
    Scalar,
    Statement,
    Sweep,
)

__all__ = ["Sharing", "share_sums"]


@dataclass(slots=True)
class Sharing:
    """What was found: `groups` are arrays that must have the same entries, `names` those that are another."""

    groups: list[tuple[str, str]] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)


def share_sums(ir: KernelIR) -> tuple[KernelIR, Sharing]:
    """Return the program with every sum in its pair program that contains an earlier one reading that one instead."""
    sharing = Sharing()
    pair = tuple(_rewrite(ir.pair, sharing))
    results = tuple(replace(result, pair=_renamed(result.pair, sharing.names)) for result in ir.results)
    return replace(ir, pair=pair, results=results), sharing


def _rewrite(statements: tuple[Statement, ...], sharing: Sharing) -> Iterator[Statement]:
    known: list[Contract] = []
    for statement in statements:
        match statement:
            case Contract():
                contract = _renamed_contract(statement, sharing.names)
                shared = _shared(contract, known, sharing)
                known.append(contract)
                if shared is not None:
                    yield shared
            case Let():
                yield replace(statement, value=_renamed(statement.value, sharing.names))
            case Loop():
                initial = tuple(_renamed_definition(entry, sharing.names) for entry in statement.initial)
                yield replace(statement, initial=initial, body=tuple(_rewrite(statement.body, sharing)))
            case Sweep():
                groups = tuple(
                    tuple(_renamed_definition(entry, sharing.names) for entry in group) for group in statement.groups
                )
                yield replace(statement, groups=groups)


def _shared(contract: Contract, known: list[Contract], sharing: Sharing) -> Contract | None:
    """Return a sum with the largest earlier sum that it contains in its place, None if it is that sum."""
    inner = max(
        (entry for entry in known if _contains(contract, entry)), key=lambda entry: len(entry.terms), default=None
    )
    if inner is None:
        return contract
    sharing.groups.append((inner.name, contract.name))
    rest = list(contract.terms)
    for term in inner.terms:
        rest.remove(term)
    if not rest and not contract.indices:
        sharing.names[contract.name] = inner.name
        return None
    places = tuple(Place(0, ((index.symbol, 1),)) for index in contract.axes)
    whole = Contraction((Ref(inner.name, inner.indices, Copy.OWN, places),))
    return replace(contract, terms=(whole, *rest))


def _contains(contract: Contract, other: Contract) -> bool:
    """Tell whether the terms of another sum over the same axes are among those of a sum, and worth it."""
    if (contract.axes, contract.indices) != (other.axes, other.indices) or not any(term.bound for term in other.terms):
        return False
    rest = list(contract.terms)
    for term in other.terms:
        if term not in rest:
            return False
        rest.remove(term)
    return True


def _renamed_contract(contract: Contract, names: Mapping[str, str]) -> Contract:
    terms = tuple(
        replace(term, factors=tuple(_renamed(factor, names) for factor in term.factors)) for term in contract.terms
    )
    return replace(contract, terms=terms)


def _renamed_definition(definition: Let | Contract, names: Mapping[str, str]) -> Let | Contract:
    if isinstance(definition, Contract):
        return _renamed_contract(definition, names)
    return replace(definition, value=_renamed(definition.value, names))


def _renamed(scalar: Scalar, names: Mapping[str, str]) -> Scalar:
    if isinstance(scalar, Ref) and scalar.copy is Copy.OWN:
        return replace(scalar, name=names.get(scalar.name, scalar.name))
    if isinstance(scalar, Op | Expectation):
        return replace(scalar, args=tuple(_renamed(arg, names) for arg in scalar.args))
    return scalar
