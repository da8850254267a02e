"""The dual of two activations with its derivation: E[φ(u) ψ(v)] as a formula, its steps, and its values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import sympy as sp

from tensorprog.dual.closed.derivation import Proof
from tensorprog.dual.closed.moments import NoClosedForm
from tensorprog.dual.closed.normal_form import normal_form
from tensorprog.dual.closed.prove import prove
from tensorprog.dual.expectation import PairLaw, UndefinedExpectation, pair
from tensorprog.dual.law import DET, LETTERS, Law
from tensorprog.dual.numeric import SPECIALS
from tensorprog.dual.pairs.quadrature import pair_quadrature
from tensorprog.errors import Diagnostic, LimitError
from tensorprog.limit.activation_text import activation_latex, activation_text
from tensorprog.nonlin.derivative import derivative
from tensorprog.nonlin.expression import Expr
from tensorprog.nonlin.simplify import inline, simplify
from tensorprog.nonlin.text import text

__all__ = ["DualActivation", "derive_activation"]

M1, M2, C = sp.symbols("m1 m2 c", real=True)
Q1, Q2 = sp.symbols("q1 q2", positive=True)
DELTA = sp.Symbol("Δ", positive=True)
ZERO = sp.Integer(0)


@dataclass(frozen=True)
class DualActivation:
    """E[φ(u) ψ(v)] for (u, v) ~ N((m1, m2), [[q1, c], [c, q2]]); printed, it shows how the closed form comes about.

    Attributes:
        phi, psi: the two functions, of Operand(0).
        law: the symbols m1, m2, q1, q2, c in which the formula is written; the means are 0 if they are not asked for.
        formula: the value, a sympy expression; a `PairExpectation` if it has no closed form.
        rule: what the formula rests on, with its source.
        error: words on the error of a numerical value; None for a closed form.
        proof: the derivation, None without a closed form; `proof.lines` have .left, .right (sympy) and .rule.
    """

    phi: Expr
    psi: Expr
    law: PairLaw
    formula: sp.Expr
    rule: str
    error: str | None
    proof: Proof | None

    def __call__(
        self,
        q1: npt.ArrayLike,
        q2: npt.ArrayLike,
        c: npt.ArrayLike,
        m1: npt.ArrayLike = 0.0,
        m2: npt.ArrayLike = 0.0,
    ) -> npt.NDArray[np.float64]:
        """Return the value for variances q1, q2 ≥ 0, covariances |c| ≤ √(q1 q2) and means, broadcast together.

        Raises:
            ValueError: a mean that is not zero, of a formula for centred variables.
        """
        entries = np.broadcast_arrays(*(np.asarray(entry, np.float64) for entry in (m1, m2, q1, q2, c)))
        if self.law.m1 == 0 and (entries[0].any() or entries[1].any()):
            raise ValueError("this is the formula for variables of mean zero; ask for dual_activation(…, mean=True)")
        if self.error is not None:
            m1, m2, q1, q2, c = entries
            return pair_quadrature(self.phi, self.psi, m1, m2, q1, q2, c, {})[0]
        modules = [{kind.__name__: function for kind, function in SPECIALS.items()}, "scipy", "numpy"]
        function = sp.lambdify((M1, M2, Q1, Q2, C), self.formula, modules)
        with np.errstate(all="ignore"):
            values = function(*entries)
        return np.broadcast_to(np.asarray(values, np.float64), entries[0].shape)

    def __str__(self) -> str:
        return activation_text(self)

    def latex(self) -> str:
        """Return formula and derivation as LaTeX, an `align*` environment."""
        return activation_latex(self)


def derive_activation(phi: Expr, psi: Expr, *, has_means: bool, slopes: bool) -> DualActivation:
    """Return the dual of φ and ψ, of φ′ and ψ′ if slopes are wanted, with means or without.

    Raises:
        LimitError: it does not exist.
    """
    left, right = (simplify(derivative(inline(f), 0)) if slopes else f for f in (phi, psi))
    law = PairLaw(*((M1, M2) if has_means else (ZERO, ZERO)), Q1, Q2, C)
    try:
        found = pair(left, right, law, lambda function: sp.Symbol(text(function, ["u"])))
    except UndefinedExpectation as error:
        raise LimitError(Diagnostic("TP340", f"the expectation does not exist: {error}")) from error
    return DualActivation(left, right, law, found.expr, found.rule, found.error, _proof(left, right, law))


def _proof(phi: Expr, psi: Expr, law: PairLaw) -> Proof | None:
    forms = normal_form(phi), normal_form(psi)
    if forms[0] is None or forms[1] is None:
        return None
    _, _, q1, q2, c = LETTERS
    try:
        found = prove(
            forms[0], forms[1], (ZERO, ZERO) if law.m1 == 0 else (LETTERS[0], LETTERS[1]), Law(q1, q2, c, DET)
        )
    except NoClosedForm:
        return None
    return found.in_terms_of(dict(zip((*LETTERS, DET), (M1, M2, Q1, Q2, C, DELTA), strict=True)))
