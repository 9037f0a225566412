"""One rule for object ids wherever they come in: what HTTP refuses is accepted nowhere."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from tiny_model import tiny_model

from galclass.catalog import CatalogReport, read_catalog
from galclass.cli import cli
from galclass.client.uploads import with_ids
from galclass.cluster.inputs import work_chunks
from galclass.cluster.reading import read_items
from galclass.database import Database, open_database
from galclass.database.images import Images, NewImage
from galclass.errors import ServiceError
from galclass.image_names import MAX_ID_CHARACTERS, fault_of_id

LONG = "J" * (MAX_ID_CHARACTERS + 1)
LONGEST = LONG[:-1]
TOO_LONG = f"not an object id: it has {MAX_ID_CHARACTERS + 1} characters, at most {MAX_ID_CHARACTERS} are allowed"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images named by an id of every kind: allowed, the longest, too long."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    (tmp_path / "images").mkdir()
    for name, image in zip(("J1", LONGEST, LONG), pixels, strict=True):
        cv2.imwrite(str(tmp_path / "images" / f"{name}.png"), image)
    (tmp_path / "tiny.onnx").write_bytes(tiny_model())
    return tmp_path


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with open_database(f"sqlite:///{tmp_path / 'galclass.db'}", migrate=True) as opened:
        yield opened


def run(folder: Path, *words: object) -> Result:
    return CliRunner().invoke(cli, [*map(str, words), "--workspace", str(folder / "ws")])


@pytest.mark.parametrize(("text", "fault"), [("M 51", ""), ("Ä\u00a01", ""), ("", "empty"), ("a\u200bb", "U+200B")])
def test_blanks_are_printable_and_invisible_characters_are_not(text: str, fault: str) -> None:
    assert fault in (fault_of_id(text) or "")
    assert bool(fault) == (fault_of_id(text) is not None)


def test_a_catalog_names_the_row_of_an_id_that_is_too_long(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(f"object_id,label\nJ1,Er\n{LONG},Er\n{LONGEST},Er\na\u200bb,Ei\n")
    report = CatalogReport()
    table = read_catalog(path, report=report)
    assert table["object_id"].to_pylist() == ["J1", LONGEST]
    assert [(one.code, one.row) for one in report.rejects] == [("bad_id", 2), ("bad_id", 4)]
    assert report.rejects[0].reason == TOO_LONG
    assert "character 2 is U+200B" in report.rejects[1].reason


def test_images_add_rejects_a_file_whose_name_is_no_id(folder: Path) -> None:
    done = run(folder, "images", "add", folder / "images", "--rejects", folder / "rejects.csv")
    assert done.exit_code == 3
    assert "2 images added, 0 already there, 1 rejected" in done.output
    (row,) = csv.DictReader((folder / "rejects.csv").read_text().splitlines())
    assert (row["code"], row["reason"]) == ("bad_id", TOO_LONG)
    assert row["file"].endswith(f"{LONG}.png")


def test_a_long_file_name_with_a_valid_id_in_the_catalog_is_added(folder: Path) -> None:
    (folder / "table.csv").write_text(f"object_id,file\nJ2,{LONG}.png\n{LONG},J1.png\n")
    done = run(folder, "images", "add", folder / "images" / f"{LONG}.png", "--catalog", folder / "table.csv")
    assert "1 images added, 0 already there" in done.output
    assert "catalog rows left out: 1" in done.output
    assert "J2" in run(folder, "images", "list").output


def test_the_library_adds_no_bad_id_either(database: Database) -> None:
    added = Images(database).add([NewImage(LONG, b"a"), NewImage("J1", b"b"), NewImage("", b"c")])
    assert (added.added, [one.code for one in added.rejects]) == (1, ["bad_id", "bad_id"])


def test_predict_says_why_a_file_has_no_prediction(folder: Path) -> None:
    words = ("predict", folder / "images", "--model", folder / "tiny.onnx", "--output", folder / "out.csv")
    assert run(folder, *words).exit_code == 3
    rows = {row["object_id"]: row["error"] for row in csv.DictReader((folder / "out.csv").read_text().splitlines())}
    assert rows["J1"] == rows[LONGEST] == ""
    assert rows[LONG] == f"bad_id: {TOO_LONG}"


def test_predict_with_a_catalog_checks_the_ids_of_rows_and_not_the_names_of_files(folder: Path) -> None:
    (folder / "table.csv").write_text(f"object_id,file\nJ2,{LONG}.png\n{LONG},J1.png\n")
    words = ("--model", folder / "tiny.onnx", "--catalog", folder / "table.csv", "--output", folder / "out.csv")
    run(folder, "predict", folder / "images", *words)
    rows = list(csv.DictReader((folder / "out.csv").read_text().splitlines()))
    assert [row["error"] for row in rows] == ["", f"bad_id: {TOO_LONG}"]


def test_a_cluster_scores_no_file_whose_name_is_no_id(folder: Path) -> None:
    items = [one for chunk in work_chunks(str(folder / "images"), 10) for one in read_items(chunk, 1.0)]
    faults = {one.object_id: one.fault for one in items}
    assert faults["J1"] is faults[LONGEST] is None
    assert str(faults[LONG]) == f"bad_id: {TOO_LONG}"


@pytest.mark.parametrize("given", [LONG, "", "a\nb"])
def test_the_client_refuses_before_it_sends(given: str) -> None:
    with pytest.raises(ServiceError, match=r"object_ids\[1\]: not an object id"):
        list(with_ids([b"1", b"2"], ["J1", given]))
    assert list(with_ids([b"1"], [LONGEST])) == [(LONGEST, b"1")]


def test_the_client_refuses_the_name_of_a_file_that_is_no_id(folder: Path) -> None:
    assert [name for name, _ in with_ids([folder / "images" / f"{LONGEST}.png"], None)] == [LONGEST]
    with pytest.raises(ServiceError, match="not an object id: it has 201 characters"):
        list(with_ids([folder / "images" / f"{LONG}.png"], None))
