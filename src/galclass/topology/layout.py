"""Layout of a network's drawing: layers in ranks from top to bottom, edges around the boxes between."""

from __future__ import annotations

from dataclasses import dataclass

from galclass.topology.network import Network

BOX_WIDTH, BOX_HEIGHT = 280, 78
LANE_WIDTH = 26  # room for an edge that passes a rank
GAP_X, GAP_Y = 28, 42
MARGIN = 24
_SWEEPS = 4  # passes that move a node towards the mean position of its neighbours


@dataclass(frozen=True)
class Layout:
    """Positions in px from the top left.

    Parameters
    ----------
    boxes : dict of str to (x, y)
        Top left corner of each layer's box.
    edges : list of list of (x, y)
        For each bundle the points of its line, from the source's bottom to the destination's top.
    width, height : float
        Size of the drawing.
    """

    boxes: dict[str, tuple[float, float]]
    edges: list[list[tuple[float, float]]]
    width: float
    height: float


def layout_of(network: Network) -> Layout:
    """Return the layout of all layers and bundles of a network."""
    ranks = _ranks(network)
    rows: list[list[str]] = [[] for _ in range(1 + max(ranks.values()))]
    for name, rank in ranks.items():
        rows[rank].append(name)
    links: list[tuple[str, str]] = []
    chains: list[list[str]] = []
    for layer in network.layers:
        for number, bundle in enumerate(layer.bundles):
            passed = range(ranks[bundle.source] + 1, ranks[layer.name])
            lanes = [f"{bundle.source}/{layer.name}/{number}/{rank}" for rank in passed]
            for lane, rank in zip(lanes, passed, strict=True):
                rows[rank].append(lane)
            chain = [bundle.source, *lanes, layer.name]
            chains.append(chain)
            links.extend(zip(chain, chain[1:], strict=False))
    _untangle(rows, links)
    return _placed(rows, chains)


def _ranks(network: Network) -> dict[str, int]:
    ranks: dict[str, int] = {}
    for layer in network.layers:
        ranks[layer.name] = 1 + max((ranks[bundle.source] for bundle in layer.bundles), default=-1)
    return ranks


def _untangle(rows: list[list[str]], links: list[tuple[str, str]]) -> None:
    above: dict[str, list[str]] = {}
    below: dict[str, list[str]] = {}
    for source, destination in links:
        above.setdefault(destination, []).append(source)
        below.setdefault(source, []).append(destination)
    for sweep in range(_SWEEPS):
        neighbours = below if sweep % 2 else above
        for row in rows[::-1] if sweep % 2 else rows:
            position = {name: index for other in rows for index, name in enumerate(other)}

            def mean(name: str, position: dict[str, int] = position, near: dict[str, list[str]] = neighbours) -> float:
                positions = [position[other] for other in near.get(name, [])]
                return sum(positions) / len(positions) if positions else position[name]

            row.sort(key=mean)


def _width(name: str) -> int:
    return LANE_WIDTH if "/" in name else BOX_WIDTH


def _placed(rows: list[list[str]], chains: list[list[str]]) -> Layout:
    widths = [sum(map(_width, row)) + GAP_X * (len(row) - 1) for row in rows]
    width = max(widths) + 2 * MARGIN
    corners: dict[str, tuple[float, float]] = {}
    for rank, (row, row_width) in enumerate(zip(rows, widths, strict=True)):
        x = (width - row_width) / 2
        for name in row:
            corners[name] = (x, MARGIN + rank * (BOX_HEIGHT + GAP_Y))
            x += _width(name) + GAP_X
    edges = [[point for name in chain for point in _points(name, corners, chain)] for chain in chains]
    boxes = {name: corner for name, corner in corners.items() if "/" not in name}
    return Layout(boxes, edges, width, 2 * MARGIN + len(rows) * (BOX_HEIGHT + GAP_Y) - GAP_Y)


def _points(name: str, corners: dict[str, tuple[float, float]], chain: list[str]) -> list[tuple[float, float]]:
    x, y = corners[name]
    middle = x + _width(name) / 2
    top, bottom = (middle, y), (middle, y + BOX_HEIGHT)
    if name == chain[0]:
        return [bottom]
    return [top] if name == chain[-1] else [top, bottom]
