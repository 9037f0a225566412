"""`galclass images add`: what was left out is named, and a catalog says what it was good for."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image
from tiny_model import tiny_model

from galclass.cli import cli
from galclass.cutouts import decode
from galclass.database import Images, Registry, Services, open_database, run_sql


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


def test_what_takes_longer_to_decode_than_the_setting_allows_is_a_reject(add, folder: Path) -> None:
    done = add(folder, "--set", "images.max_decode_s=0.001")
    assert done.exit_code == 3
    assert "0 images added, 0 already there, 3 rejected" in done.output
    assert done.output.count("too_costly") == 3
    assert "images.max_decode_s" in done.output
    assert add(folder, "--set", "images.max_decode_s=0.1").exit_code == 0


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
    done = add(folder, "--catalog", catalog(folder, "object_id,label\n0,Sb\n7,Er\n8,Er\n8,Sb\n"))
    assert done.exit_code == 3
    assert "catalog: 1 of 2 rows have an image, 1 labels, 0 positions" in done.output
    assert "left out: 2 two_classes" in done.output
    with open_database(tmp_path / "images.db") as database:
        assert run_sql(database, "SELECT count(*) FROM galaxy_labels").rows == [(1,)]


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


def stored(tmp_path: Path) -> list[str]:
    with open_database(tmp_path / "images.db") as database:
        return [one.object_id for one in Images(database).list(limit=100)]


def test_one_picture_under_two_ids_is_left_out_and_both_are_named(add, folder: Path, tmp_path: Path) -> None:
    (folder / "a").mkdir()
    shutil.copy(folder / "0.jpg", folder / "a" / "9.jpg")
    done = add(folder)
    assert done.exit_code == 3
    assert f"rejected {folder}/0.jpg: duplicate_image: the same image as 9 ({folder}/a/9.jpg)" in done.output
    assert f"rejected {folder}/a/9.jpg: duplicate_image: the same image as 0 ({folder}/0.jpg)" in done.output
    assert "files: 4 seen = 2 added + 0 already there + 2 rejected + 0 skipped" in done.output
    assert stored(tmp_path) == ["1", "2"]
    assert add(folder).output.splitlines()[-2].startswith("0 images added, 2 already there, 2 rejected")
    done = add(folder, "--duplicates", "keep")
    assert (done.exit_code, stored(tmp_path)) == (0, ["0", "1", "2", "9"])


def test_the_same_file_in_two_folders_is_counted_once(add, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "again")
    done = add(folder, tmp_path / "again")
    assert (done.exit_code, stored(tmp_path)) == (0, ["0", "1", "2"])
    assert "3 images added, 3 already there" in done.output


def test_a_picture_that_is_stored_under_another_id_is_named(add, folder: Path, tmp_path: Path) -> None:
    assert add(folder).exit_code == 0
    with open_database(tmp_path / "images.db") as database, database.write() as connection:
        connection.exec_driver_sql("UPDATE galaxy_images SET sha256 = NULL WHERE object_id = '1'")  # inserted by hand
    new = tmp_path / "new"
    new.mkdir()
    for name, source in (("7.jpg", "0.jpg"), ("8.jpg", "1.jpg"), ("2.jpg", "2.jpg")):
        shutil.copy(folder / source, new / name)
    done = add(new)
    assert done.exit_code == 3
    assert f"rejected {new}/7.jpg: duplicate_image: the same image as 0 (0.jpg)" in done.output
    assert f"rejected {new}/8.jpg: duplicate_image: the same image as 1 (1.jpg)" in done.output
    assert "files: 3 seen = 0 added + 1 already there + 2 rejected + 0 skipped" in done.output
    assert stored(tmp_path) == ["0", "1", "2"]


def test_a_file_of_two_objects_is_left_out_and_names_both(add, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mapping.csv").write_text("objid,sample,asset_id\n100,original,0\n101,original,1\n102,original,0\n")
    table = catalog(folder, "dr7objid,label\n100,Sb\n101,Er\n102,Er\n")
    words = (folder, "--catalog", table, "--mapping", tmp_path / "mapping.csv", "--rejects", tmp_path / "r.csv")
    done = add(*words)
    assert done.exit_code == 3
    reason = "shared_file: the catalog has it for several objects: 100, 102"
    assert f"rejected {folder}/0.jpg: {reason}" in done.output
    assert "catalog: 1 of 3 rows have an image, 1 labels, 0 positions" in done.output
    assert stored(tmp_path) == ["101", "2"]
    assert (tmp_path / "r.csv").read_text().splitlines()[1].startswith(f"{folder}/0.jpg,shared_file,")
    kept = add(*words, "--duplicates", "keep")
    assert "catalog: 3 of 3 rows have an image, 3 labels, 0 positions" in kept.output
    assert stored(tmp_path) == ["100", "101", "102", "2"]


def test_names_with_dots_are_objects_of_their_own_and_older_ids_stay(add, folder: Path, tmp_path: Path) -> None:
    assert add(folder).exit_code == 0
    for source, name in (("0.jpg", "J1.5.jpg"), ("1.jpg", "J1.6.JPG"), ("2.jpg", "J1.7.jfif")):
        (folder / source).rename(folder / name)
    with open_database(tmp_path / "images.db") as database, database.write() as connection:
        connection.exec_driver_sql("DELETE FROM galaxy_images WHERE object_id <> '2'")
    done = add(folder, "--catalog", catalog(folder, "object_id,label\nJ1.5,Sb\nJ1.6,Er\n"))
    assert "catalog: 2 of 2 rows have an image, 2 labels" in done.output
    assert stored(tmp_path) == ["2", "J1.5", "J1.6"]
    assert "J1.7.jfif: duplicate_image: the same image as 2 (2.jpg)" in done.output


def test_columns_of_any_name_can_be_told(add, folder: Path, tmp_path: Path) -> None:
    text = "who,what,where_ra,where_dec\n0,Sb,12:00:00,00 30 00\n1,Er,13 00 00,-00 30 00\n2,?,14:00:00,1\n"
    told = ["--id-column", "WHO", "--label-column", "what", "--ra-column", "where_ra", "--dec-column", "where_dec"]
    done = add(folder, "--catalog", catalog(folder, text), *told)
    assert "catalog: 3 of 3 rows have an image, 3 labels, 3 positions" in done.output, done.output
    with open_database(tmp_path / "images.db") as database:
        assert [(one.ra, one.dec) for one in Images(database).list()] == [(180.0, 0.5), (195.0, -0.5), (210.0, 1.0)]
    told = [f"--set=prepare.{name}_column={value}" for name, value in (("id", "who"), ("label", "what"))]
    done = add(folder, "--catalog", catalog(folder, text), *told)
    assert "catalog: 3 of 3 rows have an image, 3 labels, 0 positions" in done.output, done.output


def test_a_table_among_several_can_be_told(add, folder: Path) -> None:
    from astropy.io import fits
    from astropy.table import Table

    path = folder.parent / "c.fits"
    parts = [Table({"hip": [1]}), Table({"id": ["0", "1"], "label": ["Er", "Sb"]})]
    fits.HDUList([fits.PrimaryHDU(), *map(fits.table_to_hdu, parts)]).writeto(path)
    done = add(folder, "--catalog", path, "--table", "2")
    assert "catalog: read table 2 of 1, 2" in done.output, done.output
    assert "2 of 2 rows have an image, 2 labels" in done.output


def test_names_with_dots_are_two_objects(add, folder: Path, tmp_path: Path) -> None:
    (folder / "0.jpg").rename(folder / "J1.5.jpg")
    (folder / "1.jpg").rename(folder / "J1.6.JPG")
    (folder / "2.jpg").rename(folder / "M 51%2FNGC 5194.jpg")
    done = add(folder, "--catalog", catalog(folder, "name,label\nJ1.5,Sb\nJ1.6,Er\nM 51/NGC 5194,Sc\n"))
    assert "3 of 3 rows have an image, 3 labels" in done.output, done.output
    with open_database(tmp_path / "images.db") as database:
        assert [one.object_id for one in Images(database).list()] == ["J1.5", "J1.6", "M 51/NGC 5194"]


def test_a_picture_saved_again_without_loss_is_the_same_picture(add, folder: Path, tmp_path: Path) -> None:
    for name, kind in (("7.png", "PNG"), ("8.bmp", "BMP")):
        Image.fromarray(decode((folder / "0.jpg").read_bytes()).pixels).save(folder / name, kind)
    done = add(folder)
    assert done.exit_code == 3
    for name, others in (("7.png", "8 ("), ("8.bmp", "7 (")):
        line = next(line for line in done.output.splitlines() if f"rejected {folder}/{name}" in line)
        assert "duplicate_image: the same image as" in line
        assert others in line
    assert stored(tmp_path)[-2:] == ["1", "2"]
    assert add(folder, "--duplicates", "keep").exit_code == 0
    assert stored(tmp_path) == ["0", "1", "2", "7", "8"]


def test_another_comment_is_the_same_picture_as_a_stored_one(add, folder: Path, tmp_path: Path) -> None:
    assert add(folder, "--duplicates", "keep").exit_code == 0  # stores no hash of the pixels
    new = tmp_path / "new"
    new.mkdir()
    for name, source in (("9.jpg", "0.jpg"), ("1.jpg", "1.jpg")):
        data = (folder / source).read_bytes()
        (new / name).write_bytes(data[:2] + b"\xff\xfe\0\x06note" + data[2:])
    done = add(new)
    assert done.exit_code == 3
    assert f"rejected {new}/9.jpg: duplicate_image: the same image as 0 (0.jpg)" in done.output
    assert "files: 2 seen = 0 added + 1 already there + 1 rejected + 0 skipped" in done.output
    assert stored(tmp_path) == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("line", "flags"),
    [
        ("score --pending --id-column nr --table 2", "--id-column, --table: only with --cluster"),
        ("score --images x", "--images: only with --cluster"),
        ("images add . --label-column kind", "--label-column: only with --catalog"),
    ],
)
def test_a_flag_that_would_be_passed_over_is_refused(tmp_path: Path, line: str, flags: str) -> None:
    done = CliRunner().invoke(cli, [*line.split(), "--workspace", str(tmp_path)])
    assert done.exit_code == 2
    assert flags in done.output


def test_texts_of_a_shared_database_steer_no_terminal(tmp_path: Path) -> None:
    steering = "a\x1b[2Jb"
    with open_database(f"sqlite:///{tmp_path}/galclass.db", migrate=True) as database:
        Registry(database).register(tiny_model(), card=steering)
        Services(database).publish("galaxies", "1.0", "galaxy", 1, description=steering)
    for line in ("models show galaxy", "services show galaxies 1.0"):
        done = CliRunner().invoke(cli, [*line.split(), "--database", f"sqlite:///{tmp_path}/galclass.db"])
        assert (done.exit_code, "\x1b" in done.output) == (0, False), done.output
        assert "a\\x1b[2Jb" in done.output
