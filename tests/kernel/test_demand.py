"""Demand: as few displacements as the results need."""

from __future__ import annotations

import pytest

from tensorprog.kernel.demand import find_domains, full_domains
from tensorprog.kernel.domain import Band, Domain
from tensorprog.kernel.ir import (
    AxisIndex,
    AxisRange,
    Contract,
    Contraction,
    Copy,
    KernelIR,
    Place,
    Ref,
    Result,
)
from tensorprog.kernel.lower import lower
from tensorprog.nonlin.expression import Expr, Number, Symbol
from tests.kernel.axes_systems import attention, conv, deep_conv, elman, maxima


def _bands(domain: Domain) -> list[tuple[int, int]]:
    return [(part.low, part.high) for part in domain.components if isinstance(part, Band)]


def _all(extent: int) -> list[tuple[int, int]]:
    return [(1 - extent, extent - 1)]


TIED = [(0, 0)]


@pytest.mark.parametrize(
    ("readout", "stride", "gram", "hidden"),
    [
        ("flatten", 1, TIED, TIED),
        ("flatten", 2, TIED, TIED),
        ("mean", 1, _all(8), _all(8)),
        ("mean", 2, [(-6, 6)], _all(4)),
        ("pool", 1, [(-1, 1)], [(-1, 1)]),
        ("pool", 2, [(-2, 2)], [(-1, 1)]),
        ("two steps", 2, [(-2, 2)], [(-1, 1)]),
        ("all", 1, _all(8), _all(8)),
    ],
)
def test_convolutions(readout: str, stride: int, gram: object, hidden: object) -> None:
    domains = find_domains(lower(conv(readout, stride)), {"H": 8}, {"H": 8})
    assert domains.sample_left is domains.sample_right
    for found in (domains.pair, domains.sample_left):
        assert (_bands(found["G_x"]), _bands(found["K_a"])) == (gram, hidden)


def test_a_circular_axis_keeps_what_is_tied() -> None:
    equal = find_domains(lower(conv(circular=True)), {"H": 5}, {"H": 5})
    assert _bands(equal.pair["G_x"]) == TIED
    unequal = find_domains(lower(conv(circular=True)), {"H": 5}, {"H": 4})
    assert _bands(unequal.pair["G_x"]) == [(-4, 3)]
    assert _bands(unequal.sample_left["G_x"]) == _bands(unequal.sample_right["G_x"]) == TIED


def test_a_circular_axis_needs_everything_beside_the_diagonal() -> None:
    domains = find_domains(lower(conv("pool", circular=True)), {"H": 8}, {"H": 8})
    assert (_bands(domains.pair["G_x"]), _bands(domains.pair["K_a"])) == (_all(8), [(-1, 1)])


@pytest.mark.parametrize(
    ("readout", "left", "right", "pair"),
    [("last", 6, 6, TIED), ("last", 4, 6, [(2, 2)]), ("last", 6, 4, [(-2, -2)]), ("sum", 4, 6, [(-3, 5)])],
)
def test_recurrences(readout: str, left: int, right: int, pair: object) -> None:
    domains = find_domains(lower(elman(readout)), {"T": left}, {"T": right})
    assert _bands(domains.pair["K_s"]) == _bands(domains.pair["G_x"]) == pair
    own = TIED if readout == "last" else _all(left)
    assert _bands(domains.sample_left["K_s"]) == own


def test_a_loop_that_widens_ends_with_everything() -> None:
    domains = find_domains(lower(deep_conv()), {"H": 1000}, {"H": 1000})
    assert _bands(domains.pair["K_g"]) == _all(1000)


def test_attention_needs_everything() -> None:
    domains = find_domains(lower(attention()), {"T": 3}, {"T": 4})
    assert _bands(domains.pair["G_x"]) == [(-2, 3)]
    assert [part.ranges() for part in domains.sample_right["a"].components] == [((0, 4),), ((0, 4),)]
    assert domains.pair["%K_y.1"].count == 12


def test_what_only_the_sides_need_of_the_sample_program() -> None:
    domains = find_domains(lower(maxima()), {"H": 6}, {"H": 4})
    assert _bands(domains.pair["G_x"]) == [(-1, 1)]
    assert domains.pair["%K_p.1"].count == 3
    assert domains.pair["%K_p.2"].count == 2


def test_full_domains_have_all_entries() -> None:
    domains = full_domains(lower(conv()), {"H": 4}, {"H": 3})
    assert domains.pair["K_g"].count == 12
    assert domains.sample_right["K_g"].count == 9


def test_empty_axes_have_empty_domains() -> None:
    domains = find_domains(lower(conv("pool")), {"H": 1}, {"H": 1})
    assert domains.pair["K_p"].count == 0
    assert domains.pair["K_f"].count == 1


def _reading(left: Place, right: Place, extent: Expr | None = None) -> KernelIR:
    """K_f[p, q] = K[left, right], K[p, q] = G[p, q], and the result is K_f at all places."""
    p, q = AxisIndex("p", "i", Copy.LEFT), AxisIndex("p′", "i", Copy.RIGHT)
    here = Place(0, (("p", 1),)), Place(0, (("p′", 1),))
    program = (
        Contract("K", (), (Contraction((Ref("G", places=here),)),), axes=(p, q)),
        Contract("K_f", (), (Contraction((Ref("K", places=(left, right)),)),), axes=(p, q)),
    )
    result = Result("f", "nngp", Ref("K_f", places=here), Ref("K_f", places=here), (p, q))
    axes = {"i": AxisRange(Number(0), extent or Symbol("H"), circular=False)}
    shapes = {"G": (p, q)}
    return KernelIR("hand", {}, {}, {"G": ("x", "x")}, {}, {}, program, program, (result,), axes=axes, shapes=shapes)


@pytest.mark.parametrize(
    ("left", "right", "band"),
    [
        (Place(0, (("p", 1),)), Place(0, (("p", 1),)), (0, 0)),
        (Place(0), Place(0, (("p′", 1),)), (0, 4)),
        (Place(0, (("p", 1),)), Place(2), (-2, 2)),
        (Place(4, (("p", -1),)), Place(4, (("p", -1),)), (0, 0)),
        (Place(0, (("p", 2),)), Place(1, (("p", 2),)), (1, 1)),
        (Place(0, (("p′", 1),)), Place(0, (("p", 1),)), (-4, 4)),
        (Place(0, (("p", 1),)), Place(3, (("p", 1),)), (3, 3)),
    ],
)
def test_displacements_of_affine_places(left: Place, right: Place, band: tuple[int, int]) -> None:
    domains = find_domains(_reading(left, right), {"H": 5}, {"H": 5})
    assert _bands(domains.pair["K"]) == [band]


def test_extents_are_evaluated() -> None:
    domains = find_domains(_reading(Place(0), Place(0), Symbol("H") * 2), {"H": 2}, {"H": 1})
    assert domains.pair["K_f"].count == 8
