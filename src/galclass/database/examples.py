"""Galaxies to try: a stratified random draw of the prepared test split, with the volunteers' votes.

Takes the workspace's prepared/index.parquet and the images in the database, returns examples.
"""

from __future__ import annotations

import random
from collections import defaultdict
from math import isfinite
from pathlib import Path
from typing import Any

from galclass.database import Database
from galclass.database.stored import frames_of, stored_ids
from galclass.label_words import classes_of, label_words
from galclass.morphology import QUESTIONS

MAX_COUNT = 100
"""Examples in one draw, at most."""

_SPLIT = "test"
_SUFFIXES = ("_debiased", "_weighted_fraction", "_fraction")
_DIGITS = 4

Row = dict[str, Any]


class Examples:
    """The examples of one workspace; read again when the prepared index changes.

    Parameters
    ----------
    database : Database
    index : Path
        prepared/index.parquet; without it there are no examples.
    """

    def __init__(self, database: Database, index: Path) -> None:
        self._database = database
        self._index = index
        self._read_at: float | None = None
        self._rows: list[Row] = []
        self._labels: dict[str, str] = {}

    def draw(self, number: int, count: int) -> list[dict[str, Any]]:
        """Return examples that have an image in the database, in random order.

        Every class of the test split takes part in proportion to its objects (the largest remainders fill up), so
        that a model agrees with the volunteers on the examples about as often as on the whole split.

        Parameters
        ----------
        number : int
            Seed of the draw.
        count : int
            Examples; fewer where the split has fewer.
        """
        self._refresh()
        drawn = stratified(self._rows, count, seed=number)
        frames = self._frames(drawn)
        if len(frames) < len(drawn):  # some have no image: draw among those that have
            stored = stored_ids(self._database)
            drawn = stratified([row for row in self._rows if row["object_id"] in stored], count, seed=number)
            frames = self._frames(drawn)
        return [_example(row, frames[row["object_id"]]) for row in drawn if row["object_id"] in frames]

    def labels(self) -> dict[str, str]:
        """Return what the volunteers said of each object of the test split."""
        self._refresh()
        return self._labels

    def _refresh(self) -> None:
        try:
            changed_at = self._index.stat().st_mtime
        except OSError:
            return
        if changed_at != self._read_at:
            self._rows = _read_index(self._index)
            self._labels = {row["object_id"]: row["label"] for row in self._rows if row["label"]}
            self._read_at = changed_at

    def _frames(self, rows: list[Row]) -> dict[str, int | None]:
        return frames_of(self._database, [row["object_id"] for row in rows])


def stratified(rows: list[Row], count: int, *, seed: int) -> list[Row]:
    """Draw rows at random, every class in proportion to its rows.

    Parameters
    ----------
    rows : list of dict
        With `label`; rows whose label stands for the same classes are one stratum.
    count : int
    seed : int
    """
    chosen = random.Random(seed)  # noqa: S311  # a draw that can be repeated, not a secret
    strata: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        strata[classes_of(row["label"])].append(row)
    count = min(count, len(rows))
    shares = {key: count * len(members) / len(rows) for key, members in strata.items()}
    sizes = {key: int(share) for key, share in shares.items()}
    remainders = sorted(shares, key=lambda key: (sizes[key] - shares[key], key))
    for key in remainders[: count - sum(sizes.values())]:
        sizes[key] += 1
    drawn = [row for key, members in strata.items() for row in chosen.sample(members, sizes[key])]
    chosen.shuffle(drawn)
    return drawn


def _read_index(path: Path) -> list[Row]:
    import pyarrow.compute
    import pyarrow.parquet

    known = set(pyarrow.parquet.read_schema(path).names)
    columns = ["object_id", "label", "split", *(name for name in known if name.endswith(_SUFFIXES))]
    table = pyarrow.parquet.read_table(path, columns=[name for name in columns if name in known])
    if "split" in known:
        table = table.filter(pyarrow.compute.equal(table["split"], _SPLIT))
    rows: list[Row] = table.sort_by("object_id").to_pylist()
    return [{**row, "label": str(row.get("label") or "")} for row in rows]


def _example(row: Row, frame_px: int | None) -> dict[str, Any]:
    return {
        "object_id": row["object_id"],
        "label": row["label"] or None,
        "text": label_words(row["label"]),
        "classes": list(classes_of(row["label"])),
        "image": f"v1/images/{row['object_id']}",
        "frame_px": frame_px,
        "votes": _votes(row),
    }


def _votes(row: Row) -> dict[str, float]:
    """Return the fractions of the questions that somebody answered; a question of zeros was put to nobody."""
    votes: dict[str, float] = {}
    for question in QUESTIONS.values():
        known = {answer: _fraction(row, answer) for answer in question.columns}
        if any(known.values()):
            votes |= {answer: round(value, _DIGITS) for answer, value in known.items() if value is not None}
    return votes


def _fraction(row: Row, answer: str) -> float | None:
    for suffix in _SUFFIXES:
        value = row.get(answer + suffix)
        if value is not None and isfinite(value):
            return float(value)
    return None
