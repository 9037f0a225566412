"""Every stored prediction that passes the filters as one file: CSV, Parquet, FITS or VOTable, with labels by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from sqlalchemy import func, select

from galclass.database import Database
from galclass.database.catalog import CatalogQuery, label_text, ordered_by, selected, with_classes
from galclass.database.schema import images, predictions
from galclass.database.table_file import WHOLE, write_batches
from galclass.errors import RequestError
from galclass.scoring.prediction import SEPARATOR, time_text

FORMATS = {
    "csv": (".csv", "text/csv"),
    "parquet": (".parquet", "application/vnd.apache.parquet"),
    "fits": (".fits", "application/fits"),
    "votable": (".vot", "application/x-votable+xml"),
}
"""Suffix and media type of each format."""

_ROWS = 5000
"""Rows held at a time; FITS and VOTable are held whole."""

MAX_HELD = 300_000
"""Most rows of a FITS or VOTable file."""


def _schema(classes: Sequence[str]) -> pa.Schema:
    return pa.schema(
        [(name, pa.string()) for name in ("object_id", "predicted_class", "predicted_group")]
        + [("probability", pa.float64())]
        + [(f"predicted_{leaf}", pa.float64()) for leaf in classes]
        + [(name, pa.string()) for name in ("prediction_set", "flags", "error", "model_name")]
        + [
            ("model_version", pa.int32()),
            ("model_sha256", pa.string()),
            ("scored_at", pa.string()),
            ("ra", pa.float64()),
            ("dec", pa.float64()),
        ]
        + [(name, pa.string()) for name in ("human_label", "labelled_by", "labelled_at")]
    )


def write_catalog(database: Database, query: CatalogQuery, path: Path) -> int:
    """Write the rows that pass the filters, in their order; returns how many.

    Parameters
    ----------
    database : Database
    query : CatalogQuery
        Its page is not looked at.
    path : Path
        Its suffix is one of `FORMATS`.

    Raises
    ------
    RequestError
        `invalid`, for an unknown class, group or order, and for more rows of FITS or VOTable than `MAX_HELD`.
    """
    query = with_classes(database, query)
    statement = selected(database, query).order_by(*ordered_by(query))
    with database.read() as connection:
        if path.suffix in WHOLE:
            _check_count(connection.execute(select(func.count()).select_from(statement.subquery())).scalar_one())
        classes, schema = query.classes, _schema(query.classes)
        result = connection.execution_options(yield_per=_ROWS).execute(statement)
        return write_batches((_batch(part, classes, schema) for part in result.mappings().partitions()), schema, path)


def _check_count(rows: int) -> None:
    if rows > MAX_HELD:
        raise RequestError(
            "invalid",
            "there are too many rows for a format that is held in memory",
            expected=f"at most {MAX_HELD:,}",
            got=f"{rows:,}",
            advice="filter, or use CSV or Parquet",
            field="format",
        )


def _batch(rows: Any, classes: Sequence[str], schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([_values(row, classes, schema) for row in rows], schema=schema)


def _values(row: Any, classes: Sequence[str], schema: pa.Schema) -> dict[str, Any]:
    plain = {name: row[name] for name in schema.names if name in row}
    return {**plain, **flat_values(row, classes), "human_label": label_text(row["label"])}


def flat_values(row: Mapping[str, Any], classes: Sequence[str]) -> dict[str, Any]:
    """Return the probabilities, sets and times of a stored prediction as columns of a table."""
    probabilities = row["probabilities"] or {}
    return {
        **{f"predicted_{leaf}": probabilities.get(leaf) for leaf in classes},
        **{name: SEPARATOR.join(row[name] or []) for name in ("prediction_set", "flags")},
        **{name: time_text(row[name]) for name in ("scored_at", "labelled_at")},
    }


def positions(
    database: Database, query: CatalogQuery, limit: int
) -> tuple[list[tuple[str, str | None, float, float]], int]:
    """Return object id, class, right ascension and declination (deg) of the first rows that have a position.

    Returns
    -------
    list of tuple
        `limit` at most, in the order of the query.
    int
        How many there are in all.
    """
    query = with_classes(database, query)
    placed = selected(database, query).where(images.c.ra.is_not(None), images.c.dec.is_not(None))
    columns = (predictions.c.object_id, predictions.c.predicted_class, images.c.ra, images.c.dec)
    first = placed.with_only_columns(*columns).order_by(*ordered_by(query)).limit(limit)
    with database.read() as connection:
        total = connection.execute(placed.with_only_columns(func.count())).scalar_one()
        return [(row.object_id, row.predicted_class, row.ra, row.dec) for row in connection.execute(first)], total
