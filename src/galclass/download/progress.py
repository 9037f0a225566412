"""Progress bars on the terminal's error stream, safe to call from several threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol


class Progress(Protocol):
    """A counter of finished units."""

    def add(self, count: int) -> None:
        """Count more units done."""


class _Silent:
    def add(self, count: int) -> None:
        """Show nothing."""


@contextmanager
def byte_progress(title: str, total: int | None, shown: bool) -> Iterator[Progress]:
    """Yield a progress bar of bytes, or a silent counter."""
    if not shown:
        yield _Silent()
        return
    from rich.progress import DownloadColumn, TransferSpeedColumn

    with _bar(title, total, DownloadColumn(), TransferSpeedColumn()) as bar:
        yield bar


@contextmanager
def item_progress(title: str, total: int, shown: bool) -> Iterator[Progress]:
    """Yield a progress bar of items, or a silent counter."""
    if not shown:
        yield _Silent()
        return
    from rich.progress import MofNCompleteColumn

    with _bar(title, total, MofNCompleteColumn()) as bar:
        yield bar


@contextmanager
def _bar(title: str, total: int | None, *columns: Any) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    layout = (TextColumn("{task.description}"), BarColumn(), *columns, TimeRemainingColumn())
    with Bar(*layout, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)

        class _Shown:
            def add(self, count: int) -> None:
                bar.advance(task, count)

        yield _Shown()
