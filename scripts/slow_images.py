"""Search for the files that take longest to decode among those that a preset accepts.

    python scripts/slow_images.py [--tries 150] [--seed 1] [--format FORMAT] [--preset served|local] [--keep FOLDER]

For each format a file is described by a few numbers (sides, kind, sampling, scans, restarts, filters, interlace, masks,
what its data are) and built from them; a hill climb changes them one or two at a time and keeps what takes more
CPU time, once among files of up to 64 KiB and once among all. A file that fails after long work counts like one
that is read. Prints the slowest of each and its estimate by the header; ends with status 1 if one took longer than
the preset's limit for its size.
"""

from __future__ import annotations

import argparse
import random
import struct
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2

from galclass.cutouts import LOCAL, SERVED, CutoutParameters, DecodeLimits, cutout, read_header
from galclass.cutouts.limits import SMALL_BYTES
from galclass.errors import CutoutError

Genes = dict[str, Any]
SIDES = (32, 64, 200, 424, 1000, 2000, 3000, 4000, 5000, 20_000, 65_500, 781_250)
NOISE = random.Random(0).randbytes(1 << 20)

SAMPLINGS = (
    ((1, 1),), ((1, 1),) * 3, ((2, 2), (1, 1), (1, 1)), ((4, 1), (1, 1), (1, 1)), ((4, 2), (1, 1), (1, 1)),
    ((1, 1), (2, 2), (2, 2)), ((2, 1),) * 3, ((1, 1),) * 4, ((1, 2),) * 4,
)  # fmt: skip
KINDS = ((1, 0), (4, 3), (8, 0), (8, 2), (8, 3), (8, 4), (8, 6), (16, 0), (16, 2), (16, 4), (16, 6))
MASKS = ((0xFF0000, 0xFF00, 0xFF, 0), (0x1F, 0x3E0, 0x7C00, 0x8000), (0x3FF00000, 0xFFC00, 0x3FF, 0xC0000000))
CHOICES: dict[str, dict[str, tuple[Any, ...]]] = {
    "jpeg": {
        "width": SIDES[:-1], "height": SIDES[:-1], "marker": (0xC0, 0xC1, 0xC2), "restart": (0, 1, 7, 1000),
        "samplings": SAMPLINGS, "interleaved": (True, False), "scans": (1, 2, 3, 5, 8, 12, 20, 40, 80, 150, 199),
        "refine": (True, False), "last": (0, 1, 5, 63), "data": ("zeros", "ones", "noise", "none", "fill"),
        "bytes": (0, 100, 5_000, 60_000, 10**6, 2 * 10**7), "cut": (False, True), "comments": (0, 1000),
    },
    "png": {
        "width": SIDES, "height": SIDES, "kind": KINDS, "interlaced": (False, True), "filter": (0, 1, 2, 3, 4),
        "data": ("zeros", "small", "noise", "blocks"), "level": (1, 6, 9), "clear": (False, True),
        "pieces": (1, 100, 1900), "texts": (0, 500),
    },
    "bmp": {
        "width": SIDES, "height": SIDES, "bits": (1, 4, 8, 16, 24, 32), "masks": MASKS, "packing": (0, 3, 1),
        "downwards": (False, True),
    },
}  # fmt: skip


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def build_jpeg(genes: Genes) -> bytes:
    count, progressive = len(genes["samplings"]), genes["marker"] == 0xC2
    frame = struct.pack(">BHHB", 8, genes["height"], genes["width"], count)
    frame += b"".join(bytes([k + 1, h << 4 | v, 0]) for k, (h, v) in enumerate(genes["samplings"]))
    means = segment(0xC4, b"\0" + bytes([0, 0, 0, 12] + [0] * 12) + bytes(range(12)))
    rest = segment(0xC4, b"\x10" + bytes([1, 1] + [0] * 14) + (b"\xe0\x01" if progressive else b"\0\x11"))
    out = b"\xff\xd8" + segment(0xFE, b"") * genes["comments"] + segment(0xDB, b"\0" + b"\1" * 64) + means + rest
    out += segment(genes["marker"], frame) + segment(0xDD, struct.pack(">H", genes["restart"]))
    body = {"zeros": b"\0", "ones": b"\x55", "noise": b"", "none": b"", "fill": b"\xff\0"}[genes["data"]] * genes[
        "bytes"
    ]
    if genes["data"] == "noise":
        body = (NOISE * 20)[: genes["bytes"]].replace(b"\xff", b"\xfe")
    everything = list(range(1, count + 1))
    parts = [everything] if genes["interleaved"] else [[k] for k in everything]
    scans = [(part, 0, 0 if progressive else 63, 0) for part in parts]
    for number in range(genes["scans"] - 1):
        high = 0x10 if genes["refine"] and progressive else 0
        first = 1 if progressive and genes["last"] else 0
        scans.append(([1 + number % count], first, genes["last"] if progressive else 63, high))
    share = body[: max(1, len(body) // len(scans))] if body else b""
    for names, first, last, high in scans:
        head = bytes([len(names)]) + b"".join(bytes([name, 0]) for name in names) + bytes([first, last, high])
        out += segment(0xDA, head) + share
    return out if genes["cut"] else out + b"\xff\xd9"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def build_png(genes: Genes) -> bytes:
    depth, colour = genes["kind"]
    row = 1 + -(-genes["width"] * depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour] // 8)
    size = row * genes["height"] + (16 * genes["height"] if genes["interlaced"] else 0)
    if genes["data"] == "blocks":
        packed = b"\x78\x01" + b"\x04\xc0\x81\x08\x00\x00\x00\x00\x20\xff\xd6" * min(size // 12, 2 * 10**6)
    else:
        filler = {"zeros": bytes(1), "small": NOISE[:4093].translate(bytes(k % 3 for k in range(256))), "noise": NOISE}
        line = (filler[genes["data"]] * (row // len(filler[genes["data"]]) + 1))[: row - 1]
        packed = zlib.compress((bytes([genes["filter"]]) + line) * (size // row), genes["level"])
    before = chunk(b"PLTE", NOISE[: 3 * 2 ** min(depth, 8)]) if colour == 3 else b""
    if genes["clear"] and colour in (0, 2, 3):
        before += chunk(b"tRNS", {0: b"\0\0", 2: bytes(6), 3: NOISE[:2]}[colour])
    step = max(1, -(-len(packed) // genes["pieces"]))
    data = b"".join(chunk(b"IDAT", packed[at : at + step]) for at in range(0, len(packed), step))
    header = struct.pack(">IIBBBBB", genes["width"], genes["height"], depth, colour, 0, 0, int(genes["interlaced"]))
    texts = chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(bytes(10**6), 9)) * min(genes["texts"], 40)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + texts + before + data + chunk(b"IEND", b"")


def build_bmp(genes: Genes) -> bytes:
    width, height, bits = genes["width"], genes["height"], genes["bits"]
    rows = (NOISE * 40)[: min((width * bits + 31) // 32 * 4 * height, 33 << 20)]
    fields = (width, -height if genes["downwards"] else height, 1, bits, genes["packing"], len(rows), 0, 0, 0, 0)
    head = struct.pack("<IiiHHIIiiII", 108, *fields) + struct.pack("<IIII", *genes["masks"]) + bytes(52)
    palette = NOISE[: 4 << bits] if bits <= 8 else b""
    start = 14 + len(head) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start) + head + palette + rows


BUILDERS: dict[str, Callable[[Genes], bytes]] = {"jpeg": build_jpeg, "png": build_png, "bmp": build_bmp}


def seconds_of(data: bytes, limits: DecodeLimits, best_of: int) -> tuple[float, float, str] | None:
    """Return CPU time, estimate and outcome; None if the header is refused."""
    try:
        estimate = read_header(data, limits).decode_s
    except CutoutError:
        return None
    spent, outcome = [], "read"
    for _ in range(best_of):
        begin = time.process_time()
        try:
            cutout(data, CutoutParameters(64, 1.0), limits=limits)
        except CutoutError as error:
            outcome = error.code
        spent.append(time.process_time() - begin)
    return min(spent), estimate, outcome


def climb(name: str, limits: DecodeLimits, most_bytes: int, tries: int, chance: random.Random) -> tuple[Any, ...]:
    """Return time, estimate, outcome, size, genes and bytes of the slowest file that was found."""
    choices = CHOICES[name]
    best: tuple[Any, ...] = (0.0, 0.0, "", 0, {key: chance.choice(values) for key, values in choices.items()}, b"")
    for number in range(tries):
        genes = dict(best[4])
        for key in choices if number % 10 == 0 else chance.sample(list(choices), chance.choice((1, 1, 2, 3))):
            genes[key] = chance.choice(choices[key])
        if genes["width"] * genes["height"] > 25_000_000:
            continue
        data = BUILDERS[name](genes)
        if len(data) > most_bytes:
            continue
        found = seconds_of(data, limits, 1)
        if found and found[0] > best[0]:
            found = seconds_of(data, limits, 3)  # on a busy machine anything may be late once
            if found and found[0] > best[0]:
                best = (*found, len(data), genes, data)
    return best


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--tries", type=int, default=150)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--format", choices=list(BUILDERS))
    options.add_argument("--preset", choices=["served", "local"], default="served")
    options.add_argument("--keep", type=Path, help="write the slowest files here")
    chosen = options.parse_args()
    cv2.setNumThreads(1)
    limits = {"served": SERVED, "local": LOCAL}[chosen.preset]
    over = 0
    for name in [chosen.format] if chosen.format else BUILDERS:
        for most_bytes in (SMALL_BYTES, 32 << 20):
            chance = random.Random(f"{chosen.seed}:{name}:{most_bytes}")
            spent, estimate, outcome, size, genes, data = climb(name, limits, most_bytes, chosen.tries, chance)
            allowed = limits.seconds_for(size)
            over += spent > allowed
            print(
                f"{name:4} {size:>10,} bytes {spent:6.3f} s (estimate {estimate:.3f}, allowed {allowed:.2f}) {outcome}"
            )
            print(f"     {genes}", flush=True)
            if chosen.keep:
                chosen.keep.mkdir(parents=True, exist_ok=True)
                (chosen.keep / f"slowest_{most_bytes}.{name}").write_bytes(data)
    sys.exit(1 if over else 0)


if __name__ == "__main__":
    main()
