"""How accurate any model can be on the clean samples: votes redrawn from a catalog with Galaxy Zoo 2 fractions.

    python scripts/clean_ceiling.py gz2/labels.csv --voters 45
    python scripts/clean_ceiling.py gz2_willett_table5_stripe82_coadd.csv.gz --voters 45

The model imagined here knows each object's fractions; a panel of volunteers drawn from them decides the label. A
catalog's fractions are themselves those of a panel and scatter too widely. With `--deconvolve` true fractions are drawn
given the votes instead, from a distribution fitted to all objects.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from galclass.catalog import read_catalog
from galclass.clean_samples import CLEAN_LABELS
from galclass.evaluate.ceiling import VOTE_COLUMNS, clean_ceiling
from galclass.evaluate.deconvolve import deconvolved_rows

NATURAL = (8436, 8069, 579, 3903, 7806)  # the clean sample before any balancing


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("catalog", type=Path)
    options.add_argument("--voters", type=float, help="median classifications an object; else the catalog's own")
    options.add_argument("--deconvolve", action="store_true", help="take the sampling noise out of the fractions")
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    table = read_catalog(chosen.catalog)
    wanted = [name for name in (*VOTE_COLUMNS, "total_classifications") if name in table.column_names]
    rows = [row for row in table.select(wanted).to_pylist() if row["total_classifications"]]
    rows = [{name: float("nan") if value is None else value for name, value in row.items()} for row in rows]
    rows = deconvolved_rows(rows, seed=chosen.seed) if chosen.deconvolve else rows
    found = clean_ceiling(rows, voters=chosen.voters, seed=chosen.seed)
    for label, objects, recall in zip(CLEAN_LABELS, found.objects, found.recall, strict=True):
        print(f"{label:26} {objects:8.1f} objects  recall {recall:.3f}")
    print(f"natural frequencies {found.accuracy(NATURAL):.4f}, balanced {found.recall.mean():.4f}, {len(rows)} objects")


if __name__ == "__main__":
    main()
