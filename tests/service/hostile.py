"""Hostile inputs, made from nothing or from a real galaxy."""

from __future__ import annotations

import random
import struct
import zlib


def png_bomb(side_px: int = 50_000) -> bytes:
    """A valid grey PNG of side_px x side_px zeros that is far smaller than its pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    row = bytes(1 + (side_px + 7) // 8)  # one bit a pixel
    pixels = b"".join([*(packer.compress(row) for _ in range(side_px)), packer.flush()])
    header = struct.pack(">IIBBBBB", side_px, side_px, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def jpeg_of_size(data: bytes, width_px: int, height_px: int) -> bytes:
    """A JPEG whose header claims another size."""
    for marker in (b"\xff\xc0", b"\xff\xc2"):
        place = data.find(marker)
        if place >= 0:
            return data[: place + 5] + struct.pack(">HH", height_px, width_px) + data[place + 9 :]
    raise ValueError("no JPEG frame header")


def bmp_of_size(width_px: int, height_px: int) -> bytes:
    """A BMP header that claims a size, without pixels."""
    header = struct.pack("<IiiHHIIiiII", 40, width_px, height_px, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + header


def run_length_bmp(side_px: int) -> bytes:
    """A run-length BMP of a few bytes whose header claims many pixels."""
    pixels = b"\x00\x01"
    header = struct.pack("<IiiHHIIiiII", 40, side_px, side_px, 1, 8, 1, len(pixels), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 1024 + len(pixels), 0, 0, 54 + 1024) + header + bytes(1024) + pixels


def mutated(data: bytes, seed: int) -> bytes:
    """The bytes with some flipped, cut, repeated or replaced; the same for the same seed."""
    dice = random.Random(seed)
    changed = bytearray(data)
    for _ in range(dice.choice((1, 1, 4, 32, 256))):
        changed[dice.randrange(len(changed))] = dice.randrange(256)
    kind = dice.randrange(5)
    if kind == 0:
        del changed[dice.randrange(len(changed)) :]
    elif kind == 1:
        start = dice.randrange(len(changed))
        changed[start:start] = changed[: dice.randrange(2000)]
    elif kind == 2:
        start = dice.randrange(len(changed))
        changed[start : start + dice.randrange(1, 2000)] = dice.randbytes(dice.randrange(2000))
    return bytes(changed)
