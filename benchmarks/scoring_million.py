"""A million predictions written and exported with constant memory; synthetic probabilities stand in for scoring.

python benchmarks/scoring_million.py --rows 1000000 [--database postgresql://...]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet

from galclass.database import open_database
from galclass.database.export import export_predictions
from galclass.database.queue import insert_predictions
from galclass.morphology import CLASSES
from galclass.scoring import ModelId, Prediction

CHUNK = 64


def memory_mb(field: str) -> float:
    """VmRSS (now) or VmHWM (the most so far) of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    return 0.0


def synthetic(first: int, rng: np.random.Generator) -> list[Prediction]:
    values = rng.dirichlet(np.ones(len(CLASSES)), CHUNK).round(7)
    model = ModelId("galaxy", 1, "0" * 64)
    return [
        Prediction(f"{first + n:09}", model, probabilities=tuple(row), predicted_class="Sb", predicted_group="Spiral")
        for n, row in enumerate(values.tolist())
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--database")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_database(arguments.database or f"sqlite:///{folder}/galclass.db", migrate=True) as database,
    ):
        started, marks = time.perf_counter(), []
        for first in range(0, arguments.rows, CHUNK):
            rows = synthetic(first, rng)
            with database.write() as connection:
                insert_predictions(connection, rows)
            if first * 10 // arguments.rows != (first + CHUNK) * 10 // arguments.rows:
                marks.append(memory_mb("VmRSS"))
        written = time.perf_counter() - started
        before = memory_mb("VmHWM")
        summary = export_predictions(database, Path(folder) / "predictions.parquet")
        size = (Path(folder) / "predictions.parquet").stat().st_size / 1e6
        groups = parquet.ParquetFile(Path(folder) / "predictions.parquet").num_row_groups
    print(f"{summary.rows:,} predictions written in chunks of {CHUNK}: {written:.0f} s")
    print("resident MB after each tenth: " + " ".join(f"{mark:.0f}" for mark in marks))
    print(f"exported in {summary.seconds:.0f} s to {size:.0f} MB, {groups} row groups")
    print(f"most memory: {before:.0f} MB before the export, {memory_mb('VmHWM'):.0f} MB after it")


if __name__ == "__main__":
    main()
