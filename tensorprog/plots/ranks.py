"""The steps of a layered layout: ranks, way points, order, abscissae. All of them are deterministic."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from tensorprog.plots.scene import Shape, Vertex

__all__ = ["Edge", "Node", "order_ranks", "place_ranks", "rank_nodes", "split_edges"]

GAP_X, WAY_GAP = 24.0, 12.0
SWEEPS = 12
ROUNDS = 13
BESIDE = (Shape.PARAMETER, Shape.GRADIENT)

Chains = list[tuple["Edge", list[str]]]
Attachments = dict[str, list[tuple[str, float, float]]]


@dataclass(frozen=True, slots=True)
class Edge:
    """A link within a level; a port is where it meets a group's border."""

    tail: str
    tail_port: str | None
    head: str
    head_port: str | None
    label: str | None


@dataclass(frozen=True, slots=True)
class Node:
    """A box of a level: its size, what it shows (None for a group, a port or a way point), and where its ports are.

    `rank`: "first" and "last" for the ports of the level, "late" for a label, which stands just before its target.
    """

    key: str
    width: float
    height: float
    content: Vertex | str | None
    rank: Literal["any", "first", "last", "late", "way"] = "any"
    entries: dict[str, float] = field(default_factory=dict, hash=False)
    exits: dict[str, float] = field(default_factory=dict, hash=False)


def rank_nodes(nodes: dict[str, Node], edges: Sequence[Edge]) -> dict[str, int]:
    """Return the rank of every node: below all it reads; sources and labels as low as what reads them allows."""
    heads, tails = defaultdict(list), defaultdict(list)
    for edge in edges:
        heads[edge.tail].append(edge.head)
        tails[edge.head].append(edge.tail)
    floor = int(any(node.rank == "first" for node in nodes.values()))
    order, ranks = _topological(nodes, heads, tails), dict[str, int]()
    for key in order:
        least = 0 if nodes[key].rank == "first" else floor
        ranks[key] = max([least, *(ranks[tail] + 1 for tail in tails[key])])
    for key in reversed(order):
        if heads[key] and (nodes[key].rank == "late" or (not tails[key] and nodes[key].rank == "any")):
            ranks[key] = max(ranks[key], min(ranks[head] for head in heads[key]) - 1)
    last = max((rank for key, rank in ranks.items() if nodes[key].rank != "last"), default=-1) + 1
    return {key: last if nodes[key].rank == "last" else rank for key, rank in ranks.items()}


def _topological(nodes: dict[str, Node], heads: dict[str, list[str]], tails: dict[str, list[str]]) -> list[str]:
    waiting = {key: len(tails[key]) for key in nodes}
    ready, order = [key for key in nodes if not waiting[key]], []
    while ready:
        key = ready.pop(0)
        order.append(key)
        for head in heads[key]:
            waiting[head] -= 1
            if not waiting[head]:
                ready.append(head)
    return order


def split_edges(nodes: dict[str, Node], edges: Sequence[Edge], ranks: dict[str, int]) -> Chains:
    """Return every edge with the nodes on its way, one per rank; new way points are added to `nodes` and `ranks`."""
    chains: Chains = []
    for number, edge in enumerate(edges):
        ways = []
        for rank in range(ranks[edge.tail] + 1, ranks[edge.head]):
            key = f"way {number} {rank}"
            nodes[key], ranks[key] = Node(key, 6.0, 0.0, None, "way"), rank
            ways.append(key)
        chains.append((edge, [edge.tail, *ways, edge.head]))
    return chains


def order_ranks(nodes: dict[str, Node], ranks: dict[str, int], chains: Chains) -> list[list[str]]:
    """Return the nodes of every rank from left to right, with few crossings: barycentres, swept down and up."""
    rows: list[list[str]] = [[] for _ in range(max(ranks.values(), default=-1) + 1)]
    for key in nodes:
        rows[ranks[key]].append(key)
    above, below = _neighbours(chains)
    best, fewest = [row[:] for row in rows], _crossings(rows, below)
    for sweep in range(SWEEPS):
        if not fewest:
            break
        down = sweep % 2 == 0
        for number in range(1, len(rows)) if down else range(len(rows) - 2, -1, -1):
            fixed = rows[number - 1 if down else number + 1]
            rows[number] = _sorted_by_barycentre(rows[number], fixed, above if down else below)
        if (count := _crossings(rows, below)) < fewest:
            best, fewest = [row[:] for row in rows], count
    return best


def _neighbours(chains: Chains) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    above, below = defaultdict(list), defaultdict(list)
    for _, keys in chains:
        for tail, head in pairwise(keys):
            above[head].append(tail)
            below[tail].append(head)
    return above, below


def _sorted_by_barycentre(row: list[str], fixed: list[str], neighbours: dict[str, list[str]]) -> list[str]:
    position = {key: number for number, key in enumerate(fixed)}

    def barycentre(item: tuple[int, str]) -> float:
        number, key = item
        places = [position[neighbour] for neighbour in neighbours[key]]
        return sum(places) / len(places) if places else float(number)

    return [key for _, key in sorted(enumerate(row), key=barycentre)]


def _crossings(rows: list[list[str]], below: dict[str, list[str]]) -> int:
    total = 0
    for row, following in pairwise(rows):
        position = {key: number for number, key in enumerate(following)}
        ends = [sorted(position[head] for head in below[key]) for key in row]
        flat = [end for group in ends for end in group]
        total += sum(a > b for i, a in enumerate(flat) for b in flat[i + 1 :])
    return total


def place_ranks(nodes: dict[str, Node], rows: list[list[str]], chains: Chains) -> dict[str, float]:
    """Return the abscissa of every node: near its neighbours, in the order of its row, and apart from the next.

    Each row solves min Σ w (x − wish)² under x[i+1] − x[i] ≥ separation, which is isotonic regression; swept downwards
    with the wish to stand under what is above, and upwards. The leftmost border is 0.
    """
    above, below = _attachments(nodes, chains)
    xs = {key: x for row in rows for key, x in zip(row, _spread(row, [0.0] * len(row), nodes), strict=True)}
    for number in range(ROUNDS):
        links, order = (above, rows) if number % 2 == 0 else (below, rows[::-1])
        for row in order:
            wishes = [_wish(key, links[key] or above[key] + below[key], xs) for key in row]
            xs.update(zip(row, _spread(row, wishes, nodes), strict=True))
    left = min((x - nodes[key].width / 2 for key, x in xs.items()), default=0.0)
    return {key: x - left for key, x in xs.items()}


def _attachments(nodes: dict[str, Node], chains: Chains) -> tuple[Attachments, Attachments]:
    """Return for every node what is above and below it, with the offset of a straight link, and the link's weight."""
    above: Attachments = defaultdict(list)
    below: Attachments = defaultdict(list)
    for edge, keys in chains:
        for tail, head in pairwise(keys):
            out = nodes[tail].exits.get(edge.tail_port or "", 0.0)
            into = nodes[head].entries.get(edge.head_port or "", 0.0)
            straight = 4.0 if nodes[tail].rank == nodes[head].rank == "way" else 1.0
            below[tail].append((head, into - out, straight * _importance(nodes[head])))
            above[head].append((tail, out - into, straight * _importance(nodes[tail])))
    return above, below


def _importance(node: Node) -> float:
    """Return how much a node counts: what stands beside the main line gives way to it."""
    return 0.02 if isinstance(node.content, Vertex) and node.content.shape in BESIDE else 1.0


def _wish(key: str, links: list[tuple[str, float, float]], xs: dict[str, float]) -> float:
    total = sum(weight for _, _, weight in links)
    return sum(weight * (xs[other] + offset) for other, offset, weight in links) / total if links else xs[key]


def _spread(row: list[str], wishes: list[float], nodes: dict[str, Node]) -> list[float]:
    """Return the places nearest to the wishes that keep order and distance (pool adjacent violators)."""
    shifts = [0.0]
    for left, right in pairwise(row):
        gap = WAY_GAP if "way" in (nodes[left].rank, nodes[right].rank) else GAP_X
        shifts.append(shifts[-1] + (nodes[left].width + nodes[right].width) / 2 + gap)
    pools: list[tuple[float, float, int]] = []  # mean, weight, number of nodes
    for key, wish, shift in zip(row, wishes, shifts, strict=True):
        mean, weight, count = wish - shift, _importance(nodes[key]), 1
        while pools and pools[-1][0] > mean:
            other, heft, size = pools.pop()
            mean = (mean * weight + other * heft) / (weight + heft)
            weight, count = weight + heft, count + size
        pools.append((mean, weight, count))
    levels = [mean for mean, _, count in pools for _ in range(count)]
    return [level + shift for level, shift in zip(levels, shifts, strict=True)]
