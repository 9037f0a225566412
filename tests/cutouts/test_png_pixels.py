"""Every kind of PNG against the samples it was made of, and against OpenCV and Pillow where they keep the rules."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_builders import PNG_START, chunk, png
from PIL import Image

from galclass.cutouts import decode, read_header
from galclass.errors import CutoutError

KINDS = [
    (depth, colour)
    for colour, depths in {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}.items()
    for depth in depths
]
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def expected(samples: np.ndarray, depth: int, colour: int, palette: np.ndarray, clear: np.ndarray | None) -> np.ndarray:
    """RGB over black by the words of the PNG standard: 8-bit colour times alpha / 255, rounded half up."""
    top = 2**depth - 1
    alpha = np.full(samples.shape[:2], 255)
    wide = samples.astype(np.int64)
    if colour == 3:
        rgb = palette[wide[..., 0]]
        if clear is not None:
            alpha = np.concatenate([clear, np.full(256 - len(clear), 255)])[wide[..., 0]]
    else:
        if clear is not None:
            alpha = np.where((wide == clear).all(axis=2), 0, 255)
        shown = wide >> 8 if depth == 16 else wide * 255 // top
        if colour in (4, 6):
            alpha = shown[..., -1]
            shown = shown[..., :-1]
        rgb = np.repeat(shown, 3, axis=2) if shown.shape[2] == 1 else shown
    return ((rgb * alpha[..., np.newaxis] + 127) // 255).astype(np.uint8)


def transparency(depth: int, colour: int, chance: np.random.Generator, samples: np.ndarray):
    """A tRNS chunk and what it means: a colour that occurs, or alphas of the palette; none for kinds with alpha."""
    if colour == 3:
        clear = chance.integers(0, 256, int(chance.integers(1, 2**depth + 1)))
        return chunk(b"tRNS", clear.astype(np.uint8).tobytes()), clear
    if colour in (0, 2):
        clear = samples[5, 7].astype(np.int64)
        return chunk(b"tRNS", clear.astype(">u2").tobytes()), clear
    return b"", None


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from(KINDS), width=st.integers(32, 70), height=st.integers(32, 50), seed=st.integers(0, 999),
    clear=st.booleans(), interlaced=st.booleans(), pieces=st.sampled_from([1, 2, 40]),
)  # fmt: skip
def test_every_kind_of_png_gives_the_pixels_it_was_made_of(
    kind, width, height, seed, clear, interlaced, pieces
) -> None:
    depth, colour = kind
    chance = np.random.default_rng(seed)
    samples = chance.integers(0, 2**depth, (height, width, CHANNELS[colour])).astype(np.uint16)
    samples[8:20, 8:20] = samples[5, 7]
    samples[0, 0] = 2**depth - 1
    palette = chance.integers(0, 256, (256, 3))
    before, means = b"", None
    if colour == 3:
        before = chunk(b"PLTE", palette[: 2**depth].astype(np.uint8).tobytes())
    if clear:
        more, means = transparency(depth, colour, chance, samples)
        before += more
    data = png(samples, depth, colour, before=before, interlaced=interlaced, pieces=pieces)
    np.testing.assert_array_equal(decode(data).pixels, expected(samples, depth, colour, palette, means))


@pytest.mark.parametrize(("depth", "colour"), KINDS)
def test_opencv_reads_the_same_pixels(depth: int, colour: int) -> None:
    samples = np.random.default_rng(1).integers(0, 2**depth, (40, 48, CHANNELS[colour])).astype(np.uint16)
    if colour in (4, 6):
        samples[..., -1] = 2**depth - 1  # OpenCV drops alpha where it is asked for colours
    samples[0, 0] = 2**depth - 1
    palette = np.random.default_rng(2).integers(0, 256, (2**depth, 3)) if colour == 3 else None
    before = b"" if palette is None else chunk(b"PLTE", palette.astype(np.uint8).tobytes())
    data = png(samples, depth, colour, before=before)
    read = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if read.dtype == np.uint16:
        read = (read >> 8).astype(np.uint8)
    np.testing.assert_array_equal(decode(data).pixels, read[..., ::-1])


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB", "L", "1"])
def test_pillow_lays_eight_bits_over_black_alike(mode: str, encode) -> None:
    chance = np.random.default_rng(3)
    colours = Image.fromarray(chance.integers(0, 256, (40, 48, 4)).astype(np.uint8), "RGBA")
    options = {"transparency": bytes(range(256))} if mode == "P" else {}
    data = encode(colours.convert("RGB").convert("P") if mode == "P" else colours.convert(mode), "PNG", **options)
    alpha = Image.open(BytesIO(data)).convert("RGBA")
    black = Image.new("RGBA", alpha.size, (0, 0, 0, 255))
    theirs = np.asarray(Image.alpha_composite(black, alpha).convert("RGB")).astype(int)
    assert np.abs(decode(data).pixels - theirs).max() <= (1 if mode in ("RGBA", "LA", "P") else 0)


@pytest.mark.parametrize(("top", "shift"), [(255, 0), (1023, 2), (4095, 4), (4096, 8), (65535, 8)])
@pytest.mark.parametrize("colour", [0, 2, 4, 6])
def test_sixteen_bits_that_hold_fewer_keep_their_range(top: int, shift: int, colour: int) -> None:
    samples = np.random.default_rng(4).integers(0, top + 1, (40, 40, CHANNELS[colour])).astype(np.uint16)
    samples[0, 0] = top
    if colour in (4, 6):
        samples[..., -1] = 65535
    pixels = decode(png(samples, 16, colour)).pixels
    np.testing.assert_array_equal(pixels[..., 0], samples[..., 0] >> shift)


def test_a_transparent_sky_of_full_range_does_not_darken_a_dim_galaxy() -> None:
    samples = np.random.default_rng(5).integers(0, 4096, (40, 40, 1)).astype(np.uint16)
    samples[:10] = 65535
    pixels = decode(png(samples, 16, 0, before=chunk(b"tRNS", b"\xff\xff"))).pixels
    assert pixels[:10].max() == 0
    np.testing.assert_array_equal(pixels[10:, :, 0], samples[10:, :, 0] >> 4)


def test_the_low_byte_counts_for_the_transparent_colour() -> None:
    samples = np.full((40, 40, 3), 0x8000, np.uint16)
    samples[:, 20:] = 0x8001
    pixels = decode(png(samples, 16, 2, before=chunk(b"tRNS", struct.pack(">3H", 0x8001, 0x8001, 0x8001)))).pixels
    assert pixels[:, :20].min() == 0x80
    assert pixels[:, 20:].max() == 0


GREY = np.random.default_rng(6).integers(0, 256, (40, 40, 1)).astype(np.uint16)


def code_of(data: bytes) -> str:
    with pytest.raises(CutoutError) as caught:
        decode(data)
    return caught.value.code


def test_a_png_that_ends_early_is_truncated_wherever_it_was_cut() -> None:
    data = png(GREY, 8, 0, pieces=3)
    last = data.rindex(b"IDAT")
    for size in range(34, last + 8, 37):
        assert code_of(data[:size]) == "truncated", size
    assert decode(data[: -len(chunk(b"IEND", b""))]).pixels.shape == (40, 40, 3)  # every pixel is there


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.replace(b"IDAT", b"IDAT", 1)[:60] + bytes([data[60] ^ 1]) + data[61:],
        lambda data: data[:24] + b"\x03" + data[25:],  # 3 bits a sample
        lambda data: data[:25] + b"\x05" + data[26:],  # no such colour type
        lambda data: data[:28] + b"\x02" + data[29:],  # no such interlacing
    ],
)
def test_damaged_pngs_are_corrupt(change) -> None:
    assert code_of(change(png(GREY, 8, 0))) == "corrupt"


def test_a_row_with_an_unknown_filter_is_corrupt() -> None:
    raw = b"".join(bytes([9]) + bytes(40) for _ in range(40))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 40, 40, 8, 0, 0, 0, 0))
    assert code_of(PNG_START + header + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")) == "corrupt"


def test_profiles_texts_and_animation_frames_never_reach_a_decoder() -> None:
    bomb = zlib.compress(bytes(50 << 20), 9)
    frames = chunk(b"acTL", struct.pack(">II", 1000, 0)) + chunk(b"fdAT", bytes(4) + bomb)
    before = chunk(b"iCCP", b"x\0\0" + bomb) + chunk(b"zTXt", b"a\0\0" + bomb) + chunk(b"iTXt", b"a\0\1\0\0\0" + bomb)
    data = png(GREY, 8, 0, before=before + frames, after=frames)
    np.testing.assert_array_equal(decode(data).pixels[..., 0], GREY[..., 0])
    assert read_header(data).orientation == 1
