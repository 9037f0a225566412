"""What a base model was fitted to, in its heads: evaluation, held-out objects, the packaged model."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path

import pytest
from tiny_model import model_fitted_to, tiny_model
from tuning.test_finetune import draw, finetune, run, write

from galclass.scoring import Scorer
from galclass.scoring.fitted_ids import FITTED_IDS, base_unknown, recorded, split_fitted

MANY = {f"J{n}": "ring" if n % 2 else "no_ring" for n in range(220)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    draw(tmp_path / "images", MANY)
    write(tmp_path / "rings.csv", MANY)
    return tmp_path


def base_fitted_to(folder: Path, ids: list[str]) -> None:
    (folder / "tiny.onnx").write_bytes(model_fitted_to(ids))


def test_a_head_is_not_measured_on_what_its_base_was_fitted_to(folder: Path) -> None:
    base_fitted_to(folder, list(MANY)[:100])
    done = finetune(folder, "--name", "rings")
    assert "the base model was fitted to 100 of them, so cross-validation may promise too much" in done.output
    trained = Scorer(folder / "ws" / "finetune" / "rings" / "model.onnx").signature.trained
    found = split_fitted(trained, MANY)
    assert found is not None
    assert found[0] >= set(list(MANY)[:100])
    assert not base_unknown(trained)
    words = ("--catalog", folder / "rings.csv", "--images", folder / "images", "--model", "rings")
    measured = run(folder, "evaluate", *words)
    count = int(done.output.split("fitted to ")[1].split(" ")[0])
    assert 180 < count < 220
    assert f"{count} objects left out: the model was fitted to these ids" in measured.output
    assert "not recorded" not in measured.output


def test_a_base_that_knows_every_object_leaves_none_to_compare_on(folder: Path) -> None:
    base_fitted_to(folder, list(MANY))
    finetune(folder, "--name", "rings")
    write(folder / "rings.csv", dict(list(MANY.items())[:210]))
    again = finetune(folder, "--name", "rings")
    assert "not promoted: no image is held out, as the base model was fitted to 210 of them" in again.output


def test_a_base_without_a_record_is_mentioned(folder: Path) -> None:
    (folder / "tiny.onnx").write_bytes(tiny_model())
    finetune(folder, "--name", "rings")
    words = ("--catalog", folder / "rings.csv", "--images", folder / "images", "--model", "rings")
    assert "what its base model learned from is not recorded" in run(folder, "evaluate", *words).output


@pytest.fixture
def sample(tmp_path: Path, sample_folder: Path) -> Path:
    """80 galaxies of the sample with file names and classes."""
    rows = list(csv.DictReader((sample_folder / "gz2_hart16.csv").read_text().splitlines()))[:80]
    images = csv.DictReader((sample_folder / "gz2_filename_mapping.csv").read_text().splitlines())
    names = {row["objid"]: row["asset_id"] for row in images}
    lines = [f"{row['dr7objid']},{names[row['dr7objid']]}.jpg,{row['gz2_class']}" for row in rows]
    (tmp_path / "classes.csv").write_text("\n".join(["object_id,file,label", *lines]) + "\n")
    with zipfile.ZipFile(sample_folder / "images_gz2.zip") as archive:
        archive.extractall(tmp_path)
    return tmp_path


def test_the_packaged_model_is_measured_on_the_galaxies_it_never_saw(sample: Path) -> None:
    done = run(sample, "evaluate", "--catalog", sample / "classes.csv", "--images", sample / "images")
    ids = [line.split(",")[0] for line in (sample / "classes.csv").read_text().splitlines()[1:]]
    scorer = Scorer()
    known = split_fitted(recorded(scorer.signature.trained, scorer.sha256), ids)
    assert known is not None
    assert 50 < len(known[0]) < 80
    assert f"on {80 - len(known[0])} objects: accuracy" in done.output
    assert f"{len(known[0])} objects left out: the model was fitted to these ids" in done.output
    assert "under other ids, some may be among the objects measured" in done.output
    assert "not recorded" not in done.output


def test_a_head_of_the_packaged_model_knows_what_that_was_fitted_to(sample: Path) -> None:
    rows = (sample / "classes.csv").read_text().splitlines()
    labels = [f"{line.rsplit(',', 1)[0]},{'even' if n % 2 else 'odd'}" for n, line in enumerate(rows[1:41])]
    (sample / "own.csv").write_text("\n".join([rows[0], *labels]) + "\n")
    made = run(sample, "finetune", sample / "own.csv", "--images", sample / "images", "--name", "own", "--quiet")
    assert "the base model was fitted to" in made.output
    trained = Scorer(sample / "ws" / "finetune" / "own" / "model.onnx").signature.trained
    before = recorded(Scorer().signature.trained, Scorer().sha256)[FITTED_IDS]["count"]
    assert before < trained[FITTED_IDS]["count"] <= before + 40
    assert not base_unknown(trained)
    others = [f"{line.rsplit(',', 1)[0]},odd" for line in rows[41:]]
    (sample / "others.csv").write_text("\n".join([rows[0], *others]) + "\n")
    done = run(sample, "evaluate", "--catalog", sample / "others.csv", "--images", sample / "images", "--model", "own")
    assert "objects left out: the model was fitted to these ids" in done.output
