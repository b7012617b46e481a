"""Places for the nodes of a graph that has none: in columns, each left of what it leads to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

GAP_X, GAP_Y = (
    80,
    60,
)  # between columns, and between the nodes of one; pixels, the title bar counted in
SWEEPS = 4  # over the columns, to untangle them; more change little


@dataclass(frozen=True, slots=True)
class Size:
    """Of a node, in pixels."""

    width: int
    height: int


def arrange(
    sizes: Mapping[str, Size], links: Iterable[tuple[str, str]]
) -> dict[str, tuple[int, int]]:
    """The upper left corner of each node; no two overlap. Links that close a circle may lead backwards."""
    after: dict[str, list[str]] = {node: [] for node in sizes}
    before: dict[str, list[str]] = {node: [] for node in sizes}
    for origin, target in dict.fromkeys(links):
        if origin in sizes and target in sizes and origin != target:
            after[origin].append(target)
            before[target].append(origin)
    order = _in_order(after)
    rank = _ranks(order, after, before)
    columns: list[list[str]] = [[] for _ in range(max(rank.values(), default=-1) + 1)]
    for node in order:
        columns[rank[node]].append(node)
    _untangle(columns, before, after)
    places: dict[str, tuple[int, int]] = {}
    x = 0
    for column in columns:
        y = 0
        for node in column:
            places[node] = x, y
            y += sizes[node].height + GAP_Y
        x += max((sizes[node].width for node in column), default=0) + GAP_X
    return places


def _in_order(after: Mapping[str, list[str]]) -> list[str]:
    """The nodes, each before what it leads to, as far as there is no circle."""
    done: dict[str, None] = {}
    seen: set[str] = set()
    for start in reversed(list(after)):
        way = [] if start in seen else [(start, iter(after[start]))]
        seen.add(start)
        while way:
            node, rest = way[-1]
            following = next((each for each in rest if each not in seen), None)
            if following is None:
                done[node] = None
                way.pop()
            else:
                seen.add(following)
                way.append((following, iter(after[following])))
    return list(reversed(done))


def _ranks(
    order: list[str], after: Mapping[str, list[str]], before: Mapping[str, list[str]]
) -> dict[str, int]:
    """The column of each node: right of all it takes from, and what takes from nothing close to where it is needed."""
    at = {node: number for number, node in enumerate(order)}
    rank = dict.fromkeys(order, 0)
    for node in order:
        for target in after[node]:
            if at[target] > at[node]:
                rank[target] = max(rank[target], rank[node] + 1)
    for node in order:
        if not before[node]:
            forward = [rank[target] for target in after[node] if at[target] > at[node]]
            rank[node] = min(forward, default=1) - 1
    return rank


def _untangle(
    columns: list[list[str]], before: Mapping[str, list[str]], after: Mapping[str, list[str]]
) -> None:
    """Order each column by the mean place of the neighbours, to and fro."""
    row = {node: float(at) for column in columns for at, node in enumerate(column)}
    for sweep in range(SWEEPS):
        forth = sweep % 2 == 0
        neighbours = before if forth else after
        for column in columns if forth else reversed(columns):
            mean = {
                node: sum(row[each] for each in neighbours[node]) / len(neighbours[node])
                if neighbours[node]
                else row[node]
                for node in column
            }
            column.sort(key=mean.__getitem__)
            row.update((node, float(at)) for at, node in enumerate(column))
