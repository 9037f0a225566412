"""Own classes with scikit-learn's conventions."""

from __future__ import annotations

import numpy as np
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
