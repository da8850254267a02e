"""Whether a ratio of Gaussians has an expectation: powers are counted where its denominators vanish.

Near the points where some of the forms vanish together, r independent Gaussian variables being zero there, a ratio
behaves like ϱ^{d − 2Σp} with ϱ the distance, p the exponents of the denominators and d the number of lines in its
numerator that vanish as well; the volume is ϱ^{r − 1} dϱ. So the expectation of its absolute value exists if and only
if r + d > 2Σp for all sets of forms whose constant is zero: E σ⁻² of a batch of B centred samples, r = B − 1, is
infinite for B < 4.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from tensorprog.dual.joint.ratios import Ratio
from tensorprog.dual.undefined import InfiniteExpectation

__all__ = ["check_poles", "margins"]

Array = npt.NDArray[np.float64]

_ZERO = 1e-12
"""Squares that are smaller than this part of the largest are zero."""


def check_poles(terms: tuple[Ratio, ...], root: Array) -> None:
    """Raise if the expectation of a sum of ratios does not exist.

    Args:
        terms: the sum.
        root: the variables (k, m) in terms of independent standard normal ones, or as vectors of their span.

    Raises:
        InfiniteExpectation: the denominators come near zero together too often.
    """
    for term in terms:
        for rank, order in _orders(term, root[None]):
            if rank[0] <= order[0]:
                raise InfiniteExpectation(
                    f"a denominator vanishes with {rank[0]:.0f} independent Gaussian{'s' if rank[0] != 1 else ''}, in "
                    f"order {order[0]:g} against the numerator, and its expectation is finite for orders below "
                    f"{rank[0]:.0f} only: more variables in the denominator, as of a larger batch, or a constant "
                    "in it (eps > 0) make it finite"
                )


def margins(term: Ratio, roots: Array) -> Array:
    """Return the least r + d − 2Σp for laws with roots (N, k, m): the expectation exists where it is positive."""
    found = [rank - order for rank, order in _orders(term, roots)]
    return np.asarray(np.min(found, axis=0)) if found else np.full(len(roots), np.inf)


def _orders(term: Ratio, roots: Array) -> Iterator[tuple[Array, Array]]:
    """Yield r and 2Σp − d for all sets of forms that may vanish."""
    singular = [(form.array, -exponent) for form, exponent in term.powers if form.constant == 0]
    lines = [np.einsum("i,nij->nj", np.array(line), roots) for line in term.lines]
    for size in range(1, len(singular) + 1):
        for chosen in itertools.combinations(singular, size):
            matrix = sum((matrix for matrix, _ in chosen), np.zeros(()))
            values, vectors = np.linalg.eigh(np.einsum("nij,ik,nkl->njl", roots, matrix, roots))
            inside = values > _ZERO * values[:, -1:]
            order = np.full(len(roots), 2 * sum(exponent for _, exponent in chosen))
            for line in lines:
                along = np.einsum("nj,njl->nl", line, vectors)
                left = np.sum(np.where(inside, 0.0, along**2), axis=1)
                order = order - (left <= _ZERO * np.sum(along**2, axis=1))
            yield inside.sum(axis=1).astype(np.float64), order
