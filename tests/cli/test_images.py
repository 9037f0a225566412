"""`galclass images add`: what was left out is named, and a catalog says what it was good for."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from galclass.cli import cli
from galclass.database import Images, open_database
from galclass.database.labels import count_labels


@pytest.fixture
def folder(tmp_path: Path, sample_folder: Path) -> Path:
    """Three galaxies: 0.jpg, 1.jpg and 2.jpg."""
    (tmp_path / "images").mkdir()
    with zipfile.ZipFile(sample_folder / "images_gz2.zip") as archive:
        names = [name for name in sorted(archive.namelist()) if name.endswith(".jpg")][:3]
        for number, name in enumerate(names):
            (tmp_path / "images" / f"{number}.jpg").write_bytes(archive.read(name))
    return tmp_path / "images"


@pytest.fixture
def add(tmp_path: Path):
    """Run `galclass images add` on a database of its own."""

    def run(*words: object) -> Result:
        database = ["--database", str(tmp_path / "images.db")]
        return CliRunner(env={"COLUMNS": "200"}).invoke(cli, ["images", "add", *map(str, words), *database])

    return run


def catalog(folder: Path, text: str) -> Path:
    path = folder.parent / "catalog.csv"
    path.write_text(text)
    return path


def test_two_galaxies_of_one_name_are_told_apart(add, folder: Path) -> None:
    for name, image in (("a", "0.jpg"), ("b", "1.jpg")):
        (folder.parent / "same" / name).mkdir(parents=True)
        shutil.copy(folder / image, folder.parent / "same" / name / "x.jpg")
    done = add(folder.parent / "same")
    assert done.exit_code == 3
    assert "1 images added, 0 already there, 1 rejected" in done.output
    assert f"rejected {folder.parent / 'same' / 'b' / 'x.jpg'}: same_id_other_image" in done.output
    assert "from a/x.jpg" in done.output


def test_what_is_no_image_is_a_reject(add, folder: Path) -> None:
    (folder / "3.jpg").write_bytes(b"<html>gone</html>")
    (folder / "4.jpg").symlink_to(folder / "nowhere.jpg")
    done = add(folder)
    assert done.exit_code == 3
    assert "3 images added, 0 already there, 2 rejected" in done.output
    assert "3.jpg: not_an_image" in done.output
    assert "4.jpg: unreadable: No such file or directory" in done.output


def test_a_folder_without_images_is_an_error(add, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = add(tmp_path / "empty")
    assert done.exit_code == 1
    assert "there is no image" in str(done.exception)
    assert not (tmp_path / "images.db").exists()


def test_a_catalog_gives_positions_to_images_that_are_there(add, folder: Path, tmp_path: Path) -> None:
    assert add(folder).exit_code == 0
    done = add(folder, "--catalog", catalog(folder, "object_id,ra,dec,label\n0,180,0.5,Sb\n1,181,0.5,\n2,,,Er\n"))
    assert done.exit_code == 0
    assert "catalog: 3 of 3 rows have an image, 2 labels, 2 positions" in done.output
    with open_database(tmp_path / "images.db") as database:
        assert [one.ra for one in Images(database).list()] == [180.0, 181.0, None]


def test_catalog_rows_without_an_image_get_no_label(add, folder: Path, tmp_path: Path) -> None:
    done = add(folder, "--catalog", catalog(folder, "object_id,label\n0,Sb\n7,Er\n7,Sb\n"))
    assert done.exit_code == 3
    assert "catalog: 1 of 2 rows have an image, 1 labels, 0 positions" in done.output
    assert "left out: 1 two_classes" in done.output
    with open_database(tmp_path / "images.db") as database:
        assert count_labels(database) == 1


def test_a_catalog_of_other_images_is_an_error_before_anything_is_written(add, folder: Path, tmp_path: Path) -> None:
    done = add(folder, "--catalog", catalog(folder, "object_id,label\nNGC1,Sb\n"))
    assert done.exit_code == 1
    assert "no row of the catalog has an image" in str(done.exception)
    assert "NGC1.jpg" in str(done.exception)
    assert not (tmp_path / "images.db").exists()


def test_a_catalog_without_a_column_of_labels_says_so(add, folder: Path) -> None:
    done = add(folder, "--catalog", catalog(folder, "object_id,kind\n0,Sb\n1,Er\n2,Sb\n"))
    assert done.exit_code == 0
    assert "no labels: object_id, kind; labels are in a column label" in done.output
