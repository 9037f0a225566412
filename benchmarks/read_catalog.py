"""Seconds and memory to read the whole gz2_hart16 with its mapping, from 239,695 rows of 231 columns.

    python benchmarks/read_catalog.py [--rows 239695]

The table is made of the real rows of the sample under new ids; columns the sample lacks are zero.
"""

from __future__ import annotations

import argparse
import csv
import resource
import tempfile
import time
from pathlib import Path

from galclass.catalog import CatalogReport, read_catalog, split_by_object_id
from galclass.catalog.gz2 import STEMS, VOTE_KINDS

SAMPLE = Path(__file__).parents[1] / "data" / "sample"


def make_release(folder: Path, rows: int) -> tuple[Path, Path]:
    with (SAMPLE / "gz2_hart16.csv").open(newline="") as file:
        real = list(csv.DictReader(file))
    names = [
        "dr7objid",
        "ra",
        "dec",
        "rastring",
        "decstring",
        "sample",
        "gz2_class",
        "total_classifications",
        "total_votes",
    ]
    names += [f"{stem}_{kind}" for stem in STEMS for kind in VOTE_KINDS]
    catalog, mapping = folder / "gz2_hart16.csv", folder / "gz2_filename_mapping.csv"
    with catalog.open("w", newline="") as table, mapping.open("w", newline="") as keys:
        writer = csv.DictWriter(table, names, restval="0.0", extrasaction="ignore")
        writer.writeheader()
        keys.write("objid,sample,asset_id\n")
        for number in range(rows):
            object_id = str(587722981741363294 + 7 * number)
            writer.writerow({**real[number % len(real)], "dr7objid": object_id, "rastring": "x", "decstring": "x"})
            keys.write(f"{object_id},original,{number}\n")
    return catalog, mapping


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=239_695)
    rows: int = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        catalog, mapping = make_release(Path(folder), rows)
        print(f"{rows:,} rows, {catalog.stat().st_size / 1e6:,.0f} MB")
        begin = time.perf_counter()
        table = read_catalog(catalog, "gz2_hart16", mapping, report=CatalogReport())
        print(f"read_catalog: {time.perf_counter() - begin:.1f} s, {table.nbytes / 1e6:,.0f} MB in memory")
        begin = time.perf_counter()
        split_by_object_id(table, {"train": 0.7, "validation": 0.15, "test": 0.15}, 12345)
        print(f"split_by_object_id: {time.perf_counter() - begin:.1f} s")
    print(f"peak memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")


if __name__ == "__main__":
    main()
