"""Folders, archives and catalogs as streams of new rows: images with the ids, positions and labels of a catalog."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from galclass.database.images import NewImage
from galclass.database.labels import NewLabel
from galclass.database.positions import CatalogRow
from galclass.download import iter_images


def new_images(
    paths: Iterable[Path],
    known: Mapping[str, CatalogRow],
    *,
    frame_px: int | None = None,
    stored_px: int | None = None,
) -> Iterator[NewImage]:
    """Give the images of files, folders and archives, one at a time.

    Parameters
    ----------
    paths : iterable of Path
        Image files, folders, zip and tar archives.
    known : mapping
        Catalog rows by file name without suffix; a file that is not in it keeps that name as object_id.
    frame_px, stored_px : int, optional
        Sides of the survey's frame and of the files.
    """
    for path in paths:
        for name, data in iter_images(path):
            row = known.get(Path(name).stem)
            if row is None:
                yield NewImage(Path(name).stem, data, name, frame_px, stored_px)
            else:
                yield NewImage(row.object_id, data, name, frame_px, stored_px, row.ra, row.dec)


def new_labels(rows: Iterable[CatalogRow], source: str) -> Iterator[NewLabel]:
    """Give the labels of catalog rows; a row that says nothing is passed over."""
    for row in rows:
        if row.label or row.votes:
            yield NewLabel(row.object_id, row.label, source, row.votes)
