"""Expectations of functions of several jointly Gaussian variables, for many laws at once, with estimates of the errors.

Products of gates (`dual.joint.gates`) and ratios of centred Gaussians (`dual.joint.quotients`) have rules of their own.
Of other functions, variables that occur as A(u + r(others)), A made of pieces of polynomials, are integrated in closed
form given the others (`dual.cubature.plan`). What is left is a function of d standard normal variables, d the rank of
the covariance of the others, which is lower where samples coincide. It is integrated
    by a Hermite series, where f is a product of two smooth functions of two variables each (`dual.cubature.series`);
    by panels between the kinks, d ≤ 2 (`dual.cubature.panels`);
    by the trapezoidal rule, d ≤ 4, where the function is smooth (`dual.cubature.lattice`);
    by randomized quasi-Monte Carlo otherwise (`dual.cubature.random`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tensorprog.dual.cubature import lattice, panels
from tensorprog.dual.cubature.integrand import Estimate, Integrand, join
from tensorprog.dual.cubature.lattice import lattice_estimate
from tensorprog.dual.cubature.law import Gaussians, NormalForm, by_rank
from tensorprog.dual.cubature.panels import panel_estimate
from tensorprog.dual.cubature.plan import Plan, find_plan, with_numbers
from tensorprog.dual.cubature.random import random_estimate
from tensorprog.dual.cubature.series import find_halves, series_estimate
from tensorprog.dual.joint.gates import gate_estimate
from tensorprog.dual.joint.quotients import quotient_estimate
from tensorprog.nonlin.expression import Expr

__all__ = ["Estimate", "joint_cubature"]

Array = npt.NDArray[np.float64]

_ACCURATE = 1e-6
"""The largest error of the trapezoidal rule, relative to E |f|, with which it is used."""


_SERIES = 1e-9
"""The largest error of a Hermite series, relative to √(E φ² E ψ²), with which it is used."""


def joint_cubature(function: Expr, means: Array, covariances: Array, symbols: Mapping[str, Any]) -> Estimate:
    """Return E f(u) for u ~ N(means[n], covariances[n]), estimates of the errors, and E |f|.

    Args:
        function: f, over Operand(0), …, Operand(k − 1).
        means: finite numbers (N, k).
        covariances: finite numbers (N, k, k), symmetric and positive semidefinite up to rounding.
        symbols: the values of hyperparameters.
    """
    plain = with_numbers(function, tuple(sorted((name, float(value)) for name, value in symbols.items())))
    known = gate_estimate(plain, means, covariances, {}) or quotient_estimate(plain, means, covariances)
    if known is not None:
        return Estimate(*known)
    integrand = Integrand(find_plan(plain), means.shape[1])
    laws = Gaussians(means, covariances)
    halves = find_halves(plain) if integrand.plan.is_smooth and not integrand.plan.inner else None
    if halves is None:
        return _by_rank(integrand, laws)
    found = series_estimate(halves, laws)
    (rough,) = np.nonzero(~(found.error <= _SERIES * found.scale))
    parts = [(np.arange(len(means)), found)]
    return join([*parts, (rough, _by_rank(integrand, laws.rows(rough)))] if rough.size else parts, len(means))


def _by_rank(integrand: Integrand, laws: Gaussians) -> Estimate:
    """Return the expectations, of laws of one rank together."""
    ordered = integrand.laws(laws)
    groups = by_rank(ordered, len(integrand.plan.outer))
    return join([(where, _estimate(integrand, form)) for where, form in groups], len(laws.means))


def _estimate(integrand: Integrand, form: NormalForm) -> Estimate:
    """Return the expectations under laws of one rank, by the rule for it."""
    plan, dimension = integrand.plan, form.roots.shape[2]
    if dimension == 0 or (dimension <= panels.MOST_DIMENSIONS and _has_places(plan)):
        return panel_estimate(integrand, form)
    if plan.is_smooth and dimension <= lattice.MOST_DIMENSIONS:
        found = lattice_estimate(integrand, form)
        (rough,) = np.nonzero(~(found.error <= _ACCURATE * found.scale))
        if not rough.size:
            return found
        every = np.arange(len(form.means))
        return join([(every, found), (rough, random_estimate(integrand, form.rows(rough)))], len(every))
    return random_estimate(integrand, form)


def _has_places(plan: Plan) -> bool:
    """Return whether there are kinks, or gates that look like kinks, and where they are is known."""
    return not plan.skew and (bool(plan.kinks) or bool(plan.inner))
