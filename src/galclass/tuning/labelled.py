"""A catalog with labels of any names and its image files: which image has which label, and what is left out."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from galclass.atomic_files import replacing
from galclass.catalog import CatalogColumns, CatalogReport, read_catalog
from galclass.config import PrepareConfig
from galclass.csv_cells import CsvRows
from galclass.cutouts.headers import MAX_BYTES
from galclass.errors import CatalogError
from galclass.image_files import ImageFile, find_images, read_image, with_bytes
from galclass.image_files.keys import lost_zeros, row_key
from galclass.image_files.reading import READ_ERRORS
from galclass.scoring.chunks import score_images
from galclass.scoring.prediction import Prediction
from galclass.scoring.scorer import CHUNK, Scorer

HELD_OUT_SHARE = 0.15
_SHOWN = 3


@dataclass(frozen=True)
class Reject:
    """A row of the catalog that is left out: object id, code, and the reason in words."""

    object_id: str
    code: str
    reason: str


@dataclass(frozen=True)
class LabelledImage:
    """An object with its label and its image."""

    object_id: str
    label: str
    image: ImageFile


@dataclass
class Labelled:
    """The labelled images of a catalog.

    Attributes
    ----------
    images : list of LabelledImage
        In the order of the files.
    rejects : list of Reject
        Rows that are left out.
    unused : int
        Image files without a row.
    remarks : tuple of str
        What the reader of the catalog remarked.
    """

    images: list[LabelledImage]
    rejects: list[Reject] = field(default_factory=list)
    unused: int = 0
    remarks: tuple[str, ...] = ()

    @property
    def counts(self) -> Counter[str]:
        """Images of each label."""
        return Counter(one.label for one in self.images)


def read_labelled(catalog: Path, images: Sequence[Path | str], settings: PrepareConfig) -> Labelled:
    """Join a catalog of any labels to its images by file name.

    Parameters
    ----------
    catalog : Path
        Any table that `read_catalog` reads.
    images : sequence of path
        Files, folders or archives.
    settings : PrepareConfig
        Columns and format of the catalog.

    Raises
    ------
    CatalogError
        If the table cannot be read, no row has a label, or no image matches a row.
    """
    report = CatalogReport()
    columns = CatalogColumns.of(settings)
    table = read_catalog(
        catalog, settings.catalog_format, settings.mapping, columns=columns, report=report, any_label=True
    )
    rejects = [Reject(one.object_id or f"row {one.row}", one.code, one.reason) for one in report.rejects]
    rows = table.select(["object_id", "asset_id", "label"]).to_pylist()
    if not any(row["label"] for row in rows):
        raise CatalogError(
            "no row has a label",
            where=str(catalog),
            expected="a column of labels, such as label or class",
            got=", ".join(report.columns[:12]),
            advice="name the column with --label-column",
        )
    files: dict[str, list[ImageFile]] = {}
    for image in find_images(images):
        files.setdefault(image.object_id, []).append(image)
    found = _joined(rows, files, rejects)
    if not found.images:
        raise _no_match(catalog, rows, files)
    return replace(found, remarks=report.remarks)


def _joined(
    rows: Sequence[Mapping[str, str | None]], files: Mapping[str, Sequence[ImageFile]], rejects: list[Reject]
) -> Labelled:
    by_file: dict[str, list[tuple[str, str]]] = {}
    named: set[str] = set()
    for row in rows:
        object_id, key = str(row["object_id"]), row_key(row["asset_id"]) or ""
        if not row["label"]:
            rejects.append(Reject(object_id, "no_label", "the row has no label"))
        elif key not in files:
            rejects.append(Reject(object_id, "no_image", f"no image file is called {key}"))
        elif len(files[key]) > 1:
            named.add(key)
            rejects.append(Reject(object_id, "several_images", ", ".join(map(str, files[key][:_SHOWN]))))
        else:
            by_file.setdefault(key, []).append((object_id, row["label"]))
    images = []
    for key, (file, *_) in files.items():
        objects = by_file.get(key, [])
        if len({label for _, label in objects}) > 1:
            reason = f"several rows with different labels name the image {file}"
            rejects += [Reject(object_id, "two_classes", reason) for object_id, _ in objects]
        elif objects:
            object_id, label = objects[0]
            images.append(LabelledImage(object_id, label, file))
            same = f"the image {file} already belongs to {object_id}"
            rejects += [Reject(other, "same_image", same) for other, _ in objects[1:]]
    named |= by_file.keys()
    return Labelled(images, rejects, sum(len(found) for key, found in files.items() if key not in named))


def _no_match(
    catalog: Path, rows: Sequence[Mapping[str, str | None]], files: Mapping[str, Sequence[ImageFile]]
) -> CatalogError:
    wanted = ", ".join(str(row["asset_id"]) for row in rows[:_SHOWN])
    there = ", ".join(list(files)[:_SHOWN]) or "no image"
    return CatalogError(
        "no image has a name from the catalog",
        where=str(catalog),
        expected=f"names such as {wanted}",
        got=there,
        advice=lost_zeros((str(row["asset_id"]) for row in rows), files)
        or "name the images with --images, and the column of ids or files with --id-column or --file-column",
    )


def score_labelled(
    scorer: Scorer,
    images: Iterable[LabelledImage],
    *,
    frame_px: int | None = None,
    advance: Callable[[int], None] = lambda count: None,
) -> Iterator[tuple[LabelledImage, Prediction]]:
    """Predict labelled images, with their embeddings; a file that cannot be read has a prediction with an error.

    Parameters
    ----------
    scorer : Scorer
    images : iterable of LabelledImage
    frame_px : int, optional
        Side of the survey's frame; None: each file is a full frame.
    advance : callable
        Called with how many more are done.
    """
    images = list(images)
    given = zip(images, with_bytes((one.image for one in images), MAX_BYTES), strict=True)
    while chunk := list(islice(given, CHUNK)):
        predictions = score_images(scorer, [read for _, read in chunk], frame_px, embedding=True)
        for (one, _), prediction in zip(chunk, predictions, strict=True):
            yield one, replace(prediction, object_id=one.object_id)
        advance(len(chunk))


def bytes_of(images: Iterable[LabelledImage]) -> Iterator[bytes]:
    """Yield the bytes of each image, empty where it cannot be read; those of one tar in one pass."""
    for image, given in with_bytes((one.image for one in images), MAX_BYTES):
        yield _bytes(image) if given is None else given


def _bytes(image: ImageFile) -> bytes:
    try:
        return b"" if image.fault else read_image(image, MAX_BYTES)
    except READ_ERRORS:
        return b""  # the scorer reports that it is empty


def held_out(object_id: str, share: float) -> bool:
    """Return whether an object is held out; this depends only on the object id, so later fits agree."""
    return zlib.crc32(f"galclass held out {object_id}".encode()) < share * 2**32


def write_rejects(rejects: Sequence[Reject], path: Path) -> None:
    """Write the rejects as CSV."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        rows = CsvRows(file, ("object_id", "code", "reason"))
        for one in rejects:
            rows.write((one.object_id, one.code, one.reason))
