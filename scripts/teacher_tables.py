"""Tables of configs/teacher.toml that are made from other tables.

    python scripts/teacher_tables.py DATA FOLDER [OPENNGC.db]

Reads the folder of data sets (docs/training.md), writes into FOLDER `artifacts.csv` (without those that another table
calls galaxies), `ngc.csv` (Hubble stages and bars as one label), `gz1.csv` (spirals with and without bars told apart
where another table knows) and `split_ids/` (the first model's splits, and the few galaxies of `kaggle_votes` that
belong to another random sample, which are kept out of the tests). scripts/bar_marks.py says what OPENNGC.db is for.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from bar_marks import galaxy_zoo_marks, ngc_marks

from galclass.catalog import read_table, write_table

SHIPPED_IDS = Path(__file__).parents[1] / "configs" / "format1_ids"
LARGEST_ID = 174_391
"""The last GalaxyID of the 5,000 lowest; the galaxies above it are 72 of another sample."""


_STAGES = ((2, "Sa"), (4, "Sb"), (6, "Sc"), (99, "Sd"))
"""Latest numerical stage (de Vaucouleurs T) of each kind of spiral."""


def hubble_class(coarse: str, stage: float | None, bar: str | None) -> str | None:
    """Return a label such as "Sb AB", "Sc unbarred" or "E"; None where the table does not say enough."""
    if coarse in ("elliptical", "lenticular", "irregular"):
        return {"elliptical": "E", "lenticular": "S0", "irregular": "Irr"}[coarse]
    if stage is None:
        return None
    kind = next(name for latest, name in _STAGES if stage <= latest)
    return f"{kind} {bar}" if bar else kind


def hubble_table(path: Path, marks: Mapping[str, str]) -> pa.Table:
    """Read names, files, coarse labels (elliptical, spiral) and `survey_class` of every galaxy with a Hubble type.

    `marks` says by name which galaxies are barred; the others have the mark of the table, if any.
    """
    table = read_table(path)
    rows = table.to_pylist()
    told = [
        hubble_class(
            str(row["coarse"]), float(row["t_stage"]) if row["t_stage"] else None, marks.get(row["name"], row["bar"])
        )
        for row in rows
    ]
    known = [row["coarse"] if row["coarse"] in ("elliptical", "spiral") else None for row in rows]
    named = table.select(["name", "file"])
    columns = {"label": known, "survey_class": told}
    for name, values in columns.items():
        named = named.append_column(name, pa.array(values, pa.string()))
    return named


def galaxy_zoo_table(path: Path, marks: Mapping[str, str]) -> pa.Table:
    """Read the labels of Galaxy Zoo 1, with `survey_class` for the spirals that `marks` tells apart."""
    table = read_table(path)
    pairs = zip(table["objid"].to_pylist(), table["class_name"].to_pylist(), strict=True)
    told = [f"spiral {marks[one]}" if label.startswith("spiral_") and one in marks else None for one, label in pairs]
    return table.append_column("survey_class", pa.array(told, pa.string()))


def main(data: Path, folder: Path, openngc: Path | None) -> None:
    """Write the tables."""
    artifacts = read_table(data / "artifacts" / "labels.csv")
    galaxies = read_table(data / "catalogs" / "gz2_class8_by_asset_id.csv.gz")["asset_id"]
    kept = artifacts.filter(pc.invert(pc.is_in(artifacts["asset_id"], value_set=galaxies.combine_chunks())))
    write_table(kept, folder / "artifacts.csv")
    print(f"artifacts: {len(kept)} of {len(artifacts)} kept")
    galaxy_zoo = galaxy_zoo_table(data / "gz1" / "labels.csv", galaxy_zoo_marks(data))
    write_table(galaxy_zoo, folder / "gz1.csv")
    print(f"gz1: {len(galaxy_zoo) - galaxy_zoo['survey_class'].null_count} spirals with a bar or known to have none")
    hubble = hubble_table(data / "ngc_hubble" / "labels.csv", ngc_marks(data, openngc))
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
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else None)
