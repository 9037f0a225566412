"""Galaxies to try: some of the prepared test split, one class after another, with the volunteers' votes.

Takes the workspace's prepared/index.parquet and the images in the database, gives examples.
"""

from __future__ import annotations

from collections import defaultdict
from math import isfinite
from pathlib import Path
from typing import Any

from sqlalchemy import select

from galclass.database import Database
from galclass.database.schema import images
from galclass.morphology import CLASSES, QUESTIONS

COUNT = 24
"""Examples in all."""

_SPLIT = "test"
_ANSWERS = tuple(column for question in QUESTIONS.values() for column in question.columns)
_SUFFIXES = ("_debiased", "_weighted_fraction", "_fraction")
_DIGITS = 4


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
        self._examples: list[dict[str, Any]] = []
        self._labels: dict[str, str] = {}

    def all(self) -> list[dict[str, Any]]:
        """Give the examples that have an image in the database."""
        self._refresh()
        return self._examples

    def labels(self) -> dict[str, str]:
        """Give what the volunteers said of each object of the test split."""
        self._refresh()
        return self._labels

    def _refresh(self) -> None:
        try:
            changed_at = self._index.stat().st_mtime
        except OSError:
            return
        if changed_at != self._read_at or not self._examples:
            rows = _read_index(self._index)
            self._labels = {row["object_id"]: row["label"] for row in rows if row["label"]}
            self._examples = self._choose(rows)
            self._read_at = changed_at

    def _choose(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        stored = self._stored([row["object_id"] for row in rows])
        by_label: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in rows:
            if row["object_id"] in stored:
                by_label[row["label"]].append(row)
        ordered = [by_label[label] for label in sorted(by_label, key=_class_order)]
        turns = max((len(group) for group in ordered), default=0)
        chosen = [group[turn] for turn in range(turns) for group in ordered if turn < len(group)]
        return [_example(row) for row in chosen[:COUNT]]

    def _stored(self, object_ids: list[str]) -> set[str]:
        with self._database.read() as connection:
            with_bytes = select(images.c.object_id).where(images.c.img.is_not(None))
            return set(connection.execute(with_bytes).scalars()) & set(object_ids)


def _class_order(label: str) -> tuple[int, str]:
    return (CLASSES.index(label) if label in CLASSES else len(CLASSES), label)


def _read_index(path: Path) -> list[dict[str, Any]]:
    import pyarrow.compute
    import pyarrow.parquet

    known = set(pyarrow.parquet.read_schema(path).names)
    columns = ["object_id", "label", "split", *(name for name in known if name.endswith(_SUFFIXES))]
    table = pyarrow.parquet.read_table(path, columns=[name for name in columns if name in known])
    if "split" in known:
        table = table.filter(pyarrow.compute.equal(table["split"], _SPLIT))
    rows: list[dict[str, Any]] = table.sort_by("object_id").to_pylist()
    return [{**row, "label": str(row.get("label") or "")} for row in rows]


def _example(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "object_id": row["object_id"],
        "label": row["label"] or None,
        "image": f"v1/images/{row['object_id']}",
        "votes": _votes(row),
    }


def _votes(row: dict[str, Any]) -> dict[str, float]:
    votes = {}
    for answer in _ANSWERS:
        for suffix in _SUFFIXES:
            value = row.get(answer + suffix)
            if value is not None and isfinite(value):
                votes[answer] = round(float(value), _DIGITS)
                break
    return votes
