"""Measure how often clear galaxies keep their class at another scale.

    GALCLASS_DATA=... python scripts/measure_scales.py workspace/teacher --config configs/teacher.toml
        [--model model.onnx] [--sources votes votes_clean5] [--limit 400] [--output figures.json]

Whole frames (of a source's `frame_px`) are made from the files with the galaxy at 0.5, 0.7, 1.4 and 2 times its size,
and scored as a user's files are. Around a smaller galaxy there is sky like that at the border of its file. A galaxy
is clear if its kind at the usual scale is at least 0.8 probable. Of a model of raw votes that is the probability that
a panel of 45 volunteers ends there: its class probabilities are shares of votes, which even clear galaxies divide. Bar
and bulge are left out of "clear" (face-on is one kind), since hardly any galaxy is clear in them, but not of the class
that is kept.
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

from galclass.catalog.raw_counts import VOTERS
from galclass.catalog.votes import STEMS
from galclass.config import Config, load_config
from galclass.cutouts.extract import cutout
from galclass.morphology import CLASSES, COARSE_LABELS, QUESTIONS
from galclass.prepare.store import Store
from galclass.scoring import Prediction, Scorer
from galclass.scoring.walk import VoteWalk
from galclass.train.augment import fixed
from galclass.train.imaging import Imaging, imaged

SCALES = (0.5, 0.7, 1.0, 1.4, 2.0)
CLEAR = 0.8
DRAWS = 1000
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
    files = pq.read_table(store.folder / "places.parquet", columns=["source", "file"]).to_pydict()
    own = store.index["row"].to_numpy()[rows]
    sources = {source.name: source for source in config.prepare.sources}
    found = []
    for row in own:
        source = sources[files["source"][row]]
        path = Path(os.path.expandvars(source.images)) / files["file"][row]
        pixels = cv2.imread(str(path))
        if pixels is None:
            raise SystemExit(f"{path} cannot be read; the folder was prepared from a file of this name")
        found.append(Picture(pixels[:, :, ::-1].astype(np.uint8), source.frame_px or len(pixels)))
    return found


def kind(name: str | None) -> str | None:
    """Return a class without bar and bulge."""
    return "face-on" if name in COARSE_LABELS["spiral"] else name


def chance_of_kind(scorer: Scorer, picture: bytes, answer: Prediction) -> float:
    """Return how probable the kind of a galaxy's class is."""
    if not answer.probabilities:
        return 0.0
    if not answer.raw_vote_fractions:
        pairs = zip(answer.classes, answer.probabilities, strict=True)
        return sum(p for name, p in pairs if kind(name) == kind(answer.predicted_class))
    outputs = scorer.score_cutouts(cutout(picture, scorer.parameters)[None])
    if outputs.raw_votes is None or outputs.raw_concentrations is None:
        raise SystemExit("the model has raw votes in its signature, but not in its outputs")
    means, spread = outputs.raw_votes[0].astype(np.float64), outputs.raw_concentrations[0].astype(np.float64)
    rng, counts, start = np.random.default_rng(0), np.zeros((DRAWS, len(means))), 0
    for number, question in enumerate(QUESTIONS.values()):
        columns = slice(start, start + len(question.answers))
        start = columns.stop
        shares = rng.dirichlet(np.maximum(means[columns] * spread[number], 1e-6), DRAWS)
        counts[:, columns] = rng.multinomial(VOTERS, shares / shares.sum(1, keepdims=True))
    found = [kind(CLASSES[leaf]) for leaf in VoteWalk(STEMS).classes(counts / VOTERS)]
    return float(np.mean([one == kind(answer.predicted_class) for one in found]))


def measured(at: dict[float, list[Prediction]], scorer: Scorer, pictures: list[bytes]) -> dict[str, Any]:
    """Compare the predictions at each scale with those at 1, of which `pictures` are the files."""
    usual = at[1.0]
    chances = [chance_of_kind(scorer, data, one) for data, one in zip(pictures, usual, strict=True)]
    clear = [i for i, chance in enumerate(chances) if chance >= CLEAR]
    rng = np.random.default_rng(0)
    figures: dict[str, Any] = {"galaxies": len(usual), "clear": len(clear)}
    for scale, predictions in at.items():
        flagged = np.mean([bool(one.flags) for one in predictions])
        kept = np.array([predictions[i].predicted_class == usual[i].predicted_class for i in clear], dtype=float)
        kinds = np.array([kind(predictions[i].predicted_class) == kind(usual[i].predicted_class) for i in clear])
        groups = np.array([predictions[i].predicted_group == usual[i].predicted_group for i in clear], dtype=float)
        draws = rng.integers(0, len(kept), (RESAMPLES, len(kept))) if clear else np.zeros((1, 0), dtype=np.int64)
        figures[f"{scale:g}"] = {
            "kept_kind": _with_interval(kinds.astype(float), draws),
            "kept_class": _with_interval(kept, draws),
            "kept_group": _with_interval(groups, draws),
            "flagged": round(float(flagged), 3),
        }
    return figures


def _with_interval(values: NDArray[np.float64], draws: NDArray[np.int64]) -> str | None:
    if not len(values):
        return None
    low, high = np.quantile(values[draws].mean(1), [0.025, 0.975])
    return f"{values.mean():.3f} [{low:.3f}, {high:.3f}]"


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
    frames = {scale: [frame(one, scale) for one in pictures] for scale in SCALES}
    at = {scale: scorer.score(files) for scale, files in frames.items()}
    text = json.dumps(measured(at, scorer, frames[1.0]), indent=1)
    print(text)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
