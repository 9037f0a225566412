"""A model of own classes in a database: registered, scored with, filtered, sorted, exported beside one of the 13."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from click.testing import CliRunner
from tiny_model import OWN_CLASSES, tiny_own_model

from galclass.cli import cli
from galclass.database import Database, Registry, score_pending
from galclass.database.catalog import CatalogQuery, find_predictions
from galclass.database.catalog_export import write_catalog
from galclass.database.export import export_predictions
from galclass.database.sql import run_sql
from galclass.errors import RequestError
from galclass.morphology import CLASSES


@pytest.fixture
def scored(filled: Database) -> Database:
    Registry(filled).register(tiny_own_model(), name="rings")
    score_pending(filled, "rings")
    return filled


def test_rows_are_filtered_and_sorted_by_own_classes(scored: Database, tmp_path: Path) -> None:
    rows, total = find_predictions(scored, CatalogQuery("rings", 1, sort="-probability", page_size=500))
    assert total == 70
    assert [row["probability"] for row in rows] == sorted((row["probability"] for row in rows), reverse=True)
    assert all(row["probability"] == row["probabilities"][row["predicted_class"]] for row in rows)
    counts = [
        find_predictions(scored, CatalogQuery("rings", 1, predicted_class=name, min_probability=0.01))[1]
        for name in OWN_CLASSES
    ]
    assert sum(counts) == 70
    for wrong in (CatalogQuery("rings", 1, predicted_class="Er"), CatalogQuery("rings", 1, predicted_group="Spiral")):
        with pytest.raises(RequestError, match="unknown"):
            find_predictions(scored, wrong)
    path = tmp_path / "catalog.csv"
    assert write_catalog(scored, CatalogQuery("rings", 1), path) == 70
    header = path.read_text().splitlines()[0]
    assert "predicted_ring" in header
    assert "predicted_Er" not in header


def test_an_export_has_own_classes_after_all_others(scored: Database, tmp_path: Path) -> None:
    score_pending(scored, "galaxy")
    path = tmp_path / "all.csv"
    assert export_predictions(scored, path).rows == 140
    rows = list(csv.DictReader(path.read_text().splitlines()))
    own = [f"predicted_{name}" for name in OWN_CLASSES]
    assert list(rows[0])[-3:] == own
    for row in rows:
        filled = [bool(row[name]) for name in own]
        assert filled == [row["model_name"] == "rings"] * 3
        assert bool(row["predicted_Er"]) != filled[0]
    export_predictions(scored, path, model="galaxy")
    assert "predicted_ring" not in path.read_text().splitlines()[0]


def test_the_flat_view_has_own_classes_among_its_probabilities(scored: Database) -> None:
    found = run_sql(scored, "SELECT probabilities->>'ring', predicted_class FROM galaxy_predictions_flat", limit=None)
    assert len(found.rows) == 70
    assert all(0 <= float(value) <= 1 and name in OWN_CLASSES for value, name in found.rows)


def test_a_table_joined_by_object_id_has_own_classes(scored: Database, tmp_path: Path, url: str) -> None:
    with scored.read() as connection:
        ids = [row[0] for row in connection.exec_driver_sql("SELECT object_id FROM galaxy_images LIMIT 3")]
    (tmp_path / "mine.csv").write_text("object_id,z\n" + "".join(f"{key},0.1\n" for key in ids))
    words = ["db", "export", str(tmp_path / "out.csv"), "--model", "rings", "--catalog", str(tmp_path / "mine.csv")]
    done = CliRunner().invoke(cli, [*words, "--database", url])
    assert done.exit_code == 0, done.output
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    assert [row["object_id"] for row in rows] == ids
    for row in rows:
        assert row["predicted_class"] in OWN_CLASSES
        assert sum(float(row[f"predicted_{name}"]) for name in OWN_CLASSES) == pytest.approx(1, abs=1e-4)
        assert "predicted_Er" not in row


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_the_functions_in_sql_give_own_classes(filled: Database, tmp_path: Path) -> None:
    Registry(filled).register(tiny_own_model(), name="galaxy")
    said = run_sql(filled, "SELECT predict_galaxy_class(img), predict_galaxy_group(img) FROM galaxy_images LIMIT 5")
    for name, group in said.rows:
        assert name in OWN_CLASSES
        assert name not in CLASSES
        assert group is None
