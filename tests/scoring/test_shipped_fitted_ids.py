"""Which objects the packaged models were fitted to: the file beside them, and the splits it is made from."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import write_fitted_ids

from galclass.errors import ModelError
from galclass.scoring import Scorer
from galclass.scoring.fitted_ids import recorded, remark_of, split_fitted
from galclass.scoring.shipped import FITTED_FILE

ROOT = Path(__file__).resolve().parents[2]


def split_of(name: str, folder: str = "shipped_ids") -> set[str]:
    return set((ROOT / "configs" / folder / f"{name}.txt").read_text().split())


def fitted(model: Path | None, ids: set[str]) -> set[str]:
    scorer = Scorer(model)
    found = split_fitted(recorded(scorer.signature.trained, scorer.sha256), ids)
    assert found is not None
    assert not found[1]
    return found[0]


@pytest.mark.parametrize("prefix", ["", "kaggle-", "artifact-", "ngc-"])
def test_objects_of_training_and_validation_are_known_by_each_of_their_ids(prefix: str) -> None:
    ids = {one.removeprefix(prefix) for one in split_of("train") | split_of("validation") if one.startswith(prefix)}
    assert ids
    assert fitted(None, ids) == ids


def test_what_the_weights_it_started_from_had_seen_counts_too() -> None:
    first = split_of("train", "format1_ids") | split_of("validation", "format1_ids")
    assert (
        len(first - split_of("train") - split_of("validation")) == 26 + 8
    )  # artifacts that other tables call galaxies
    assert fitted(None, first) == first
    assert fitted(ROOT / "models" / "galaxy-format1.onnx", first) == first


@pytest.mark.parametrize(("model", "folder"), [(None, "shipped_ids"), ("galaxy-format1.onnx", "format1_ids")])
def test_the_objects_of_its_measurements_are_not_among_them(model: str | None, folder: str) -> None:
    path = ROOT / "models" / model if model else None
    assert not fitted(path, split_of("test", folder))
    published = {one.removeprefix("kaggle-") for one in split_of("test", folder) if one.startswith("kaggle-")}
    assert len(fitted(path, published)) <= 5  # numbers of images of Galaxy Zoo 2 that are GalaxyIDs, too


def test_the_sample_is_recognised_by_both_of_its_ids(sample_folder: Path) -> None:
    rows = list(csv.DictReader((sample_folder / "gz2_filename_mapping.csv").read_text().splitlines()))
    test = {row["objid"] for row in rows} & split_of("test")
    assert len(test) == 105
    assert fitted(None, {row["objid"] for row in rows}) == {row["objid"] for row in rows} - test
    images = {row["asset_id"] for row in rows if row["objid"] not in test}
    assert len(images) == 598
    assert fitted(None, images) == images


def test_the_file_is_what_the_script_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    committed = (write_fitted_ids.SHIPPED / FITTED_FILE).read_bytes()
    monkeypatch.setattr(write_fitted_ids, "SHIPPED", tmp_path)
    write_fitted_ids.main()
    assert (tmp_path / FITTED_FILE).read_bytes() == committed


def test_splits_of_another_model_are_refused() -> None:
    with pytest.raises(ModelError, match="trained on another split"):
        write_fitted_ids.check(Scorer(), "format1_ids")


def test_ids_that_cannot_be_recognised_are_mentioned() -> None:
    packaged, first = Scorer(), Scorer(ROOT / "models" / "galaxy-format1.onnx")
    texts = [remark_of(recorded(one.signature.trained, one.sha256)) for one in (packaged, first)]
    assert ["NGC" in text for text in texts] == [True, False]
    assert all("under other ids" in text for text in texts)
