"""A network as a table for the terminal and as an SVG drawing."""

from __future__ import annotations

from collections import Counter
from html import escape

from rich.table import Table

from galclass.topology.layout import BOX_HEIGHT, BOX_WIDTH, Layout, layout_of
from galclass.topology.network import (
    ConvBundle,
    FilteredBundle,
    FullBundle,
    Network,
    NormBundle,
    ResolvedBundle,
    ResolvedLayer,
)

_COLOURS = {  # fill and stroke by the layer's input; text is dark on all of them (contrast above 7:1)
    "input": ("#eceff4", "#7b8794"),
    "convolve": ("#dbe9fb", "#3b73b9"),
    "pool": ("#def3ea", "#2f8a67"),
    "response norm": ("#fdf1d3", "#a87a12"),
    "connected": ("#efe3f8", "#7d4fa3"),
    "output": ("#fbdfdf", "#b34747"),
}
_TEXT, _FAINT, _LINE = "#16202c", "#3d4a59", "#5b6875"


def topology_table(network: Network, title: str | None = None) -> Table:
    """Return a table of layers: shape, inputs, activation, weights and multiply-adds for one example.

    Parameters
    ----------
    network : Network
        The checked topology.
    title : str, optional
        Printed above.
    """
    table = Table(title=title, show_footer=True)
    table.add_column("layer", "total")
    table.add_column("shape")
    table.add_column("from")
    table.add_column("activation")
    table.add_column("weights", f"{network.weight_count:,}", justify="right")
    table.add_column("multiply-adds", f"{network.multiply_adds:,}", justify="right")
    for layer in network.layers:
        sources = "\n".join(f"{bundle.source}: {describe_bundle(bundle)}" for bundle in layer.bundles)
        numbers = (_weights_text(network, layer), f"{layer.multiply_adds:,}") if layer.bundles else ("", "")
        activation = layer.activation if layer.bundles else ""
        table.add_row(layer.name, _times(layer.shape), sources or "(input)", activation, *numbers)
    return table


def describe_bundle(bundle: ResolvedBundle) -> str:
    """Return a bundle in a few words, e.g. `convolve 3x6x6, step 1x2x2`."""
    if isinstance(bundle, FullBundle):
        return "all"
    if isinstance(bundle, FilteredBundle):
        return f"where, {len(bundle.edges):,} edges"
    kind = "convolve" if isinstance(bundle, ConvBundle) else "response norm"
    if not isinstance(bundle, ConvBundle | NormBundle):
        kind = f"{bundle.kind} pool"
    text = f"{kind} {_times(bundle.geometry.kernel_shape)}"
    if any(step > 1 for step in bundle.geometry.stride):
        text += f", step {_times(bundle.geometry.stride)}"
    if bundle.geometry.is_padded:
        text += ", padded"
    return text


def topology_svg(network: Network, title: str = "topology") -> str:
    """Return the network's graph as an SVG document.

    Parameters
    ----------
    network : Network
        The checked topology.
    title : str
        Title of the document, for screen readers and window titles.
    """
    layout = layout_of(network)
    summary = f"{len(network.layers)} layers, {network.weight_count:,} weights, {network.multiply_adds:,} multiply-adds"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{layout.width:g}" height="{layout.height:g}" '
        f'viewBox="0 0 {layout.width:g} {layout.height:g}" font-family="system-ui, sans-serif" role="img">',
        f"<title>{escape(title)}</title>",
        f"<desc>{escape(summary)}</desc>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        f'<path d="M0 0L8 4L0 8z" fill="{_LINE}"/></marker></defs>',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        *map(_edge, layout.edges),
        *(_box(network, layer, layout) for layer in network.layers),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _edge(points: list[tuple[float, float]]) -> str:
    (x, y), *rest = points
    path = f"M{x:g} {y:g}"
    for across, down in rest:
        half = (y + down) / 2
        path += f"C{x:g} {half:g} {across:g} {half:g} {across:g} {down:g}"
        x, y = across, down
    return f'<path d="{path}" fill="none" stroke="{_LINE}" stroke-width="1.5" marker-end="url(#tip)"/>'


def _box(network: Network, layer: ResolvedLayer, layout: Layout) -> str:
    x, y = layout.boxes[layer.name]
    fill, stroke = _COLOURS[_role(layer)]
    right = x + BOX_WIDTH - 12
    feeds = _feeds(layer)
    activation = layer.activation if layer.bundles and layer.activation != "linear" else ""
    numbers = _weights_text(network, layer)
    weights = numbers if "shared" in numbers else f"{numbers} weights"
    lines = [
        f"<g><title>{escape(f'{layer.name}: {feeds}; {layer.multiply_adds:,} multiply-adds')}</title>",
        f'<rect x="{x:g}" y="{y:g}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="8" fill="{fill}" stroke="{stroke}" '
        'stroke-width="1.5"/>',
        _text(x + 12, y + 24, layer.name, 15, _TEXT, "start", "600"),
        _text(right, y + 24, _times(layer.shape), 14, _TEXT, "end"),
        _text(x + 12, y + 46, _shortened(feeds, 46), 12, _FAINT, "start"),
        _text(x + 12, y + 66, activation, 12, _FAINT, "start") if activation else "",
        _text(right, y + 66, weights, 12, _FAINT, "end") if layer.keys else "",
        "</g>",
    ]
    return "\n".join(line for line in lines if line)


def _feeds(layer: ResolvedLayer) -> str:
    counted = Counter(map(describe_bundle, layer.bundles))
    return " + ".join(f"{count} x {text}" if count > 1 else text for text, count in counted.items()) or "input"


def _text(x: float, y: float, text: str, size: int, colour: str, anchor: str, weight: str = "400") -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" '
        f'fill="{colour}">{escape(text)}</text>'
    )


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _role(layer: ResolvedLayer) -> str:
    if layer.kind != "hidden":
        return layer.kind
    bundle = layer.bundles[0]
    if isinstance(bundle, ConvBundle):
        return "convolve"
    if isinstance(bundle, NormBundle):
        return "response norm"
    return "connected" if isinstance(bundle, FullBundle | FilteredBundle) else "pool"


def _weights_text(network: Network, layer: ResolvedLayer) -> str:
    own = network.own_weight_count(layer)
    owners = {key.split("/")[0] for key in layer.keys} - {layer.name}
    shared = f"shared with {', '.join(sorted(owners))}" if owners else ""
    return " + ".join(filter(None, [f"{own:,}" if own or not owners else "", shared]))


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
