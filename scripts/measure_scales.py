"""Measure how often clear galaxies keep their class at another scale.

    GALCLASS_DATA=... python scripts/measure_scales.py workspace/teacher --config configs/teacher.toml
        [--model model.onnx] [--sources votes votes_clean5] [--limit 400] [--output figures.json]

Whole frames (of a source's `frame_px`) are made from the files with the galaxy at 0.5, 0.7, 1.4 and 2 times its size,
and scored as a user's files are. What a smaller galaxy leaves free is sky like that at the border of its file. A galaxy
is clear if its largest probability at the usual scale is at least 0.8.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from galclass.config import Config, load_config
from galclass.prepare.store import Store
from galclass.scoring import Prediction, Scorer
from galclass.train.augment import fixed
from galclass.train.imaging import Imaging, imaged

SCALES = (0.5, 0.7, 1.0, 1.4, 2.0)
CLEAR = 0.8
RESAMPLES = 2000


class Picture(NamedTuple):
    """The pixels of a file, (side, side, 3) RGB, and the side of the whole frame that it is the centre of."""

    pixels: NDArray[np.uint8]
    frame_px: int


def frame(picture: Picture, scale: float) -> bytes:
    """Return a PNG of a whole frame with the galaxy at a scale."""
    one = np.ones(1, np.float32)
    imaging = Imaging(np.array([scale]), 0 * one, 0 * one, one, one, np.zeros(1, np.uint32))
    pixels = imaged(picture.pixels[None], fixed(np.zeros(1)), imaging, picture.frame_px)[0]
    return bytes(cv2.imencode(".png", pixels[:, :, ::-1])[1])


def pictures_of(store: Store, config: Config, rows: list[int]) -> list[Picture]:
    """Read the files of some index rows."""
    places = pq.read_table(store.folder / "places.parquet", columns=["source", "file"]).to_pydict()
    own = store.index["row"].to_numpy()[rows]
    sources = {source.name: source for source in config.prepare.sources}
    found = []
    for place in own:
        source = sources[places["source"][place]]
        path = Path(os.path.expandvars(source.images)) / places["file"][place]
        pixels = cv2.imread(str(path))
        if pixels is None:
            raise SystemExit(f"{path} cannot be read; the folder was prepared from a file of this name")
        found.append(Picture(pixels[:, :, ::-1].astype(np.uint8), source.frame_px or len(pixels)))
    return found


def measured(at: dict[float, list[Prediction]]) -> dict[str, Any]:
    """Compare the predictions at each scale with those at 1."""
    usual = at[1.0]
    clear = [i for i, one in enumerate(usual) if one.probabilities and max(one.probabilities) >= CLEAR]
    rng = np.random.default_rng(0)
    figures: dict[str, Any] = {"galaxies": len(usual), "clear": len(clear)}
    for scale, predictions in at.items():
        flagged = np.mean([bool(one.flags) for one in predictions])
        kept = np.array([predictions[i].predicted_class == usual[i].predicted_class for i in clear], dtype=float)
        groups = np.array([predictions[i].predicted_group == usual[i].predicted_group for i in clear], dtype=float)
        drawn = kept[rng.integers(0, len(kept), (RESAMPLES, len(kept)))].mean(1)
        low, high = np.quantile(drawn, [0.025, 0.975])
        figures[f"{scale:g}"] = {
            "kept_class": f"{kept.mean():.3f} [{low:.3f}, {high:.3f}]",
            "kept_group": round(float(groups.mean()), 3),
            "flagged": round(float(flagged), 3),
        }
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path, help="holds prepared/")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--model", type=Path, help="an ONNX file with a signature; the package's model if absent")
    parser.add_argument("--sources", nargs="+", default=["votes", "votes_clean5"])
    parser.add_argument("--split", default="test")
    parser.add_argument("--limit", type=int, help="at most so many galaxies")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    config, store = load_config(options.config), Store.open(options.workspace / "prepared")
    table = store.index.select(["split", "source"]).to_pydict()
    pairs = zip(table["split"], table["source"], strict=True)
    rows = [i for i, (split, source) in enumerate(pairs) if split == options.split and source in options.sources]
    pictures = pictures_of(store, config, rows[: options.limit])
    scorer = Scorer(options.model)
    at = {scale: scorer.score([frame(one, scale) for one in pictures]) for scale in SCALES}
    text = json.dumps(measured(at), indent=1)
    print(text)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
