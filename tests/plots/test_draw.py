"""Drawings: valid XML with escaped text, nothing on top of anything else, all vectors and matrices there."""

import dataclasses
from itertools import combinations
from xml.etree import ElementTree

import pytest

from tensorprog.backprop.adjoint import differentiate
from tensorprog.core.ir import Core
from tensorprog.plots import draw as drawing
from tensorprog.plots.draw import draw
from tensorprog.plots.layout import Picture, arrange
from tensorprog.plots.scene import Vertex, scene
from tests.core.handmade import convolution, mlp, recurrent
from tests.plots.geometry import inside, overlap, points

PROGRAMS = {"mlp": mlp(10), "recurrent": recurrent(), "convolution": convolution()}
SVG = "{http://www.w3.org/2000/svg}"


def pictures(core: Core) -> list[Picture]:
    """The layouts of the forward and of the backward pass."""
    return [picture for picture, _ in drawing._beside(core, differentiate(core, "f"))]


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize("core", PROGRAMS.values(), ids=PROGRAMS)
def test_no_box_or_label_lies_on_another(core: Core) -> None:
    for picture in pictures(core):
        assert not [(a.content, b.content) for a, b in combinations(picture.boxes, 2) if overlap(a, b)]


@pytest.mark.parametrize("core", PROGRAMS.values(), ids=PROGRAMS)
def test_no_arrow_crosses_a_box(core: Core) -> None:
    for picture in pictures(core):
        for path in picture.paths:
            crossed = {box for x, y in points(path) for box in picture.boxes if inside(box, x, y)}
            assert not crossed, (path, crossed)


@pytest.mark.parametrize("core", PROGRAMS.values(), ids=PROGRAMS)
def test_everything_is_on_the_page(core: Core) -> None:
    for picture in pictures(core):
        for box in picture.boxes:
            assert 0 <= box.x - box.width / 2 + 1e-9
            assert box.x + box.width / 2 <= picture.width + 1e-9
            assert 0 <= box.y - box.height / 2 + 1e-9
            assert box.y + box.height / 2 <= picture.height + 1e-9


def test_every_vector_and_matrix_is_named() -> None:
    shown = texts(draw(mlp(10), differentiate(mlp(10), "f")))
    for layer in range(1, 11):
        for name in (f"h{layer}", f"a{layer}", f"b{layer}", f"W{layer}", f"d.h{layer}", f"∂W{layer}", f"∂b{layer}"):
            assert name in shown
        if layer > 1:
            assert f"W{layer}ᵀ" in shown
    assert {"output f", "V", "Vᵀ", "x", "d.f", "∂V"} <= set(shown)


def test_title_and_legend_say_what_is_there() -> None:
    forward = texts(draw(recurrent()))
    assert "recurrent: forward pass" in forward
    assert {"data", "vector", "nonlinearity", "scalar", "output", "value of the step before"} <= set(forward)
    assert "gradient of a parameter" not in forward
    assert "gradient of a parameter, backward" in texts(draw(mlp(1), differentiate(mlp(1), "f")))


def test_a_scan_is_a_frame_with_its_carry_going_round() -> None:
    picture = arrange(scene(recurrent()), drawing._measure)
    (frame,) = picture.frames
    held = {
        box.content.key for box in picture.boxes if isinstance(box.content, Vertex) and frame.x < box.x - box.width / 2
    }
    assert {"s.0", "s.4", "s"} <= held
    assert sum(path.carried for path in picture.paths) == 1


def test_text_is_escaped() -> None:
    core = dataclasses.replace(mlp(1), name='<script>&"')
    assert '<script>&": forward pass' in texts(draw(core))


def test_drawing_is_deterministic() -> None:
    assert draw(recurrent(), differentiate(recurrent(), "f")) == draw(recurrent(), differentiate(recurrent(), "f"))
