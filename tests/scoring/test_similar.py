"""The nearest prepared galaxies to an image."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from tiny_model import SIZE_PX, tiny_model

from galclass.config import Config, load_config
from galclass.errors import ModelError
from galclass.prepare.stage import prepare
from galclass.prepare.store import Store
from galclass.scoring import Scorer
from galclass.scoring.embeddings import nearest_first
from galclass.similar import embeddings, find_similar


@pytest.fixture
def prepared(tmp_path: Path, galaxies: dict[str, bytes]) -> Path:
    """A prepared folder of seventy galaxies."""
    images = tmp_path / "images"
    images.mkdir()
    for key, data in galaxies.items():
        (images / f"{key}.jpg").write_bytes(data)
    lines = ["object_id,label,file", *(f"{key},Sb,{key}.jpg" for key in galaxies)]
    (tmp_path / "catalog.csv").write_text("\n".join(lines))
    prepare(configured(tmp_path), progress=False)
    return tmp_path / "prepared"


def configured(folder: Path, **settings: str) -> Config:
    values = {"workspace": str(folder), "prepare.images": str(folder / "images"), "prepare.processes": 1}
    return load_config(
        None, {**values, "prepare.catalog": str(folder / "catalog.csv"), "prepare.size_px": SIZE_PX, **settings}
    )


def test_the_order_is_exact_and_the_image_itself_is_left_out(
    prepared: Path, galaxies: dict[str, bytes], scorer: Scorer, tmp_path: Path
) -> None:
    key, data = next(iter(galaxies.items()))
    (tmp_path / "one.jpg").write_bytes(data)
    found = find_similar(tmp_path / "one.jpg", scorer, prepared, count=70)
    vectors = {name: scorer.score([image])[0].embedding for name, image in galaxies.items()}
    own = vectors.pop(key)
    cosines = {
        name: float(own @ other / np.linalg.norm(own) / np.linalg.norm(other)) for name, other in vectors.items()
    }
    assert {one.object_id: one.similarity for one in found} == pytest.approx(cosines, abs=1e-5)
    similarities = [one.similarity for one in found]
    assert similarities == sorted(similarities, reverse=True)


def test_embeddings_are_computed_once_and_again_for_a_new_folder(prepared: Path, scorer: Scorer) -> None:
    store = Store.open(prepared)
    made = embeddings(store, scorer, prepared)
    (kept,) = prepared.glob("embeddings-*.npy")
    stamp = kept.stat().st_mtime_ns
    np.testing.assert_array_equal(embeddings(store, scorer, prepared), made)
    assert kept.stat().st_mtime_ns == stamp
    picture = next((prepared.parent / "images").glob("*.jpg"))
    picture.write_bytes(next(one for one in sorted(picture.parent.iterdir()) if one != picture).read_bytes())
    prepare(configured(prepared.parent, **{"prepare.duplicates": "keep"}), progress=False)
    os.utime(prepared / "prepared.json", (0, 0))  # the clock was set back
    again = embeddings(Store.open(prepared), scorer, prepared)
    assert (again != made).any()
    (other,) = prepared.glob("embeddings-*.npy")
    assert other != kept
    np.testing.assert_array_equal(embeddings(Store.open(prepared), scorer, prepared), again)


def test_a_folder_prepared_for_another_model_is_refused(prepared: Path, tmp_path: Path) -> None:
    from galclass.scoring import shipped_model

    image = next((tmp_path / "images").glob("*.jpg"))
    with pytest.raises(ModelError, match="prepared for another model"):
        find_similar(image, Scorer(shipped_model()), prepared)


def test_what_is_no_image_is_refused(prepared: Path, tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"no image")
    with pytest.raises(ModelError, match="not an image"):
        find_similar(tmp_path / "x.jpg", Scorer(tiny_model()), prepared)


def test_the_nearest_come_first_and_equal_ones_in_their_order() -> None:
    found = np.array([0.5, 0.9, 0.5, -1.0, 0.9], np.float32)
    assert nearest_first(found).tolist() == [1, 4, 0, 2, 3]
    assert nearest_first(found, 2).tolist() == [1, 4]
    assert nearest_first(found, 2, kept=np.array([True, False, True, True, True])).tolist() == [4, 0]
    assert nearest_first(found[:0], 2).tolist() == []
