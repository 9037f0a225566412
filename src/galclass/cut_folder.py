"""What a folder of cutouts remembers: the settings it was cut with, and where on the sky each file is.

Takes settings and positions, writes `cut.json`, `positions.csv` and `rejects.csv`, by which a resumed run is checked.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from galclass.atomic_files import replacing, write_text
from galclass.csv_cells import CsvRows, unguarded
from galclass.errors import CatalogError

SETTINGS, POSITIONS, REJECTS = "cut.json", "positions.csv", "rejects.csv"


class CutPosition(NamedTuple):
    """What a file shows.

    Attributes
    ----------
    object_id : str
    ra, dec : float or None
        Degrees; of the middle.
    scale : float or None
        Arcsec a pixel.
    """

    object_id: str
    ra: float | None
    dec: float | None
    scale: float | None


def check_settings(folder: Path, now: Mapping[str, Any]) -> None:
    """Keep the settings of a folder; another run has to have the same.

    Raises
    ------
    CatalogError
        If it was made with others, or its settings cannot be read.
    """
    path = folder / SETTINGS
    if not path.exists():
        write_text(path, json.dumps(now, indent=1))
        return
    try:
        before = json.loads(path.read_bytes())
    except ValueError:
        before = None
    if not isinstance(before, dict):
        raise CatalogError(
            "the record of the folder's settings is damaged", where=str(path), advice="name another folder"
        )
    changed = ", ".join(name for name in {**before, **now} if before.get(name) != now.get(name))
    if changed:
        raise CatalogError(
            f"the folder was made with other settings: {changed}", where=str(folder), advice="name another folder"
        )


def keep_positions(folder: Path, now: Mapping[str, CutPosition]) -> set[str]:
    """Remember what each file is to show, and remove those that show something else since the catalog was changed.

    Parameters
    ----------
    folder : Path
    now : mapping of str to CutPosition
        By file name.

    Returns
    -------
    set of str
        Names of files that were there before and are none of this command's.

    Raises
    ------
    CatalogError
        If the positions of an earlier run cannot be read.
    """
    known = _positions(folder / POSITIONS)
    foreign = {name for name in now if name not in known and (folder / name).exists()}
    for name, position in now.items():
        if name in known and known[name] != position:
            (folder / name).unlink(missing_ok=True)
    kept = known | {name: position for name, position in now.items() if name not in foreign}
    if kept != known:
        rows = [(name, *("" if value is None else str(value) for value in position)) for name, position in kept.items()]
        _write(folder / POSITIONS, ("file", "object_id", "ra", "dec", "arcsec_per_px"), rows)
    return foreign


def write_rejects(folder: Path, rejects: Sequence[tuple[str, str, str]]) -> None:
    """Write object id, code and reason of what was not cut."""
    _write(folder / REJECTS, ("object_id", "code", "reason"), rejects)


def _positions(path: Path) -> dict[str, CutPosition]:
    if not path.exists():
        return {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            _, *rows = csv.reader(file)
        return {unguarded(name): CutPosition(unguarded(key), *map(_number, numbers)) for name, key, *numbers in rows}
    except (ValueError, TypeError, csv.Error) as error:
        raise CatalogError(
            "the record of the cutouts' positions is damaged", where=str(path), advice="name another folder"
        ) from error


def _number(text: str) -> float | None:
    return float(text) if text else None


def _write(path: Path, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = CsvRows(file, names)
        for row in rows:
            writer.write(row)
