"""Which galaxies are known to have a bar or none, from three tables, and what the bar marks of OpenNGC are worth.

    python scripts/bar_marks.py DATA [OPENNGC.db]

Prints how many galaxies each table marks, and the AUC that EFIGI's bar lengths reach against OpenNGC's marks: how well
experts who look at the same survey tell B from no mark. `OPENNGC.db` is the SQLite file of the PyPI package `pyongc`
(CC-BY-SA 4.0), which has the PGC numbers by which EFIGI names its galaxies.
"""

from __future__ import annotations

import re
import sqlite3
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galclass.catalog import read_table
from galclass.catalog.positions import degrees_of

BARRED, WEAK, UNBARRED = "barred", "weak", "unbarred"
SAME_GALAXY_ARCSEC = 15.0
"""Centres of nearby galaxies in two catalogues differ by a few arcseconds."""
EFIGI_BARRED, VOTES_BARRED, VOTES_UNBARRED = 0.5, 0.5, 0.2
"""Least bar length (of the attribute's 0 to 1), least and largest vote fractions."""


def efigi_lengths(data: Path, openngc: Path) -> dict[str, float]:
    """Return EFIGI's bar length, 0 to 1, by NGC or IC name; galaxies without one are left out."""
    lines = (data / "catalogs" / "efigi_attributes_1.6.2.txt").read_text(encoding="utf-8").splitlines()
    header, *rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    lengths = {row[0]: float(row[header.index("Bar_Length")]) for row in rows}
    found: dict[str, float] = {}
    with sqlite3.connect(f"file:{openngc}?mode=ro", uri=True) as base:
        for name, identifiers in base.execute("SELECT name, identifiers FROM objects"):
            number = re.search(r"PGC 0*(\d+)", identifiers or "")
            length = lengths.get(f"PGC{int(number[1]):07d}", -1.0) if number else -1.0
            if length >= 0:
                found[name] = length
    return found


def measured_bars(data: Path) -> tuple[set[str], NDArray[np.float64]]:
    """Return the SDSS ids and the positions (degrees, (n, 2)) of the galaxies whose bars Hoyle et al. 2011 measured."""
    table = read_table(data / "catalogs" / "gz_bar_lengths_hoyle2011.csv.gz").to_pydict()
    degrees = np.column_stack([np.asarray(table[name], dtype=np.float64) for name in ("ra", "dec")])
    return {str(one) for one in table["objid"]}, degrees


def is_near(ra: float, dec: float, degrees: NDArray[np.float64]) -> bool:
    """Tell whether one of the positions is this galaxy's."""
    away = np.hypot((degrees[:, 0] - ra) * np.cos(np.radians(dec)), degrees[:, 1] - dec)
    return bool(away.min() * 3600 < SAME_GALAXY_ARCSEC)


def ngc_marks(data: Path, openngc: Path | None) -> dict[str, str]:
    """Return barred, weak or unbarred by NGC name: EFIGI's bar length where there is one, else a measured bar."""
    _, degrees = measured_bars(data)
    marks = {
        row["name"]: BARRED
        for row in ngc_rows(data)
        if is_near(degrees_of(row["ra"], hours=True), degrees_of(row["dec"], hours=False), degrees)
    }
    for name, length in (efigi_lengths(data, openngc) if openngc else {}).items():
        marks[name] = UNBARRED if length == 0 else BARRED if length >= EFIGI_BARRED else WEAK
    return marks


def galaxy_zoo_marks(data: Path) -> dict[str, str]:
    """Return barred or unbarred by SDSS id: a measured bar, or votes that are clear."""
    table = read_table(data / "catalogs" / "gz2_votes_9054.csv.gz").to_pydict()
    marks: dict[str, str] = {}
    for one, fraction in zip(table["gz2_objid"], table["t03_bar_a06_bar_fraction"], strict=True):
        if fraction in (None, ""):
            continue
        if float(fraction) >= VOTES_BARRED or float(fraction) <= VOTES_UNBARRED:
            marks[str(one)] = BARRED if float(fraction) >= VOTES_BARRED else UNBARRED
    return marks | dict.fromkeys(measured_bars(data)[0], BARRED)


def ngc_rows(data: Path) -> list[dict[str, Any]]:
    """Read the table of NGC galaxies."""
    rows: list[dict[str, Any]] = read_table(data / "ngc_hubble" / "labels.csv").to_pylist()
    return rows


def area_under_curve(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> float:
    """Return the probability that a positive has the larger value; equal ones count half."""
    return float(((positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)).mean())


def main(data: Path, openngc: Path | None) -> None:
    spirals = [row for row in ngc_rows(data) if row["coarse"] == "spiral"]
    marks = ngc_marks(data, openngc)
    for mark in (BARRED, WEAK, UNBARRED):
        counts = {
            bar: sum(marks.get(r["name"]) == mark and (r["bar"] or "") == bar for r in spirals)
            for bar in ("B", "AB", "")
        }
        print(f"NGC spirals {mark}: {sum(counts.values())}; marked by OpenNGC {counts}")
    voted = galaxy_zoo_marks(data)
    ids = {str(one) for one in read_table(data / "gz1" / "labels.csv")["objid"].to_pylist()}
    print(
        f"Galaxy Zoo 1: {sum(one in ids and mark == BARRED for one, mark in voted.items())} barred,"
        f" {sum(one in ids and mark == UNBARRED for one, mark in voted.items())} unbarred"
    )
    if openngc is None:
        return
    lengths = efigi_lengths(data, openngc)
    split = {
        bar: np.array([lengths[r["name"]] for r in spirals if r["name"] in lengths and (r["bar"] or "") == bar])
        for bar in ("B", "")
    }
    rng = np.random.default_rng(0)
    drawn = [
        area_under_curve(rng.choice(split["B"], len(split["B"])), rng.choice(split[""], len(split[""])))
        for _ in range(1000)
    ]
    low, high = np.percentile(drawn, [2.5, 97.5])
    print(
        f"EFIGI's bar length against OpenNGC's B ({len(split['B'])}) and no mark ({len(split[''])}):"
        f" AUC {area_under_curve(split['B'], split['']):.3f} [{low:.3f}, {high:.3f}]"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
