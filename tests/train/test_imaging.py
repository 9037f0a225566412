"""Cutouts as another survey might have shown them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from train.drawn_galaxies import quick, smooth_squares, write_prepared

from galclass.config import TrainConfig
from galclass.train import train
from galclass.train.augment import draw, fixed, warp
from galclass.train.imaging import Imaging, draw_imaging, imaged

SIZE = 24


def plain(count: int, **changed: float) -> Imaging:
    usual = {"scale": 1.0, "blur_px": 0.0, "noise": 0.0, "gamma": 1.0, "saturation": 1.0} | changed
    values = {
        name: np.full(count, value, np.float64 if name == "scale" else np.float32) for name, value in usual.items()
    }
    return Imaging(**values, seed=np.arange(count, dtype=np.uint32))


def blob(side: int = 36, sigma: float = 4.0, level: float = 10.0, noise: float = 0.0) -> np.ndarray:
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    light = level + 200 * np.exp(-(x**2 + y**2) / (2 * sigma**2))
    grain = noise * np.random.default_rng(0).standard_normal((side, side))
    return np.repeat(np.clip(light + grain, 0, 255)[:, :, None], 3, 2).astype(np.uint8)[None]


def width(cutout: np.ndarray) -> float:
    light = cutout[:, :, 0].astype(float) - np.median(cutout[0, :, 0])
    y, x = np.mgrid[: len(light), : len(light)] - (len(light) - 1) / 2
    return float(np.sqrt((light * (x**2 + y**2)).sum() / light.sum() / 2))


def test_usual_imaging_changes_nothing() -> None:
    squares = smooth_squares(40)
    draws = draw(np.random.default_rng(3), 40, TrainConfig(zoom=0.2, shift_px=4.0))  # many reach beyond the square
    assert np.array_equal(imaged(squares, draws, plain(40), SIZE), warp(squares, draws, SIZE))


@pytest.mark.parametrize("scale", [0.5, 0.7, 1.4])
def test_galaxy_has_the_size_that_its_scale_says(scale: float) -> None:
    usual = width(imaged(blob(sigma=2.5), fixed(np.zeros(1)), plain(1), SIZE)[0])
    assert width(imaged(blob(sigma=2.5), fixed(np.zeros(1)), plain(1, scale=scale), SIZE)[0]) == pytest.approx(
        usual * scale, rel=0.12
    )


def test_smaller_scale_is_set_in_sky_like_that_at_the_border() -> None:
    square = blob(side=36, sigma=2.0, level=30.0, noise=4.0)
    corner = imaged(square, fixed(np.zeros(1)), plain(1, scale=0.5), 36)[0][:8, :8].astype(float)
    assert corner.mean() == pytest.approx(30, abs=2)
    assert 0.5 < corner.std() < 5  # noise, no streaks of a clamped border
    assert (np.abs(np.diff(corner, axis=1)) > 0).mean() > 0.3


def test_psf_noise_and_stretch_do_what_they_say() -> None:
    draws, usual = fixed(np.zeros(1)), imaged(blob(), fixed(np.zeros(1)), plain(1), SIZE)[0].astype(float)
    assert imaged(blob(), draws, plain(1, blur_px=2.0), SIZE).max() < usual.max()
    noisy = imaged(blob(level=60.0), draws, plain(1, noise=5.0), SIZE)[0, :4, :4].astype(float)
    assert 2.5 < noisy.std() < 8
    assert imaged(blob(), draws, plain(1, gamma=0.7), SIZE).mean() > usual.mean()
    colour = blob()
    colour[..., 2] //= 2
    grey = imaged(colour, draws, plain(1, saturation=0.0), SIZE)[0]
    assert int(np.ptp(grey.astype(int), axis=2).max()) <= 1


def test_same_generator_state_gives_the_same_cutouts_and_parts() -> None:
    config = TrainConfig(survey_share=0.7)
    squares, draws = smooth_squares(6), fixed(np.zeros(6))
    first, second = (draw_imaging(np.random.default_rng([1, 2]), 6, config) for _ in range(2))
    whole = imaged(squares, draws, first, SIZE)
    assert np.array_equal(whole, imaged(squares, draws, second, SIZE))
    part = slice(2, 5)
    assert np.array_equal(whole[part], imaged(squares[part], draws.part(part), first.part(part), SIZE))


def test_draws_stay_within_their_options() -> None:
    config = TrainConfig(survey_share=0.5, survey_scale=2.0, survey_blur_px=1.5, survey_noise=8.0, survey_stretch=0.2)
    drawn = draw_imaging(np.random.default_rng(0), 4000, config)
    assert 0.45 < (drawn.scale != 1).mean() < 0.55
    assert 0.5 <= drawn.scale.min() < 0.55 < 1.9 < drawn.scale.max() <= 2.0
    assert 0.2 < (drawn.blur_px > 0).mean() < 0.3
    assert drawn.blur_px.max() <= 1.5
    assert drawn.noise.max() <= 8.0
    assert np.abs(np.log(drawn.gamma)).max() <= 0.2 + 1e-6
    assert np.all(draw_imaging(np.random.default_rng(0), 100, TrainConfig()).scale == 1)


def test_training_sees_them(tmp_path: Path) -> None:
    weights = []
    for share in (0.0, 0.5):
        workspace = tmp_path / str(share)
        write_prepared(workspace / "prepared", ["Er", "Sen"] * 24)
        train(quick(workspace, survey_share=share, num_epochs=1), progress=False)
        weights.append(torch.load(workspace / "training" / "checkpoint.pt", weights_only=True)["network"])
    assert any(not torch.equal(value, weights[1][key]) for key, value in weights[0].items())
