"""`--hdu` in every command that reads images, and `images.hdu` in the configuration."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner, Result
from fits_builders import as_file, drawn
from tiny_model import tiny_model

from galclass.cli import cli
from galclass.database import Images, open_database
from galclass.database.images import NewImage
from galclass.prepare.store import Store


def run(folder: Path, *words: object) -> Result:
    return CliRunner().invoke(cli, [*map(str, words), "--workspace", str(folder / "ws")])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files whose SCI is a galaxy and whose ALT is another, and one without ALT."""
    (tmp_path / "images").mkdir()
    for number in range(3):
        band = drawn(noise=1.0 + number)[0]
        hdus = [fits.PrimaryHDU(), fits.ImageHDU(band, name="SCI")]
        if number < 2:
            hdus.append(fits.CompImageHDU(np.roll(band, 20, axis=1), name="ALT"))
        (tmp_path / "images" / f"G{number}.fits").write_bytes(as_file(*hdus))
    (tmp_path / "tiny.onnx").write_bytes(tiny_model())
    (tmp_path / "rows.csv").write_text("object_id,label\n" + "".join(f"G{number},Er\n" for number in range(3)))
    return tmp_path


def predicted(folder: Path, *words: object) -> tuple[int, dict[str, dict[str, str]]]:
    output = folder / "out.csv"
    done = run(folder, "predict", folder / "images", "--model", folder / "tiny.onnx", "--output", output, *words)
    return done.exit_code, {row["object_id"]: row for row in csv.DictReader(output.read_text().splitlines())}


def test_predict_takes_the_hdu_and_rejects_files_without_it(folder: Path) -> None:
    status, usual = predicted(folder)
    assert status == 0
    status, other = predicted(folder, "--hdu", "alt")
    assert status == 3
    assert "no HDU 'alt'" in other["G2"]["error"]
    assert other["G0"]["predicted_Er"] != usual["G0"]["predicted_Er"]
    by_number = predicted(folder, "--set", "images.hdu=2")[1]
    assert by_number["G0"]["predicted_Er"] == other["G0"]["predicted_Er"]


def test_prepare_makes_the_folder_anew_for_another_hdu(folder: Path) -> None:
    words = ("prepare", "--images", folder / "images", "--catalog", folder / "rows.csv", "--no-progress")
    assert run(folder, *words, "--set", "prepare.duplicates=keep").exit_code == 0
    before = Store.open(folder / "ws" / "prepared").central([0])
    done = run(folder, *words, "--hdu", "ALT", "--set", "prepare.max_rejects=0.5", "--set", "prepare.duplicates=keep")
    assert done.exit_code == 3, done.output
    store = Store.open(folder / "ws" / "prepared")
    assert store.index["object_id"].to_pylist() == ["G0", "G1"]
    assert not np.array_equal(store.central([0]), before)


def test_images_that_are_added_show_the_hdu(folder: Path) -> None:
    assert run(folder, "images", "add", folder / "images" / "G0.fits", "--hdu", "ALT").exit_code == 0
    with open_database(f"sqlite:///{folder}/ws/galclass.db") as database:
        alt = Images(database).get("G0")
    other = folder / "other"
    assert run(other, "images", "add", folder / "images" / "G0.fits").exit_code == 0
    with open_database(f"sqlite:///{other}/ws/galclass.db") as database:
        assert Images(database).get("G0") != alt


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """280 files whose HDU MODEL shows their label; the SCI of each is the same galaxy."""
    (tmp_path / "own").mkdir()
    sci = drawn(noise=1.0)[0]
    rows = []
    for number in range(280):
        ring = number % 2 == 1
        band = drawn(noise=1.0 + number / 500)[0] * (np.linspace(0, 1, len(sci))[:, None] if ring else 1)
        hdus = [fits.PrimaryHDU(), fits.ImageHDU(sci, name="SCI"), fits.ImageHDU(band, name="MODEL")]
        (tmp_path / "own" / f"G{number}.fits").write_bytes(as_file(*hdus))
        rows.append(f"G{number},{'ring' if ring else 'no_ring'}\n")
    (tmp_path / "tiny.onnx").write_bytes(tiny_model())
    (tmp_path / "rings.csv").write_text("object_id,label\n" + "".join(rows))
    return tmp_path


def test_finetune_and_evaluate_take_the_hdu_for_every_model_that_they_compare(labelled: Path) -> None:
    words = ("--images", labelled / "own", "--hdu", "model", "--name", "own")
    base = ("finetune", labelled / "rings.csv", *words, "--model", labelled / "tiny.onnx", "--quiet")
    first = run(labelled, *base)
    assert first.exit_code == 0, first.output
    assert "accuracy 1.000" in first.output
    second = run(labelled, *base, "--set", "seed=1")
    assert "its accuracy minus that of own@1 is +0.000 [+0.000, +0.000]" in second.output
    measured = ("evaluate", "--model", "own", "--catalog", labelled / "rings.csv", "--images", labelled / "own")
    assert "on 34 objects: accuracy 1.000" in run(labelled, *measured, "--hdu", "MODEL").output
    assert "on 34 objects: accuracy 0.382" in run(labelled, *measured).output
    absent = run(labelled, *measured, "--hdu", "NONE")
    assert "no image has a prediction" in str(absent.exception)


def test_the_workflow_scores_the_hdu_that_it_prepared(folder: Path) -> None:
    (folder / "images" / "G2.fits").unlink()
    wanted = predicted(folder, "--hdu", "ALT")[1]
    hdu = ("--set", "images.hdu=ALT", "--set", "score.images=all", "--set", "prepare.duplicates=keep")
    words = ("--images", folder / "images", "--catalog", folder / "rows.csv", "--no-progress")
    assert run(folder, "prepare", *words, "--set", "prepare.max_rejects=0.5", *hdu).exit_code == 0
    assert run(folder, "models", "register", folder / "tiny.onnx").exit_code == 0
    source = ("--set", f"prepare.images={folder / 'images'}", "--set", f"prepare.catalog={folder / 'rows.csv'}")
    done = run(folder, "score", *hdu, *source)
    assert "2 images with galaxy@1, 0 rejected" in done.output
    assert run(folder, "db", "export", folder / "all.csv").exit_code == 0
    rows = {row["object_id"]: row for row in csv.DictReader((folder / "all.csv").read_text().splitlines())}
    assert {key: row["predicted_Er"] for key, row in rows.items()} == {k: v["predicted_Er"] for k, v in wanted.items()}
    with open_database(f"sqlite:///{folder}/ws/galclass.db") as database:  # without the setting: SQL, the page
        assert Images(database).get("G0").startswith(b"\x89PNG")


def test_fits_images_of_other_programs_are_scored_by_the_hdu(folder: Path) -> None:
    wanted = predicted(folder, "--hdu", "ALT")[1]
    assert run(folder, "models", "register", folder / "tiny.onnx").exit_code == 0
    data = (folder / "images" / "G0.fits").read_bytes()
    with open_database(f"sqlite:///{folder}/ws/galclass.db") as database:
        Images(database).add([NewImage("G0", data)])
    assert run(folder, "score", "--pending", "--set", "images.hdu=ALT").exit_code == 0
    assert run(folder, "db", "export", folder / "all.csv").exit_code == 0
    (row,) = csv.DictReader((folder / "all.csv").read_text().splitlines())
    assert row["predicted_Er"] == wanted["G0"]["predicted_Er"]
