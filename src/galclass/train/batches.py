"""Batches of scaled pixels: which rows, in which order, changed how.

Takes the packed store and a seed; order and draws of every step depend only on (seed, epoch, step).
"""

from __future__ import annotations

import math
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from galclass.config import TrainConfig
from galclass.errors import TrainingError
from galclass.train.augment import Draws, draw, fixed, warp, warp_on_device
from galclass.train.dataset import TrainingData
from galclass.train.export import PixelScale
from galclass.train.imaging import draw_imaging, imaged

_CHUNK = 512
"""Cutouts transformed or moved at a time when all of them are."""

_GPU_SHARE = 0.5
"""Share of the free GPU memory that the training pixels may take."""


class Batches:
    """The training rows as batches.

    Parameters
    ----------
    data : TrainingData
        Store and index.
    rows : int64, (n,)
        Index rows; one that occurs k times is used k times per epoch.
    config : TrainConfig
        Batch size and augmentation.
    scale : PixelScale
        What is done to 0..255.
    seed : int
        Seed of orders and draws.
    device : torch.device
        Where the pixels go.

    Attributes
    ----------
    seconds : float
        Time spent making batches since it was last set to 0.
    """

    def __init__(
        self,
        data: TrainingData,
        rows: NDArray[np.int64],
        config: TrainConfig,
        scale: PixelScale,
        *,
        seed: int,
        device: torch.device,
    ) -> None:
        self.data, self.config, self.scale, self.seed, self.device = data, config, scale, seed, device
        angles = np.array(config.angles_deg if config.augment == "fixed" else (0.0,))
        self.rows = np.tile(rows, len(angles))
        self.angles_deg = np.repeat(angles, len(rows))
        self.seconds = 0.0
        self._cache = self._transformed() if config.cache and config.augment != "free" else None
        on_gpu = device.type == "cuda" and self._cache is None and not self._is_imaged
        self._resident = self._squares_on_gpu() if on_gpu else None

    def __len__(self) -> int:
        """Entries of an epoch."""
        return len(self.rows)

    @property
    def steps(self) -> int:
        """Steps of an epoch: batch sizes are as equal as possible, so that none is tiny."""
        return max(1, round(len(self.rows) / self.config.mini_batch_size))

    def order(self, iteration: int) -> list[NDArray[np.int64]]:
        """Return the entries of each step of an epoch."""
        shuffled = np.random.default_rng([self.seed, iteration]).permutation(len(self.rows))
        return [np.asarray(part, dtype=np.int64) for part in np.array_split(shuffled, self.steps)]

    def pixels(self, entries: NDArray[np.int64], iteration: int, step: int, part: slice) -> Tensor:
        """Make the scaled pixels of a part of a step's entries, (n, 3, size, size) float32, channels last."""
        started = time.perf_counter()
        free = self.config.augment == "free"
        rng = np.random.default_rng([self.seed, iteration, step])
        draws = draw(rng, len(entries), self.config) if free else fixed(self.angles_deg[entries])
        if self._is_imaged:
            imaging = draw_imaging(rng, len(entries), self.config).part(part)
            squares = self.data.store.cutouts(self.rows[entries[part]])
            pixels = self._to_device(imaged(squares, draws.part(part), imaging, self.data.size_px))
        else:
            pixels = self._warped(entries[part], draws.part(part))
        scaled = self._scale(pixels, draws.gain[part])
        if self._is_reduced(iteration, step):
            size_px = self.config.reduced_px
            scaled = functional.interpolate(scaled, size=(size_px, size_px), mode="bilinear", antialias=True)
        self.seconds += time.perf_counter() - started
        return scaled

    @property
    def _is_imaged(self) -> bool:
        return self.config.augment == "free" and self.config.survey_share > 0

    def _is_reduced(self, iteration: int, step: int) -> bool:
        done = (iteration * self.steps + step) / max(1, self.config.num_epochs * self.steps)
        return self.config.reduced_px > 0 and done < self.config.reduced_share

    def _warped(self, entries: NDArray[np.int64], draws: Draws) -> Tensor:
        size_px = self.data.size_px
        if self._cache is not None:
            return self._to_device(self._cache[entries])
        if self._resident is not None:
            squares = self._resident[torch.from_numpy(entries % len(self._resident)).to(self.device)]
            return warp_on_device(squares, draws, size_px)
        rows = self.rows[entries]
        if self.config.augment == "none":
            return self._to_device(self.data.store.central(rows))
        return self._to_device(warp(self.data.store.cutouts(rows), draws, size_px))

    def _scale(self, pixels: Tensor, gain: NDArray[np.float32]) -> Tensor:
        factor = torch.from_numpy(gain).to(self.device)[:, :, None, None]
        scaled = torch.addcmul(factor * self.scale.offset, pixels.float(), factor * self.scale.factor)
        return scaled.contiguous(memory_format=torch.channels_last)

    def _to_device(self, cutouts: NDArray[np.uint8]) -> Tensor:
        return torch.from_numpy(cutouts).to(self.device).permute(0, 3, 1, 2)

    def _transformed(self) -> NDArray[np.uint8]:
        size_px = self.data.size_px
        shape = (len(self.rows), size_px, size_px, 3)
        on_disk = self.config.cache == "disk"
        cache = _mapped(shape, self.data.store.folder) if on_disk else np.empty(shape, dtype=np.uint8)
        for start in range(0, len(self.rows), _CHUNK):
            chosen = slice(start, start + _CHUNK)
            squares = self.data.store.cutouts(self.rows[chosen])
            cache[chosen] = warp(squares, fixed(self.angles_deg[chosen]), size_px)
        return cache

    def _squares_on_gpu(self) -> Tensor | None:
        distinct = len(self.rows) // len(set(self.angles_deg))
        side = self.data.store.side_px
        free_bytes, _ = torch.cuda.mem_get_info(self.device)
        if distinct * side * side * 3 > free_bytes * _GPU_SHARE:
            return None
        squares = torch.empty(distinct, side, side, 3, dtype=torch.uint8, device=self.device)
        for start in range(0, distinct, _CHUNK):
            rows = self.rows[start : min(start + _CHUNK, distinct)]
            squares[start : start + len(rows)] = torch.from_numpy(self.data.store.cutouts(rows)).to(self.device)
        return squares


def _mapped(shape: tuple[int, ...], folder: Path) -> NDArray[np.uint8]:
    """Return an array in an unnamed file of a folder, which disappears with the process.

    Raises
    ------
    TrainingError
        If the disk lacks space: writing to a mapped file on a full disk would end the process.
    """
    count = math.prod(shape)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, count)
            return np.memmap(file, dtype=np.uint8, mode="r+", shape=shape)
    except OSError as error:
        raise TrainingError(
            "the cache of cutouts cannot be written",
            where=str(folder),
            expected=f"room for {count:,} bytes",
            got=error.strerror,
            advice="free some, or set train.cache = false",
        ) from error


def scaled_central(data: TrainingData, rows: NDArray[np.int64], scale: PixelScale, device: torch.device) -> Tensor:
    """Return the scaled central cutouts of index rows, as the exported model sees them, (n, 3, size, size)."""
    cutouts = torch.from_numpy(data.store.central(rows)).to(device).permute(0, 3, 1, 2)
    return scale.apply(cutouts.float())
