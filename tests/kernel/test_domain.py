"""Domains: their entries, and finding them again."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from tensorprog.kernel.domain import Band, Domain, Span, make_band
from tensorprog.kernel.ir import AxisIndex, Copy

RANGES = [(0, 0), (0, 3), (-1, 4), (2, 1)]
LIMITS = [(-9, 9), (0, 0), (-1, 2), (3, 3), (-2, -1), (7, 9)]


def _domain(*components: Span | Band, circular: bool = False) -> Domain:
    """A domain whose dimensions are those of its components, in order."""
    dimensions, count = [], 0
    for component in components:
        dimensions.append(tuple(range(count, count + len(component.ranges()))))
        count += len(component.ranges())
    axes = tuple(AxisIndex(f"i{number}", "i", Copy.OWN) for number in range(count))
    return Domain(axes, components, tuple(dimensions), (circular,) * count)


@pytest.mark.parametrize(("left", "right", "limits"), list(product(RANGES, RANGES, LIMITS)))
def test_a_band_holds_the_pairs_with_its_displacements(
    left: tuple[int, int], right: tuple[int, int], limits: tuple[int, int]
) -> None:
    band = make_band(left, right, *limits)
    low, high = limits
    want = [
        (p, p + d)
        for d in range(low, high + 1)
        for p in range(left[0], left[0] + left[1])
        if right[0] <= p + d < right[0] + right[1]
    ]
    p, q = band.entries()
    assert list(zip(p.tolist(), q.tolist(), strict=True)) == want
    assert band.count == len(want)
    np.testing.assert_array_equal(band.row(p, q), np.arange(len(want)))
    for place, d in enumerate(range(band.low, band.high + 1)):
        assert band.stop(d) > band.first(d), "no displacement is without entries"
        assert band.offsets[place] == band.row(band.first(d), band.first(d) + d)


def test_entries_are_numbered_row_major_over_the_components() -> None:
    domain = _domain(Span(-1, 3), make_band((0, 3), (0, 4), 0, 1), Span(0, 2))
    assert domain.count == 3 * 6 * 2
    np.testing.assert_array_equal(domain.find(domain.positions()), np.arange(domain.count))
    first, *_, last = domain.positions()
    assert (first[:2].tolist(), last[:2].tolist()) == ([-1, -1], [0, 1])
    assert domain.strides == (12, 2, 1)


def test_dimensions_of_a_component_need_not_be_neighbours() -> None:
    axes = tuple(AxisIndex(symbol, symbol[0], Copy.OWN) for symbol in ("i", "j", "i′", "j′"))
    diagonal = make_band((0, 2), (0, 2), 0, 0)
    domain = Domain(axes, (diagonal, make_band((0, 3), (0, 3), 1, 1)), ((0, 2), (1, 3)), (False,) * 4)
    entries = {name: values.tolist() for name, values in domain.entries().items()}
    assert entries == {"i": [0, 0, 1, 1], "j": [0, 1, 0, 1], "i′": [0, 0, 1, 1], "j′": [1, 2, 1, 2]}
    assert domain.find((1, 1, 1, 2)) == 3


def test_out_of_range_is_no_entry() -> None:
    domain = _domain(make_band((0, 3), (0, 3), -2, 2))
    assert domain.find((np.array([0, -1, 3, 1]), np.array([0, 0, 2, 3]))).tolist()[1:] == [-1, -1, -1]


def test_circular_axes_wrap() -> None:
    domain = _domain(make_band((-1, 3), (-1, 3), 0, 0), circular=True)
    assert domain.find((np.array([2, -2]), np.array([2, 4]))).tolist() == [0, 2]


def test_reading_what_no_demand_found_is_an_error() -> None:
    with pytest.raises(AssertionError):
        _domain(make_band((0, 3), (0, 3), 0, 0)).find((0, 1))


def test_without_axes_there_is_one_entry() -> None:
    domain = _domain()
    assert (domain.count, domain.find(()), domain.entries()) == (1, 0, {})
