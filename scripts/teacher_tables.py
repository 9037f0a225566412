"""Tables of configs/teacher.toml that are made from other tables: `python scripts/teacher_tables.py DATA FOLDER`.

Takes the folder of data sets (docs/training.md), writes into FOLDER `artifacts.csv` (without those that another table
calls galaxies) and `split_ids/` (the splits of the shipped model, and the few galaxies of `kaggle_votes` that belong to
another random sample, which are kept out of the tests).
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow.compute as pc

from galclass.catalog import read_table, write_table

SHIPPED_IDS = Path(__file__).parents[1] / "configs" / "shipped_ids"
LARGEST_ID = 174_391
"""The last GalaxyID of the 5,000 lowest; the galaxies above it are 72 of another sample."""


def main(data: Path, folder: Path) -> None:
    """Write the tables."""
    artifacts = read_table(data / "artifacts" / "labels.csv")
    galaxies = read_table(data / "catalogs" / "gz2_class8_by_asset_id.csv.gz")["asset_id"]
    kept = artifacts.filter(pc.invert(pc.is_in(artifacts["asset_id"], value_set=galaxies.combine_chunks())))
    write_table(kept, folder / "artifacts.csv")
    print(f"artifacts: {len(kept)} of {len(artifacts)} kept")
    voted = [int(text) for text in read_table(data / "kaggle_votes" / "votes.csv")["galaxy_id"].to_pylist()]
    others = [f"kaggle-{number}" for number in voted if number > LARGEST_ID]
    for split in ("train", "validation", "test"):
        named = (SHIPPED_IDS / f"{split}.txt").read_text(encoding="utf-8").split()
        lines = sorted({*named, *others} if split == "train" else set(named) - set(others))
        path = folder / "split_ids" / f"{split}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"kaggle_votes: {len(others)} of {len(voted)} kept out of the tests")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
