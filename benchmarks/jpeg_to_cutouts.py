"""JPEG -> the original's three views, per image and core: galclass, CImg, Pillow and OpenCV in one run.

Goals: at least 17 times as fast as the original's way on CImg, 18 times Pillow, 7 times OpenCV; with one decode each
at least 4 times CImg, 4 times Pillow, 1.5 times OpenCV; and at most 1.15 times the bare scaled decode.

    python benchmarks/jpeg_to_cutouts.py [--images FOLDER] [--count 100] [--rounds 15] [--output FILE.json]

CImg comes from Debian's cimg-dev and is compiled here (needs g++ and libjpeg-dev). Times are CPU time of one thread,
alternating all methods in every round; the fastest round of each counts. Files are in the page cache; the original
method also reads its files and writes its JPEGs to a temporary folder.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from PIL import Image

from galclass.cutouts import CutoutParameters, views
from galclass.cutouts.geometry import reduction_for

ROOT = Path(__file__).resolve().parent.parent
ANGLES = (0, 45, 90)
FRAME_PX, CROP_PX, TURNED_PX = 424, 204, 290
EDGE_PX = (FRAME_PX - CROP_PX) // 2
TURNED_EDGE_PX = (FRAME_PX - TURNED_PX) // 2
CLAIMS = {"CImg, 3 passes": 17, "Pillow, 3 passes": 18, "OpenCV, 3 passes": 7} | {
    "CImg, 1 decode": 4, "Pillow, 1 decode": 4, "OpenCV, 1 decode": 1.5
}  # fmt: skip

Way = Callable[[Path, bytes], object]


def pillow_passes(size: int, folder: Path) -> Way:
    def run(path: Path, data: bytes) -> None:
        for angle in ANGLES:
            with Image.open(path) as image:
                crop = image.crop((EDGE_PX, EDGE_PX, EDGE_PX + CROP_PX, EDGE_PX + CROP_PX))
            crop = crop.rotate(angle, Image.Resampling.BILINEAR)
            crop.resize((size, size), Image.Resampling.BICUBIC).save(folder / f"{angle}_{path.name}", quality=95)

    return run


def pillow_once(size: int, scaled: bool) -> Way:
    def run(path: Path, data: bytes) -> list[Image.Image]:
        with Image.open(BytesIO(data)) as image:
            if scaled:
                side = FRAME_PX // reduction_for(CROP_PX, size)
                image.draft("RGB", (side, side))
            image.load()
            k = image.width / FRAME_PX
            crop = (EDGE_PX * k, EDGE_PX * k, (EDGE_PX + CROP_PX) * k, (EDGE_PX + CROP_PX) * k)
            upright = image.resize((size, size), Image.Resampling.BOX, crop)
            edge, side = round(TURNED_EDGE_PX * k), round(TURNED_PX * k)
            turned = image.crop((edge, edge, edge + side, edge + side)).rotate(45, Image.Resampling.BILINEAR)
            inner = ((TURNED_PX - CROP_PX) / 2 * k, (TURNED_PX + CROP_PX) / 2 * k)
            turned = turned.resize((size, size), Image.Resampling.BOX, (inner[0], inner[0], inner[1], inner[1]))
            return [upright, turned, upright.transpose(Image.Transpose.ROTATE_90)]

    return run


def opencv_passes(size: int, folder: Path) -> Way:
    centre = ((CROP_PX - 1) / 2, (CROP_PX - 1) / 2)

    def run(path: Path, data: bytes) -> None:
        for angle in ANGLES:
            image = cv2.imread(str(path))
            crop = image[EDGE_PX : EDGE_PX + CROP_PX, EDGE_PX : EDGE_PX + CROP_PX]
            crop = cv2.warpAffine(crop, cv2.getRotationMatrix2D(centre, angle, 1), (CROP_PX, CROP_PX))
            cv2.imwrite(str(folder / f"{angle}_{path.name}"), cv2.resize(crop, (size, size)))

    return run


def opencv_once(size: int, scaled: bool) -> Way:
    reduction = reduction_for(CROP_PX, size) if scaled else 1
    flags = {1: cv2.IMREAD_COLOR_RGB, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4}[reduction]
    middle, step = FRAME_PX / reduction / 2 - 0.5, CROP_PX / reduction / size
    maps = []
    for angle in ANGLES:
        c, s = step * math.cos(math.radians(angle)), step * math.sin(math.radians(angle))
        half = (size - 1) / 2
        maps.append(np.array([[c, -s, middle - (c - s) * half], [s, c, middle - (s + c) * half]]))

    def run(path: Path, data: bytes) -> np.ndarray:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        if scaled:
            image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
            found = [
                cv2.warpAffine(image, m, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP) for m in maps
            ]
            return np.stack(found)
        crop = image[EDGE_PX : EDGE_PX + CROP_PX, EDGE_PX : EDGE_PX + CROP_PX]
        upright = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)
        matrix = cv2.getRotationMatrix2D(((FRAME_PX - 1) / 2, (FRAME_PX - 1) / 2), 45, 1)
        matrix[:, 2] -= EDGE_PX
        turned = cv2.resize(
            cv2.warpAffine(image, matrix, (CROP_PX, CROP_PX)), (size, size), interpolation=cv2.INTER_AREA
        )
        return np.stack([upright, turned, cv2.rotate(upright, cv2.ROTATE_90_COUNTERCLOCKWISE)])

    return run


def galclass_views(size: int) -> Way:
    parameters = CutoutParameters(size)
    return lambda path, data: views(data, parameters, ANGLES)


def bare_decode(size: int) -> Way:
    side = FRAME_PX // reduction_for(CROP_PX, size)
    return lambda path, data: simplejpeg.decode_jpeg(data, min_height=side, min_width=side)


def compiled_cimg(folder: Path) -> Path | None:
    program = folder / "jpeg_to_cutouts"
    if shutil.which("g++") is None or not Path("/usr/include/CImg.h").exists():
        print("CImg is left out: apt-get install g++ cimg-dev libjpeg-dev")
        return None
    source = Path(__file__).with_suffix(".cpp")
    subprocess.run(["g++", "-O3", "-march=native", "-o", program, source, "-ljpeg", "-lpthread"], check=True)
    return program


def timed(way: Way, files: list[tuple[Path, bytes]]) -> float:
    """Return microseconds of CPU time per image."""
    begin = time.process_time()
    for path, data in files:
        way(path, data)
    return 1e6 * (time.process_time() - begin) / len(files)


def measure(
    size: int, files: list[tuple[Path, bytes]], rounds: int, cimg: Path | None, folder: Path
) -> dict[str, float]:
    ways: dict[str, Way] = {
        "galclass": galclass_views(size),
        "bare scaled decode": bare_decode(size),
        "Pillow, 3 passes": pillow_passes(size, folder),
        "OpenCV, 3 passes": opencv_passes(size, folder),
        "Pillow, 1 decode": pillow_once(size, scaled=False),
        "OpenCV, 1 decode": opencv_once(size, scaled=False),
        "Pillow, 1 scaled decode": pillow_once(size, scaled=True),
        "OpenCV, 1 scaled decode": opencv_once(size, scaled=True),
    }
    best: dict[str, float] = {}
    ratios = []
    for turn in range(rounds):
        for name, way in ways.items():
            if turn % 5 == 0 or name in ("galclass", "bare scaled decode"):  # the slow methods in every fifth round
                best[name] = min(best.get(name, math.inf), timed(way, files))
        ratios.append(timed(ways["galclass"], files) / timed(ways["bare scaled decode"], files))
        if cimg is not None and turn % 5 == 0:
            for name, argument in (("CImg, 3 passes", "passes"), ("CImg, 1 decode", "once")):
                command = [cimg, argument, str(size), folder, *(path for path, _ in files)]
                found = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                best[name] = min(best.get(name, math.inf), found)
    best["galclass by bare decode, median of rounds"] = float(np.median(ratios))
    return best


def report(size: int, best: dict[str, float]) -> None:
    ours = best["galclass"]
    print(f"\nthree {size} x {size} views: CPU microseconds an image, and how many times galclass")
    for name, value in best.items():
        if "median" in name:
            continue
        wanted = f"  (claim: {CLAIMS[name]})" if name in CLAIMS and size == 50 else ""
        print(f"  {name:26s} {value:9.1f}  {value / ours:6.2f}{wanted}")
    bare = best["bare scaled decode"]
    middle = best["galclass by bare decode, median of rounds"]
    print(f"  galclass / bare decode: {ours / bare:.3f} (fastest rounds), {middle:.3f} (median of rounds); claim: 1.15")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--images", type=Path, help="folder of 424 px JPEGs; default: the bundled sample")
    options.add_argument("--count", type=int, default=100)
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--output", type=Path)
    chosen = options.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = chosen.images or folder / "sample"
        if chosen.images is None:
            shutil.unpack_archive(ROOT / "data/sample/images_gz2.zip", images)
        paths = sorted(images.rglob("*.jpg"))[: chosen.count]
        files = [(path, path.read_bytes()) for path in paths]
        cimg = compiled_cimg(folder)
        found = {}
        for size in (50, 64, 96):
            found[size] = measure(size, files, chosen.rounds, cimg, folder)
            report(size, found[size])
    print(f"\n{len(files)} images of {np.mean([len(d) for _, d in files]) / 1e3:.1f} kB; OpenCV {cv2.__version__}, "
          f"simplejpeg {simplejpeg.__version__}, Python {platform.python_version()}, {platform.machine()}")  # fmt: skip
    if chosen.output:
        chosen.output.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
