"""The stages `register` and `score`: files of the workspace -> rows of the database; run twice, they skip."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from galclass.config import Config
from galclass.database.connection import Database, open_database
from galclass.database.images import Images, NewImage
from galclass.database.registry import ModelInfo, Registry
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
    model = config.score.model or f"{config.register.name}@{config.register.aliases[0]}"
    summary = score_pending(database, model, progress=progress)
    database.close()
    return summary


def add_prepared_images(database: Database, config: Config) -> int:
    """Add the prepared objects' images from the source, as they are there; gives how many were new."""
    wanted = _prepared_objects(config)
    with database.read() as connection:
        there = set(connection.scalars(select(images.c.object_id)))
    missing = {asset: object_id for asset, object_id in wanted.items() if object_id not in there}
    if not missing:
        return 0
    source = open_source(config)
    frame_px = config.prepare.frame_px or source.frame_px
    stored_px = config.prepare.stored_px or source.stored_px

    def new() -> Iterator[NewImage]:
        for name, data in iter_images(source.images):
            object_id = missing.get(Path(name).stem)
            if object_id is not None:
                yield NewImage(object_id, data, uri=name, frame_px=frame_px, stored_px=stored_px)

    return Images(database).add(new()).added


def _prepared_objects(config: Config) -> dict[str, str]:
    import pyarrow.parquet

    path = config.workspace_path / "prepared" / "index.parquet"
    if not path.is_file():
        raise DatabaseError("nothing is prepared", where=str(path), advice="run `galclass prepare` first")
    table = pyarrow.parquet.read_table(path, columns=["asset_id", "object_id", "split"])
    rows = zip(*(table[name].to_pylist() for name in ("asset_id", "object_id", "split")), strict=True)
    every = config.score.images == "all"
    return {str(asset): object_id for asset, object_id, split in rows if every or split == "test"}


def _read_json(path: Path) -> dict[str, Any]:
    text = _read_text(path)
    values = json.loads(text) if text else {}
    return values if isinstance(values, dict) else {}


def _read_text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""
