"""The stage `score`: prepared images and a registered model -> rows of the database; run twice, it skips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from sqlalchemy import select

from galclass.config import Config, SourceConfig
from galclass.cutouts import LOCAL, DecodeLimits, drawn_once
from galclass.database.connection import Database, open_database
from galclass.database.frames import may_be_other_frame
from galclass.database.images import AddSummary, ImageReject, Images, NewImage
from galclass.database.registry import Registry
from galclass.database.schema import images
from galclass.database.score import ScoreSummary, score_pending
from galclass.download.configured import configured_sources
from galclass.errors import CutoutError, DatabaseError
from galclass.image_files import FileFault, iter_images, shown
from galclass.image_files.keys import file_key, row_key
from galclass.image_names import suffix_of


def score_stage(config: Config, progress: bool = False) -> ScoreSummary:
    """Add the images that `[score] images` names to the database and score what has no prediction.

    Raises
    ------
    DatabaseError
        If nothing was prepared yet.
    RegistryError
        If no model is registered.
    """
    database = open_database(config.database_url, migrate=True)
    added = add_prepared_images(database, config) if config.score.images != "none" else None
    model = config.score.model or registered_model(database, config)
    limits = LOCAL.with_seconds(config.images.max_decode_s).with_hdu(config.images.hdu)
    summary = score_pending(database, model, progress=progress, limits=limits)
    database.close()
    return replace(summary, images=added)


def registered_model(database: Database, config: Config) -> str:
    """Return the model of the stage `register`: its first alias, or its newest version without one."""
    name = config.register.name
    if config.register.aliases != ():
        return config.register.reference
    versions = Registry(database).list(name)
    return f"{name}@{versions[-1].version}" if versions else name


def add_prepared_images(database: Database, config: Config) -> AddSummary:
    """Add the prepared objects' images from the source, as they are there; a FITS image is drawn once, as PNG.

    Returns
    -------
    AddSummary
        Of the prepared objects: those without a readable image in the source now, or with another image or frame in
        the database, are rejects.
    """
    wanted, sha256s = _prepared_objects(config)
    frames = {source.name: source.frame_px for source in configured_sources(config)}
    stored = _stored(database)
    missing: dict[_Key, list[str]] = {}
    for (source, key), ids in wanted.items():
        known = sha256s[source, key], frames.get(source)
        if lacking := [one for one in ids if not _is_there(stored.get(one), *known)]:
            missing[source, key] = lacking
    limits = LOCAL.with_seconds(config.images.max_decode_s).with_hdu(config.images.hdu)
    parts = [_add_from(database, source, missing, limits) for source in configured_sources(config)] if missing else []
    gone = [
        ImageReject(object_id, "no_image", f"the source {source} has no image {key} any more")
        for (source, key), ids in missing.items() for object_id in ids
    ]  # fmt: skip
    return AddSummary(
        sum(part.added for part in parts),
        sum(map(len, wanted.values())) - sum(part.added + len(part.rejects) for part in parts) - len(gone),
        (*(reject for part in parts for reject in part.rejects), *gone),
    )


_Key = tuple[str, str]


class _Stored(NamedTuple):
    sha256: str | None
    frame_px: int | None
    is_drawn: bool


def _stored(database: Database) -> dict[str, _Stored]:
    """Return what is stored of each image; one that was drawn from FITS has not the sha256 of its file."""
    columns = (images.c.object_id, images.c.sha256, images.c.frame_px, images.c.uri)
    with database.read() as connection:
        return {
            object_id: _Stored(sha256, frame_px, suffix_of(uri or "").startswith((".fit", ".fts", ".fz")))
            for object_id, sha256, frame_px, uri in connection.execute(select(*columns))
        }


def _is_there(stored: _Stored | None, sha256: str, frame_px: int | None) -> bool:
    """Return whether nothing has changed since an image was stored; without a hash of its own that is not known."""
    if stored is None or may_be_other_frame(frame_px, stored.frame_px):
        return False
    return stored.is_drawn or stored.sha256 in (None, sha256)


def _add_from(
    database: Database, source: SourceConfig, missing: dict[tuple[str, str], list[str]], limits: DecodeLimits
) -> AddSummary:
    """Add the missing images of one source, and take them out of `missing`."""
    rejects: list[ImageReject] = []

    def wanted(name: str) -> bool:
        return (source.name, file_key(name)) in missing

    def taken(name: str) -> list[str]:
        return missing.pop((source.name, file_key(name)), [])

    def reject(name: str, ids: Sequence[str], code: str, reason: str) -> None:
        rejects.extend(ImageReject(f"{shown(name)} ({object_id})", code, reason) for object_id in ids)

    def unreadable(fault: FileFault) -> None:
        reject(fault.name, taken(fault.name), fault.code, fault.reason)

    def new() -> Iterator[NewImage]:
        for name, data in iter_images(source.images, wanted=wanted, unreadable=unreadable):
            ids = taken(name)
            try:
                stored = drawn_once(data, limits) if ids else data
            except CutoutError as error:
                reject(name, ids, error.code, str(error))
                continue
            for object_id in ids:
                yield NewImage(object_id, stored, shown(name), source.frame_px, source.stored_px)

    if not any(key[0] == source.name for key in missing):
        return AddSummary(0, 0)
    added = Images(database).add(new())
    return replace(added, rejects=(*rejects, *added.rejects))


def _prepared_objects(config: Config) -> tuple[dict[_Key, list[str]], dict[_Key, str]]:
    """Return the prepared object ids and the file's sha256 by source and file key.

    There are several ids where `prepare.duplicates` keeps them.
    """
    import pyarrow.parquet

    path = config.workspace_path / "prepared" / "index.parquet"
    if not path.is_file():
        raise DatabaseError("nothing is prepared", where=str(path), advice="run `galclass prepare` first")
    rows = pyarrow.parquet.read_table(path, columns=["source", "asset_id", "object_id", "split", "sha256"]).to_pylist()
    splits = ("train", "validation", "test") if config.score.images == "all" else ("test",)
    found: dict[_Key, list[str]] = {}
    sha256s: dict[_Key, str] = {}
    for row in rows:
        key = row["source"], row_key(row["asset_id"]) or ""
        sha256s[key] = row["sha256"]
        if row["split"] in splits:
            found.setdefault(key, []).append(row["object_id"])
    return found, sha256s
