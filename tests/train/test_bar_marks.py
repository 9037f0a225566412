"""Bars of NGC galaxies and of Galaxy Zoo 1, from tables that name galaxies in three ways."""

from __future__ import annotations

import gzip
import sqlite3
from pathlib import Path

import pytest
from bar_marks import efigi_lengths, galaxy_zoo_marks, ngc_marks
from teacher_tables import galaxy_zoo_table, hubble_class, hubble_table

EFIGI = """# Attributes of galaxies
PGCname T Bar_Length Bar_Length_inf
PGC0000778 3 0.75 0.5
PGC0000779 3 0 0
PGC0000780 3 -1 -1
PGC0000781 3 0.25 0
"""
NGC = """name,hubble,coarse,bar,t_stage,ra,dec,file
IC0002,Sb,spiral,,3,00:11:00.80,-12:49:22.0,images/a.jpg
IC0003,Sb,spiral,B,3,00:12:00.00,-00:24:54.0,images/b.jpg
IC0004,Sc,spiral,B,5,00:13:27.00,+17:29:15.0,images/c.jpg
IC0005,Sc,spiral,,5,00:14:27.00,+17:29:15.0,images/d.jpg
IC0006,E,elliptical,,-5,00:15:27.00,+17:29:15.0,images/e.jpg
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    catalogs = tmp_path / "catalogs"
    for folder in (catalogs, tmp_path / "ngc_hubble", tmp_path / "gz1"):
        folder.mkdir()
    (catalogs / "efigi_attributes_1.6.2.txt").write_text(EFIGI)
    # 1.8 arcsec from IC0004, and 36 arcsec from IC0005
    with gzip.open(catalogs / "gz_bar_lengths_hoyle2011.csv.gz", "wt") as file:
        file.write("objid,ra,dec\n587722981742215240,3.3625,17.488\n587722981742215241,3.6125,17.4975\n")
    with gzip.open(catalogs / "gz2_votes_9054.csv.gz", "wt") as file:
        file.write("gz2_objid,t03_bar_a06_bar_fraction\n587722981742215242,0.1\n587722981742215243,0.35\n")
        file.write("587722981742215244,0.5\n587722981742215245,\n")
    (tmp_path / "ngc_hubble" / "labels.csv").write_text(NGC)
    return tmp_path


@pytest.fixture
def openngc(tmp_path: Path) -> Path:
    path = tmp_path / "ongc.db"
    with sqlite3.connect(path) as base:
        base.execute("CREATE TABLE objects (name TEXT, identifiers TEXT)")
        named = [("IC0002", "MCG -02-01-031,PGC 000778"), ("IC0003", "PGC 000779"), ("IC0005", None)]
        base.executemany("INSERT INTO objects VALUES (?, ?)", [*named, ("IC0007", "PGC 000780"), ("NGC1", "PGC 781")])
    return path


def test_a_bar_that_efigi_did_not_judge_is_not_known(data: Path, openngc: Path) -> None:
    assert efigi_lengths(data, openngc) == {"IC0002": 0.75, "IC0003": 0.0, "NGC1": 0.25}


def test_bars_come_by_pgc_number_and_by_position(data: Path, openngc: Path) -> None:
    assert ngc_marks(data, openngc) == {"IC0002": "barred", "IC0003": "unbarred", "IC0004": "barred", "NGC1": "weak"}
    assert ngc_marks(data, None) == {"IC0004": "barred"}


def test_measured_bars_and_clear_votes_mark_galaxies_of_galaxy_zoo(data: Path) -> None:
    assert galaxy_zoo_marks(data) == {
        "587722981742215240": "barred",
        "587722981742215241": "barred",
        "587722981742215242": "unbarred",
        "587722981742215244": "barred",
    }


def test_a_known_bar_goes_before_the_mark_of_the_table(data: Path, openngc: Path) -> None:
    found = hubble_table(data / "ngc_hubble" / "labels.csv", ngc_marks(data, openngc))
    assert found["survey_class"].to_pylist() == ["Sb barred", "Sb unbarred", "Sc barred", "Sc", "E"]
    assert hubble_class("spiral", None, "barred") is None


def test_only_spirals_of_galaxy_zoo_1_are_told_apart_by_bars(data: Path) -> None:
    path = data / "gz1" / "labels.csv"
    path.write_text(
        "objid,class_name,file\n587722981742215240,spiral_clockwise,a\n587722981742215242,elliptical,b\n"
        "587722981742215242,spiral_anticlockwise,c\n587722981742215249,spiral_clockwise,d\n"
    )
    found = galaxy_zoo_table(path, galaxy_zoo_marks(data))
    assert found["objid"].to_pylist()[0] == "587722981742215240"
    assert found["survey_class"].to_pylist() == ["spiral barred", None, "spiral unbarred", None]
