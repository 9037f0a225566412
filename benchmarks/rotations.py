"""How often a galaxy keeps its class when its frame is rotated: exactly, re-encoded, and by any angle.

    python benchmarks/rotations.py [--model FILE.onnx] [--images FOLDER] [--count 300] [--angles 8]

Frames are the bundled sample's 424 px JPEGs. (1) The eight turns and mirror images as PNG: the same pixels, so the same
class always. (2) The same eight saved as JPEG (quality 95): the pixels change a little. (3) Angles drawn at random, by
one bicubic warp of the whole frame. Prints the share that keep the class of the upright frame, and the largest change
of a probability; for (2) and (3) also among the galaxies whose class has a lead of 0.1 or more.
"""

from __future__ import annotations

import argparse
import zipfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import simplejpeg

from galclass.scoring import Scorer

ROOT = Path(__file__).resolve().parent.parent
CLEAR_LEAD = 0.1


def frames(folder: Path | None, count: int) -> Iterator[bytes]:
    if folder is not None:
        yield from (path.read_bytes() for path in sorted(folder.rglob("*.jpg"))[:count])
        return
    with zipfile.ZipFile(ROOT / "data/sample/images_gz2.zip") as archive:
        names = [name for name in sorted(archive.namelist()) if name.endswith(".jpg")]
        yield from (archive.read(name) for name in names[:count])


def eight(pixels: np.ndarray) -> list[np.ndarray]:
    both = (pixels, pixels[:, ::-1])
    return [np.ascontiguousarray(np.rot90(one, quarters)) for one in both for quarters in range(4)]


def as_png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels[:, :, ::-1])[1].tobytes()


def as_jpeg(pixels: np.ndarray) -> bytes:
    return simplejpeg.encode_jpeg(pixels, quality=95, colorsubsampling="444")


def turned(pixels: np.ndarray, angle_deg: float) -> np.ndarray:
    middle = ((pixels.shape[1] - 1) / 2, (pixels.shape[0] - 1) / 2)
    matrix = cv2.getRotationMatrix2D(middle, angle_deg, 1)
    size = (pixels.shape[1], pixels.shape[0])
    return cv2.warpAffine(pixels, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def probabilities(scorer: Scorer, files: list[bytes]) -> np.ndarray:
    return np.array([prediction.probabilities for prediction in scorer.score(files)])


def report(title: str, upright: np.ndarray, others: np.ndarray) -> None:
    """Compare (n, 13) with (n, views, 13)."""
    kept = others.argmax(axis=2) == upright.argmax(axis=1)[:, None]
    change = np.abs(others - upright[:, None]).max()
    top = np.sort(upright, axis=1)
    clear = top[:, -1] - top[:, -2] >= CLEAR_LEAD
    print(
        f"{title:24s} {kept.size:6d} views: {kept.mean():.4f} keep the class"
        f" ({kept[clear].mean():.4f} of those with a clear lead); largest change of a probability {change:.1e}"
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--model", type=Path)
    options.add_argument("--images", type=Path, help="folder of full frames; default: the bundled sample")
    options.add_argument("--count", type=int, default=300)
    options.add_argument("--angles", type=int, default=8)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    scorer, random = Scorer(chosen.model), np.random.default_rng(chosen.seed)
    found: dict[str, list[np.ndarray]] = {"upright": [], "PNG, 8 views": [], "JPEG, 8 views": [], "any angle": []}
    for data in frames(chosen.images, chosen.count):
        pixels = simplejpeg.decode_jpeg(data)
        views = eight(pixels)
        found["upright"].append(probabilities(scorer, [as_png(pixels)])[0])
        found["PNG, 8 views"].append(probabilities(scorer, [as_png(view) for view in views]))
        found["JPEG, 8 views"].append(probabilities(scorer, [as_jpeg(view) for view in views]))
        any_angle = [as_png(turned(pixels, angle)) for angle in random.uniform(0, 360, chosen.angles)]
        found["any angle"].append(probabilities(scorer, any_angle))
    upright = np.array(found.pop("upright"))
    print(f"{len(upright)} frames, model {scorer.sha256[:12]}")
    for title, answers in found.items():
        report(title, upright, np.array(answers))


if __name__ == "__main__":
    main()
