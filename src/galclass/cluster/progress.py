"""A bar on the terminal's error stream, or a silent counter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bar(name: str, shown: bool, *, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Show what is done; without a total, as the input is listed while it is worked on, a running count."""
    if not shown:
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn(name), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown_bar:
        task = shown_bar.add_task(name, total=total)
        yield lambda count: shown_bar.advance(task, count)
