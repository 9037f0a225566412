"""Tables as surveys have them: ids and labels of odd types are read, or refused with the reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from galclass.catalog import CatalogColumns
from galclass.config import PrepareConfig
from galclass.database.bulk import check_images
from galclass.database.positions import read_objects
from galclass.errors import CatalogError, StoreError
from galclass.image_files.keys import lost_zeros
from galclass.tuning.labelled import read_labelled

IDS = [f"{n:05d}" for n in range(6)]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for key in IDS:
        (tmp_path / "images" / f"{key}.png").write_bytes(b"never read")
    return tmp_path / "images"


def labels_of(path: Path, images: Path, **options: str) -> dict[str, str]:
    found = read_labelled(path, [images], PrepareConfig(**options))
    return {one.object_id: one.label for one in found.images}


@pytest.mark.parametrize("suffix", ["fits", "parquet", "csv"])
def test_labels_may_be_true_and_false(images: Path, tmp_path: Path, suffix: str) -> None:
    table = Table({"id": IDS, "ring": [n % 2 == 0 for n in range(6)]})
    path = tmp_path / f"t.{suffix}"
    table.to_pandas().to_parquet(path) if suffix == "parquet" else table.write(path)
    found = labels_of(path, images, label_column="ring")
    assert found == {key: str(n % 2 == 0) for n, key in enumerate(IDS)}


def test_a_column_of_several_values_a_row_is_named(images: Path, tmp_path: Path) -> None:
    Table({"id": IDS, "label": np.array([["a", "b"]] * 6)}).write(tmp_path / "t.fits")
    with pytest.raises(CatalogError, match=r"no row has a label.*label \(not read: several values per row\)"):
        labels_of(tmp_path / "t.fits", images)


def test_ids_that_lost_their_zeros_are_told(images: Path, tmp_path: Path) -> None:
    Table({"id": np.arange(6), "label": ["Er", "Se"] * 3}).write(tmp_path / "t.fits")
    with pytest.raises(CatalogError, match="lost their leading zeros"):
        labels_of(tmp_path / "t.fits", images)
    known = read_objects(tmp_path / "t.fits", None, format="auto", columns=CatalogColumns())
    with pytest.raises(CatalogError, match="lost their leading zeros"):
        check_images([images], known)


def test_prepare_names_examples_and_lost_zeros(images: Path, tmp_path: Path) -> None:
    from galclass.config import Config
    from galclass.prepare.stage import prepare

    (tmp_path / "t.csv").write_text("id,label\n" + "".join(f"{n},Er\n" for n in range(6)))
    settings = PrepareConfig(images=str(images), catalog=str(tmp_path / "t.csv"))
    with pytest.raises(StoreError, match=r"such as 0, 1, 2.*got 6 images, 00000, .*lost their leading zeros"):
        prepare(Config(workspace=str(tmp_path / "ws"), prepare=settings), progress=False)


def test_zeros_are_told_only_where_they_are_the_difference() -> None:
    assert lost_zeros(["7"], ["007"]) is not None
    assert lost_zeros(["7"], ["7", "007"]) is None
    assert lost_zeros(["a7"], ["0a7"]) is None
    assert lost_zeros([], []) is None
