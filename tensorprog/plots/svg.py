"""SVG text: shapes, words and lines, escaped, with two decimals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from xml.sax.saxutils import escape, quoteattr

__all__ = ["curve", "document", "element", "number", "polyline", "words"]

Point = tuple[float, float]


def number(value: float) -> str:
    """Return a coordinate with at most two decimals."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if value else "0"


def element(name: str, attributes: Mapping[str, str | float], *content: str) -> str:
    """Return an element; `content` is text that is escaped already."""
    pairs = (f" {key}={quoteattr(v if isinstance(v, str) else number(v))}" for key, v in attributes.items())
    head = f"<{name}{''.join(pairs)}"
    return f"{head}>{''.join(content)}</{name}>" if content else f"{head}/>"


def words(text: str, x: float, y: float, **attributes: str) -> str:
    """Return a line of text with its baseline at y."""
    named = {key.replace("_", "-"): value for key, value in attributes.items()}
    return element("text", {"x": x, "y": y, **named}, escape(_printable(text)))


def _printable(text: str) -> str:
    """Return the text without the characters that XML has no place for."""
    return "".join(c if c in "\t\n" or (c >= " " and c not in "\ufffe\uffff") else "\ufffd" for c in text)


def curve(points: Iterable[Point]) -> str:
    """Return path data through the points, with vertical tangents."""
    points = list(points)
    parts = [f"M{number(points[0][0])} {number(points[0][1])}"]
    for (x0, y0), (x1, y1) in pairwise(points):
        if x0 == x1:
            parts.append(f"V{number(y1)}")
        else:
            bend = (y1 - y0) / 2
            parts.append(
                f"C{number(x0)} {number(y0 + bend)} {number(x1)} {number(y1 - bend)} {number(x1)} {number(y1)}"
            )
    return "".join(parts)


def polyline(points: Iterable[Point]) -> str:
    """Return path data of straight lines."""
    return "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points)


def document(width: float, height: float, title: str, style: str, body: Iterable[str]) -> str:
    """Return a whole SVG file on white ground."""
    head: dict[str, str | float] = {
        "xmlns": "http://www.w3.org/2000/svg",
        "width": width,
        "height": height,
        "viewBox": f"0 0 {number(width)} {number(height)}",
        "role": "img",
    }
    ground = element("rect", {"width": width, "height": height, "fill": "#ffffff"})
    named, styled = element("title", {}, escape(_printable(title))), element("style", {}, escape(style))
    parts = ["", named, styled, ground, *body, ""]
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + element("svg", head, "\n".join(parts)) + "\n"
