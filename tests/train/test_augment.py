"""One warp that turns, mirrors, zooms and shifts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from train.drawn_galaxies import smooth_squares

from galclass.config import TrainConfig
from galclass.train.augment import draw, fixed, warp, warp_on_device


def test_no_turn_is_the_central_cutout() -> None:
    squares = smooth_squares(2)
    assert np.array_equal(warp(squares, fixed(np.zeros(2)), 24), squares[:, 6:30, 6:30])


@pytest.mark.parametrize(("angle_deg", "turns"), [(90.0, 1), (180.0, 2), (270.0, 3)])
def test_quarter_turns_are_exact(angle_deg: float, turns: int) -> None:
    squares = smooth_squares(1)
    turned = warp(squares, fixed(np.array([angle_deg])), 24)[0]
    assert np.array_equal(turned, np.rot90(squares[0, 6:30, 6:30], turns))


def test_same_generator_state_gives_the_same_draws() -> None:
    config = TrainConfig()
    first, second = (draw(np.random.default_rng([1, 2, 3]), 5, config) for _ in range(2))
    assert np.array_equal(first.matrix, second.matrix)
    assert np.array_equal(first.gain, second.gain)


def test_draws_stay_within_their_options_and_half_are_mirrored() -> None:
    config = TrainConfig(zoom=0.1, shift_px=2.0)
    matrix = draw(np.random.default_rng(0), 2000, config).matrix
    area = np.linalg.det(matrix[:, :, :2])
    assert np.abs(np.log(np.abs(area)) / 2).max() <= 0.1 + 1e-9
    assert np.abs(matrix[:, :, 2]).max() <= 2.0
    assert 0.45 < (area < 0).mean() < 0.55


def test_device_warp_agrees_with_the_cpu_warp() -> None:
    squares = smooth_squares(8)
    draws = draw(np.random.default_rng(1), 8, TrainConfig(zoom=0.05, shift_px=1.0))
    on_cpu = warp(squares, draws, 24).transpose(0, 3, 1, 2).astype(float)
    on_device = warp_on_device(torch.from_numpy(squares), draws, 24).numpy()
    # cv2 places samples to 1/32 px and rounds, and its cubic is no sharper than torch's
    assert np.abs(on_cpu - on_device).mean() < 1.0
    assert np.abs(on_cpu - on_device).max() < 6.0
