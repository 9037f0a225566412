"""The files of downloaded cutouts: which are there already, the journal of their URLs, and the source they make."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from galclass.atomic_files import write_bytes, write_text
from galclass.catalog import write_table
from galclass.download.services import GZ2_SIZE_PX, CutoutService
from galclass.download.sources import RECORD


@dataclass(frozen=True)
class CutoutRequest:
    """What to fetch and how it shall look.

    Attributes
    ----------
    catalog : path
        Any table `read_catalog` reads, with ra and dec.
    service : str
        sdss, legacy or hips2fits.
    size_px : int
        Side of each image.
    arcsec_per_px : float or None
        Scale; None takes 0.02 petroR90_r where the catalog has it (as Galaxy Zoo 2 did), else SDSS's own 0.396.
    layer : str or None
        Survey layer (legacy) or HiPS id (hips2fits); None takes the service's default.
    base_url : str or None
        Another address of the service, e.g. a mirror.
    requests_per_s : float or None
        None takes the service's polite rate.
    """

    catalog: Path
    service: str = "sdss"
    size_px: int = GZ2_SIZE_PX
    arcsec_per_px: float | None = None
    layer: str | None = None
    base_url: str | None = None
    requests_per_s: float | None = None


@dataclass(frozen=True)
class CutoutItem:
    """One image: its object, the stem of its file name, and the URL that draws it."""

    object_id: str
    stem: str
    url: str


def keep_image(item: CutoutItem, data: bytes, folder: Path, journal: IO[str]) -> None:
    """Write an image, then its line of the journal."""
    write_bytes(image_path(item, folder), data, lasting=False)
    record = {"asset_id": item.stem, "url": item.url, "bytes": len(data), "sha256": sha256(data).hexdigest()}
    journal.write(json.dumps(record) + "\n")
    journal.flush()


def image_path(item: CutoutItem, folder: Path) -> Path:
    """Return where an image is kept."""
    return folder / "images" / f"{item.stem}.jpg"


def read_journal(folder: Path) -> dict[str, dict[str, Any]]:
    """Read what is recorded of each image, by stem; a line that a killed run did not finish is cut off.

    A line that a power cut spoiled is passed over: its image is fetched again.
    """
    path = folder / "cutouts.jsonl"
    if not path.exists():
        return {}
    *lines, last = path.read_text(encoding="utf-8").split("\n")
    if last:  # a line that a killed run did not finish: cut it off, its image is fetched again
        write_text(path, "".join(line + "\n" for line in lines))
    records = (_record(line) for line in lines)
    return {record["asset_id"]: record for record in records if record is not None}


def _record(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and "asset_id" in record else None


def is_cached(item: CutoutItem, cache: dict[str, dict[str, Any]], folder: Path) -> bool:
    """Return whether an image of the same URL is there, whole."""
    record, path = cache.get(item.stem), image_path(item, folder)
    return bool(record and record["url"] == item.url and path.is_file() and path.stat().st_size == record["bytes"])


def write_source(
    folder: Path,
    service: CutoutService,
    request: CutoutRequest,
    table: Any,
    images: list[CutoutItem],
    rejects: list[dict[str, Any]],
) -> None:
    """Write the catalog, the rejects and the record that make the folder a source."""
    import pyarrow as pa
    import pyarrow.compute as pc

    files = {item.object_id: f"{item.stem}.jpg" for item in images}
    table = table.filter(pc.is_in(table["object_id"], value_set=pa.array(list(files), pa.string())))
    column = pa.array([files[object_id] for object_id in table["object_id"].to_pylist()], pa.string())
    write_table(table.add_column(1, "file", column), folder / "catalog.parquet")
    schema = pa.schema([(name, pa.string()) for name in ("object_id", "code", "reason")] + [("row", pa.int64())])
    write_table(pa.Table.from_pylist(rejects, schema), folder / "rejects.parquet")
    record = {
        "name": f"cutouts_{service.name}",
        "title": service.title,
        "licence": "see the survey",
        "citation": service.citation,
        "homepage": service.base_url,
        "catalog_format": "generic",
        "our_columns": True,
        "frame_px": request.size_px,
        "stored_px": request.size_px,
        "files": {"images": {"name": "images", "count": len(images)}, "catalog": {"name": "catalog.parquet"}},
    }
    write_text(folder / RECORD, json.dumps(record, indent=2) + "\n")
