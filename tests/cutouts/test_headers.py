"""Files are judged by their headers before anything is decoded."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from image_builders import JPEG_START, bmp, jpeg_frame, scan_header, segment
from PIL import Image

from galclass.cutouts import headers, read_header
from galclass.errors import CutoutError

ORIENTATION_99 = b"\1\0\x12\1\3\0\1\0\0\0\x63\0\0\0"


def code_of(data: bytes) -> str:
    with pytest.raises(CutoutError) as caught:
        read_header(data)
    return caught.value.code


def jpeg(width: int, height: int, **options) -> bytes:
    """A JPEG up to its scan, with as many bytes of data as its blocks need at least."""
    return JPEG_START + jpeg_frame(width, height, **options) + scan_header((1, 2, 3)) + bytes(width * height // 64)


def png_header(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + struct.pack(">II", width, height) + bytes(9)


def bmp_header(width: int, height: int) -> bytes:
    return bmp(b"", width, height, 24)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty"),
        (bytes(2000), "not_an_image"),
        (b"GIF89a" + bytes(100), "not_an_image"),
        (b"\xff\xd8\xff\xe0", "truncated"),
        (jpeg(400, 400)[:9], "truncated"),
        (jpeg(400, 400)[:21], "truncated"),
        (JPEG_START + jpeg_frame(400, 400), "truncated"),
        (b"\xff\xd8\xff\xe0\x00\x04ab" + b"cd" * 20, "corrupt"),
        (b"\xff\xd8\xff\xd9" + bytes(20), "corrupt"),
        (b"\xff\xd8\xff\xe0\x00\x01" + bytes(20), "corrupt"),
        (jpeg(400, 400, bits=12), "unsupported"),
        (jpeg(400, 400, marker=0xC3), "unsupported"),
        (jpeg(65535, 65535), "too_large"),
        (jpeg(400, 0), "unsupported"),
        (jpeg(31, 400), "too_small"),
        (png_header(100_000, 100_000), "too_large"),
        (png_header(400, 400)[:30], "truncated"),
        (bmp_header(2**31 - 1, -(2**31)), "too_large"),
        (bmp_header(-400, 400), "too_small"),
        (bmp_header(400, 400)[:20], "truncated"),
    ],
)
def test_bad_headers_are_refused_with_a_code(data: bytes, code: str) -> None:
    assert code_of(data) == code


def test_a_web_page_saved_as_an_image_is_called_that() -> None:
    with pytest.raises(CutoutError, match="error page saved as an image"):
        read_header(b"\n<!DOCTYPE html><html><body>Sky Server Error</body></html>")


def test_a_file_over_the_byte_limit_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headers, "MAX_BYTES", 100)
    assert code_of(jpeg(400, 400) + bytes(200)) == "too_large"


def test_sizes_are_read(galaxy, encode) -> None:
    found = read_header(galaxy("gz2_103169_295of423.jpg"))
    assert (found.format, found.width, found.height, found.components, found.orientation) == ("jpeg", 295, 295, 3, 1)
    assert read_header(jpeg(600, 400)).width == 600
    pixels = np.zeros((40, 50, 3), np.uint8)
    for name in ("PNG", "BMP"):
        found = read_header(encode(pixels, name))
        assert (found.format, found.width, found.height) == (name.lower(), 50, 40)
    top_down = bytearray(encode(pixels, "BMP"))
    top_down[22:26] = struct.pack("<i", -40)
    assert read_header(bytes(top_down)).height == 40


def test_the_old_bmp_header_has_short_sides() -> None:
    found = read_header(bmp(b"", 300, 200, 24, header=12))
    assert (found.width, found.height) == (300, 200)


@pytest.mark.parametrize("name", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", [1, 6, 8])
def test_the_exif_orientation_is_read(encode, name: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert read_header(encode(np.zeros((40, 50, 3), np.uint8), name, exif=exif)).orientation == orientation


@pytest.mark.parametrize(
    "tiff",
    [
        b"",
        b"XX*\0\x08\0\0\0",
        b"II*\0\xff\xff\xff\xff",
        b"MM\0*\0\0\0\x08\xff\xff",
        b"II*\0\x08\0\0\0" + ORIENTATION_99,
    ],
)
def test_a_damaged_exif_block_means_upright(tiff: bytes) -> None:
    data = JPEG_START + segment(0xE1, b"Exif\0\0" + tiff) + jpeg(400, 400)[2:]
    assert read_header(data).orientation == 1


@pytest.mark.parametrize(
    ("kind", "options"),
    [("JPEG", {}), ("JPEG", {"progressive": True}), ("JPEG", {"restart_marker_rows": 1}), ("PNG", {}), ("BMP", {})],
)
def test_a_file_that_ends_anywhere_is_read_or_refused(kind: str, options: dict[str, object]) -> None:
    file = io.BytesIO()
    Image.linear_gradient("L").resize((40, 40)).convert("RGB").save(file, kind, **options)
    whole = file.getvalue()
    for length in range(len(whole)):
        try:
            assert read_header(whole[:length]).width == 40
        except CutoutError:
            continue


def test_a_scan_header_that_goes_beyond_the_end_is_an_ending() -> None:
    file = io.BytesIO()
    Image.linear_gradient("L").resize((40, 40)).convert("RGB").save(file, "JPEG", progressive=True)
    whole = file.getvalue()
    at = whole.index(b"\xff\xda")
    for count in (0, 1, 4):
        assert code_of(whole[: at + 2] + b"\xff\xff" + bytes([count]) + whole[at + 5 : at + 9]) == "truncated"
