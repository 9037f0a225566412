"""Every stored prediction that passes the filters as one file: CSV, Parquet, FITS or VOTable, with labels by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from galclass.database import Database
from galclass.database.table_file import write_batches
from galclass.morphology import CLASSES
from galclass.scoring.prediction import SEPARATOR
from galclass.service.catalog import CatalogQuery, label_text, ordered_by, selected

FORMATS = {
    "csv": (".csv", "text/csv"),
    "parquet": (".parquet", "application/vnd.apache.parquet"),
    "fits": (".fits", "application/fits"),
    "votable": (".vot", "application/x-votable+xml"),
}
"""Suffix and media type of each format."""

_ROWS = 5000
"""Rows held at a time; FITS and VOTable are held whole."""

SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("object_id", "predicted_class", "predicted_group")]
    + [("probability", pa.float64())]
    + [(f"predicted_{leaf}", pa.float64()) for leaf in CLASSES]
    + [(name, pa.string()) for name in ("prediction_set", "flags", "error", "model_name")]
    + [("model_version", pa.int32()), ("scored_at", pa.string()), ("ra", pa.float64()), ("dec", pa.float64())]
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
        `invalid`, for an unknown class, group or order.
    """
    statement = selected(database, query).order_by(*ordered_by(query))
    with database.read() as connection:
        result = connection.execution_options(yield_per=_ROWS).execute(statement)
        return write_batches((_batch(part) for part in result.mappings().partitions()), SCHEMA, path)


def _batch(rows: Any) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([_values(row) for row in rows], schema=SCHEMA)


def _values(row: Any) -> dict[str, Any]:
    probabilities = row["probabilities"] or {}
    return {
        **{name: row[name] for name in SCHEMA.names if name in row},
        **{f"predicted_{leaf}": probabilities.get(leaf) for leaf in CLASSES},
        **{name: SEPARATOR.join(row[name] or []) for name in ("prediction_set", "flags")},
        **{name: time_text(row[name]) for name in ("scored_at", "labelled_at")},
        "human_label": label_text(row["label"]),
    }


def positions(database: Database, query: CatalogQuery, limit: int) -> Iterator[tuple[str, str | None, float, float]]:
    """Yield object id, class, right ascension and declination (deg) of up to `limit` rows that have a position."""
    statement = selected(database, query).order_by(*ordered_by(query))
    with database.read() as connection:
        found = 0
        for row in connection.execution_options(yield_per=_ROWS).execute(statement).mappings():
            if row["ra"] is None or row["dec"] is None:
                continue
            yield row["object_id"], row["predicted_class"], row["ra"], row["dec"]
            found += 1
            if found == limit:
                return


def time_text(moment: datetime | None) -> str | None:
    """Return a time in UTC to the second, as all our tables have it."""
    return None if moment is None else moment.isoformat(timespec="seconds").replace("+00:00", "Z")
