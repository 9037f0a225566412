"""The orientation is found wherever a file may say it, and applied as Pillow's `exif_transpose` does."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_builders import PNG_START, chunk, segment
from PIL import Image, ImageOps

from galclass.cutouts import CutoutParameters, cutout, read_header

FULL = CutoutParameters(64, 1.0)


def corners(size: int = 128) -> np.ndarray:
    """Four quarters of different colours."""
    pixels = np.zeros((size, size, 3), np.uint8)
    half = size // 2
    pixels[:half, :half], pixels[:half, half:], pixels[half:, :half] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
    return pixels


def saved(format: str) -> bytes:
    file = BytesIO()
    Image.fromarray(corners()).save(file, format, **({"quality": 95, "subsampling": 0} if format == "JPEG" else {}))
    return file.getvalue()


PLAIN = {format: saved(format) for format in ("JPEG", "PNG")}


def exif(order: str, kind: int, value: int, *, count: int = 1, before: int = 0, padding: int = 0) -> bytes:
    """A TIFF block with an orientation of a given type behind `before` other entries."""
    mark = {"<": b"II*\0", ">": b"MM\0*"}[order]
    body = b"".join(struct.pack(order + "HHII", 0x100 + k, 4, 1, k) for k in range(before))
    held = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}[kind]
    body += struct.pack(order + "HHI", 0x112, kind, count) + struct.pack(order + held, value).ljust(4, b"\0")
    return (
        mark
        + struct.pack(order + "I", 8 + padding)
        + bytes(padding)
        + struct.pack(order + "H", before + 1)
        + body
        + (bytes(4))
    )


XMP = "<x:xmpmeta><rdf:Description {}/></x:xmpmeta>"
ATTRIBUTE, ELEMENT = 'tiff:Orientation="{}"', "><tiff:Orientation>{}</tiff:Orientation>"


def jpeg(*bodies: bytes) -> bytes:
    return PLAIN["JPEG"][:2] + b"".join(segment(0xE1, body) for body in bodies) + PLAIN["JPEG"][2:]


def png(before: bytes = b"", after: bytes = b"") -> bytes:
    data = PLAIN["PNG"]
    return data[:33] + before + data[33:-12] + after + data[-12:]


def as_pillow_turns(data: bytes) -> int:
    """Which orientation Pillow applied: the one of eight whose turn of the picture gives what it shows."""
    with Image.open(BytesIO(data)) as image:
        shown = np.asarray(ImageOps.exif_transpose(image).convert("RGB")).astype(int)[16::96, 16::96]
    square = corners().astype(int)[16::96, 16::96]
    turns = [square, square[:, ::-1], square[::-1, ::-1], square[::-1]]
    turns += [turn.transpose(1, 0, 2) for turn in (square, square[::-1], square[::-1, ::-1], square[:, ::-1])]
    return 1 + int(np.argmin([np.abs(shown - turn).sum() for turn in turns]))


def check(data: bytes, orientation: int) -> None:
    assert as_pillow_turns(data) == orientation
    assert read_header(data).orientation == orientation
    turned = np.asarray(ImageOps.exif_transpose(Image.open(BytesIO(data))).convert("RGB"))
    plain = BytesIO()
    Image.fromarray(turned).save(plain, "PNG")
    assert np.abs(cutout(data, FULL).astype(int) - cutout(plain.getvalue(), FULL))[8:-8:16, 8:-8:16].max() < 12


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    order=st.sampled_from("<>"), kind=st.sampled_from([3, 4, 6, 8, 9]), orientation=st.integers(1, 8),
    before=st.integers(0, 3), padding=st.sampled_from([0, 2, 1000]), format=st.sampled_from(["JPEG", "PNG"]),
)  # fmt: skip
def test_every_type_and_byte_order(order, kind, orientation, before, padding, format) -> None:
    block = exif(order, kind, orientation, before=before, padding=padding)
    check(jpeg(b"Exif\0\0" + block) if format == "JPEG" else png(chunk(b"eXIf", block)), orientation)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_places_of_an_orientation(orientation: int) -> None:
    block = exif(">", 3, orientation)
    text = "\nexif\n  {}\n{}\n".format(len(block) + 6, "\n".join([(b"Exif\0\0" + block).hex()])).encode()
    xmp = [XMP.format(form.format(orientation)).encode() for form in (ATTRIBUTE, ELEMENT)]
    raw, keyword = b"Raw profile type exif\0", b"XML:com.adobe.xmp\0"
    for data in (
        jpeg(b"http://ns.adobe.com/xap/1.0/\0" + xmp[0]),
        jpeg(b"http://ns.adobe.com/xap/1.0/\0" + xmp[1]),
        jpeg(b"something else", b"Exif\0\0" + block),
        jpeg(b"Exif\0\0" + block[:20], b"Exif\0\0" + block[20:]),
        jpeg(b"Exif\0\0" + exif("<", 3, orientation), b"Exif\0\0" + exif("<", 3, 5)),
        jpeg(b"Exif\0\0" + block, b"http://ns.adobe.com/xap/1.0/\0" + XMP.format(ATTRIBUTE.format(5)).encode()),
        png(after=chunk(b"eXIf", block)),
        png(chunk(b"tEXt", raw + text)),
        png(chunk(b"zTXt", raw + b"\0" + zlib.compress(text))),
        png(chunk(b"iTXt", keyword + b"\0\0\0\0" + xmp[0])),
        png(chunk(b"iTXt", keyword + b"\1\0\0\0" + zlib.compress(xmp[1]))),
    ):
        check(data, orientation)


def test_an_orientation_behind_a_long_comment_spans_two_segments() -> None:
    comment = b"x" * 100_000
    block = b"II*\0" + struct.pack("<IH", 8, 2) + struct.pack("<HHII", 0x10E, 2, len(comment), 38)
    block += struct.pack("<HHIHH", 0x112, 3, 1, 6, 0) + bytes(4) + comment
    check(jpeg(b"Exif\0\0" + block[:65527], b"Exif\0\0" + block[65527:]), 6)


@pytest.mark.parametrize(
    "block",
    [
        b"", b"XX*\0\x08\0\0\0", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff",
        b"MM\0*\0\0\0\x08\xff\xff\x01\x12", exif("<", 3, 0), exif("<", 3, 9), exif("<", 4, 0x60000),
        exif(">", 3, 6, count=2), exif("<", 9, -6), exif("<", 1, 6),
    ],
)  # fmt: skip
def test_damaged_or_impossible_orientations_mean_upright(block: bytes) -> None:
    assert read_header(jpeg(b"Exif\0\0" + block)).orientation == 1
    assert read_header(png(chunk(b"eXIf", block))).orientation == 1


def test_texts_that_unpack_without_end_stop_at_a_mebibyte() -> None:
    bomb = zlib.compress(b"\nexif\n9\n" + b"0" * (60 << 20), 9)
    assert read_header(png(chunk(b"zTXt", b"Raw profile type exif\0\0" + bomb))).orientation == 1
    assert PLAIN["PNG"].startswith(PNG_START)
