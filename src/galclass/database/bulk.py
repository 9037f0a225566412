"""Folders, archives and catalogs as rows: images with the ids, positions and labels of a catalog."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from galclass.database.connection import Database
from galclass.database.images import AddSummary, ImageReject, Images, NewImage
from galclass.database.labels import NewLabel, add_labels
from galclass.database.positions import CatalogRow
from galclass.database.statements import chunked
from galclass.download import iter_images, list_images
from galclass.errors import ArchiveError, CatalogError, CutoutError
from galclass.preprocess import read_header

CHUNK = 1000
"""Catalog rows a transaction."""


@dataclass(frozen=True)
class CatalogSummary:
    """What a catalog said about the images of a database.

    Attributes
    ----------
    rows, with_image : int
        Rows of the catalog, and how many of them have an image in the database.
    labels, positions : int
        Labels and positions of the rows with an image.
    """

    rows: int
    with_image: int
    labels: int
    positions: int

    def __str__(self) -> str:
        return (
            f"catalog: {self.with_image:,} of {self.rows:,} rows have an image, "
            f"{self.labels:,} labels, {self.positions:,} positions"
        )


def check_images(paths: Iterable[Path], known: Mapping[str, CatalogRow]) -> None:
    """Check, before anything is written, that there are images and that the catalog, if any, knows one of them.

    Raises
    ------
    ArchiveError
        If nothing named is an image.
    CatalogError
        If no row of the catalog has a file.
    """
    paths = list(paths)
    keys = [Path(entry.name).stem for path in paths for entry in list_images(path)]
    where = ", ".join(map(str, paths))
    if not keys:
        raise ArchiveError("there is no image", where=where, expected=".jpg, .jpeg, .png or .bmp files")
    if known and not any(key in known for key in keys):
        raise CatalogError(
            "no row of the catalog has an image", where=where, expected=f"files such as {next(iter(known))}.jpg",
            got=f"files such as {keys[0]}",
            advice="a row belongs to the file named like its asset_id, else its object_id; GZ2 needs --mapping",
        )  # fmt: skip


def add_images(
    database: Database,
    paths: Iterable[Path],
    known: Mapping[str, CatalogRow],
    *,
    frame_px: int | None = None,
    stored_px: int | None = None,
) -> AddSummary:
    """Add the images of files, folders and archives; what gives none is among the summary's rejects.

    Parameters
    ----------
    database : Database
    paths, known, frame_px, stored_px
        As for `new_images`.
    """
    rejects: list[ImageReject] = []
    new = new_images(paths, known, rejects, frame_px=frame_px, stored_px=stored_px)
    summary = Images(database).add(new)
    return replace(summary, rejects=(*rejects, *summary.rejects))


def new_images(
    paths: Iterable[Path],
    known: Mapping[str, CatalogRow],
    rejects: list[ImageReject],
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
    rejects : list of ImageReject
        Gets the files that cannot be read or are no images.
    frame_px, stored_px : int, optional
        Sides of the survey's frame and of the files.
    """
    for path in paths:
        for name, data in _images_of(path, rejects):
            row = known.get(Path(name).stem) or CatalogRow(Path(name).stem, None, None, None, {})
            yield NewImage(row.object_id, data, name, frame_px, stored_px, row.ra, row.dec, _file(path, name))


def _images_of(path: Path, rejects: list[ImageReject]) -> Iterator[tuple[str, bytes]]:
    def unreadable(name: str, error: OSError) -> None:
        rejects.append(ImageReject(_file(path, name), "unreadable", error.strerror or str(error)))

    for name, data in iter_images(path, unreadable=unreadable):
        try:
            read_header(data)
        except CutoutError as error:
            rejects.append(ImageReject(_file(path, name), error.code, str(error)))
        else:
            yield name, data


def _file(path: Path, name: str) -> str:
    """Name a file for people: in a folder by its path, in an archive by the archive and its name there."""
    if path.is_dir():
        return str(path / name)
    return str(path) if path.name == name else f"{path}, {name}"


def add_catalog(database: Database, rows: Iterable[CatalogRow], source: str) -> CatalogSummary:
    """Add the labels of the catalog rows that have an image, and the positions of images that have none yet.

    Parameters
    ----------
    database : Database
    rows : iterable of CatalogRow
    source : str
        Where the labels come from, such as the catalog's file name.
    """
    store = Images(database)
    read = with_image = labels = positions = 0
    for chunk in chunked(rows, CHUNK):
        there = store.known([row.object_id for row in chunk])
        matched = [row for row in chunk if row.object_id in there]
        placed = [(row.object_id, row.ra, row.dec) for row in matched if row.ra is not None and row.dec is not None]
        store.place(placed)
        labels += add_labels(database, new_labels(matched, source))
        positions += len(placed)
        with_image += len(matched)
        read += len(chunk)
    return CatalogSummary(read, with_image, labels, positions)


def new_labels(rows: Iterable[CatalogRow], source: str) -> Iterator[NewLabel]:
    """Give the labels of catalog rows; a row that says nothing is passed over."""
    for row in rows:
        if row.label or row.votes:
            yield NewLabel(row.object_id, row.label, source, row.votes)
