"""Progress shown during training: a bar over the steps, one line per epoch, TensorBoard if wanted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from galclass.extras import require

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from galclass.train.trainer import Trainer


class Reporter:
    """Shows progress on standard error, or nothing.

    Parameters
    ----------
    shown : bool
        Whether anything is shown.
    """

    def __init__(self, shown: bool) -> None:
        self.shown = shown
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._done = 0

    @contextmanager
    def run(self, trainer: Trainer) -> Iterator[None]:
        """Show a bar over all steps of a run."""
        if not self.shown:
            yield
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("train"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            total = trainer.config.num_epochs * trainer.batches.steps
            self._done = trainer.at.iteration * trainer.batches.steps
            self._bar, self._task = bar, bar.add_task("", total=total, completed=self._done + trainer.at.step)
            yield
        self._bar = self._task = None

    def step(self, step: int, steps: int) -> None:
        """Move the bar."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self._done + step)
            if step == steps:
                self._done += steps

    def iteration(self, row: dict[str, float]) -> None:
        """Print an epoch's loss and validation metrics."""
        if self._bar is None or self._task is None:
            return
        text = (
            f"epoch {row['iteration']:3.0f}  train loss {row['train_loss']:.4f}  validation loss"
            f" {row['validation_loss']:.4f}  accuracy {row['validation_accuracy']:.4f}  balanced"
            f" {row['validation_balanced_accuracy']:.4f}  {row['images_per_s']:,.0f} images/s"
        )
        self._bar.console.print(text, highlight=False, soft_wrap=True)


def open_board(folder: Path) -> Any:
    """Open a TensorBoard log.

    Raises
    ------
    ExtraError
        If the package is not installed.
    """
    require("tensorboard", what="train.tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder))


def add_row(board: Any, row: dict[str, float]) -> None:
    """Log an epoch's numbers."""
    for name, value in row.items():
        if name != "iteration":
            board.add_scalar(name, value, int(row["iteration"]))
    board.flush()
