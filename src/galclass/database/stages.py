"""The stages `register` and `score`: files of the workspace -> rows of the database; run twice, they skip."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from galclass.config import Config
from galclass.database.connection import Database, open_database
from galclass.database.images import Images, NewImage
from galclass.database.models import ModelInfo
from galclass.database.registry import Registry
from galclass.database.schema import images
from galclass.database.score import ScoreSummary, score_pending
from galclass.download import iter_images, open_source
from galclass.errors import DatabaseError, RegistryError


@dataclass(frozen=True)
class RegisterSummary:
    """Which version the trained model has."""

    model: ModelInfo
    new: bool

    def __str__(self) -> str:
        done = "registered" if self.new else "is registered already"
        aliases = f", {', '.join(self.model.aliases)}" if self.model.aliases else ""
        return f"register: {self.model.model} {done} (sha256 {self.model.sha256[:12]}{aliases})"


def register_stage(config: Config) -> RegisterSummary:
    """Put the trained model into the registry under the configured name and aliases.

    Raises
    ------
    RegistryError
        If nothing was trained yet.
    ModelError
        If the file is not sound.
    """
    folder = config.workspace_path
    path = folder / "training" / "model.onnx"
    if not path.is_file():
        raise RegistryError("there is no trained model", where=str(path), advice="run `galclass train` first")
    database = open_database(config.database_url, migrate=True)
    registry = Registry(database)
    before = {info.version for info in registry.list(config.register.name)}
    info = registry.register(
        path.read_bytes(),
        name=config.register.name,
        aliases=config.register.aliases,
        metrics=_read_json(folder / "evaluation" / "metrics.json"),
        card=_read_text(folder / "evaluation" / "card.md"),
    )
    database.close()
    return RegisterSummary(info, info.version not in before)


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
    if config.score.images != "none":
        add_prepared_images(database, config)
    model = config.score.model or _registered(database, config)
    summary = score_pending(database, model, progress=progress)
    database.close()
    return summary


def _registered(database: Database, config: Config) -> str:
    """Give the model that the stage `register` made: by its first alias, or its newest version if it has none."""
    name = config.register.name
    if config.register.aliases:
        return config.register.reference
    versions = Registry(database).list(name)
    return f"{name}@{versions[-1].version}" if versions else name


def add_prepared_images(database: Database, config: Config) -> int:
    """Add the prepared objects' images from the source, as they are there; gives how many were new."""
    wanted = _prepared_objects(config)
    with database.read() as connection:
        there = set(connection.scalars(select(images.c.object_id)))
    missing = {key: object_id for key, object_id in wanted.items() if object_id not in there}
    if not missing:
        return 0
    return sum(_add_from(database, source, missing) for source in _image_sources(config))


@dataclass(frozen=True)
class _ImageSource:
    name: str
    images: Path
    frame_px: int | None
    stored_px: int | None


def _image_sources(config: Config) -> list[_ImageSource]:
    """Give where the prepared images came from, under the names in the index."""
    wanted = config.prepare
    if wanted.sources:
        return [_ImageSource(s.name, _real_path(s.images), s.frame_px, s.stored_px) for s in wanted.sources]
    if wanted.images is not None:
        return [_ImageSource("local", _real_path(wanted.images), wanted.frame_px, wanted.stored_px)]
    source = open_source(config)
    sizes = (wanted.frame_px or source.frame_px, wanted.stored_px or source.stored_px)
    return [_ImageSource(source.name, source.images, *sizes)]


def _real_path(text: str) -> Path:
    return Path(os.path.expandvars(text)).expanduser()


def _add_from(database: Database, source: _ImageSource, missing: dict[tuple[str, str], str]) -> int:
    def new() -> Iterator[NewImage]:
        for name, data in iter_images(source.images):
            object_id = missing.get((source.name, Path(name).stem))
            if object_id is not None:
                yield NewImage(object_id, data, name, source.frame_px, source.stored_px)

    return Images(database).add(new()).added if any(key[0] == source.name for key in missing) else 0


def _prepared_objects(config: Config) -> dict[tuple[str, str], str]:
    import pyarrow.parquet

    path = config.workspace_path / "prepared" / "index.parquet"
    if not path.is_file():
        raise DatabaseError("nothing is prepared", where=str(path), advice="run `galclass prepare` first")
    rows = pyarrow.parquet.read_table(path, columns=["source", "asset_id", "object_id", "split"]).to_pylist()
    splits = ("train", "validation", "test") if config.score.images == "all" else ("test",)
    return {(row["source"], row["asset_id"]): row["object_id"] for row in rows if row["split"] in splits}


def _read_json(path: Path) -> dict[str, Any]:
    text = _read_text(path)
    values = json.loads(text) if text else {}
    return values if isinstance(values, dict) else {}


def _read_text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""
