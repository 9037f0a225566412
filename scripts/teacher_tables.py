"""Tables of configs/teacher.toml that are made from other tables: `python scripts/teacher_tables.py DATA FOLDER`.

Takes the folder of data sets (docs/training.md), writes into FOLDER `artifacts.csv` (without those that another table
calls galaxies), `ngc.csv` (Hubble stages and bars as one label) and `split_ids/` (the first model's splits, and
the few galaxies of `kaggle_votes` that belong to another random sample, which are kept out of the tests).
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from galclass.catalog import read_table, write_table

SHIPPED_IDS = Path(__file__).parents[1] / "configs" / "format1_ids"
LARGEST_ID = 174_391
"""The last GalaxyID of the 5,000 lowest; the galaxies above it are 72 of another sample."""


_STAGES = ((2, "Sa"), (4, "Sb"), (6, "Sc"), (99, "Sd"))
"""Latest numerical stage (de Vaucouleurs T) of each kind of spiral."""


def hubble_class(coarse: str, stage: float | None, bar: str | None) -> str | None:
    """Return a label such as "Sb AB" or "E"; None where the table does not say enough."""
    if coarse in ("elliptical", "lenticular", "irregular"):
        return {"elliptical": "E", "lenticular": "S0", "irregular": "Irr"}[coarse]
    if stage is None:
        return None
    kind = next(name for latest, name in _STAGES if stage <= latest)
    return f"{kind} {bar}" if bar else kind


def hubble_table(path: Path) -> pa.Table:
    """Read names, files, coarse labels (elliptical, spiral) and `survey_class` of every galaxy with a Hubble type."""
    table = read_table(path)
    rows = table.to_pylist()
    told = [
        hubble_class(str(row["coarse"]), float(row["t_stage"]) if row["t_stage"] else None, row["bar"]) for row in rows
    ]
    known = [row["coarse"] if row["coarse"] in ("elliptical", "spiral") else None for row in rows]
    named = table.select(["name", "file"])
    columns = {"label": known, "survey_class": told}
    for name, values in columns.items():
        named = named.append_column(name, pa.array(values, pa.string()))
    return named


def main(data: Path, folder: Path) -> None:
    """Write the tables."""
    artifacts = read_table(data / "artifacts" / "labels.csv")
    galaxies = read_table(data / "catalogs" / "gz2_class8_by_asset_id.csv.gz")["asset_id"]
    kept = artifacts.filter(pc.invert(pc.is_in(artifacts["asset_id"], value_set=galaxies.combine_chunks())))
    write_table(kept, folder / "artifacts.csv")
    print(f"artifacts: {len(kept)} of {len(artifacts)} kept")
    hubble = hubble_table(data / "ngc_hubble" / "labels.csv")
    write_table(hubble, folder / "ngc.csv")
    print(f"ngc_hubble: {len(hubble) - hubble['survey_class'].null_count} of {len(hubble)} with a class")
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
