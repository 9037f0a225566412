"""Every kind of BMP against the samples it was made of, and against Pillow and OpenCV."""

from __future__ import annotations

from io import BytesIO

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_builders import bmp
from PIL import Image

from galclass.cutouts import decode
from galclass.errors import CutoutError

CHANCE = np.random.default_rng(0)
V_HEADERS = (40, 52, 56, 108, 124)


def filled(rows: np.ndarray) -> bytes:
    """Rows of bytes, each filled up to four."""
    return np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4))).tobytes()


def code_of(data: bytes) -> str:
    with pytest.raises(CutoutError) as caught:
        decode(data)
    return caught.value.code


@pytest.mark.parametrize("header", [12, 16, 40, 52, 56, 64, 108, 124])
@pytest.mark.parametrize("bits", [1, 4, 8, 24])
def test_palettes_and_24_bits_under_every_header(header: int, bits: int) -> None:
    width, height = 45, 37
    if bits == 24:
        colours = CHANCE.integers(0, 256, (height, width, 3)).astype(np.uint8)
        rows, palette = filled(colours[::-1, :, ::-1].reshape(height, -1)), b""
    else:
        values = CHANCE.integers(0, 1 << bits, (height, width))
        table = CHANCE.integers(0, 256, (1 << bits, 3)).astype(np.uint8)
        colours = table[values]
        digits = (values[::-1, :, np.newaxis] >> np.arange(bits - 1, -1, -1) & 1).astype(np.uint8)
        rows = filled(np.packbits(digits.reshape(height, -1), axis=1))
        entries = table[:, ::-1] if header == 12 else np.pad(table[:, ::-1], ((0, 0), (0, 1)))
        palette = entries.tobytes()
    data = bmp(rows, width, height, bits, header=header, palette=palette)
    np.testing.assert_array_equal(decode(data).pixels, colours)
    if header != 16:  # Pillow does not know it
        np.testing.assert_array_equal(decode(data).pixels, np.asarray(Image.open(BytesIO(data)).convert("RGB")))
    if header in (12, 40, 108, 124):
        theirs = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        np.testing.assert_array_equal(decode(data).pixels, theirs[..., ::-1])


def under(values: np.ndarray, mask: int) -> np.ndarray:
    shift = (mask & -mask).bit_length() - 1
    top = mask >> shift
    return np.floor(((values.astype(np.int64) & mask) >> shift) * 255 / top + 0.5).astype(np.uint8)


MASKS = {
    16: [(0x7C00, 0x3E0, 0x1F), (0xF800, 0x7E0, 0x1F), (0xF00, 0xF0, 0xF), (0x1F, 0x7E0, 0xF800)],
    32: [
        (0xFF0000, 0xFF00, 0xFF),
        (0xFF, 0xFF00, 0xFF0000),
        (0xFF000000, 0xFF0000, 0xFF00),
        (0x3FF00000, 0xFFC00, 0x3FF),
    ],
}


@settings(max_examples=40, deadline=None, derandomize=True)
@given(bits=st.sampled_from([16, 32]), number=st.integers(0, 3), header=st.sampled_from(V_HEADERS),
       downwards=st.booleans(), seed=st.integers(0, 99))  # fmt: skip
def test_masks_of_16_and_32_bits(bits: int, number: int, header: int, downwards: bool, seed: int) -> None:
    masks = MASKS[bits][number]
    words = np.random.default_rng(seed).integers(0, 1 << bits, (33, 47), dtype=np.int64)
    kind = "<u2" if bits == 16 else "<u4"
    rows = filled((words if downwards else words[::-1]).astype(kind).view(np.uint8))
    data = bmp(rows, 47, -33 if downwards else 33, bits, header=header, packing=3, masks=masks)
    colours = np.stack([under(words, mask) for mask in masks], axis=-1)
    np.testing.assert_array_equal(decode(data).pixels, colours)


@pytest.mark.parametrize("masks", MASKS[16][:2] + MASKS[32][:1])
def test_pillow_reads_the_usual_masks_alike(masks) -> None:
    bits = 16 if max(masks) < 1 << 16 else 32
    words = CHANCE.integers(0, 1 << bits, (40, 40), dtype=np.int64)
    data = bmp(filled(words[::-1].astype(f"<u{bits // 8}").view(np.uint8)), 40, 40, bits, packing=3, masks=masks)
    theirs = np.asarray(Image.open(BytesIO(data)).convert("RGB")).astype(int)
    assert np.abs(decode(data).pixels - theirs).max() <= 1  # Pillow rounds 5 and 6 bits down


@pytest.mark.parametrize("header", [56, 108, 124])
@pytest.mark.parametrize("alpha", ["none", "full", "some"])
def test_alpha_is_laid_over_black_unless_all_of_it_is_zero(header: int, alpha: str) -> None:
    colours = CHANCE.integers(0, 256, (40, 40, 3)).astype(np.uint8)
    values = {"none": np.zeros((40, 40)), "full": np.full((40, 40), 255), "some": CHANCE.integers(0, 256, (40, 40))}
    opacity = values[alpha].astype(np.uint8)
    rows = np.dstack([colours[..., ::-1], opacity])[::-1].tobytes()
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    pixels = decode(bmp(rows, 40, 40, 32, header=header, packing=3, masks=masks)).pixels
    shown = (colours.astype(int) * opacity[..., np.newaxis] + 127) // 255 if alpha == "some" else colours
    np.testing.assert_array_equal(pixels, shown)


def test_24_bits_may_name_their_masks() -> None:
    colours = CHANCE.integers(0, 256, (40, 40, 3)).astype(np.uint8)
    rows = colours[::-1, :, ::-1].tobytes()
    data = bmp(rows, 40, 40, 24, header=108, packing=3, masks=(0xFF0000, 0xFF00, 0xFF))
    np.testing.assert_array_equal(decode(data).pixels, colours)


def test_the_fourth_byte_of_plain_32_bits_is_no_alpha() -> None:
    colours = CHANCE.integers(0, 256, (40, 40, 4)).astype(np.uint8)
    pixels = decode(bmp(colours[::-1].tobytes(), 40, 40, 32)).pixels
    np.testing.assert_array_equal(pixels, colours[..., 2::-1])


@pytest.mark.parametrize("packing", [1, 2, 4, 5, 9])
def test_packed_bmps_are_refused_at_once(packing: int) -> None:
    palette = bytes(1024)
    assert code_of(bmp(b"\1\5\0\0" * 1000 + b"\0\1", 1000, 1000, 8, packing=packing, palette=palette)) == "unsupported"


def test_a_bmp_that_ends_early_is_truncated() -> None:
    data = bmp(bytes(3 * 40 * 40), 40, 40, 24)
    for size in (20, 30, 53, len(data) - 1):
        assert code_of(data[:size]) == "truncated"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"bits": 3}, "corrupt"), ({"bits": 8, "packing": 3}, "corrupt"), ({"bits": 24, "packing": 3}, "unsupported"),
        ({"bits": 32, "packing": 3, "masks": (0xF0F, 0xFF00, 0xFF)}, "unsupported"),
    ],
)  # fmt: skip
def test_impossible_bmps_are_refused(options, code: str) -> None:
    bits = options.pop("bits")
    assert code_of(bmp(bytes(4 * 40 * 40), 40, 40, bits, **options)) == code


def test_rows_begin_behind_the_header_where_the_file_does_not_say() -> None:
    colours = CHANCE.integers(0, 256, (37, 45, 3)).astype(np.uint8)
    rows = filled(colours[::-1, :, ::-1].reshape(37, -1))
    for data, want in ((bmp(rows, 45, 37, 24), colours), (with_palette(colours[..., 0]), None)):
        silent = data[:10] + bytes(4) + data[14:]
        np.testing.assert_array_equal(decode(silent).pixels, decode(data).pixels if want is None else want)
    assert code_of(data[:10] + bytes([20, 0, 0, 0]) + data[14:]) == "corrupt"


@pytest.mark.parametrize(("bits", "header"), [(1, 12), (4, 12), (8, 12), (1, 40), (4, 40), (8, 40), (8, 124)])
def test_rows_said_to_begin_behind_the_header_begin_behind_the_palette(bits: int, header: int) -> None:
    entry = 3 if header == 12 else 4
    palette = CHANCE.integers(0, 256, entry << bits).astype(np.uint8).tobytes()
    rows = CHANCE.integers(0, 256, (40, (40 * bits + 31) // 32 * 4)).astype(np.uint8).tobytes()
    data = bmp(rows, 40, 40, bits, header=header, palette=palette)
    said = starting_at(14 + header, data)
    np.testing.assert_array_equal(decode(said).pixels, decode(data).pixels)
    np.testing.assert_array_equal(decode(said).pixels, np.asarray(Image.open(BytesIO(said)).convert("RGB")))
    for inside in (14 + header - 1, 14 + header + 1, 14 + header + entry - 1):
        assert code_of(starting_at(inside, data)) == "corrupt"
    decode(starting_at(14 + header + entry, data))
    assert code_of(said[:-4]) == "truncated"


@pytest.mark.parametrize("start", [0, 54])
def test_a_palette_of_more_colours_than_the_bits_can_name_is_passed_over_whole(start: int) -> None:
    palette = CHANCE.integers(0, 256, 4 * 32).astype(np.uint8).tobytes()
    data = bmp(CHANCE.integers(0, 256, 40 * 20).astype(np.uint8).tobytes(), 40, 40, 4, palette=palette)
    said = starting_at(start, data[:46] + bytes([32, 0, 0, 0]) + data[50:])
    np.testing.assert_array_equal(decode(said).pixels, np.asarray(Image.open(BytesIO(said)).convert("RGB")))


def starting_at(start: int, data: bytes) -> bytes:
    return data[:10] + start.to_bytes(4, "little") + data[14:]


def with_palette(indices: np.ndarray) -> bytes:
    table = np.arange(1024, dtype=np.uint32).astype(np.uint8).tobytes()
    return bmp(filled(indices[::-1]), indices.shape[1], len(indices), 8, palette=table)


def test_what_fills_up_the_last_row_may_be_missing_and_nothing_else() -> None:
    colours = CHANCE.integers(0, 256, (37, 45, 3)).astype(np.uint8)  # rows of 135 bytes and 1 more
    data = bmp(filled(colours[::-1, :, ::-1].reshape(37, -1)), 45, 37, 24)
    np.testing.assert_array_equal(decode(data[:-1]).pixels, colours)
    assert code_of(data[:-2]) == "truncated"
