"""What `galclass services shadow` prints: a line for each pair of versions, and a table of the objects that differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from galclass.cli.tables import Table, show_table
from galclass.cli.terminal import say

if TYPE_CHECKING:
    from galclass.database import ServiceRecord
    from galclass.database.shadows import ShadowReport


def show_shadow(shadow: ServiceRecord | None, reports: Sequence[ShadowReport]) -> None:
    """Print which version is the shadow, and what is known of each pair of versions."""
    if shadow is None:
        click.echo("no version is a shadow")
    else:
        click.echo(f"{shadow.name} {shadow.version} is the shadow, served by {shadow.answered_by}")
    if shadow is not None and not any(one.pair.shadow_version == shadow.version for one in reports):
        click.echo("no image was compared yet: servers write what they counted every five seconds")
    for report in reports:
        _show_pair(report)


def _show_pair(report: ShadowReport) -> None:
    counts, pair = report.counts, report.pair
    shown = f"{report.since:%Y-%m-%d %H:%M:%S} to {report.updated_at:%Y-%m-%d %H:%M:%S} UTC"
    click.echo(f"\n{pair.version} beside {pair.shadow_version}, {shown}")
    click.echo(f"  images compared   {counts.compared:,}")
    if counts.compared:
        click.echo(f"  same class        {counts.same_class:,} ({_share(counts.same_class, counts.compared)})")
        click.echo(f"  same group        {counts.same_group:,} ({_share(counts.same_group, counts.compared)})")
        click.echo(f"  largest difference of a probability   {counts.largest_difference:.4f}")
    click.echo(f"  dropped           {counts.dropped:,}")
    click.echo(f"  failed            {counts.failed:,}")
    if report.differing:
        table = Table("object_id", "class", "shadow", "difference", "seen", "sha256 of the image")
        for one in report.differing:
            cells = (one.object_id, one.predicted_class, one.shadow_class, f"{one.difference:.4f}")
            table.add_row(*cells, f"{one.seen_at:%Y-%m-%d %H:%M:%S}", one.img_sha256)
        show_table(table)
        say(f"{len(report.differing)} of {counts.compared - counts.same_class:,} images with another class")


def _share(part: int, whole: int) -> str:
    """Write a share so that only all of them are 100 %."""
    percent = 100 * part / whole
    return f"{min(percent, 99.99) if part < whole else percent:.2f} %"
