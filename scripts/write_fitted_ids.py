"""Write the ids that the packaged models were fitted to: `write_fitted_ids.py`.

Reads the splits in configs/ (`scripts/ship_model.py` wrote them) and the sample's table of image names, checks the
splits against the sha256 in each model's signature, and writes src/galclass/scoring/shipped/fitted_ids.json: by sha256
of a model, the hashes of its training and validation ids (`galclass.scoring.fitted_ids`). The packaged model started
from the weights of format 1, so that model's ids are among its own.

Each object is recorded by all its known ids: as the configuration named it (`kaggle-100143`), as its survey does
(`100143`), and for Galaxy Zoo 2 the name of its image.
"""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

from galclass.errors import ModelError
from galclass.scoring import Scorer
from galclass.scoring.fitted_ids import fitted_ids
from galclass.scoring.shipped import FITTED_FILE

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ROOT / "src" / "galclass" / "scoring" / "shipped"
MODELS = {
    ROOT / "models" / "galaxy-format1.onnx": ("Kaggle's Galaxy Challenge", ("format1_ids",)),
    SHIPPED / "galaxy.onnx": ("Kaggle's Galaxy Challenge and of NGC and IC", ("shipped_ids", "format1_ids")),
}
"""Model files; tables whose objects have other ids elsewhere; folders of splits, the first is the model's own."""

PREFIXES = ("kaggle-", "artifact-", "ngc-")
REMARK = "galaxies of {} are recognised by their ids there; under other ids, some may be among the objects measured"


def names_of(object_ids: set[str], asset_ids: dict[str, str]) -> set[str]:
    """Return all known ids of the objects."""
    bare = {one.removeprefix(prefix) for prefix in PREFIXES for one in object_ids if one.startswith(prefix)}
    return object_ids | bare | {asset_ids[one] for one in object_ids if one in asset_ids}


def split_of(folder: str, split: str) -> str:
    """Read the ids of a split, one a line."""
    return (ROOT / "configs" / folder / f"{split}.txt").read_text(encoding="utf-8")


def check(model: Scorer, folder: str) -> None:
    """Compare a folder of splits with the sha256 in a model.

    Raises
    ------
    ModelError
        If the model was trained on other splits.
    """
    for split, sha256 in model.signature.trained["split_ids_sha256"].items():
        if (got := hashlib.sha256(split_of(folder, split).encode()).hexdigest()) != sha256:
            raise ModelError("it was trained on another split", where=f"{folder}/{split}.txt", expected=sha256, got=got)


def main() -> None:
    """Write the file."""
    with (ROOT / "data" / "sample" / "gz2_filename_mapping.csv").open(encoding="utf-8", newline="") as file:
        asset_ids = {row["objid"]: row["asset_id"] for row in csv.DictReader(file)}
    found = {}
    for path, (tables, folders) in MODELS.items():
        model = Scorer(path)
        check(model, folders[0])
        ids = {
            one for folder in folders for split in ("train", "validation") for one in split_of(folder, split).split()
        }
        found[model.sha256] = fitted_ids(names_of(ids, asset_ids)) | {"remark": REMARK.format(tables)}
        print(f"{path.name}: {len(ids):,} objects, {found[model.sha256]['count']:,} ids")
    (SHIPPED / FITTED_FILE).write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
