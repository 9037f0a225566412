"""How accurate any model can be on unselected galaxies: `python scripts/vote_ceiling.py kaggle_votes/votes.csv`.

A second panel of 45 volunteers, and a model that knows what all volunteers would say, compared with the first panel;
from observed fractions treated as true, and with their sampling noise removed. Weighted to a random draw.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from galclass.catalog import read_catalog
from galclass.catalog.raw_counts import VOTERS, raw_counts
from galclass.catalog.votes import STEMS
from galclass.evaluate.deconvolve import first_answer, sampling_noise
from galclass.evaluate.unselected import COLUMNS, EIGHT, clean_stratum, draw_weights

NATURAL = {
    "completely_round_smooth": 8436,
    "in_between_smooth": 8069,
    "cigar_shaped_smooth": 579,
    "edge_on": 3903,
    "spiral": 7806,
}
GALAXIES = 61_578


def main(path: Path) -> None:
    """Print the ceilings."""
    counts = raw_counts(read_catalog(path, format="kaggle")).astype(np.float64)
    counts = counts[counts[:, :3].sum(axis=1) > 0]
    shares = counts[:, [STEMS.index(stem) for stem in COLUMNS]] / VOTERS
    weights = draw_weights(clean_stratum(shares), NATURAL, GALAXIES)
    found = first_answer(counts[:, :3], weights, voters=VOTERS)
    print(f"{len(counts)} galaxies, {VOTERS} volunteers")
    print(f"a second panel gives the same first answer for {found.deconvolved:.3f} (naively {found.naive:.3f})")
    print(f"a model that knows the true fractions is right for {found.best:.3f}")
    eight = [COLUMNS.index(stem) for stem in EIGHT]
    for name, own in (("8", shares[:, eight]), ("17", shares)):
        noise = sampling_noise(own, weights, voters=VOTERS)
        print(f"sampling noise, root mean square over {name} fractions: {noise:.4f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
