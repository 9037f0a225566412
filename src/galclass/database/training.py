"""Training within the database's reach: `galaxy_images` with `galaxy_labels` -> sources that `prepare` reads.

Writes `<workspace>/database/`: one zip and one catalog per frame size, and the digest of what is in them, so that
a second run on the same rows writes nothing.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
from sqlalchemy import Connection, select

from galclass.atomic_files import replacing, write_bytes
from galclass.config import Config, SourceConfig
from galclass.database.connection import Database
from galclass.database.content import sha256_of
from galclass.database.desk_labels import PREFIX
from galclass.database.schema import images, labels
from galclass.database.statements import chunked
from galclass.errors import DatabaseError

CHUNK = 256

Rows = dict[str, dict[str, Any]]


def training_sources(database: Database, config: Config) -> tuple[SourceConfig, ...]:
    """Write the labelled images of the database where `prepare` finds them.

    The newest label of an object counts.

    Returns
    -------
    tuple of SourceConfig
        One per (frame_px, stored_px), for `config.prepare.sources`.

    Raises
    ------
    DatabaseError
        If no image has a label.
    """
    with database.read() as connection:
        groups = _labelled(connection)
    if not groups:
        raise DatabaseError(
            "no image has a label",
            where=database.url,
            advice="add some: `galclass images add PATH --catalog FILE`, or label galaxies on the page",
        )
    folder = config.workspace_path / "database"
    return tuple(_write(database, folder, sizes, rows) for sizes, rows in groups.items())


def _labelled(connection: Connection) -> dict[tuple[int | None, int | None], Rows]:
    i = images.c
    query = (
        select(i.object_id, i.sha256, i.frame_px, i.stored_px, labels.c.label)
        .join(labels, labels.c.object_id == i.object_id)
        .where(i.img.is_not(None), ~labels.c.source.startswith(PREFIX))  # those of desks are other classes
        .order_by(labels.c.labelled_at, labels.c.source, labels.c.labelled_by, i.object_id)
    )
    groups: dict[tuple[int | None, int | None], Rows] = {}
    rows = connection.execute(query).all()
    hashes = _hashes(connection, {row.object_id for row in rows if row.sha256 is None})
    for row in rows:
        sha256 = row.sha256 or hashes.get(row.object_id)
        if sha256 is None:
            continue  # deleted just now
        facts = {name: value for name, value in row.label.items() if name != "note"} | {"sha256": sha256}
        groups.setdefault((row.frame_px, row.stored_px), {})[row.object_id] = facts  # a newer label wins
    return groups


def _hashes(connection: Connection, object_ids: Iterable[str]) -> dict[str, str]:
    """Hash images that were inserted or replaced by hand."""
    found: dict[str, str] = {}
    for chunk in chunked(sorted(object_ids), CHUNK):
        query = select(images.c.object_id, images.c.img).where(images.c.object_id.in_(chunk), images.c.img.is_not(None))
        found.update((object_id, sha256_of(bytes(img))) for object_id, img in connection.execute(query))
    return found


def _write(database: Database, folder: Path, sizes: tuple[int | None, int | None], rows: Rows) -> SourceConfig:
    name = "database" if sizes[0] is None else f"database-{sizes[0]}-{sizes[1] or sizes[0]}"
    archive, catalog, digest = (folder / f"{name}{suffix}" for suffix in (".zip", ".parquet", ".sha256"))
    wanted = hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()
    made = digest.is_file() and digest.read_text(encoding="ascii") == wanted
    if not (made and zipfile.is_zipfile(archive) and catalog.is_file()):
        digest.unlink(missing_ok=True)
        _write_archive(database, archive, sorted(rows))
        _write_catalog(catalog, rows)
        write_bytes(digest, wanted.encode())
    return SourceConfig(name, str(archive), str(catalog), frame_px=sizes[0], stored_px=sizes[1])


def _file_name(object_id: str) -> str:
    """Return a file name that is safe for any object id."""
    return hashlib.sha256(object_id.encode()).hexdigest()[:32]


def _write_archive(database: Database, path: Path, object_ids: list[str]) -> None:
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for object_id, img in _images(database, object_ids):
            archive.writestr(f"{_file_name(object_id)}.jpg", img)


def _images(database: Database, object_ids: list[str]) -> Iterator[tuple[str, bytes]]:
    for chunk in chunked(object_ids, CHUNK):
        query = select(images.c.object_id, images.c.img).where(images.c.object_id.in_(chunk))
        with database.read() as connection:
            found = connection.execute(query.order_by(images.c.object_id)).all()
        yield from ((row.object_id, bytes(row.img)) for row in found)


def _write_catalog(path: Path, rows: Rows) -> None:
    votes = sorted({name for facts in rows.values() for name in facts} - {"class", "sha256"})
    columns: dict[str, Any] = {
        "object_id": list(rows),
        "file": [f"{_file_name(object_id)}.jpg" for object_id in rows],
        "label": pa.array([facts.get("class") for facts in rows.values()], pa.string()),
    }
    columns |= {name: pa.array([facts.get(name) for facts in rows.values()], pa.float64()) for name in votes}
    with replacing(path) as temporary:
        pyarrow.parquet.write_table(pa.table(columns), temporary)
