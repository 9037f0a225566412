"""Fuzz the image path: mutated files, each of which must yield a valid cutout or a reject with a reason.

    python scripts/fuzz_images.py [--files 100000] [--seed 1] [--keep FOLDER] [--memory-mb 700]

Seeds are real galaxies of the bundled sample and files made of them: progressive, greyscale, CMYK, 16-bit, alpha,
palette, interlaced, EXIF-rotated and oversized ones, PNG, BMP, and a web page saved as .jpg. Each is mutated by bit
flips, cuts, wrong markers, huge declared sizes, swapped and repeated blocks, or zeros. Every file runs in a child
process that reports before and after it, so that a crash or a hang names its file; the child's peak memory is
limited and reported. Ends with status 1 if anything crashed, hung, went over memory or raised another error.
"""

from __future__ import annotations

import argparse
import collections
import json
import random
import resource
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
SLOW_S = 5.0
"""CPU time for one file that counts as a hang."""
Mutation = Callable[[bytearray, random.Random], None]


def seeds() -> dict[str, bytes]:
    """Return the files that are mutated, by a name for each kind."""
    with zipfile.ZipFile(ROOT / "data/sample/images_gz2.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))[::150]
        real = [archive.read(name) for name in names]
    image = Image.open(BytesIO(real[0]))
    small = image.resize((96, 96))
    exif = Image.Exif()
    exif[0x0112] = 6
    sixteen = (np.asarray(small.convert("L")).astype(np.uint16) * 257).astype(np.uint16)
    alpha = small.copy()
    alpha.putalpha(small.convert("L"))
    found = {f"real{k}": data for k, data in enumerate(real)}
    for name, picture, format, options in (
        ("progressive", image, "JPEG", {"progressive": True}),
        ("grey", image.convert("L"), "JPEG", {}),
        ("cmyk", image.convert("CMYK"), "JPEG", {}),
        ("rotated", image, "JPEG", {"exif": exif}),
        ("restart", image, "JPEG", {"restart_marker_rows": 1}),
        ("no_subsampling", small, "JPEG", {"subsampling": 0}),
        ("png", small, "PNG", {}),
        ("png_rotated", small, "PNG", {"exif": exif}),
        ("png_16_bit", Image.fromarray(sixteen), "PNG", {}),
        ("png_alpha", alpha, "PNG", {}),
        ("png_palette", small.convert("P"), "PNG", {"transparency": 3}),
        ("png_black_and_white", small.convert("1"), "PNG", {}),
        ("bmp", small, "BMP", {}),
        ("bmp_palette", small.convert("P"), "BMP", {}),
    ):
        file = BytesIO()
        picture.save(file, format, **options)
        found[name] = file.getvalue()
    found["web_page"] = (
        b"<!DOCTYPE html><html><head><title>SkyServer</title></head><body>Object not found</body></html>"
    )
    return found


def flip_bits(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 1, 2, 8, 64))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def flip_header_bits(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 2, 4))):
        data[chance.randrange(min(700, len(data)))] ^= 1 << chance.randrange(8)


def cut(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(len(data)) :]


def drop_block(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data))
    del data[start : start + chance.choice((1, 16, 512))]


def repeat_block(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data))
    data[start:start] = data[start : start + chance.choice((4, 64, 2048))] * chance.choice((1, 8))


def zero_block(data: bytearray, chance: random.Random) -> None:
    start, length = chance.randrange(len(data)), chance.choice((4, 64, 1024))
    data[start : start + length] = bytes(len(data[start : start + length]))


def wrong_marker(data: bytearray, chance: random.Random) -> None:
    places = [k for k in range(len(data) - 1) if data[k] == 0xFF and data[k + 1] >= 0xC0] or [0]
    data[min(chance.choice(places) + 1, len(data) - 1)] = chance.randrange(0xC0, 0x100)


def huge_size(data: bytearray, chance: random.Random) -> None:
    side = chance.choice((0, 1, 31, 5000, 5001, 16384, 65535))
    if data[:2] == b"\xff\xd8":
        found = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
        if found >= 0:
            data[found + 5 : found + 9] = struct.pack(">HH", side, chance.choice((side, 424)))
    elif data[:4] == b"\x89PNG":
        data[16:24] = struct.pack(">II", side * chance.choice((1, 65537)), side)
    elif data[:2] == b"BM":
        data[18:26] = struct.pack("<ii", side, -side)


def random_bytes(data: bytearray, chance: random.Random) -> None:
    data[3:] = chance.randbytes(chance.randrange(2000))


MUTATIONS: tuple[Mutation, ...] = (
    *(flip_bits, flip_header_bits, cut, drop_block, repeat_block, zero_block, wrong_marker, huge_size, random_bytes),
)


def mutated(number: int, seed: int, files: list[tuple[str, bytes]]) -> tuple[str, bytes]:
    """Return the name and bytes of a mutated file: the same for the same number and seed."""
    chance = random.Random(f"{seed}:{number}")
    name, original = files[number % len(files)]
    data = bytearray(original)
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
        mutation = chance.choice(MUTATIONS)
        if data:
            mutation(data, chance)
            name += f"+{mutation.__name__}"
    return name, bytes(data)


def child(first: int, last: int, seed: int, memory_mb: int) -> None:
    """Run files `first` to `last`, one line before each and one after."""
    import warnings

    from galclass.cutouts import CutoutParameters, views
    from galclass.errors import CutoutError

    warnings.simplefilter("error")
    _limit_memory(memory_mb)
    files = list(seeds().items())
    for number in range(first, last):
        _, data = mutated(number, seed, files)
        parameters = CutoutParameters((50, 64, 96)[number % 3])
        print(json.dumps({"begin": number}), flush=True)
        begin = time.process_time()
        try:
            found = views(data, parameters, frame_px=(None, 424)[number % 2])
            code = "ok" if found.shape[0] == 3 and found.dtype == np.uint8 else "WRONG SHAPE"
        except CutoutError as error:
            code = error.code if str(error) else "NO REASON"
        except MemoryError:
            code = "OUT OF MEMORY"
        except Exception as error:  # noqa: BLE001  # what the fuzzer is looking for
            code = f"ERROR {type(error).__name__}: {error}"
        seconds = time.process_time() - begin
        print(json.dumps({"end": number, "code": code, "slow": seconds > SLOW_S}), flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"peak_mb": peak}), flush=True)


def _limit_memory(memory_mb: int) -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + memory_mb * 2**20, resource.RLIM_INFINITY))


def run(first: int, last: int, chosen: argparse.Namespace, counts: collections.Counter[str]) -> dict[str, float]:
    """Run a range of files in children; a child that dies is replaced after the file that killed it."""
    faults: dict[str, float] = {}
    peak = 0.0
    while first < last:
        command = [sys.executable, __file__, "--child", str(first), str(last), "--seed", str(chosen.seed)]
        command += ["--memory-mb", str(chosen.memory_mb)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        begun = first - 1
        for text in process.stdout or ():
            line = json.loads(text)
            peak = max(peak, line.get("peak_mb", 0))
            begun = line.get("begin", begun)
            if "end" in line:
                counts[line["code"].split(":")[0]] += 1
                if line["slow"] or line["code"].startswith(("ERROR", "OUT", "WRONG", "NO ")):
                    faults[f"{line['end']} {line['code']}{' SLOW' if line['slow'] else ''}"] = line["end"]
                first = line["end"] + 1
        if process.wait() != 0:
            counts["CRASHED"] += 1
            faults[f"{begun} CRASHED with status {process.returncode}"] = begun
            first = max(first, begun + 1)
    return {"peak_mb": peak, **faults}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--files", type=int, default=100_000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--memory-mb", type=int, default=700, help="limit above what the libraries take")
    options.add_argument("--keep", type=Path, help="write the faulty files here")
    options.add_argument("--child", type=int, nargs=2, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.child:
        child(*chosen.child, chosen.seed, chosen.memory_mb)
        return
    counts: collections.Counter[str] = collections.Counter()
    begin = time.monotonic()
    faults: dict[str, float] = {}
    peak = 0.0
    for first in range(0, chosen.files, 10_000):
        found = run(first, min(first + 10_000, chosen.files), chosen, counts)
        peak = max(peak, found.pop("peak_mb"))
        faults |= found
        print(f"{sum(counts.values())} files, {len(faults)} faults, peak {peak:.0f} MB", file=sys.stderr)
    files = list(seeds().items())
    for text, number in faults.items():
        name, data = mutated(int(number), chosen.seed, files)
        print(f"FAULT {text}: {name}, {len(data)} bytes")
        if chosen.keep:
            chosen.keep.mkdir(parents=True, exist_ok=True)
            (chosen.keep / f"{int(number)}_{name}").write_bytes(data)
    seconds = time.monotonic() - begin
    print(f"{sum(counts.values())} files of {len(files)} kinds in {seconds:.0f} s, peak memory {peak:.0f} MB")
    for code, count in counts.most_common():
        print(f"  {count:7d} {code}")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
