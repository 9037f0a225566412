"""A short run of the fuzzer, and hostile files worth keeping."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from galclass.cutouts import CutoutParameters, cutout
from galclass.prepare.chunks import cutouts_of_chunk

ROOT = Path(__file__).resolve().parents[2]
PARAMETERS = CutoutParameters(50)


def code_of(data: bytes) -> str:
    """Return "ok" for a cutout, else the code of the reject."""
    _, rejects = cutouts_of_chunk([("file", data)], PARAMETERS)
    assert all(reject.reason for reject in rejects)
    return rejects[0].code if rejects else "ok"


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.slow
def test_mutated_files_give_a_cutout_or_a_reason() -> None:
    command = [sys.executable, str(ROOT / "scripts/fuzz_images.py"), "--files", "300", "--seed", "7"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "300 files" in done.stdout


def test_a_png_that_declares_more_pixels_than_it_holds_is_rejected(encode, sky) -> None:
    data = bytearray(encode(sky(64), "PNG"))
    header = struct.pack(">II", 4900, 4900) + data[24:29]
    data[8:33] = png_chunk(b"IHDR", header)
    assert code_of(bytes(data)) in ("truncated", "corrupt")


def test_a_png_whose_text_unpacks_to_gigabytes_is_harmless(encode, sky) -> None:
    data = encode(sky(64), "PNG")
    bomb = png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(200 << 20), 9))
    assert code_of(data[:33] + bomb + data[33:]) in ("ok", "corrupt")


def test_a_wrong_checksum_of_a_png_is_found(encode, sky) -> None:
    data = bytearray(encode(sky(64), "PNG"))
    data[data.index(b"IDAT") + 20] ^= 1
    assert code_of(bytes(data)) in ("corrupt", "truncated")


def test_bytes_after_the_end_of_a_jpeg_do_no_harm(galaxy) -> None:
    whole = galaxy("gz2_103169.jpg")
    np.testing.assert_array_equal(cutout(whole + b"trailing bytes" * 50, PARAMETERS), cutout(whole, PARAMETERS))


def test_a_png_called_jpg_is_read_by_its_bytes(encode, sky) -> None:
    assert code_of(encode(sky(64), "PNG")) == "ok"


def test_sixteen_bit_colour_and_grey_with_alpha_are_read(encode) -> None:
    colours = struct.pack(">3H", 0x1234, 0x8000, 0xFFFF) * 32 + struct.pack(">3H", 0x4234, 0x8000, 0xFFFF) * 32
    rows = b"".join(b"\0" + colours for _ in range(64))
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 16, 2, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    assert cutout(data, PARAMETERS)[10, 10].tolist() == [0x12, 0x80, 0xFF]
    grey = Image.new("LA", (64, 64), (100, 128))
    grey.paste((100, 255), (0, 0, 32, 64))
    assert code_of(encode(grey, "PNG")) == "ok"
