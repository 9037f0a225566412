"""JPEG, PNG and BMP files of kinds that no library here writes, from arrays, for tests."""

from __future__ import annotations

import struct
import zlib

import numpy as np

JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def jpeg_tables() -> bytes:
    """All quantisers 8; DC sizes 0..11 in 4 bits, the end of a block (and a run of 15 end-of-blocks) in 1 bit."""
    quantisers = segment(0xDB, b"\0" + b"\x08" * 64)
    means = segment(0xC4, b"\0" + bytes([0, 0, 0, 12] + [0] * 12) + bytes(range(12)))
    return quantisers + means + segment(0xC4, b"\x10" + bytes([1] + [0] * 15) + b"\0")


def jpeg_frame(
    width: int, height: int, samplings=((1, 1),) * 3, *, marker: int = 0xC0, bits: int = 8, ids=(1, 2, 3, 4)
) -> bytes:
    parts = b"".join(bytes([name, h << 4 | v, 0]) for name, (h, v) in zip(ids, samplings, strict=False))
    return segment(marker, struct.pack(">BHHB", bits, height, width, len(samplings)) + parts)


def scan_header(components, first: int = 0, last: int = 63, approximation: int = 0) -> bytes:
    names = b"".join(bytes([name, 0]) for name in components)
    return segment(0xDA, bytes([len(components)]) + names + bytes([first, last, approximation]))


def coded(levels) -> bytes:
    """Entropy-coded blocks of one level each: for every component a list of levels in the order of the scan."""
    bits, before = "", {}
    for component, level in levels:
        step, before[component] = level - before.get(component, 0), level
        size = abs(step).bit_length()
        bits += f"{size:04b}" + (f"{step if step > 0 else step + (1 << size) - 1:0{size}b}" if size else "") + "0"
    bits += "1" * (-len(bits) % 8)
    return int("1" + bits, 2).to_bytes(len(bits) // 8 + 1, "big")[1:].replace(b"\xff", b"\xff\0")


def random_jpeg(
    width: int, height: int, samplings, *, seed: int = 0, ids=(1, 2, 3, 4), interleaved: bool = True, extra: bytes = b""
) -> bytes:
    """A baseline JPEG of random levels, one for each block, in one scan or one for each component."""
    chance = np.random.default_rng(seed)
    across, down = max(h for h, _ in samplings), max(v for _, v in samplings)
    units = -(-width // (8 * across)) * -(-height // (8 * down))
    head = JPEG_START + extra + jpeg_tables() + jpeg_frame(width, height, samplings, ids=ids)
    if interleaved:
        order = [k for _ in range(units) for k, (h, v) in enumerate(samplings) for _ in range(h * v)]
        levels = [(k, int(chance.integers(-60, 60))) for k in order]
        return head + scan_header(ids[: len(samplings)]) + coded(levels) + JPEG_END
    for k, (h, v) in enumerate(samplings):
        own_width, own_height = -(-width * h // across), -(-height * v // down)
        blocks = -(-own_width // 8) * -(-own_height // 8)
        head += scan_header(ids[k : k + 1]) + coded([(k, int(chance.integers(-60, 60))) for _ in range(blocks)])
    return head + JPEG_END


def empty_scans(width: int, height: int, count: int, *, marker: int = 0xC0, last: int = 63) -> bytes:
    """A JPEG whose first component has many scans without data."""
    head = JPEG_START + jpeg_tables() + jpeg_frame(width, height, marker=marker)
    return head + scan_header((1,), last=last) * count + scan_header((2,)) + scan_header((3,)) + JPEG_END


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
PNG_START = b"\x89PNG\r\n\x1a\n"


def png(
    samples: np.ndarray, depth: int, colour: int, *, before: bytes = b"", after: bytes = b"", interlaced: bool = False,
    pieces: int = 1, filters: bool = True,
) -> bytes:  # fmt: skip
    """A PNG of samples (height, width, channels), its rows under filters in turn; chunks before and after its data."""
    height, width = samples.shape[:2]
    raw = b""
    for x, y, across, down in PASSES if interlaced else ((0, 0, 1, 1),):
        part = samples[y::down, x::across]
        if part.size:
            raw += _rows(part, depth, filters)
    packed = zlib.compress(raw, 1)
    step = -(-len(packed) // pieces)
    data = b"".join(chunk(b"IDAT", packed[at : at + step]) for at in range(0, len(packed), step))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced)))
    return PNG_START + header + before + data + after + chunk(b"IEND", b"")


def _rows(samples: np.ndarray, depth: int, filters: bool) -> bytes:
    out, above = b"", None
    unit = max(1, samples.shape[2] * depth // 8)
    for number, row in enumerate(samples):
        if depth == 16:
            line = row.astype(">u2").tobytes()
        else:
            bits = (row.reshape(-1, 1) >> np.arange(depth - 1, -1, -1)) & 1
            line = np.packbits(bits.astype(np.uint8).ravel()).tobytes()
        kind = (0, 1, 2)[number % 3] if filters else 0
        here = np.frombuffer(line, np.uint8)
        other = np.zeros_like(here)
        if kind == 1:
            other[unit:] = here[:-unit]
        elif kind == 2 and above is not None:
            other = above
        out += bytes([kind]) + (here - other).astype(np.uint8).tobytes()
        above = here
    return out


def bmp(
    rows: bytes, width: int, height: int, bits: int, *, header: int = 40, packing: int = 0, masks=(),
    palette: bytes = b"",
) -> bytes:  # fmt: skip
    """A BMP of rows as they lie in the file (filled up to four bytes) under a header of a given size."""
    if header == 12:
        head = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        fields = struct.pack("<iiHHIIiiII", width, height, 1, bits, packing, len(rows), 2835, 2835, 0, 0)
        head = struct.pack("<I", header) + fields
        if header >= 52:
            head += struct.pack("<IIII", *masks, *[0] * (4 - len(masks)))
        head = head[:header].ljust(header, b"\0")
        if header in (16, 40) and packing:
            head += struct.pack(f"<{len(masks)}I", *masks)
    start = 14 + len(head) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start) + head + palette + rows
