"""A small prepared folder of drawn ellipses: round ones are Er, thin ones Se, with votes where asked."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet

from galclass.config import Config, TrainConfig
from galclass.cutouts import CutoutParameters, stored_cutout
from galclass.morphology import QUESTIONS

SIZE_PX = 24
SPLITS = ("train", "train", "train", "train", "validation", "test")


def draw_galaxy(rng: np.random.Generator, thin: bool) -> bytes:
    """Return a PNG of a blurred ellipse at any angle, a fifth as wide as long if `thin`."""
    picture = np.full((64, 64, 3), 8, np.uint8)
    axes = (14, 3) if thin else (10, 10)
    centre = tuple(int(32 + shift) for shift in rng.integers(-1, 2, 2))
    cv2.ellipse(picture, centre, axes, float(rng.uniform(0, 360)), 0, 360, (200, 170, 140), -1)
    noisy = cv2.GaussianBlur(picture, (5, 5), 0) + rng.integers(0, 12, picture.shape)
    done, encoded = cv2.imencode(".png", noisy.clip(0, 255).astype(np.uint8))
    assert done
    return encoded.tobytes()


def write_prepared(
    folder: Path,
    labels: list[str | None],
    *,
    votes: bool = False,
    size_px: int = SIZE_PX,
    sources: tuple[str, ...] = ("drawn",),
) -> None:
    """Prepare one drawn galaxy a label; a label that starts with E is round."""
    rng = np.random.default_rng(7)
    images = [(f"d{i:04d}", draw_galaxy(rng, thin=not str(label).startswith("E"))) for i, label in enumerate(labels)]
    parameters = CutoutParameters(size_px, 0.8)
    folder.mkdir(parents=True)
    np.stack([stored_cutout(picture, parameters) for _, picture in images]).tofile(folder / "store.u8")
    columns = {
        "object_id": [key for key, _ in images],
        "label": labels,
        "split": [SPLITS[i % len(SPLITS)] for i in range(len(labels))],
        "source": [sources[i // len(SPLITS) % len(sources)] for i in range(len(labels))],
        "sha256": [f"{i:064x}" for i in range(len(labels))],
        "row": np.arange(len(labels), dtype=np.int64),
    }
    if votes:
        columns |= vote_columns(labels)
    pa.parquet.write_table(pa.table(columns), folder / "index.parquet")
    facts = {"size_px": size_px, "crop_fraction": 0.8, "side_px": parameters.store_side_px, "places": len(labels)}
    (folder / "prepared.json").write_text(json.dumps(facts | {"preprocessing_sha256": parameters.sha256}))


def vote_columns(labels: list[str | None]) -> dict[str, list[float]]:
    """Return debiased fractions that agree with round or thin."""
    columns = {}
    for question in QUESTIONS.values():
        for position, stem in enumerate(question.columns):
            even = 1 / len(question.columns)
            columns[f"{stem}_debiased"] = [even] * len(labels)
            if question.name == "t01_smooth_or_features":
                smooth, other = (0.9, 0.1, 0.0)[position], (0.1, 0.9, 0.0)[position]
                columns[f"{stem}_debiased"] = [smooth if str(label).startswith("E") else other for label in labels]
    return columns


def quick(workspace: Path, *, seed: int = 3, **options: object) -> Config:
    """Return a configuration that trains in a second or two."""
    values = {"num_epochs": 3, "mini_batch_size": 16, "threads": 1, "ema": 0.9} | options
    if "num_iterations" in values:  # the former name
        values["num_epochs"] = values.pop("num_iterations")
    return Config(workspace=str(workspace), seed=seed, train=TrainConfig(**values))  # type: ignore[arg-type]


def smooth_squares(count: int, side: int = 36) -> np.ndarray:
    """Return squares of blurred noise, uint8 (count, side, side, 3)."""
    noise = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    return np.stack([cv2.GaussianBlur(square, (0, 0), 2) for square in noise])
