"""The layout of random scenes with groups inside groups: nothing lies on anything else."""

import random
from itertools import combinations

import pytest

from tensorprog.plots.draw import _measure
from tensorprog.plots.layout import arrange, mirror
from tensorprog.plots.scene import Group, Link, Scene, Shape, Vertex
from tests.plots.geometry import inside, overlap, points


def random_scene(seed: int) -> Scene:
    draw = random.Random(seed)
    shapes = list(Shape)
    count = draw.randint(2, 25)
    vertices = [
        Vertex(f"v{i}", draw.choice(shapes), "v" * draw.randint(1, 9), "x" * draw.randint(0, 30), "")
        for i in range(count)
    ]

    def members(first: int, last: int, depth: int) -> tuple[Vertex | Group, ...]:
        found: list[Vertex | Group] = []
        while first < last:
            if depth < 2 and last - first >= 3 and draw.random() < 0.2:
                end = draw.randint(first + 2, last)
                inner = members(first, end, depth + 1)
                own = [member.key for member in inner if isinstance(member, Vertex)]
                found.append(Group(f"g{first}.{depth}", "title", inner, ((own[-1], own[0]),) if len(own) > 1 else ()))
                first = end
            else:
                found.append(vertices[first])
                first += 1
        return tuple(found)

    ends = [(draw.randrange(j), j) for j in range(1, count) for _ in range(draw.randint(0, 3))]
    links = [Link(f"v{i}", f"v{j}", draw.choice([None, "W", "Wᵀ[k, l]"])) for i, j in ends]
    return Scene(members(0, count, 0), tuple(dict.fromkeys(links)))


@pytest.mark.parametrize("seed", range(60))
def test_nothing_lies_on_anything_else(seed: int) -> None:
    picture = arrange(random_scene(seed), _measure)
    assert not [(a, b) for a, b in combinations(picture.boxes, 2) if overlap(a, b)]
    for path in picture.paths:
        assert not {box for x, y in points(path) for box in picture.boxes if inside(box, x, y)}


@pytest.mark.parametrize("seed", range(5))
def test_stretching_and_mirroring(seed: int) -> None:
    scene = random_scene(seed)
    picture = arrange(scene, _measure)
    tall = arrange(scene, _measure, picture.height + 500)
    assert tall.height == pytest.approx(picture.height + 500)
    assert {round(box.y + twin.y, 6) for box, twin in zip(tall.boxes, mirror(tall).boxes, strict=True)} == {
        round(tall.height, 6)
    }
