"""The rows of a finished folder, and those of one machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from galclass.image_files import find_images
from galclass.scoring import Scorer
from galclass.scoring.files import predict_files

ADDED = {"ra", "dec", "_healpix_29", "scored_at"}


def rows_of(output: Path) -> list[dict[str, Any]]:
    """All rows by file, without what one machine does not write and the time."""
    files = [*output.glob("dataset/**/*.parquet"), *output.glob("unplaced/*.parquet")]
    rows = [row for file in files for row in pq.read_table(file, partitioning=None).to_pylist()]
    return sorted(({k: v for k, v in row.items() if k not in ADDED} for row in rows), key=lambda row: row["file"])


def rows_of_one_machine(images: Path, scorer: Scorer) -> list[dict[str, Any]]:
    """What `galclass predict` writes."""
    answers = predict_files(find_images([images]), scorer, processes=1)
    rows = ({"file": str(path), **answer.as_row()} for path, answer in answers)
    return sorted(({k: v for k, v in row.items() if k not in ADDED} for row in rows), key=lambda row: row["file"])
