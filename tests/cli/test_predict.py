"""`galclass predict` as a user reads it: what was found, what is doubtful, where it was written."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from galclass.cli import cli
from galclass.scoring import Scorer


@pytest.fixture
def folder(tmp_path: Path, sample_folder: Path) -> Path:
    """Two galaxies of one name in two folders, and noise."""
    with zipfile.ZipFile(sample_folder / "images_gz2.zip") as archive:
        names = [name for name in sorted(archive.namelist()) if name.endswith(".jpg")][:2]
        for place, name in zip("ab", names, strict=True):
            (tmp_path / "images" / place).mkdir(parents=True)
            (tmp_path / "images" / place / "x.jpg").write_bytes(archive.read(name))
    noise = np.random.default_rng(0).integers(0, 256, (424, 424, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "images" / "noise.png"), noise)
    return tmp_path / "images"


def predict(*words: object) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(cli, ["predict", *map(str, words)])


def test_the_summary_counts_the_doubtful_and_names_the_file(folder: Path) -> None:
    done = predict(folder, "--output", folder.parent / "p.csv")
    assert done.exit_code == 0
    assert "predict: 3 files, 0 rejected, 1 unlike the training data, " in done.output
    assert f"written to {folder.parent / 'p.csv'}\n" in done.output


def test_files_of_one_object_id_are_told_and_all_have_rows(folder: Path) -> None:
    done = predict(folder, "--output", folder.parent / "p.csv")
    assert "1 files have the object_id of another file; each has its row: " in done.stderr
    assert f"{folder}/a/x.jpg and {folder}/b/x.jpg" in done.stderr
    with (folder.parent / "p.csv").open(newline="") as file:
        assert sorted(row["object_id"] for row in csv.DictReader(file)) == ["noise", "x", "x"]
    assert "object_id of another" not in predict(folder / "a").stderr


def test_the_model_in_the_package_has_a_name(folder: Path) -> None:
    assert (
        predict(folder / "a", "--model", "package").output.split(", 0 rejected")[0]
        == (predict(folder / "a").output.split(", 0 rejected")[0])
    )


def test_a_frame_smaller_than_the_file_is_a_reject(folder: Path) -> None:
    done = predict(folder / "a", "--frame-px", "100")
    assert done.exit_code == 3
    assert "frame_too_small: a frame of 100 px is smaller than the file" in done.output


def test_the_object_id_is_read_from_the_name_of_a_file(folder: Path) -> None:
    for place, name in (("a", "J1.5.jpg"), ("b", "M 51%2FNGC 5194.JPG")):
        (folder / place / "x.jpg").rename(folder / place / name)
    (folder / "noise.png").rename(folder / "J1.6")
    done = predict(folder / "a", folder / "b", folder / "J1.6", "--output", folder.parent / "p.csv")
    assert done.exit_code == 0, done.output
    with (folder.parent / "p.csv").open(newline="") as file:
        assert sorted(row["object_id"] for row in csv.DictReader(file)) == ["J1.5", "J1.6", "M 51/NGC 5194"]


def test_the_probability_is_that_of_the_class_beside_it(tmp_path: Path, sample_folder: Path) -> None:
    with zipfile.ZipFile(sample_folder / "images_gz2.zip") as archive:
        names = [name for name in sorted(archive.namelist()) if name.endswith(".jpg")][:100]
        found = Scorer().score([archive.read(name) for name in names])
        # one whose class is where the walk ends, not the most probable one
        name = next(
            n
            for n, one in zip(names, found, strict=True)
            if max(one.by_class.values()) > one.by_class[one.predicted_class]
        )
        archive.extract(name, tmp_path)
    (row,) = (line for line in predict(tmp_path / "images").output.splitlines() if Path(name).name in line)
    predict(tmp_path / "images", "--output", tmp_path / "p.csv")
    (found,) = csv.DictReader((tmp_path / "p.csv").read_text().splitlines())
    cells = [cell.strip() for cell in row.strip("\u2502").split("\u2502")]
    name = found["predicted_class"]
    assert (cells[1], cells[4]) == (name, f"{float(found[f'predicted_{name}']):.3f}")
