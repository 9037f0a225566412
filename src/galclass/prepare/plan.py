"""The inputs of the prepare stage: sources with their files and rows, the slots they fill, and what decides both.

Takes opened sources, returns the plan (which file is cut into which slot), its chunks, and the hashes by which a later
run sees what has changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from galclass.catalog.tables import check_is_file
from galclass.config import Config, PrepareConfig, SourceConfig
from galclass.config.data import ImagesConfig
from galclass.config.paths import filled_in
from galclass.cutouts.extract import CutoutParameters
from galclass.errors import ConfigError
from galclass.image_files.keys import ImageFiles, stamps_sha256
from galclass.prepare.chunks import Chunk

_USUAL = ImagesConfig()

FILES_PER_CHUNK = 128
"""A chunk is what an interruption can cost, and 3 MB of cutouts at 64 px."""


@dataclass(frozen=True)
class Input:
    """One source: its configuration with real paths, its files, and once read its rows, faults, columns and remarks."""

    config: SourceConfig
    files: ImageFiles
    rows: pa.Table | None = None
    rejects: tuple[dict[str, str | None], ...] = ()
    without_image: int = 0
    columns: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def fractions_of(wanted: PrepareConfig, validation: float | None = None) -> dict[str, float]:
    """Return the share of each split; training gets what a source's own validation share leaves."""
    validation = wanted.validation if validation is None else validation
    train = wanted.train + wanted.validation - validation
    if min(train, validation, wanted.test) < 0:
        raise ConfigError(
            "the requested validation share is too large",
            where="validation",
            expected=f"0 to {wanted.train + wanted.validation:g} (train and validation together)",
            got=validation,
        )
    return {"train": train, "validation": validation, "test": wanted.test}


def plan_of(inputs: list[Input], rows: pa.Table) -> list[tuple[str, str]]:
    """Return (source, file) of every position: the wanted files of each source in the order of reading."""
    wanted = set(zip(rows["source"].to_pylist(), rows["file"].to_pylist(), strict=True))
    slots = ((part.config.name, file) for part in inputs for file in part.files.entries)
    return [slot for slot in slots if slot in wanted]


def inputs_sha256_of(config: Config, parameters: CutoutParameters, inputs: list[Input]) -> str:
    """Hash all that decides the folder, so that an unchanged run does not need to read a catalog."""
    wanted = config.prepare
    facts = {
        "parameters": parameters.sha256,
        "seed": config.seed,
        "split": fractions_of(wanted),
        "limit": wanted.limit,
        "max_rejects": wanted.max_rejects,
        **_unusual(config.images),
        "duplicates": wanted.duplicates,
        "sources": [
            asdict(part.config)
            | {"images": part.files.sha256, "catalog": _file_sha256(part.config.catalog)}
            | {"mapping": _file_sha256(part.config.mapping) if part.config.mapping else None}
            for part in inputs
        ],
    }
    if wanted.split_ids is not None:  # folders made before there was this option keep their hash
        lists = sorted(Path(filled_in(wanted.split_ids)).glob("*.txt"))
        facts["split_ids"] = [{path.name: _file_sha256(str(path))} for path in lists]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _file_sha256(path: str) -> str:
    check_is_file(Path(path))
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unusual(images: ImagesConfig) -> dict[str, Any]:
    """Return what is not the default, which earlier versions left out of the hash."""
    usual = vars(_USUAL)
    return {key: value for key, value in vars(images).items() if value != usual[key]}


def pixels_sha256_of(
    parameters: CutoutParameters,
    inputs: list[Input],
    plan: list[tuple[str, str]],
    images: ImagesConfig = _USUAL,
) -> str:
    """Hash what decides the pixels: parameters, frames, and the files in their order."""
    entries = {part.config.name: part.files.entries for part in inputs}
    frames = [(part.config.name, part.config.frame_px, part.config.stored_px) for part in inputs]
    files = stamps_sha256((f"{source}/{file}", entries[source][file].stamp) for source, file in plan)
    return hashlib.sha256(
        json.dumps([parameters.sha256, frames, files, *_unusual(images).values()]).encode()
    ).hexdigest()


def chunks_of(part: Input, plan: list[tuple[str, str]], images: ImagesConfig = _USUAL) -> Iterator[Chunk]:
    """Cut a source's slots into chunks."""
    config, entries = part.config, part.files.entries
    own = [slot for slot, (source, _) in enumerate(plan) if source == config.name]
    for start in range(0, len(own), FILES_PER_CHUNK):
        found = [entries[plan[slot][1]] for slot in own[start : start + FILES_PER_CHUNK]]
        names = tuple(entry.name for entry in found)
        locations = tuple(entry.location for entry in found if entry.location is not None)
        yield Chunk(
            first=own[start],
            images=str(part.files.listing.path),
            names=names,
            frame_px=config.frame_px,
            stored_px=config.stored_px,
            locations=locations if len(locations) == len(names) else None,
            max_decode_s=images.max_decode_s,
            hdu=None if images.hdu is None else str(images.hdu),
        )
