"""`galclass topology`: check a Net# file or a named topology, show its table, draw its graph."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from galclass.atomic_files import write_text
from galclass.cli.options import keep_inputs


@click.group()
def topology() -> None:
    """Check and show Net# topologies, by file or by name.

    Example: galclass topology show original --svg original.svg
    """


def _with_sizes(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that size `auto` layers."""
    options = [
        click.argument("file_or_name"),
        click.option("--input-nodes", type=click.IntRange(1), help="Number of features, for an auto input."),
        click.option(
            "--hidden-nodes", type=click.IntRange(1), default=100, show_default=True, help="Size of auto hidden layers."
        ),
        click.option("--task", type=click.Choice(["multi_class", "binary", "regression"]), default="multi_class"),
        click.option("--classes", "n_classes", type=click.IntRange(1), help="Number of classes, for an auto output."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@topology.command()
@_with_sizes
def check(file_or_name: str, **sizes: Any) -> None:
    """Check a topology; every error is printed with its line and column.

    Example: galclass topology check my_network.net
    """
    from galclass.topology.check import load_topology

    network = load_topology(file_or_name, **sizes)
    click.echo(
        f"{file_or_name}: ok, {len(network.layers)} layers, {network.weight_count:,} weights, "
        f"{network.multiply_adds:,} multiply-adds"
    )


@topology.command()
@_with_sizes
@click.option("--svg", type=click.Path(dir_okay=False, path_type=Path), help="Draw the graph into this file.")
def show(file_or_name: str, svg: Path | None, **sizes: Any) -> None:
    """Print layers, shapes, weights and multiply-adds; draw the graph with --svg.

    Example: galclass topology show original --svg original.svg
    """
    from galclass.cli.tables import show_table
    from galclass.topology.check import load_topology
    from galclass.topology.draw import topology_svg, topology_table

    keep_inputs("--svg", svg, file_or_name)
    network = load_topology(file_or_name, **sizes)
    if svg is not None:
        write_text(svg, topology_svg(network, file_or_name))
    show_table(topology_table(network))
    if svg is not None:
        click.echo(f"drew {svg}")


@topology.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="Net# file to write.")
@click.option("--topology", "file_or_name", help="Net# file or name, for a checkpoint of an older version.")
def export(checkpoint: Path, output: Path, file_or_name: str | None) -> None:
    """Write a trained network as Net# with its weights, from the checkpoint.pt of its training.

    Example: galclass topology export workspace/training/checkpoint.pt --output trained.ns
    """
    from galclass.extras import require

    require("train", what="`galclass topology export`")
    keep_inputs("--output", output, checkpoint, file_or_name)
    from galclass.train.netsharp import export_netsharp

    count = export_netsharp(checkpoint, output, file_or_name)
    click.echo(f"wrote {output}: {count:,} weights")
