"""The model in the package answers alike for every turn and mirror image of a cutout: by construction, not by luck."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import simplejpeg

from galclass.cutouts import cutout
from galclass.scoring import ModelOutputs, Scorer

COUNT = 20


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer()


@pytest.fixture(scope="module")
def cutouts(scorer: Scorer, sample_folder: Path) -> np.ndarray:
    """Real galaxies: uint8, (20, size_px, size_px, 3)."""
    with zipfile.ZipFile(sample_folder / "images_gz2.zip") as archive:
        names = [name for name in sorted(archive.namelist()) if name.endswith(".jpg")][:COUNT]
        return np.stack([cutout(archive.read(name), scorer.parameters) for name in names])


@pytest.fixture(scope="module")
def upright(scorer: Scorer, cutouts: np.ndarray) -> ModelOutputs:
    return scorer.score_cutouts(cutouts)


def test_different_galaxies_get_different_answers(upright: ModelOutputs) -> None:
    assert np.ptp(upright.probabilities, axis=0).max() > 0.3


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("quarters", range(4))
def test_turned_and_mirrored_cutouts_get_the_same_answer(
    scorer: Scorer, cutouts: np.ndarray, upright: ModelOutputs, quarters: int, mirrored: bool
) -> None:
    turned = np.rot90(cutouts, quarters, axes=(1, 2))
    turned = turned[:, :, ::-1] if mirrored else turned
    outputs = scorer.score_cutouts(np.ascontiguousarray(turned))
    np.testing.assert_allclose(outputs.probabilities, upright.probabilities, atol=1e-5)
    np.testing.assert_allclose(outputs.embedding, upright.embedding, atol=1e-5)
    assert outputs.vote_fractions is not None
    assert upright.vote_fractions is not None
    np.testing.assert_allclose(outputs.vote_fractions, upright.vote_fractions, atol=1e-5)


@pytest.fixture(scope="module")
def frames(sample_folder: Path) -> list[np.ndarray]:
    with zipfile.ZipFile(sample_folder / "images_gz2.zip") as archive:
        names = [name for name in sorted(archive.namelist()) if name.endswith(".jpg")][:COUNT]
        return [simplejpeg.decode_jpeg(archive.read(name)) for name in names]


def eight(pixels: np.ndarray) -> list[np.ndarray]:
    both = (pixels, pixels[:, ::-1])
    return [np.ascontiguousarray(np.rot90(one, quarters)) for one in both for quarters in range(4)]


def test_a_turned_frame_gets_the_same_class(scorer: Scorer, frames: list[np.ndarray]) -> None:
    for pixels in frames:
        files = [cv2.imencode(".png", view)[1].tobytes() for view in eight(pixels)]
        answers = scorer.score(files)
        assert len({answer.predicted_class for answer in answers}) == 1
        probabilities = np.array([answer.probabilities for answer in answers])
        np.testing.assert_allclose(probabilities, np.broadcast_to(probabilities[0], probabilities.shape), atol=1e-5)


def test_a_turned_frame_saved_anew_as_jpeg_keeps_its_class_but_for_ties(
    scorer: Scorer, frames: list[np.ndarray]
) -> None:
    kept, kept_most_probable = [], []
    for pixels in frames:
        answers = scorer.score([simplejpeg.encode_jpeg(view, quality=95) for view in eight(pixels)])
        most_probable = np.array([answer.probabilities for answer in answers]).argmax(axis=1)
        kept += [answer.predicted_class == answers[0].predicted_class for answer in answers]
        kept_most_probable += (most_probable == most_probable[0]).tolist()
    assert np.mean(kept_most_probable) >= 0.98
    assert np.mean(kept) >= 0.97  # each question of the walk down the tree has ties of its own
