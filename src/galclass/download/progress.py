"""A progress bar of bytes on the terminal's error stream, safe to call from several threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """What a stage tells of its progress."""

    def add(self, count: int) -> None:
        """Count more units done."""


class _Silent:
    def add(self, count: int) -> None:
        """Show nothing."""


@contextmanager
def byte_progress(title: str, total: int | None, shown: bool) -> Iterator[Progress]:
    """Give a bar of bytes, or a silent counter."""
    if not shown:
        yield _Silent()
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bar(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)

        class _Shown:
            def add(self, count: int) -> None:
                bar.advance(task, count)

        yield _Shown()
