"""A program as a picture: SVG of its vectors, matrices, nonlinearities and scalars, forward and backward."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from xml.sax.saxutils import escape

from tensorprog.core.ir import Core
from tensorprog.plots.layout import Box, Frame, Path, Picture, arrange, mirror
from tensorprog.plots.scene import Shape, Vertex, scene
from tensorprog.plots.svg import curve, document, element, number, polyline, words

__all__ = ["draw"]

TITLE_SIZE, TEXT_SIZE, SMALL_SIZE = 13.0, 11.0, 10.5
ADVANCE = 0.605  # the width of a character of a monospaced font over its size
LONGEST = 44  # characters of a formula that are shown; the whole stands in the tooltip
MARGIN, HEADING, BETWEEN, LEGEND_STEP = 24.0, 46.0, 70.0, 24.0
HALO = {"class": "small", "paint-order": "stroke", "stroke": "#f7f8fa", "stroke-width": "4"}


@dataclass(frozen=True, slots=True)
class Ink:
    """The colours of one pass: of its lines, of its matrices, and (fill, edge) of every shape."""

    suffix: str
    line: str
    matrix: str
    colours: dict[Shape, tuple[str, str]]


FORWARD = Ink(
    "",
    "#5b6470",
    "#6a3d9a",
    {
        Shape.DATA: ("#e6e8eb", "#5b6470"),
        Shape.LINEAR: ("#dcebfa", "#1f6fb4"),
        Shape.NONLINEAR: ("#dff3df", "#2e8b3d"),
        Shape.SCALAR: ("#fff1d6", "#c77700"),
        Shape.PARAMETER: ("#efe6f8", "#6a3d9a"),
        Shape.CARRY: ("#ffffff", "#1f6fb4"),
        Shape.OUTPUT: ("#ffe3a8", "#8a5200"),
    },
)
BACKWARD = Ink(
    ", backward",
    "#b0413e",
    "#8c2d5a",
    {
        Shape.DATA: ("#f6dede", "#b0413e"),
        Shape.LINEAR: ("#fbe7e4", "#b0413e"),
        Shape.NONLINEAR: ("#fdeede", "#c0622d"),
        Shape.SCALAR: ("#fff6df", "#c77700"),
        Shape.PARAMETER: ("#f5e3ee", "#8c2d5a"),
        Shape.CARRY: ("#ffffff", "#b0413e"),
        Shape.OUTPUT: ("#fbe7e4", "#b0413e"),
        Shape.GRADIENT: ("#f3d3e4", "#8c2d5a"),
    },
)

STYLE = (
    "text{font-family:'DejaVu Sans Mono',Menlo,Consolas,monospace;fill:#1b1f24}"
    f".name{{font-size:{TITLE_SIZE}px;font-weight:600;text-anchor:middle}}"
    f".formula{{font-size:{TEXT_SIZE}px;text-anchor:middle;fill:#3c444d}}"
    f".matrix{{font-size:{TITLE_SIZE}px;text-anchor:middle;font-style:italic}}"
    f".small{{font-size:{SMALL_SIZE}px}}"
    ".heading{font-size:16px;font-weight:600}"
)


def draw(core: Core, backward: Core | None = None) -> str:
    """Return an SVG drawing of a program, as the text of a file.

    Data flow downwards. Vectors are rounded boxes, blue where they are linear in other vectors and green where a
    nonlinearity makes them; scalars are hexagons, data rectangles; a matrix is a name on an arrow, as in Yang's papers,
    `Wᵀ` its transpose. A scan is a frame, with a dashed line for what goes round to the next step.

    Args:
        core: the forward program.
        backward: its backward pass as `differentiate` returns it; drawn beside it, upwards, in colours of its own.
    """
    passes = [(arrange(scene(core), _measure), FORWARD)]
    if backward is not None:
        passes = _beside(core, backward)
    keys = list(_legend_entries(passes))
    body, x = [_markers(), words(_title(core, backward), MARGIN, 28.0, **{"class": "heading"})], MARGIN
    for picture, ink in passes:
        body.append(_moved(x, HEADING, _paint(picture, ink)))
        x += picture.width + BETWEEN
    x -= BETWEEN - 1.5 * MARGIN
    body.append(_moved(x, HEADING, _legend(keys)))
    width = max(x + max(_legend_width(entry) for entry in keys), MARGIN + _width(_title(core, backward), 16.0)) + MARGIN
    height = HEADING + MARGIN + max(len(keys) * LEGEND_STEP, *(picture.height for picture, _ in passes))
    return document(width, height, _title(core, backward), STYLE, body)


def _title(core: Core, backward: Core | None) -> str:
    return f"{core.name}: forward pass" if backward is None else f"{core.name}: forward and backward pass"


def _beside(core: Core, backward: Core) -> list[tuple[Picture, Ink]]:
    """Return both passes with one height, the backward pass upside down."""
    scenes = scene(core), scene(backward, lambda name: name not in core.types)
    height = max(arrange(each, _measure).height for each in scenes)
    left, right = (arrange(each, _measure, height) for each in scenes)
    return [(left, FORWARD), (mirror(right), BACKWARD)]


# Sizes


def _width(text: str, size: float) -> float:
    return len(text) * size * ADVANCE


def _formula(vertex: Vertex) -> str:
    """Return the formula under a name, cut if it is long, and empty if it would only repeat the name."""
    text = "" if vertex.text == vertex.title else vertex.text
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _measure(content: Vertex | str) -> tuple[float, float]:
    if isinstance(content, str):
        return _width(content, TITLE_SIZE) + 8.0, 20.0
    formula = _formula(content)
    slant = 26.0 if content.shape in (Shape.SCALAR, Shape.OUTPUT) else 18.0
    width = max(_width(content.title, TITLE_SIZE), _width(formula, TEXT_SIZE)) + slant
    return max(width, 36.0), 40.0 if formula else 26.0


# Paint


def _moved(x: float, y: float, pieces: Iterable[str]) -> str:
    return element("g", {"transform": f"translate({number(x)} {number(y)})"}, *pieces)


def _paint(picture: Picture, ink: Ink) -> Iterator[str]:
    yield from (_frame(frame, ink) for frame in picture.frames)
    yield from (_line(path, ink) for path in picture.paths)
    yield from (_box(box, ink) for box in picture.boxes)
    yield from (words(frame.title, frame.x + 10.0, frame.baseline, **HALO) for frame in picture.frames)


def _frame(frame: Frame, ink: Ink) -> str:
    place = {"x": frame.x, "y": frame.y, "width": frame.width, "height": frame.height, "rx": 10.0}
    return element("rect", {**place, "fill": "#f7f8fa", "stroke": ink.line, "stroke-dasharray": "2 3"})


def _line(path: Path, ink: Ink) -> str:
    colour = ink.matrix if path.matrix else ink.line
    style: dict[str, str | float] = {"fill": "none", "stroke": colour, "stroke-width": 2.0 if path.matrix else 1.2}
    if path.carried:
        style["stroke-dasharray"] = "5 3"
    if path.arrow:
        style["marker-end"] = f"url(#{_marker(colour)})"
    return element("path", {"d": polyline(path.points) if path.carried else curve(path.points), **style})


def _box(box: Box, ink: Ink) -> str:
    if isinstance(box.content, str):
        plate = element("rect", {**_corner(box), "rx": 4.0, "fill": "#ffffff"})
        return plate + words(box.content, box.x, box.y + 4.5, **{"class": "matrix"}, style=f"fill:{ink.matrix}")
    vertex, formula = box.content, _formula(box.content)
    name = words(vertex.title, box.x, box.y + (-3.0 if formula else 4.5), **{"class": "name"})
    under = [words(formula, box.x, box.y + 13.0, **{"class": "formula"})] if formula else []
    return element("g", {}, element("title", {}, escape(vertex.note)), _outline(box, vertex.shape, ink), name, *under)


def _corner(box: Box) -> dict[str, str | float]:
    return {"x": box.x - box.width / 2, "y": box.y - box.height / 2, "width": box.width, "height": box.height}


def _outline(box: Box, shape: Shape, ink: Ink) -> str:
    fill, edge = ink.colours[shape]
    paint: dict[str, str | float] = {"fill": fill, "stroke": edge, "stroke-width": 1.4}
    if shape in (Shape.SCALAR, Shape.OUTPUT):
        double = {"stroke-width": 3.0} if shape is Shape.OUTPUT else {}
        return element("polygon", {"points": _hexagon(box), **paint, **double})
    if shape is Shape.CARRY:
        paint["stroke-dasharray"] = "4 3"
    corner = {Shape.DATA: 0.0, Shape.PARAMETER: 3.0, Shape.GRADIENT: 3.0, Shape.NONLINEAR: 6.0}
    return element("rect", {**_corner(box), "rx": corner.get(shape, box.height / 2), **paint})


def _hexagon(box: Box) -> str:
    half, high, cut = box.width / 2, box.height / 2, 10.0
    upper = [(-half, 0.0), (cut - half, -high), (half - cut, -high)]
    outline = [*upper, *((-x, -y) for x, y in upper)]
    return " ".join(f"{number(box.x + x)},{number(box.y + y)}" for x, y in outline)


def _marker(colour: str) -> str:
    return f"arrow-{colour[1:]}"


def _markers() -> str:
    """Return the arrow heads, one of each colour."""
    tip: dict[str, str | float] = {
        "viewBox": "0 0 10 10",
        "refX": 9.0,
        "refY": 5.0,
        "markerWidth": 8.0,
        "markerHeight": 8.0,
    }
    colours = dict.fromkeys(colour for ink in (FORWARD, BACKWARD) for colour in (ink.line, ink.matrix))
    return element(
        "defs",
        {},
        *(
            element(
                "marker",
                {"id": _marker(colour), **tip, "orient": "auto", "markerUnits": "userSpaceOnUse"},
                element("path", {"d": "M0 0L10 5L0 10z", "fill": colour}),
            )
            for colour in colours
        ),
    )


# Legend

Entry = tuple[Ink, Shape | None]  # None stands for the matrices


def _legend_entries(passes: Iterable[tuple[Picture, Ink]]) -> Iterator[Entry]:
    """Yield what occurs in the drawing, in the order of `Shape`, matrices after the nonlinearities."""
    for picture, ink in passes:
        shapes = {box.content.shape for box in picture.boxes if isinstance(box.content, Vertex)}
        for shape in Shape:
            if shape in shapes:
                yield ink, shape
        if any(path.matrix for path in picture.paths):
            yield ink, None


def _legend(entries: Iterable[Entry]) -> Iterator[str]:
    for row, (ink, shape) in enumerate(entries):
        y = row * LEGEND_STEP + 10.0
        yield _sample(ink, shape, y)
        yield words(_legend_text(ink, shape), 44.0, y + 4.0, **{"class": "small"})


def _sample(ink: Ink, shape: Shape | None, y: float) -> str:
    if shape is None:
        return _line(Path(((2.0, y), (34.0, y)), arrow=True, matrix=True, carried=False), ink)
    return _outline(Box("", 18.0, y, 32.0, 16.0), shape, ink)


def _legend_text(ink: Ink, shape: Shape | None) -> str:
    return f"{'matrix, by its name' if shape is None else shape.value}{ink.suffix}"


def _legend_width(entry: Entry) -> float:
    return 44.0 + _width(_legend_text(*entry), SMALL_SIZE)
