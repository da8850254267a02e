"""Lowering with axes: contractions, temporaries, shared sums; what later passes do with them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sympy as sp

from tensorprog.kernel.ir import (
    AxisIndex,
    Contract,
    Copy,
    Index,
    Let,
    Loop,
    Place,
    Ref,
    Statement,
    Sweep,
    definitions,
    lets,
    ranges,
    reads,
)
from tensorprog.kernel.lower import define_equation, lower, make_program
from tensorprog.kernel.roll import roll
from tensorprog.kernel.scalars import place_of
from tensorprog.kernel.select import select
from tensorprog.kernel.storage import find_histories
from tensorprog.kernel.sums import share_sums
from tensorprog.kernel.text import ir_text
from tensorprog.limit.equations import AxisSum, Equation, LimitSystem, X, Y
from tests.kernel.axes_systems import attention, conv, deep_conv, elman, graph, maxima, products, symbol
from tests.kernel.systems import equation


def _lines(system: LimitSystem, program: str = "pair x, x':") -> list[str]:
    """The lines of one program, without the header."""
    text = ir_text(lower(system)).split(program)[1]
    return [line.strip() for line in text.split("pair x, x':")[0].splitlines() if " = " in line and " of f" not in line]


def _names(statements: tuple[Statement, ...]) -> set[str]:
    return {definition.name for definition in definitions(statements)}


def test_a_sum_of_products_is_one_contraction() -> None:
    first, *_, last = _lines(conv("mean", 2))
    assert first == "K_g[o, o′] = sum[k]((0.1111111111111111*sw2)*G_x[k + 2 o, k + 2 o′]) + 0.1"
    assert last == "K_f = sum[o, o′]((1.0/(H*H′))*K_a[o, o′])"


def test_pointwise_equations_stay_expressions() -> None:
    (let,) = (let for let in lets(lower(conv()).pair) if let.name == "K_a")
    assert [index.copy for index in let.axes] == [Copy.LEFT, Copy.RIGHT]
    assert let.axes[0].axis == let.axes[1].axis == "o"


def test_attention_is_summed_over_one_copy_after_the_other() -> None:
    assert _lines(attention())[:2] == [
        "%K_y.1[i, j′] = sum[j](G_x[j, j′]*a(x)[i, j])",
        "K_y[i, i′] = sum[j′](a(x')[i′, j′]*%K_y.1[i, j′])",
    ]
    assert "a[i, j] = softmax[j](0.5*G_x[i, j])" in _lines(attention(), "sample x:")


def test_nested_sums_are_summed_over_one_copy_after_the_other() -> None:
    assert _lines(graph())[0] == "%K_h.1[i, j′] = sum[j](c_A(x)[i, j]*G_x[j, j′])"


def test_windows_in_both_copies_are_one_sum() -> None:
    lines = _lines(conv("two steps"))
    assert "K_p[r, r′] = sum[m, m₁](0.25*K_a[m + 2 r, m₁ + 2 r′])" in lines
    assert not any(line.startswith("K_a,p") for line in lines)


def test_reads_inside_functions_are_temporaries() -> None:
    lines = _lines(maxima())
    assert "%K_p.1[r] = G_x(x)[2 r, 2 r]" in lines
    assert "%K_p.2[r′] = G_x(x')[2 r′ + 1, 2 r′ + 1]" in lines
    assert "%K_q.3[r, m, r′] = G_x[m + 2 r, 2 r′]" in lines
    assert "c[r] = max[m](%c.1[r, m])" in _lines(maxima(), "sample x:")


def test_products_of_sums_are_summed_apart() -> None:
    lines = _lines(products())
    assert {"%K_f.1[i] = sum[k](M_h(x)[i + k])", "%K_f.2[i′] = sum[k](M_h(x')[i′ + k])"} < set(lines)
    assert "[i′ + k′ in i(x')]" in lines[-1]
    assert "[i = i′]" in lines[-1]
    assert lines[-1].startswith("K_f[i, i′] = i*i′*M_h(x)[0] + ")


def test_sweeps_keep_their_groups() -> None:
    ir = lower(elman())
    (sweep,) = (statement for statement in ir.pair if isinstance(statement, Sweep))
    assert sweep.left == AxisIndex("t", "t", Copy.LEFT)
    assert sweep.right == AxisIndex("t′", "t", Copy.RIGHT)
    assert [[part.name for part in group] for group in sweep.groups] == [["K_g"], ["K_s"]]
    assert "K_f = K_s[T - 1, T′ - 1]" in ir_text(ir)


def _defined(lhs: sp.Expr, rhs: sp.Expr, system: LimitSystem, swept: tuple[AxisIndex, ...] = ()) -> list[str]:
    program = make_program(system, (X, Y))
    parts = define_equation(equation(lhs, rhs), program, swept)
    return [f"{part.name}[{', '.join(index.symbol for index in part.axes)}]" for part in parts]


def test_temporaries_of_a_sweep_have_its_indices() -> None:
    system = elman()
    t, t2, k = symbol("t"), symbol("t′"), sp.Function("K_s")
    swept = AxisIndex("t", "t", Copy.LEFT), AxisIndex("t′", "t", Copy.RIGHT)
    rhs = sp.exp(k(t - 1, t - 1, X, X))
    assert _defined(k(t, t2, X, Y), rhs, system, swept) == ["%K_s.1[t, t′]", "K_s[t, t′]"]
    assert _defined(k(t, t2, X, Y), rhs, system) == ["%K_s.1[t]", "K_s[t, t′]"]


def test_arrays_are_defined_at_indices() -> None:
    t, k = symbol("t"), sp.Function("K_s")
    with pytest.raises(NotImplementedError):
        _defined(k(t, t, X, Y), sp.Integer(1), elman())
    with pytest.raises(NotImplementedError):
        _defined(k(t, 0, X, Y), sp.Integer(1), elman())


def test_places_are_affine() -> None:
    i, size = symbol("i"), sp.Symbol("T")
    assert place_of(size - 2 * i - 1) == Place(-1, (("T", 1), ("i", -2)))
    for wrong in (i / 2, i**2):
        with pytest.raises(NotImplementedError):
            place_of(wrong)


def _with_tangent() -> LimitSystem:
    """A convolution with its tangent, K_f and T_f = K_f + a sum of its own."""
    system = conv("mean")
    o, o2 = symbol("o"), symbol("o′")
    a, g, t = (sp.Function(name) for name in ("K_a", "K_g", "T_f"))

    def extended(blocks: tuple[Equation, ...], x: sp.Symbol, y: sp.Symbol) -> tuple[Equation, ...]:
        size = sp.Symbol("H") * sp.Symbol("H′" if x != y else "H")
        tangent = AxisSum(a(o, o2, x, y) + g(o, o2, x, y), o, o2) / size
        return (*blocks, equation(t(x, y), tangent))

    results = {**system.results, ("f", "ntk"): replace(system.results["f", "nngp"], diagonal=t(X, X), pair=t(X, Y))}
    sample, pair = extended(system.sample, X, X), extended(system.pair, X, Y)
    return replace(system, sample=sample, pair=pair, results=results)


def test_a_sum_that_is_part_of_another_is_computed_once() -> None:
    assert _lines(_with_tangent())[-1] == "T_f = K_f + sum[o, o′]((1.0/(H*H′))*K_g[o, o′])"


def test_equal_temporaries_are_computed_once() -> None:
    first, second = (part for part in lower(graph()).pair if part.name in ("%K_h.1", "K_h"))  # type: ignore[union-attr]
    assert isinstance(first, Contract)
    assert isinstance(second, Contract)
    again = replace(first, name="%other")
    reader = Let("K_o", (), Ref("%other", places=(Place(0), Place(0))))
    shared = share_sums((first, second, again, reader))
    assert [part.name for part in shared if isinstance(part, Let | Contract)] == ["%K_h.1", "K_h", "K_o"]
    assert shared[-1] == replace(reader, value=Ref("%K_h.1", places=(Place(0), Place(0))))


def test_subexpressions_are_shared_among_arrays_over_the_same_indices() -> None:
    lines = _lines(maxima())
    assert sum("Angle" in line for line in lines) == 1
    fresh = [let for let in lets(lower(_with_tangent()).pair) if let.name.startswith("%") and "." not in let.name]
    assert all(let.axes for let in fresh)


def test_selection_keeps_contractions_and_sweeps_that_are_needed() -> None:
    nngp = select(lower(_with_tangent()), [("f", "nngp")])
    assert _names(nngp.pair) == {"K_g", "K_g:coarse", "K_g:versine", "K_a", "K_f"}
    assert set(nngp.shapes) == {"G_x", "G_x:versine"}
    ntk = select(lower(_with_tangent()), [("f", "ntk")])
    assert _names(ntk.pair) == {"K_g", "K_g:coarse", "K_g:versine", "K_a", "K_f", "T_f"}
    recurrent = select(lower(elman()), [("f", "nngp")])
    assert _names(recurrent.sample) == {"K_g", "K_s", "K_f"}
    assert reads(recurrent, Copy.LEFT) == ("K_g",)
    assert set(reads(lower(attention()), Copy.RIGHT)) == {"a"}


def test_loops_of_arrays_keep_their_last_values_only() -> None:
    ir = lower(deep_conv(4))
    assert ranges(ir.pair)["K_g"] == ((0, 4),)
    assert find_histories(ir.pair, (result.pair for result in ir.results)) == frozenset()
    (loop,) = (statement for statement in ir.pair if isinstance(statement, Loop))
    assert isinstance(loop.body[0], Contract)
    reading = Let("K_o", (), Ref("K_g", (Index(None, 2),), places=(Place(0), Place(0))))
    assert find_histories((*ir.pair, reading)) == {"K_g"}


def test_programs_with_arrays_are_not_rolled() -> None:
    for system in (conv(), elman(), attention()):
        ir = lower(system)
        assert roll(ir) is ir


def test_the_text_says_what_the_axes_are() -> None:
    text = ir_text(lower(conv(circular=True)))
    assert "  axis i: H from 0, circular\n" in text
    assert "  axis k: 3 from -1\n" in text
    assert "  size H′ of x'\n" in text
    assert "  gram G_x[i, i′] = <x(x), x(x')>\n" in text
    assert "  data c_A[i, j] of A\n" in ir_text(lower(graph()))
    assert "  for l = 1 .. 3:\n    K_g[l; i, i′] = sum[k, k′](" in ir_text(lower(deep_conv()))
    assert "  sweep t, t′:\n" in ir_text(lower(elman()))
