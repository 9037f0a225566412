"""How much scaled JPEG decoding changes: cutouts and predictions from scaled decoding compared with full decoding.

Claim: accuracy does not suffer. Each sample image is decoded in full and handed on as PNG, which goes through the same
crop, block means in place of the scaled decode, and the same warp; so the decoder is the only difference.

    python benchmarks/scaled_decoding.py [--count 703] [--model MODEL.onnx]

Prints grey levels of difference for each size, and with a model (default: the one in the package, where there is one)
the agreement of classes, the largest difference of a probability, and the accuracy of both against the catalog.
"""

from __future__ import annotations

import argparse
import csv
import zipfile
from io import BytesIO, TextIOWrapper
from pathlib import Path

import numpy as np
from PIL import Image

from galclass.cutouts import CutoutParameters, decode, views
from galclass.errors import GalclassError
from galclass.morphology import parse_gz2_class
from galclass.scoring import Scorer

SAMPLE = Path(__file__).resolve().parent.parent / "data/sample"


def sample(count: int) -> dict[str, bytes]:
    with zipfile.ZipFile(SAMPLE / "images_gz2.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))[:count]
        return {Path(name).stem: archive.read(name) for name in names}


def fully_decoded(data: bytes) -> bytes:
    file = BytesIO()
    Image.fromarray(decode(data).pixels).save(file, "PNG", compress_level=0)
    return file.getvalue()


def leaves() -> dict[str, str]:
    """Return the class of each asset of the sample."""
    with (SAMPLE / "gz2_hart16.csv").open() as file:
        classes = {row["dr7objid"]: parse_gz2_class(row["gz2_class"]).leaf for row in csv.DictReader(file)}
    with (SAMPLE / "gz2_filename_mapping.csv").open("rb") as file:
        rows = csv.DictReader(TextIOWrapper(file))
        return {row["asset_id"]: classes[row["objid"]] for row in rows if row["objid"] in classes}


def compare_pixels(jpegs: list[bytes], pngs: list[bytes]) -> None:
    print(f"{len(jpegs)} images, three views each: |scaled - full| in grey levels of 0..255")
    for size in (50, 64, 96):
        parameters = CutoutParameters(size)
        scaled = np.stack([views(data, parameters) for data in jpegs]).astype(np.int16)
        full = np.stack([views(data, parameters) for data in pngs]).astype(np.int16)
        difference = np.abs(scaled - full)
        print(
            f"  {size} px: mean {difference.mean():.3f}, 99 % <= {np.percentile(difference, 99):.0f}, "
            f"largest {difference.max()}, bias {(scaled - full).mean():+.3f}"
        )


def compare_predictions(model: Path | None, names: list[str], jpegs: list[bytes], pngs: list[bytes]) -> None:
    try:
        scorer = Scorer(model)
    except GalclassError as error:
        print(f"no model: {error}")
        return
    scaled, full = scorer.score(jpegs), scorer.score(pngs)
    probabilities = [np.array([prediction.probabilities for prediction in found]) for found in (scaled, full)]
    change = np.abs(probabilities[0] - probabilities[1]).max()
    same = np.mean([a.predicted_class == b.predicted_class for a, b in zip(scaled, full, strict=True)])
    truth = leaves()
    labelled = [k for k, name in enumerate(names) if name in truth]
    right = [np.mean([found[k].predicted_class == truth[names[k]] for k in labelled]) for found in (scaled, full)]
    print(f"model {scorer.sha256[:12]}: same class {same:.2%}, largest change of a probability {change:.4f}")
    print(f"accuracy on {len(labelled)} labelled images: scaled {right[0]:.4f}, full {right[1]:.4f}")
    print("(training images may be among them: the two figures are to be compared with each other only)")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--count", type=int, default=703)
    options.add_argument("--model", type=Path)
    chosen = options.parse_args()
    images = sample(chosen.count)
    jpegs = list(images.values())
    pngs = [fully_decoded(data) for data in jpegs]
    compare_pixels(jpegs, pngs)
    compare_predictions(chosen.model, list(images), jpegs, pngs)


if __name__ == "__main__":
    main()
