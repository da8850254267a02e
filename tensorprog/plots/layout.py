"""Layered layout of a scene: every vertex a place, every link a path, nothing on top of anything else.

Sugiyama's method, one level of groups at a time, inner groups first: ranks by longest path, long links cut by way
points, order within ranks by barycentres, places by least squares under separation constraints. Labels of links are
boxes of their own, so they cannot overlap. A link that enters or leaves a group passes a port on the group's border.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise

from tensorprog.plots.ranks import Edge, Node, order_ranks, place_ranks, rank_nodes, split_edges
from tensorprog.plots.scene import Group, Scene, Vertex

__all__ = ["Box", "Frame", "Path", "Picture", "arrange", "mirror"]

PAD, HEADER, LANE = 16.0, 26.0, 8.0
GAP_Y = 18.0
ANCHOR_STEP = 22.0

Size = tuple[float, float]
Point = tuple[float, float]
Measure = Callable[[Vertex | str], Size]


@dataclass(frozen=True, slots=True)
class Box:
    """A placed vertex (or the label of a link): its centre and its size."""

    content: Vertex | str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Frame:
    """A placed group: its upper left corner, its size, its title and the baseline of that."""

    title: str
    x: float
    y: float
    width: float
    height: float
    baseline: float


@dataclass(frozen=True, slots=True)
class Path:
    """A link, or a stretch of one, with vertical tangents at each of its points.

    `arrow`: it ends at a vertex; `matrix`: it multiplies by one; `carried`: it goes round to the next step of a scan.
    """

    points: tuple[Point, ...]
    arrow: bool = False
    matrix: bool = False
    carried: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """A whole layout, its upper left corner at the origin; `entries` and `exits` are the abscissae of its ports."""

    width: float
    height: float
    gaps: int = 0
    boxes: tuple[Box, ...] = ()
    frames: tuple[Frame, ...] = ()
    paths: tuple[Path, ...] = ()
    entries: dict[str, float] = field(default_factory=dict)
    exits: dict[str, float] = field(default_factory=dict)


Place = tuple[str, ...]  # the keys of the groups around something, outermost first


@dataclass(slots=True)
class Level:
    """The links of one level: between its members, their ports, and the ports of the level itself."""

    edges: dict[Edge, None] = field(default_factory=dict)
    entries: dict[str, None] = field(default_factory=dict)
    exits: dict[str, None] = field(default_factory=dict)


def arrange(scene: Scene, measure: Measure, height: float = 0.0) -> Picture:
    """Return the layout of a scene, drawn out to `height` if it is lower; `measure` gives the size of what is shown."""
    root = Group("", "", scene.members, ())
    levels = _levels(scene, root)
    picture = _arrange(root, (), levels, measure, GAP_Y)
    if picture.height >= height or not picture.gaps:
        return picture
    return _arrange(root, (), levels, measure, GAP_Y + (height - picture.height) / picture.gaps)


def mirror(picture: Picture) -> Picture:
    """Return the picture upside down."""
    height = picture.height
    return replace(
        picture,
        boxes=tuple(replace(box, y=height - box.y) for box in picture.boxes),
        frames=tuple(
            replace(frame, y=height - frame.y - frame.height, baseline=height - frame.baseline + 8.0)
            for frame in picture.frames
        ),
        paths=tuple(replace(path, points=tuple((x, height - y) for x, y in path.points)) for path in picture.paths),
    )


# Links, cut where they cross the border of a group


def _levels(scene: Scene, root: Group) -> dict[Place, Level]:
    homes = dict(_homes(root, ()))
    levels: dict[Place, Level] = defaultdict(Level)
    for link in scene.links:
        _cut(levels, homes, link.source, link.target, link.label)
    for place, group in _groups(root, ()):
        for source, target in group.carries:
            _cut_carry(levels, homes, place, source, target)
    return levels


def _homes(group: Group, place: Place) -> Iterable[tuple[str, Place]]:
    for member in group.members:
        if isinstance(member, Group):
            yield from _homes(member, (*place, member.key))
        else:
            yield member.key, place


def _groups(group: Group, place: Place) -> Iterable[tuple[Place, Group]]:
    for member in group.members:
        if isinstance(member, Group):
            yield (*place, member.key), member
            yield from _groups(member, (*place, member.key))


def _cut(levels: dict[Place, Level], homes: dict[str, Place], source: str, target: str, label: str | None) -> None:
    here, there = homes[source], homes[target]
    common = next((k for k, (a, b) in enumerate(zip(here, there, strict=False)) if a != b), min(len(here), len(there)))
    tail = _ascend(levels, here, common, source)
    for depth in range(common, len(there) + 1):
        level = levels[there[:depth]]
        if depth > common:
            level.entries[source] = None
            tail = (_entry(source), None)
        if depth < len(there):
            level.edges[Edge(*tail, there[depth], source, None)] = None
        else:
            level.edges[Edge(*tail, target, None, label)] = None


def _ascend(levels: dict[Place, Level], here: Place, depth: int, source: str) -> tuple[str, str | None]:
    """Lead a link out of all groups deeper than `depth`; return where it then starts."""
    tail: tuple[str, str | None] = (source, None)
    for inner in range(len(here), depth, -1):
        level = levels[here[:inner]]
        level.exits[source] = None
        level.edges[Edge(*tail, _exit(source), None, None)] = None
        tail = (here[inner - 1], source)
    return tail


def _cut_carry(levels: dict[Place, Level], homes: dict[str, Place], place: Place, source: str, target: str) -> None:
    level, port = levels[place], _round(target)
    tail = _ascend(levels, homes[source], len(place), source)
    level.entries[port], level.exits[port] = None, None
    level.edges[Edge(*tail, _exit(port), None, None)] = None
    level.edges[Edge(_entry(port), None, target, None, None)] = None


def _entry(port: str) -> str:
    return f"in {port}"


def _exit(port: str) -> str:
    return f"out {port}"


def _round(target: str) -> str:
    return f"round {target}"


# One level


def _arrange(group: Group, place: Place, levels: dict[Place, Level], measure: Measure, gap: float) -> Picture:
    level = levels[place]
    inner = {m.key: _framed(m, (*place, m.key), levels, measure) for m in group.members if isinstance(m, Group)}
    nodes = {m.key: _node(m, inner, measure) for m in group.members}
    nodes |= {_entry(port): Node(_entry(port), 10.0, 0.0, None, "first") for port in level.entries}
    nodes |= {_exit(port): Node(_exit(port), 10.0, 0.0, None, "last") for port in level.exits}
    edges = _with_labels(list(level.edges), nodes, measure)
    ranks = rank_nodes(nodes, edges)
    chains = split_edges(nodes, edges, ranks)
    rows = order_ranks(nodes, ranks, chains)
    xs = place_ranks(nodes, rows, chains)
    return _draw(level, nodes, inner, chains, rows, xs, gap)


def _node(member: Vertex | Group, inner: dict[str, Picture], measure: Measure) -> Node:
    if isinstance(member, Vertex):
        return Node(member.key, *measure(member), member)
    picture = inner[member.key]
    half = picture.width / 2
    entries = {port: x - half for port, x in picture.entries.items()}
    exits = {port: x - half for port, x in picture.exits.items()}
    return Node(member.key, picture.width, picture.height, None, "any", entries, exits)


def _with_labels(edges: list[Edge], nodes: dict[str, Node], measure: Measure) -> list[Edge]:
    """Put a node for its label into every labelled edge."""
    result = []
    for number, edge in enumerate(edges):
        if edge.label is None:
            result.append(edge)
            continue
        key = f"label {number}"
        nodes[key] = Node(key, *measure(edge.label), edge.label, "late")
        result += [replace(edge, head=key, head_port=None), replace(edge, tail=key, tail_port=None)]
    return result


def _framed(group: Group, place: Place, levels: dict[Place, Level], measure: Measure) -> Picture:
    """Return the layout of a group with its frame, and the lanes on the right on which its carries go round."""
    content = _arrange(group, place, levels, measure, GAP_Y)
    rounds = [_round(target) for _, target in group.carries if _round(target) in content.exits]
    width = max(content.width, measure(group.title)[0]) + 2 * PAD + LANE * len(rounds)
    height = content.height + HEADER + PAD
    shifted = _shift(content, PAD, HEADER)
    lanes = [
        _lane(shifted, port, width, height, (number + 1) / (len(rounds) + 1), number)
        for number, port in enumerate(rounds)
    ]
    stubs = [Path(((x, 0.0), (x, HEADER))) for port, x in shifted.entries.items() if port not in rounds]
    stubs += [Path(((x, height - PAD), (x, height))) for port, x in shifted.exits.items() if port not in rounds]
    frames = (Frame(group.title, 0.0, 0.0, width, height, 16.0), *shifted.frames)
    return replace(shifted, width=width, height=height, frames=frames, paths=(*shifted.paths, *lanes, *stubs))


def _lane(content: Picture, port: str, width: float, height: float, depth: float, number: int) -> Path:
    low, high = content.exits[port], content.entries[port]
    lane, inset = width - LANE * (number + 1), PAD * depth
    bottom, top = height - PAD, HEADER
    turn = ((lane, bottom + inset), (lane, top - inset))
    return Path(((low, bottom), (low, bottom + inset), *turn, (high, top - inset), (high, top)), carried=True)


def _shift(picture: Picture, dx: float, dy: float) -> Picture:
    return replace(
        picture,
        boxes=tuple(replace(box, x=box.x + dx, y=box.y + dy) for box in picture.boxes),
        frames=tuple(
            replace(frame, x=frame.x + dx, y=frame.y + dy, baseline=frame.baseline + dy) for frame in picture.frames
        ),
        paths=tuple(replace(path, points=tuple((x + dx, y + dy) for x, y in path.points)) for path in picture.paths),
        entries={port: x + dx for port, x in picture.entries.items()},
        exits={port: x + dx for port, x in picture.exits.items()},
    )


def _draw(
    level: Level,
    nodes: dict[str, Node],
    inner: dict[str, Picture],
    chains: list[tuple[Edge, list[str]]],
    rows: list[list[str]],
    xs: dict[str, float],
    gap: float,
) -> Picture:
    spans = _row_spans(nodes, rows, gap)
    row_of = {key: number for number, row in enumerate(rows) for key in row}
    middle = {key: sum(spans[row_of[key]]) / 2 for key in row_of}
    ends = _anchors(nodes, chains, xs)
    drawn = zip(chains, ends, strict=True)
    paths = [_path(*chain, nodes, xs, end, middle, spans, row_of) for chain, end in drawn]
    boxes: list[Box] = []
    frames: list[Frame] = []
    for key in row_of:
        node = nodes[key]
        if key in inner:
            moved = _shift(inner[key], xs[key] - node.width / 2, middle[key] - node.height / 2)
            boxes += moved.boxes
            frames += moved.frames
            paths += moved.paths
        elif node.content is not None:
            boxes.append(Box(node.content, xs[key], middle[key], node.width, node.height))
    width = max((xs[key] + nodes[key].width / 2 for key in row_of), default=0.0)
    entries = {port: xs[_entry(port)] for port in level.entries}
    exits = {port: xs[_exit(port)] for port in level.exits}
    height = spans[-1][1] if spans else 0.0
    return Picture(width, height, len(rows) - 1, tuple(boxes), tuple(frames), tuple(paths), entries, exits)


def _anchors(nodes: dict[str, Node], chains: list[tuple[Edge, list[str]]], xs: dict[str, float]) -> list[float]:
    """Return where each link meets its head: at a port, or side by side along the top of a vertex."""
    arriving: dict[str, list[int]] = defaultdict(list)
    for number, (_, keys) in enumerate(chains):
        arriving[keys[-1]].append(number)
    ends = [xs[keys[-1]] + nodes[keys[-1]].entries.get(edge.head_port or "", 0.0) for edge, keys in chains]
    for key, numbers in arriving.items():
        if isinstance(nodes[key].content, Vertex):
            step = min(ANCHOR_STEP, 0.6 * nodes[key].width / len(numbers))
            for place, number in enumerate(sorted(numbers, key=lambda number: xs[chains[number][1][-2]])):
                ends[number] += (place - (len(numbers) - 1) / 2) * step
    return ends


def _row_spans(nodes: dict[str, Node], rows: list[list[str]], gap: float) -> list[tuple[float, float]]:
    """Return the top and the bottom of every row."""
    spans, y = [], 0.0
    for row in rows:
        height = max(nodes[key].height for key in row)
        spans.append((y, y + height))
        y += height + gap
    return spans


def _path(
    edge: Edge,
    keys: list[str],
    nodes: dict[str, Node],
    xs: dict[str, float],
    end: float,
    middle: dict[str, float],
    spans: list[tuple[float, float]],
    row_of: dict[str, int],
) -> Path:
    tail, head = nodes[keys[0]], nodes[keys[-1]]
    start = xs[tail.key] + tail.exits.get(edge.tail_port or "", 0.0)
    points = [(start, middle[tail.key] + tail.height / 2), (start, spans[row_of[tail.key]][1])]
    for key in keys[1:-1]:
        points += [(xs[key], y) for y in spans[row_of[key]]]
    points += [(end, spans[row_of[head.key]][0]), (end, middle[head.key] - head.height / 2)]
    kept = [point for point, following in pairwise(points) if point != following] + points[-1:]
    return Path(tuple(kept), arrow=isinstance(head.content, Vertex), matrix=edge.label is not None)
