"""Sums in two parts: a map that adds a variable as it stands to a nonlinear term gets a variable for that term.

A leaky recurrence s[t] = a · s[t − 1] + φ(g[t]) is linear in its state though not in g: with e = φ(g) in a variable of
its own, s is a linear combination of s and e, and its moments are bilinear. The program computes the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from tensorprog.core.ir import Core, Instruction, Map
from tensorprog.limit.affine import affine_form
from tensorprog.limit.rewriting import Rewriting, rewrite
from tensorprog.limit.variables import Variables
from tensorprog.nonlin.expression import Apply, Expr, Operand, operands, substitute

__all__ = ["split_sums"]


def split_sums(core: Core) -> Core:
    """Return an equivalent program in which such maps are linear combinations."""
    return rewrite(core, _changed)


def _changed(instruction: Instruction, state: Rewriting) -> Iterator[Instruction] | None:
    if not isinstance(instruction, Map) or not _is_mixed(instruction, state.variables):
        return None
    return _split(instruction, state)


def _is_mixed(instruction: Map, variables: Variables) -> bool:
    """Return whether a map of several variables is not affine, yet has a linear term in one that is not Gaussian."""
    if sum(variables.is_random(name) for name in instruction.operands) < 2:
        return False
    if not variables.is_random(instruction.target) or variables.affine(instruction.target) is not None:
        return False
    terms = list(_terms(instruction.expression))
    return len(terms) > 1 and any(_is_linear(term, instruction, variables) for term in terms)


def _is_linear(term: Expr, instruction: Map, variables: Variables) -> bool:
    read = {instruction.operands[index] for index in operands(term)}
    known = {name for name in read if variables.is_random(name)}
    return bool(known - variables.gaussian) and _is_affine(term, instruction, variables)


def _is_affine(term: Expr, instruction: Map, variables: Variables) -> bool:
    random = [index for index, name in enumerate(instruction.operands) if variables.is_random(name)]
    return affine_form(term, frozenset(random)) is not None


def _terms(expr: Expr) -> Iterator[Expr]:
    """Yield the terms of a sum, without their signs."""
    if isinstance(expr, Apply) and expr.function in ("add", "sub"):
        for arg in expr.args:
            yield from _terms(arg)
    elif isinstance(expr, Apply) and expr.function == "neg":
        yield from _terms(expr.args[0])
    else:
        yield expr


def _split(instruction: Map, state: Rewriting) -> Iterator[Instruction]:
    """Yield a map for every nonlinear term, and the sum of them and of the rest."""
    names: dict[Expr, str] = {}
    for term in dict.fromkeys(_terms(instruction.expression)):
        if not _is_affine(term, instruction, state.variables):
            names[term] = state.fresh(instruction.target, instruction.target)
            yield replace(instruction, target=names[term], expression=term)
    places = {term: Operand(len(instruction.operands) + number) for number, term in enumerate(names)}
    expression = _replaced(instruction.expression, places)
    yield replace(instruction, expression=expression, operands=(*instruction.operands, *names.values()))


def _replaced(expr: Expr, places: Mapping[Expr, Operand]) -> Expr:
    return substitute(expr, places.get)
