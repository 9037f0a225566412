"""Part files: the rows of one chunk, sorted by position on the sky, with the counts that the next step needs.

A part is a pure function of its chunk, the model and the run's start, so that a chunk done twice leaves the same file.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from galclass.database.sky import HEALPIX_ORDER, healpix_column
from galclass.scoring import Signature
from galclass.scoring.output import debiased_columns, parquet_schema, raw_columns
from galclass.scoring.prediction import UNLIKE_TRAINING_DATA, row_columns

PARTS = "parts"
HEALPIX = f"_healpix_{HEALPIX_ORDER}"
DENSEST_ORDER = 10
"""Order of the finest partition: 12 arcmin^2."""
_META = b"galclass"
_ROW_GROUP = 2_000
"""Rows of a part that are read together: what a partition that wants few rows has to read at least."""


@dataclass(frozen=True)
class PartCounts:
    """What a part holds: rows on the sky by pixel at `DENSEST_ORDER`, rows without a position, rejects by code.

    `unlike` is the number of rows with the flag unlike_training_data.
    """

    pixels: NDArray[np.int64]
    counts: NDArray[np.int64]
    unplaced: int
    rejects: Counter[str] = field(default_factory=Counter)
    unlike: int = 0

    @property
    def rows(self) -> int:
        """All rows."""
        return int(self.counts.sum()) + self.unplaced


def part_path(name: str) -> str:
    """Return the path of a chunk's part inside the output folder."""
    return f"{PARTS}/{name}.parquet"


def row_schema(signature: Signature) -> pa.Schema:
    """Return the columns of `galclass predict`, with ra, dec (deg) and the HEALPix index before the raw votes."""
    fields = [*parquet_schema(("file", *row_columns(signature.classes), *debiased_columns(signature)))]
    fields += [pa.field("ra", pa.float64()), pa.field("dec", pa.float64()), pa.field(HEALPIX, pa.int64())]
    return pa.schema([*fields, *parquet_schema(raw_columns(signature))])


def part_bytes(rows: list[dict[str, Any]], signature: Signature) -> bytes:
    """Write rows as a part.

    Parameters
    ----------
    rows : list of dict
        `file`, the columns of `Prediction.as_row`, ra, dec; in the order of the chunk.
    signature : Signature
        The model's.
    """
    placed = [row["dec"] is not None and abs(row["dec"]) <= 90 for row in rows]
    ra = [row["ra"] if here else None for row, here in zip(rows, placed, strict=True)]
    pixels = healpix_column(ra, [row["dec"] for row in rows])
    for row, pixel in zip(rows, pixels, strict=True):
        row[HEALPIX] = pixel
    rows = sorted(rows, key=_place) if any(pixel is not None for pixel in pixels) else rows
    table = pa.Table.from_pylist(rows, schema=row_schema(signature))
    facts = json.dumps(_counts(rows)).encode()
    target = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({_META: facts}), target, row_group_size=_ROW_GROUP, compression="zstd")
    return target.getvalue()


def _place(row: dict[str, Any]) -> tuple[bool, int, str]:
    """Order by position; rows without one stay last and in their order."""
    pixel = row[HEALPIX]
    return (pixel is None, pixel or 0, "" if pixel is None else row["file"])


def _counts(rows: list[dict[str, Any]]) -> dict[str, Any]:
    shift = 2 * (HEALPIX_ORDER - DENSEST_ORDER)
    pixels = Counter(row[HEALPIX] >> shift for row in rows if row[HEALPIX] is not None)
    return {
        "pixels": list(pixels),
        "counts": list(pixels.values()),
        "unplaced": sum(row[HEALPIX] is None for row in rows),
        "rejects": Counter(row["error"].split(":")[0] for row in rows if row["error"]),
        "unlike": sum(UNLIKE_TRAINING_DATA in (row["flags"] or "").split("|") for row in rows),
    }


def read_counts(file: Any) -> PartCounts:
    """Read what a part holds, from its footer."""
    facts = json.loads(pq.read_schema(file).metadata[_META])
    pixels, counts = (np.array(facts[name], dtype=np.int64) for name in ("pixels", "counts"))
    return PartCounts(pixels, counts, int(facts["unplaced"]), Counter(facts["rejects"]), facts.get("unlike", 0))


def read_rows(file: Any, low: int, high: int) -> pa.Table:
    """Read the rows of a part with low <= `_healpix_29` < high."""
    condition = [(HEALPIX, ">=", low), (HEALPIX, "<", high)]
    return pq.read_table(file, filters=condition, partitioning=None).replace_schema_metadata(None)


def read_unplaced(file: Any) -> pa.Table:
    """Read the rows of a part that have no position."""
    import pyarrow.compute as pc

    return pq.read_table(file, filters=pc.field(HEALPIX).is_null(), partitioning=None).replace_schema_metadata(None)
