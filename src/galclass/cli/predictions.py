"""What `predict` and `similar` print: a progress bar, tables of predictions and rejects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from galclass.cli.options import existing_database
from galclass.cli.tables import console as stdout_console
from galclass.cli.tables import show_table
from galclass.cli.terminal import printable
from galclass.config import Config
from galclass.cutouts import LOCAL
from galclass.errors import ModelError
from galclass.image_files import ImageFile, Skipped, find_images
from galclass.morphology import CLASS_NAMES
from galclass.scoring import IN_PACKAGE, Prediction, Scorer
from galclass.scoring.files import repeated_ids
from galclass.scoring.predict import PredictSummary, predict_to
from galclass.similar import Neighbour

if TYPE_CHECKING:
    from galclass.joined import JoinSummary

REPEATS_SHOWN = 3
"""Pairs of files of one object_id that are named."""


def load_scorer(config: Config, model: str | None) -> Scorer:
    """Load the model in the package (`package`, or none named), an ONNX file, or a registered model.

    Raises
    ------
    ModelError, RegistryError
        If it is not there or not sound.
    """
    limits = LOCAL.with_seconds(config.images.max_decode_s).with_hdu(config.images.hdu)
    if model is None or model == IN_PACKAGE:
        return Scorer(limits=limits)
    if model.endswith(".onnx"):
        return Scorer(Path(model), limits=limits)
    from galclass.database import Registry

    with existing_database(config) as database:
        return Registry(database).get(model).scorer(limits=limits)


def predict_with_progress(
    paths: Sequence[str],
    scorer: Scorer,
    output: str | None,
    *,
    frame_px: int | None,
    processes: int,
    embedding: bool = False,
) -> PredictSummary:
    """Score files and folders under a progress bar.

    Raises
    ------
    ModelError
        If nothing named is an image.
    """
    with _files_found(paths) as (files, skipped, console, advance):
        _warn_of_repeats(files, console)
        summary = predict_to(
            files, scorer, output, frame_px=frame_px, processes=processes, embedding=embedding, advance=advance
        )
    return replace(summary, skipped=skipped, lost=skipped.lost(one.object_id for one in files))


def join_with_progress(
    paths: Sequence[str], scorer: Scorer, catalog: Path, output: Path, config: Config, **options: Any
) -> JoinSummary:
    """Score the images of a catalog under a progress bar, and write the catalog with the predictions."""
    from galclass.catalog import CatalogColumns
    from galclass.joined import predict_catalog

    columns = CatalogColumns.of(config.prepare)
    with _files_found(paths) as (files, _, _, advance):
        return predict_catalog(files, scorer, catalog, output, columns=columns, advance=advance, **options)


@contextmanager
def _files_found(
    paths: Sequence[str],
) -> Iterator[tuple[list[ImageFile], Skipped, Console, Callable[[int], None]]]:
    """Show a progress bar over the images of files and folders.

    Raises
    ------
    ModelError
        If nothing named is an image.
    """
    columns = (SpinnerColumn(), MofNCompleteColumn(), *Progress.get_default_columns()[1:2])
    console = Console(stderr=True)
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("looking for images", total=None)
        skipped = Skipped()
        files = list(find_images(paths, skipped=skipped))
        if not files:
            raise ModelError(
                "there is no image", where=", ".join(paths), expected=".jpg, .jpeg, .png, .bmp or .fits files",
                got=f"{skipped.total:,} other files: {skipped}" if skipped.total else "no file",
            )  # fmt: skip
        bar.update(task, total=len(files))
        yield files, skipped, console, lambda count: bar.advance(task, count)


def _warn_of_repeats(files: Sequence[ImageFile], console: Console) -> None:
    repeats = repeated_ids(files)
    if repeats:
        shown = "; ".join(f"{before} and {path}" for before, path in repeats[:REPEATS_SHOWN])
        more = f" and {len(repeats) - REPEATS_SHOWN:,} more" if len(repeats) > REPEATS_SHOWN else ""
        text = f"{len(repeats):,} files have the object_id of another file; each has its row: {shown}{more}"
        console.print(printable(text), soft_wrap=True, highlight=False, markup=False)


def show_predictions(summary: PredictSummary, output: str | None) -> None:
    """Print the predictions (or, with an output file, the count of each class), the rejects and a summary line."""
    console = stdout_console()
    if output:
        classes = Table("class", "", "files")
        for name, count in summary.classes.most_common():
            classes.add_row(name, CLASS_NAMES.get(name, ""), f"{count:,}")
        show_table(classes, console)
    else:
        show_table(_table(summary.first), console)
        hidden = summary.total - summary.rejected - len(summary.first)
        if hidden:
            console.print(f"and {hidden:,} more: use --output FILE to get them all")
    if summary.rejects:
        rejects = Table("rejected file", "reason")
        for image, prediction in summary.rejects:
            rejects.add_row(str(image), str(prediction.error))
        show_table(rejects, console)
    console.print(printable(str(summary)), soft_wrap=True, highlight=False)


def _table(predictions: Sequence[tuple[ImageFile, Prediction]]) -> Table:
    table = Table("file", "class", "", "group", "probability", "could be", "flags")
    for image, one in predictions:
        name = one.predicted_class or ""
        probability = (one.by_class or {}).get(name, 0.0)
        could_be = " ".join(one.prediction_set)
        table.add_row(
            PurePath(str(image)).name,
            name,
            CLASS_NAMES.get(name, ""),
            one.predicted_group,
            f"{probability:.3f}",
            could_be,
            " ".join(one.flags),
        )
    return table


def show_stored_neighbours(config: Config, image: Path, scorer: Scorer, count: int, frame_px: int | None) -> None:
    """Print the nearest galaxies of the database, nearest first."""
    from galclass.database.nearest import nearest_stored
    from galclass.similar import read_one

    with existing_database(config) as database, Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("embed", total=None, visible=False)
        found = nearest_stored(
            database, scorer, read_one(image), where=str(image), count=count, frame_px=frame_px,
            advance=lambda done, total: bar.update(task, advance=done, total=total, visible=True),
        )  # fmt: skip
    table = Table("object_id", "file", "ra", "dec", "label", "similarity")
    for one in found:
        position = ["" if value is None else f"{value:.5f}" for value in (one.ra, one.dec)]
        table.add_row(one.object_id, printable(one.file), *position, one.label, f"{one.similarity:.3f}")
    show_table(table)


def show_neighbours(neighbours: Sequence[Neighbour]) -> None:
    """Print the nearest galaxies, nearest first."""
    table = Table("object_id", "asset_id", "label", "split", "similarity")
    for one in neighbours:
        table.add_row(one.object_id, one.asset_id, one.label, one.split, f"{one.similarity:.3f}")
    show_table(table)
