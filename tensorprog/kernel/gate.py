"""Sums that are computed only where they are needed: Far(w) + Near(w) Σ …, w a quantity at the same entry.

Near(w) is 0 and Far(w) is w unless w < 2⁻¹⁶: there alone the sum counts.
"""

from __future__ import annotations

from dataclasses import replace

from tensorprog.kernel.ir import Contract, Contraction, Definition, Op, Ref, Scalar

__all__ = ["NEAR", "find_gate", "open_terms"]

NEAR = 2.0**-16
"""Below it the sum counts (as `dual.special.Near` says)."""


def find_gate(definition: Definition) -> Ref | None:
    """Return the quantity w of a definition of this form, None for any other definition."""
    if not isinstance(definition, Contract):
        return None
    gates = {_gate(term) for term in definition.terms}
    return gates.pop() if len(gates) == 1 else None


def open_terms(contract: Contract) -> tuple[Contraction, ...]:
    """Return the terms of the sum that counts where w is small."""
    terms = (term for term in contract.terms if not any(_has(factor, "Far") for factor in term.factors))
    return tuple(
        replace(term, factors=tuple(factor for factor in term.factors if not _has(factor, "Near"))) for term in terms
    )


def _gate(term: Contraction) -> Ref | None:
    found = [factor for factor in term.factors if _has(factor, "Near") or _has(factor, "Far")]
    match found:
        case [Op(_, (Ref() as ref,))]:
            return ref
    return None


def _has(factor: Scalar, operator: str) -> bool:
    return isinstance(factor, Op) and factor.operator == operator
