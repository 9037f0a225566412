"""Own classes with scikit-learn's conventions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier
from sklearn.model_selection import cross_val_score

from galclass import GalaxyClassifier
from galclass.errors import TrainingError
from galclass.scoring import Scorer


def blobs(count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.array(["no", "ring"])[np.arange(count) % 2]
    return (rng.normal(0, 1, (count, 6)) + 2 * (y == "ring")[:, np.newaxis]).astype(np.float32), y


def test_it_learns_predicts_and_scores() -> None:
    x, y = blobs()
    fitted = GalaxyClassifier().fit(x[:40], y[:40])
    assert fitted.classes_.tolist() == ["no", "ring"]
    assert fitted.predict_proba(x).sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert set(fitted.predict(x)) == {"no", "ring"}
    assert fitted.score(x[40:], y[40:]) > 0.9


def test_scikit_learn_clones_and_cross_validates_it(scorer: Scorer) -> None:
    x, y = blobs()
    one = GalaxyClassifier(scorer, seed=3, penalty=0.1)
    copy = clone(one.fit(x, y))
    assert copy.get_params() == one.get_params()
    assert not hasattr(copy, "head_")
    assert is_classifier(one)
    assert cross_val_score(one, x, y, cv=3).mean() > 0.8
    with pytest.raises(ValueError, match="no parameter 'depth'"):
        one.set_params(depth=3)


def test_images_are_taken_as_they_are_scored(scorer: Scorer, galaxies: dict[str, bytes]) -> None:
    images = list(galaxies.values())[:20]
    labels = [0, 1] * 10
    by_image = GalaxyClassifier(scorer, penalty=1.0).fit(images, labels)
    by_embedding = GalaxyClassifier(scorer, penalty=1.0).fit(scorer.embed(images), labels)
    assert np.array_equal(by_image.predict_proba(images), by_embedding.predict_proba(scorer.embed(images)))
    assert by_image.predict(images[:2]).dtype.kind == "i"
    assert np.isnan(by_image.predict_proba([b""])).all()
    with pytest.raises(TrainingError, match="images 1"):
        by_image.predict([images[0], b""])
    with pytest.raises(TrainingError, match="images 0"):
        GalaxyClassifier(scorer).fit([b"", *images], [0, *labels])
    with pytest.raises(TrainingError, match="not fitted"):
        GalaxyClassifier(scorer).predict(images)


def test_arrays_of_paths_and_frames_of_embeddings_are_taken(scorer: Scorer, galaxies, tmp_path) -> None:
    paths = []
    for name, data in list(galaxies.items())[:20]:
        (tmp_path / f"{name}.jpg").write_bytes(data)
        paths.append(tmp_path / f"{name}.jpg")
    labels = ["ring", "no"] * 10
    usual = GalaxyClassifier(scorer, penalty=1.0).fit(paths, labels).predict_proba(paths)
    for kind in (np.array(paths, dtype=object), np.array(list(map(str, paths))), pd.Series(paths)):
        fitted = GalaxyClassifier(scorer, penalty=1.0).fit(kind, labels)
        assert np.array_equal(fitted.predict_proba(kind), usual)
    table = pd.DataFrame(scorer.embed(paths))
    assert np.array_equal(GalaxyClassifier(scorer, penalty=1.0).fit(table, labels).predict_proba(table), usual)
    cross_val_score(GalaxyClassifier(scorer), np.array(paths, dtype=object), labels, cv=2, error_score="raise")


@pytest.mark.parametrize("missing", [None, float("nan"), np.float32("nan"), pd.NA, np.ma.masked])
def test_a_missing_label_is_no_class(missing: object) -> None:
    x, y = blobs()
    with pytest.raises(TrainingError, match=r"no label \(got rows 3\)"):
        GalaxyClassifier().fit(x, [*y[:3], missing, *y[4:]])
    with pytest.raises(TrainingError, match="rows 0"):
        GalaxyClassifier().fit(x, pd.Series([missing, *y[1:]], dtype=object))


def test_embeddings_of_another_width_are_refused() -> None:
    x, y = blobs()
    with pytest.raises(TrainingError, match=r"expected \(n, 6\), got \(60, 5\)"):
        GalaxyClassifier().fit(x, y).predict(x[:, :5])


def test_it_shows_the_parameters_that_were_given() -> None:
    assert repr(GalaxyClassifier(seed=3)) == "GalaxyClassifier(seed=3)"
