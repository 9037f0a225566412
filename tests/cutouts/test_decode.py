"""Bytes become 8-bit RGB by documented rules, at the reduction that is asked for."""

from __future__ import annotations

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from galclass.cutouts import decode
from galclass.errors import CutoutError


def code_of(data: bytes) -> str:
    with pytest.raises(CutoutError) as caught:
        decode(data)
    return caught.value.code


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9, 0.99])
def test_a_truncated_jpeg_is_rejected_not_filled_with_grey(galaxy, keep: float) -> None:
    data = galaxy("gz2_103169.jpg")
    assert code_of(data[: int(keep * len(data))]) == "truncated"


@pytest.mark.parametrize("name", ["PNG", "BMP"])
def test_a_truncated_png_or_bmp_is_rejected(encode, sky, name: str) -> None:
    data = encode(sky(100), name)
    assert code_of(data[: len(data) // 2]) == "truncated"


def test_a_damaged_jpeg_is_rejected(galaxy) -> None:
    data = bytearray(galaxy("gz2_103169.jpg"))
    data[len(data) // 2 : len(data) // 2 + 40] = b"\xff\xd0" * 20
    assert code_of(bytes(data)) == "corrupt"


def test_a_damaged_png_is_rejected(encode, sky) -> None:
    data = bytearray(encode(sky(100), "PNG"))
    data[len(data) // 2] ^= 0xFF
    assert code_of(bytes(data)) in ("corrupt", "truncated")


@pytest.mark.parametrize(("reduction", "side"), [(1, 423), (2, 212), (4, 106), (8, 53), (16, 27)])
def test_a_reduced_jpeg_covers_the_whole_file(galaxy, reduction: int, side: int) -> None:
    found = decode(galaxy("gz2_103169_423.jpg"), reduction)
    assert found.pixels.shape == (side, side, 3)
    assert found.pixels.dtype == np.uint8
    assert found.reduction == reduction


def test_reduced_decoding_is_close_to_the_block_means_of_full_decoding(galaxy) -> None:
    data = galaxy("gz2_247923.jpg")
    full = decode(data).pixels.astype(float)
    for reduction in (2, 4):
        n = 424 // reduction
        means = full.reshape(n, reduction, n, reduction, 3).mean(axis=(1, 3))
        difference = np.abs(decode(data, reduction).pixels - means)
        assert difference.mean() < 1.0
        assert np.percentile(difference, 99) < 6


def test_png_and_bmp_are_reduced_by_block_means_rounded_half_up(encode) -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[0::2, 0::2] = 1
    pixels[0::2, 1::2] = 1  # each 2 x 2 block sums to 2: a mean of 0.5
    for name in ("PNG", "BMP"):
        assert (decode(encode(pixels, name), 2).pixels == 1).all()


def test_full_decoding_is_what_libjpeg_gives(galaxy) -> None:
    data = galaxy("gz2_103169.jpg")
    np.testing.assert_array_equal(decode(data).pixels, simplejpeg.decode_jpeg(data))


def test_grey_is_repeated(encode, sky) -> None:
    grey = sky(64)[..., 0]
    for name in ("PNG", "BMP"):
        np.testing.assert_array_equal(decode(encode(grey, name)).pixels, np.repeat(grey[..., None], 3, 2))
    jpeg = decode(encode(grey, "JPEG")).pixels
    assert (jpeg[..., 0] == jpeg[..., 2]).all()


def test_sixteen_bits_give_their_high_byte(encode) -> None:
    values = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    np.testing.assert_array_equal(decode(encode(values, "PNG")).pixels[..., 1], values >> 8)


def test_alpha_is_laid_over_black(encode) -> None:
    rgba = np.full((64, 64, 4), 200, np.uint8)
    rgba[:32, :, 3] = 0
    rgba[32:, :, 3] = 255
    pixels = decode(encode(rgba, "PNG")).pixels
    assert (pixels[:32] == 0).all()
    assert (pixels[32:] == 200).all()


def test_a_palette_is_looked_up_with_and_without_transparency(encode) -> None:
    image = Image.new("P", (64, 64), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    assert decode(encode(image, "PNG")).pixels[5, 5].tolist() == [10, 20, 30]
    assert decode(encode(image, "BMP")).pixels[5, 5].tolist() == [10, 20, 30]
    assert decode(encode(image, "PNG", transparency=1)).pixels[5, 5].tolist() == [0, 0, 0]


def test_black_and_white_becomes_0_and_255(encode) -> None:
    image = Image.new("1", (64, 64), 1)
    assert (decode(encode(image, "PNG")).pixels == 255).all()


def test_cmyk_becomes_rgb_as_pillow_does_it(encode, sky) -> None:
    from io import BytesIO

    data = encode(Image.fromarray(sky(64)).convert("CMYK"), "JPEG", quality=95)
    expected = np.asarray(Image.open(BytesIO(data)).convert("RGB"))
    assert np.abs(decode(data).pixels.astype(int) - expected).max() <= 1
    assert np.abs(decode(data, 2).pixels.astype(int) - expected[::2, ::2]).mean() < 6


def test_cmyk_without_adobes_marker_is_not_inverted(encode) -> None:
    data = encode(Image.new("CMYK", (64, 64), (255, 0, 0, 0)), "JPEG")
    start = data.index(b"\xff\xee")
    plain = data[:start] + data[start + 2 + int.from_bytes(data[start + 2 : start + 4]) :]
    cyan, red = decode(data).pixels[9, 9].astype(int), decode(plain).pixels[9, 9].astype(int)
    assert np.abs(cyan - [0, 255, 255]).max() < 4
    assert np.abs(red - [0, 0, 0]).max() < 4  # the stored values are 255 less the ink, read here as ink


@pytest.mark.parametrize("side", [64, 3000])
def test_a_cmyk_jpeg_with_less_data_than_its_size_is_rejected(encode, sky, side: int) -> None:
    data = bytearray(encode(Image.fromarray(sky(64)).convert("CMYK"), "JPEG"))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = side.to_bytes(2) * 2
    if side == 64:
        del data[len(data) // 2 :]
    assert code_of(bytes(data)) in ("truncated", "corrupt")


def test_progressive_jpeg_gives_nearly_the_same_as_baseline(encode, sky) -> None:
    baseline, progressive = (decode(encode(sky(96), "JPEG", quality=95, progressive=p)).pixels for p in (False, True))
    assert np.abs(baseline.astype(int) - progressive).max() <= 1
