"""Binding data: what is accepted, what is refused and in which words."""

from __future__ import annotations

import numpy as np
import pytest

import tensorprog as tp
from tensorprog.core.bind import bind, bound_names, check_pair
from tensorprog.core.ir import Core
from tensorprog.errors import DataError
from tensorprog.nonlin.expression import Number, Symbol, apply
from tests.core.programs import ALL, SPAN, N, Program, U, make_data, readout


def image_program() -> Core:
    """Two inputs over one axis, an axis that a window shortens."""
    p = Program(symbols={"alpha": 2.0, "size": 3})
    p.axis("i", Symbol("H"))
    p.axis("o", apply("floordiv", Symbol("H") - Symbol("size"), 2))
    p.axis("j", Symbol("size"))
    p.input("x", ("i",), Symbol("c"))
    p.input("A", ("i", "j"))
    p.param("W", (N, Symbol("c")), 1.0)
    p.matmul("h", "W", "x", ("i",))
    p.sum("s", "h", ("i",))
    p.map("a", U, ("s",))
    readout(p, "a")
    return p.core()


def image_data(**changes: object) -> dict[str, object]:
    return {"x": np.ones((2, 7, 4)), "A": np.ones((2, 7, 3)), **changes}


def refused(data: object, **options: object) -> DataError:
    with pytest.raises(DataError) as caught:
        bind(image_program(), data, **options)  # type: ignore[arg-type]
    return caught.value


def test_names_extents_and_starts_are_bound() -> None:
    binding = bind(image_program(), image_data())
    assert binding.samples == 2
    assert binding.sizes == {"alpha": 2.0, "size": 3, "H": 7, "c": 4}
    assert binding.extents == {"i": 7, "o": 2, "j": 3}
    assert binding.starts == {"i": 0, "o": 0, "j": 0}
    assert bound_names(image_program()) == ("H", "c")


def test_one_array_is_enough_for_one_input_and_a_mapping_is_too() -> None:
    core = ALL["mlp"]()
    x = np.ones((2, 5))
    assert bind(core, x).data["x"] is x
    assert bind(core, {"x": x}).sizes == {"d": 5}
    assert bind(core, [[1, 2], [3, 4]]).dtype == np.float64


def test_arrays_are_taken_as_they_are_and_never_written_to() -> None:
    core = ALL["mlp"]()
    x = np.asfortranarray(np.arange(10.0).reshape(2, 5))
    x.setflags(write=False)
    assert bind(core, x).data["x"] is x
    assert bind(core, x.astype(np.float32)).dtype == np.float32
    assert bind(core, x, dtype="float32").data["x"].dtype == np.float32
    assert bind(core, x.astype(np.float16)).dtype == np.float64


def test_no_samples_are_data_too() -> None:
    assert bind(ALL["mlp"](), np.ones((0, 5))).samples == 0


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (np.ones((2, 7, 4)), "TP401", "one array was given to a program of 2 inputs: `x`, `A`"),
        ({"x": np.ones((2, 7, 4))}, "TP401", "no data for the input `A`"),
        (image_data(B=1), "TP401", "the program has no input `B`"),
        (image_data(x="text"), "TP402", "dtype <U4"),
        (image_data(x=[[1.0], [1.0, 2.0]]), "TP402", "not an array of numbers"),
        (image_data(x=np.ones((2, 7, 4)) + 1j), "TP402", "complex128"),
        (image_data(x=np.ones((7, 4))), "TP403", "input `x` is an array (N, i, c), the data have shape (7, 4)"),
        (image_data(A=np.ones((2, 6, 3))), "TP403", "`H` is 6 by the data of `A`, but 7 by the data of `x`"),
        (image_data(A=np.ones((2, 7, 5))), "TP403", "axis `j` of input `A` has extent 3, the data 5"),
        (image_data(A=np.ones((3, 7, 3))), "TP403", "`x` has 2, `A` has 3"),
        (
            image_data(x=np.ones((2, 4, 4)), A=np.ones((2, 4, 3))),
            "TP405",
            "axis `o` has extent 0 where H = 4, size = 3",
        ),
    ],
)
def test_what_does_not_fit_is_named(data: object, code: str, words: str) -> None:
    error = refused(data)
    assert error.code == code
    assert words in error.message


def test_a_missing_sample_axis_is_hinted_at() -> None:
    with pytest.raises(DataError) as caught:
        bind(ALL["mlp"](), np.ones(5))
    assert caught.value.hint == "a single sample is x[None]"
    assert caught.value.span == SPAN


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_found_by_its_position(value: float) -> None:
    x = np.ones((2, 7, 4))
    x[1, 3, 2] = value
    error = refused(image_data(x=x))
    assert error.code == "TP404"
    assert f"`x[1, 3, 2]` is {value}" in error.message
    assert np.isnan(bind(image_program(), image_data(x=x * np.nan), allow_nonfinite=True).data["x"]).all()


def test_a_number_too_large_for_float32_is_named() -> None:
    error = refused(image_data(x=np.full((2, 7, 4), 1e300)), dtype="float32")
    assert error.code == "TP404"
    assert "too large for float32" in error.message


def test_sizes_that_were_set_must_agree_with_the_data() -> None:
    assert refused(image_data(), sizes={"H": 8}).message == "`H` is 7 by the data of `x`, but 8 by what was set"
    assert bind(image_program(), image_data(), sizes={"H": 7}).sizes["H"] == 7


def test_fixed_dimensions_are_checked() -> None:
    p = Program()
    p.input("x", (), 3)
    with pytest.raises(DataError, match="vectors of 3 numbers, the data of 4"):
        bind(p.core(), np.ones((2, 4)))


def test_a_name_that_no_input_binds_is_refused() -> None:
    p = Program()
    p.axis("i", apply("mul", Number(2), Symbol("H")))
    p.input("x", ("i",))
    with pytest.raises(DataError, match="no input binds `H`"):
        bind(p.core(), np.ones((2, 4)))


def test_pairs_may_differ_in_extents_but_not_in_shapes() -> None:
    core = ALL["recurrence"]()
    check_pair(bind(core, make_data(core, 1, 1, T=3)), bind(core, make_data(core, 2, 1, T=5)), core)
    core = ALL["mlp"]()
    with pytest.raises(DataError) as caught:
        check_pair(bind(core, np.ones((1, 3))), bind(core, np.ones((1, 4))), core)
    assert caught.value.code == "TP406"
    assert caught.value.message == "input `x` has vectors of 3 numbers in x1 and of 4 in x2"


def test_pairs_share_the_laws_of_their_parameters() -> None:
    core = tp.parse(
        "program p\nwidth n\naxis t : T\ninput x[t] : (c)\nparam U : (n, c) ~ N(0, 1 / c)\n"
        "param V[t] : (1, n) ~ N(0, 1 / (T * n))\noutput f = sum[t](V[t] @ relu(U @ x[t]))"
    ).core()
    three, five = (bind(core, np.ones((1, length, 2))) for length in (3, 5))
    check_pair(three, bind(core, np.ones((2, 3, 2))), core)
    with pytest.raises(DataError, match="the law of `V` depends on `T`, which is 3 in x1 and 5 in x2"):
        check_pair(three, five, core)
