"""Folders, archives and catalogs as rows: images with the ids, positions and labels of a catalog."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from sqlalchemy import func, select

from galclass.cutouts import LOCAL, DecodeLimits, drawn_once
from galclass.database.connection import Database
from galclass.database.content import pixels_sha256_of, sha256_of
from galclass.database.images import AddSummary, ImageReject, Images, NewImage
from galclass.database.labels import NewLabel, add_labels
from galclass.database.positions import CatalogRow
from galclass.database.schema import images
from galclass.database.schema import labels as label_rows
from galclass.database.sky import separation_arcsec
from galclass.database.statements import chunked
from galclass.errors import ArchiveError, CatalogError, CutoutError
from galclass.image_files import FileFault, Listing, Skipped, iter_images, list_images, shown
from galclass.image_files.keys import file_key, lost_zeros

CHUNK = 1000
"""Catalog rows a transaction."""

MOVED_ARCSEC = 1.0
"""Two positions closer than this are the same: catalogs round them."""

OTHERS_NAMED = 5
"""Other files of the same image that a reject names."""


@dataclass(frozen=True)
class CatalogSummary:
    """What a catalog said about the images of a database.

    Attributes
    ----------
    rows, with_image : int
        Rows of the catalog, and how many of them have an image in the database.
    labels, positions : int
        Labels and positions of the rows with an image.
    elsewhere : int
        Positions more than `MOVED_ARCSEC` from the stored one, which stays.
    former : int
        Rows without a label that had one when a catalog of this name was added before; it stays.
    """

    rows: int
    with_image: int
    labels: int
    positions: int
    elsewhere: int = 0
    former: int = 0

    def __str__(self) -> str:
        lines = [
            f"catalog: {self.with_image:,} of {self.rows:,} rows have an image, "
            f"{self.labels:,} labels, {self.positions:,} positions"
        ]
        if self.elsewhere:
            lines.append(f"catalog: {self.elsewhere:,} positions are not the stored ones, which stay")
        if self.former:
            lines.append(
                f"catalog: {self.former:,} rows without a label had one when a catalog of this name was added; it stays"
            )
        return "\n".join(lines)


def check_images(paths: Iterable[Path], known: Mapping[str, CatalogRow]) -> list[Listing]:
    """Check, before anything is written, that there are images and that the catalog, if any, knows one of them.

    Returns
    -------
    list of Listing
        One for each path.

    Raises
    ------
    ArchiveError
        If nothing named is an image.
    CatalogError
        If no row of the catalog has a file.
    """
    listings = [list_images(path) for path in paths]
    names = (one.name for listing in listings for part in (listing.entries, listing.faults) for one in part)
    keys = [file_key(name) for name in names]
    where = ", ".join(shown(listing.path) for listing in listings)
    if not keys:
        skipped = _skipped(listings)
        raise ArchiveError(
            "there is no image", where=where, expected=".jpg, .jpeg, .png, .bmp or .fits files",
            got=f"{skipped.total:,} other files: {skipped}" if skipped.total else "no file",
        )  # fmt: skip
    if known and not any(key in known for key in keys):
        raise CatalogError(
            "no row of the catalog has an image", where=where, expected=f"files such as {next(iter(known))}.jpg",
            got=f"files such as {keys[0]}",
            advice=lost_zeros(known, keys)
            or "a row belongs to the file named like its asset_id, else its object_id; GZ2 needs --mapping",
        )  # fmt: skip
    return listings


def add_images(
    database: Database,
    paths: Iterable[Path],
    known: Mapping[str, CatalogRow],
    *,
    frame_px: int | None = None,
    stored_px: int | None = None,
    keep_duplicates: bool = False,
    listings: Sequence[Listing] = (),
    limits: DecodeLimits = LOCAL,
) -> AddSummary:
    """Add the images of files, folders and archives; files without an image are among the summary's rejects.

    Parameters
    ----------
    database : Database
    paths : iterable of Path
        Image files, folders, zip and tar archives. A FITS image is drawn once and stored as PNG.
    known : mapping
        Catalog rows by file key; a file that is not in it keeps that key as object_id.
    frame_px, stored_px : int, optional
        Sides of the survey's frame and of the files.
    keep_duplicates : bool
        False: files of the same bytes, or of the same cutout's pixels, for different objects, and files that are
        several objects' by the catalog, are all rejects that name each other. The files are read twice then, so that
        none is added before that is known.
    listings : sequence of Listing
        From `check_images`, so that nothing is listed again.
    limits : DecodeLimits
        How long an image may take to decode; one that takes longer is a reject.
    """
    listings = listings or [list_images(path) for path in paths]
    rejects: list[ImageReject] = []
    pixels: dict[str, str | None] = {}
    duplicates = {} if keep_duplicates else _duplicates(listings, known, frame_px, pixels, limits)
    new = _new_images(listings, known, rejects, duplicates, (frame_px, stored_px), keep_duplicates, limits)
    new = (replace(image, pixels_sha256=pixels.get(image.file or "")) for image in new)
    summary = Images(database).add(new, keep_duplicates=keep_duplicates, limits=limits)
    shared = sum(
        len(row.others) for listing in listings for entry in listing if (row := known.get(file_key(entry.name)))
    )
    return replace(
        summary,
        rejects=(*rejects, *summary.rejects),
        skipped=_skipped(listings),
        lost=tuple(name for listing in listings for name in listing.lost()),
        shared=shared if keep_duplicates else 0,
    )


def _new_images(
    listings: Sequence[Listing],
    known: Mapping[str, CatalogRow],
    rejects: list[ImageReject],
    duplicates: Mapping[str, str],
    sizes: tuple[int | None, int | None],
    keep_shared: bool,
    limits: DecodeLimits,
) -> Iterator[NewImage]:
    for listing in listings:
        for name, data in _images_of(listing, rejects, limits):
            file = _file(listing, name)
            rows = _rows_of(name, known)
            if len(rows) > 1 and not keep_shared:
                ids = ", ".join(row.object_id for row in rows)
                rejects.append(ImageReject(file, "shared_file", f"the catalog has it for several objects: {ids}"))
            elif file in duplicates:
                rejects.append(ImageReject(file, "duplicate_image", duplicates[file]))
            else:
                for row in rows:
                    yield NewImage(row.object_id, data, shown(name), *sizes, row.ra, row.dec, file)


def _rows_of(name: str, known: Mapping[str, CatalogRow]) -> tuple[CatalogRow, ...]:
    key = file_key(name)
    return known[key].all if key in known else (CatalogRow(key, None, None, None, {}),)


def _duplicates(
    listings: Sequence[Listing],
    known: Mapping[str, CatalogRow],
    frame_px: int | None,
    pixels: dict[str, str | None],
    limits: DecodeLimits,
) -> dict[str, str]:
    """Return why a file is left out, for the files whose image is another object's; `pixels` gets all hashes.

    Files of equal bytes have equal pixels, so bytes count only where there is no cutout.
    """
    holders: dict[str, list[tuple[str, str]]] = {}
    for listing in listings:
        for name, data in _images_of(listing, [], limits):
            ids = "+".join(row.object_id for row in _rows_of(name, known))
            file = _file(listing, name)
            pixels[file] = pixels_sha256_of(data, frame_px, limits)
            holders.setdefault(pixels[file] or sha256_of(data), []).append((ids, file))
    reasons = {}
    for own in holders.values():
        if len({ids for ids, _ in own}) > 1:
            for ids, file in own:
                others = [f"{other} ({its_file})" for other, its_file in own if other != ids]
                more = f" and {len(others) - OTHERS_NAMED:,} more" if len(others) > OTHERS_NAMED else ""
                reasons[file] = f"the same image as {', '.join(others[:OTHERS_NAMED])}{more}"
    return reasons


def _images_of(listing: Listing, rejects: list[ImageReject], limits: DecodeLimits) -> Iterator[tuple[str, bytes]]:
    def unreadable(fault: FileFault) -> None:
        rejects.append(ImageReject(_file(listing, fault.name), fault.code, fault.reason))

    for name, data in iter_images(listing.path, unreadable=unreadable, listing=listing):
        try:
            stored = drawn_once(data, limits)
        except CutoutError as error:
            rejects.append(ImageReject(_file(listing, name), error.code, str(error)))
        else:
            yield name, stored


def _file(listing: Listing, name: str) -> str:
    """Name a file for people: by its path, in an archive with the archive's path before it."""
    path = listing.path
    return shown(path) if not path.is_dir() and path.name == name else shown(f"{path}/{name}")


def _skipped(listings: Iterable[Listing]) -> Skipped:
    skipped = Skipped()
    for listing in listings:
        skipped.update(listing.skipped)
    return skipped


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
    read = with_image = labels = positions = elsewhere = former = 0
    for chunk in chunked(rows, CHUNK):
        there = store.known([row.object_id for row in chunk])
        matched = [row for row in chunk if row.object_id in there]
        placed = [(row.object_id, row.ra, row.dec) for row in matched if row.ra is not None and row.dec is not None]
        store.place(placed)
        elsewhere += _elsewhere(database, placed)
        labels += add_labels(database, new_labels(matched, source))
        former += _labelled_before(database, [row.object_id for row in matched if not _says(row)], source)
        positions += len(placed)
        with_image += len(matched)
        read += len(chunk)
    return CatalogSummary(read, with_image, labels, positions, elsewhere, former)


def _labelled_before(database: Database, object_ids: Sequence[str], source: str) -> int:
    """Count the objects that have a label of a catalog's name."""
    c = label_rows.c
    query = select(func.count()).select_from(label_rows)
    query = query.where(c.object_id.in_(object_ids), c.source == source, c.labelled_by == NewLabel.labelled_by)
    with database.read() as connection:
        return connection.scalar(query) or 0


def _elsewhere(database: Database, positions: Sequence[tuple[str, float, float]]) -> int:
    """Count the images whose stored position is another than the one given."""
    query = select(images.c.object_id, images.c.ra, images.c.dec).where(
        images.c.object_id.in_([object_id for object_id, _, _ in positions]), images.c.ra.is_not(None)
    )
    with database.read() as connection:
        stored = {object_id: (ra, dec) for object_id, ra, dec in connection.execute(query)}
    pairs = np.array([(*stored[key], ra, dec) for key, ra, dec in positions if key in stored]).reshape(-1, 4).T
    return int((separation_arcsec(*pairs) > MOVED_ARCSEC).sum())


def _says(row: CatalogRow) -> bool:
    return bool(row.label or row.votes)


def new_labels(rows: Iterable[CatalogRow], source: str) -> Iterator[NewLabel]:
    """Yield the labels of catalog rows; rows without a label are passed over."""
    for row in rows:
        if _says(row):
            yield NewLabel(row.object_id, row.label, source, row.votes)
