"""Whether things in a drawing lie on one another."""

from itertools import pairwise

from tensorprog.plots.layout import Box, Path


def overlap(a: Box, b: Box) -> bool:
    return abs(a.x - b.x) < (a.width + b.width) / 2 - 1e-6 and abs(a.y - b.y) < (a.height + b.height) / 2 - 1e-6


def points(path: Path) -> list[tuple[float, float]]:
    """Points along a path: its cubic arcs have vertical tangents at both ends."""
    if path.carried:
        return list(path.points)
    found = []
    for (x0, y0), (x1, y1) in pairwise(path.points):
        for step in range(21):
            t = step / 20
            bend = 3 * t * t - 2 * t**3
            along = 3 * t * (1 - t) ** 2 * 0.5 + 3 * t * t * (1 - t) * 0.5 + t**3
            found.append((x0 + (x1 - x0) * bend, y0 + (y1 - y0) * along))
    return found


def inside(box: Box, x: float, y: float) -> bool:
    return abs(box.x - x) < box.width / 2 - 1.0 and abs(box.y - y) < box.height / 2 - 1.0
