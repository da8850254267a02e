"""The two dispatchers of the builder: terms to values, statements to instructions; other modules register the rules."""

from __future__ import annotations

from functools import singledispatch

from tensorprog.core.builder import Builder
from tensorprog.core.codes import Code
from tensorprog.core.shapes import Value
from tensorprog.syntax.tree import Statement, Term

__all__ = ["lower_statement", "lower_term"]


@singledispatch
def lower_term(term: Term, builder: Builder) -> Value | None:
    """Return the value of a term, or None if something about it had to be reported."""
    builder.report(Code.WRONG_KIND, "this is no expression", term.span)
    return None


@singledispatch
def lower_statement(statement: Statement, builder: Builder) -> None:
    """Carry out a statement: declare, emit, bind."""
    builder.report(Code.MISPLACED, "this statement may not stand here", statement.span, "move it to the top level")
