"""JPEG of every legal sampling, order and colour space, against Pillow and OpenCV; cut files; refused kinds."""

from __future__ import annotations

import re
from io import BytesIO

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_builders import (
    JPEG_END,
    JPEG_START,
    coded,
    jpeg_frame,
    jpeg_tables,
    random_jpeg,
    scan_header,
    segment,
)
from PIL import Image

from galclass.cutouts import CutoutParameters, cutout, decode, flagged_cutout, read_header
from galclass.errors import CutoutError

FACTORS = [(h, v) for h in (1, 2, 3, 4) for v in (1, 2, 3, 4)]


def pillow(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(data)).convert("RGB"))


def code_of(data: bytes) -> str:
    with pytest.raises(CutoutError) as caught:
        decode(data)
    return caught.value.code


def legal(samplings) -> bool:
    """Whether an interleaved unit holds at most ten blocks, as the standard says."""
    return sum(h * v for h, v in samplings) <= 10


def whole_ratios(samplings) -> bool:
    return all(max(side) % one == 0 for side in zip(*samplings, strict=True) for one in side)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    luma=st.sampled_from(FACTORS), first=st.sampled_from(FACTORS), second=st.sampled_from(FACTORS),
    interleaved=st.booleans(), width=st.integers(40, 90), height=st.integers(40, 90), seed=st.integers(0, 99),
)  # fmt: skip
def test_every_legal_sampling_is_read_as_pillow_reads_it(luma, first, second, interleaved, width, height, seed) -> None:
    samplings = (luma, first, second)
    if interleaved and not legal(samplings):
        return
    data = random_jpeg(width, height, samplings, seed=seed, interleaved=interleaved)
    if whole_ratios(samplings):
        np.testing.assert_array_equal(decode(data).pixels, pillow(data))
        theirs = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        np.testing.assert_array_equal(decode(data).pixels, theirs[..., ::-1])
    else:
        assert code_of(data) == "unsupported"  # 3 : 2 and the like, which no library here reads


@pytest.mark.parametrize("sampling", FACTORS)
def test_grey_is_read_whatever_its_sampling(sampling) -> None:
    data = random_jpeg(60, 50, (sampling,), interleaved=False)
    np.testing.assert_array_equal(decode(data).pixels, pillow(data))


@pytest.mark.parametrize("samplings", [((4, 1), (1, 1), (1, 1)), ((4, 2), (1, 1), (1, 1)), ((1, 1), (2, 2), (2, 2))])
@pytest.mark.parametrize("reduction", [2, 4, 8, 16])
def test_unusual_samplings_are_reduced_like_others(samplings, reduction: int) -> None:
    data = random_jpeg(200, 160, samplings)
    small = decode(data, reduction).pixels
    assert small.shape == (160 // reduction, -(-200 // reduction), 3)
    blocks = decode(data).pixels[:, : 200 // reduction * reduction].astype(float)
    means = blocks.reshape(160 // reduction, reduction, -1, reduction, 3).mean(axis=(1, 3))
    assert np.abs(small[:, : means.shape[1]] - means).mean() < 6


ADOBE_RGB = segment(0xEE, b"Adobe\0\x64\0\0\0\0\0")


@pytest.mark.parametrize(
    ("extra", "ids"), [(ADOBE_RGB, (1, 2, 3)), (b"", (82, 71, 66)), (b"", (0, 1, 2)), (b"", (1, 34, 35))]
)
def test_rgb_jpegs_are_known_by_marker_or_ids(extra: bytes, ids) -> None:
    data = random_jpeg(48, 48, ((1, 1),) * 3, extra=extra, ids=ids)
    np.testing.assert_array_equal(decode(data).pixels, pillow(data))


@pytest.mark.parametrize("transform", [0, 2])
@pytest.mark.parametrize(
    "samplings", [((1, 1),) * 4, ((2, 2), (1, 1), (1, 1), (2, 2)), ((4, 1), (1, 1), (1, 1), (4, 1))]
)
def test_cmyk_and_ycck_of_adobe_are_read_as_pillow_reads_them(transform: int, samplings) -> None:
    data = random_jpeg(48, 48, samplings, extra=segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([transform])))
    assert np.abs(decode(data).pixels - pillow(data).astype(int)).max() <= 1


def test_cmyk_without_a_marker_holds_ink_itself() -> None:
    """Pillow takes every CMYK for inverted; the standard of JFIF-less files says nothing; ours keeps to the marker."""
    data = random_jpeg(48, 48, ((1, 1),) * 4)
    cmyk = 255 - np.asarray(Image.open(BytesIO(data))).astype(int)
    paper = 255 - cmyk
    np.testing.assert_array_equal(decode(data).pixels, (paper[..., :3] * paper[..., 3:] + 127) // 255)


def test_garbage_behind_the_end_and_a_second_picture_do_no_harm(galaxy) -> None:
    whole = galaxy("gz2_103169.jpg")
    for more in (b"\0" * 999, whole, b"\xff\xda" * 5000, b"\xff"):
        np.testing.assert_array_equal(decode(whole + more).pixels, decode(whole).pixels)


def test_a_thumbnail_in_exif_is_not_the_picture(galaxy, encode) -> None:
    thumbnail = encode(np.full((64, 64, 3), 200, np.uint8), "JPEG")
    whole = galaxy("gz2_103169.jpg")
    data = whole[:2] + segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0" + thumbnail) + whole[2:]
    np.testing.assert_array_equal(decode(data).pixels, decode(whole).pixels)


@pytest.mark.parametrize("marker", [0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF])
def test_arithmetic_lossless_and_hierarchical_jpegs_are_refused(marker: int) -> None:
    assert code_of(JPEG_START + jpeg_tables() + jpeg_frame(400, 400, marker=marker) + scan_header((1, 2, 3))) == (
        "unsupported"
    )


def test_a_height_that_comes_after_the_scan_is_refused() -> None:
    data = JPEG_START + jpeg_tables() + jpeg_frame(400, 0) + scan_header((1, 2, 3)) + bytes(9000) + JPEG_END
    with pytest.raises(CutoutError, match="DNL"):
        decode(data)


@pytest.mark.parametrize(
    "data",
    [
        JPEG_START + jpeg_tables() + jpeg_frame(40, 40, ((1, 1), (5, 1), (1, 1))),
        JPEG_START + jpeg_tables() + jpeg_frame(40, 40) + jpeg_frame(40, 40) + scan_header((1, 2, 3)),
        JPEG_START + jpeg_tables() + jpeg_frame(40, 40) + scan_header((9,)) + bytes(99) + JPEG_END,
        JPEG_START + jpeg_tables() + jpeg_frame(40, 40) + scan_header((1,)) + b"a" + jpeg_frame(40, 40) + JPEG_END,
        JPEG_START + jpeg_tables() + jpeg_frame(40, 40) + segment(0xDA, b"\1") + JPEG_END,
    ],
)
def test_damaged_frames_and_scans_are_corrupt(data: bytes) -> None:
    assert code_of(data) == "corrupt"


# Cut files


@pytest.fixture(scope="module")
def progressive(galaxy, encode) -> bytes:
    return encode(Image.open(BytesIO(galaxy("gz2_103169.jpg"))), "JPEG", progressive=True, quality=90)


def scan_starts(data: bytes) -> list[int]:
    return [match.start() for match in re.finditer(b"\xff\xda", data)]


def scan_ends(data: bytes) -> list[int]:
    """Where the data of each scan end: at the next marker."""
    return [re.compile(rb"\xff[\xc4\xda\xd9]").search(data, start + 2).start() for start in scan_starts(data)]


def test_a_progressive_file_cut_after_any_whole_scan_is_read_and_flagged(progressive: bytes) -> None:
    parameters = CutoutParameters(64)
    ends = scan_ends(progressive)
    assert len(ends) > 5
    for end in ends:
        found = flagged_cutout(progressive[:end], parameters)
        assert found.flags == ("truncated",)
        np.testing.assert_array_equal(found.pixels, cutout(progressive[:end] + JPEG_END, parameters))
        np.testing.assert_array_equal(decode(progressive[:end]).pixels, pillow(progressive[:end] + JPEG_END))


@pytest.mark.parametrize("where", [0.1, 0.5, 0.9])
def test_a_cut_within_a_later_scan_shows_the_scans_before_it(progressive: bytes, where: float) -> None:
    starts, ends = scan_starts(progressive), scan_ends(progressive)
    for number in range(1, len(starts)):
        cut = int(starts[number] + 14 + where * (ends[number] - starts[number] - 14))
        np.testing.assert_array_equal(
            decode(progressive[:cut]).pixels, decode(progressive[: ends[number - 1]]).pixels, str(number)
        )
        assert read_header(progressive[:cut]).truncated


def test_a_cut_between_scans_is_flagged(progressive: bytes) -> None:
    starts, ends = scan_starts(progressive), scan_ends(progressive)
    for cut in (ends[0] + 1, ends[0] + 3, starts[1] + 1, starts[1] + 5):
        np.testing.assert_array_equal(decode(progressive[:cut]).pixels, decode(progressive[: ends[0]]).pixels)


@pytest.mark.parametrize("where", [0.0, 0.3, 0.99])
def test_a_cut_within_the_first_scan_is_a_reject(progressive: bytes, where: float) -> None:
    start, end = scan_starts(progressive)[0], scan_ends(progressive)[0]
    assert code_of(progressive[: int(start + 14 + where * (end - start - 14))]) == "truncated"


def test_a_whole_progressive_file_has_no_flag(progressive: bytes) -> None:
    assert flagged_cutout(progressive, CutoutParameters(64)).flags == ()


def test_colours_without_a_first_scan_are_a_reject() -> None:
    frame = jpeg_frame(48, 48, marker=0xC2)
    levels = coded([(0, k) for k in range(36)])
    first = scan_header((1,), 0, 0) + levels.replace(b"\xff", b"\xfe")
    assert code_of(JPEG_START + jpeg_tables() + frame + first + scan_header((2,), 0, 0)[:4]) == "truncated"


def test_a_colour_that_no_scan_brings_is_a_reject_also_before_an_end_marker() -> None:
    """A decoder paints it grey without a word: what is left is a picture in other colours."""
    for marker in (0xC0, 0xC2):
        last = 63 if marker == 0xC0 else 0
        head = JPEG_START + jpeg_tables() + jpeg_frame(48, 48, marker=marker)
        scans = [scan_header((k,), 0, last) + coded([(0, 2 * at + k) for at in range(36)]) for k in (1, 2, 3)]
        if marker == 0xC0:
            assert decode(head + b"".join(scans) + JPEG_END).pixels.shape == (48, 48, 3)
        for left in (1, 2):
            assert code_of(head + b"".join(scans[:left]) + JPEG_END) == "truncated"


def test_a_baseline_file_cut_anywhere_is_a_reject(galaxy) -> None:
    data = galaxy("gz2_103169.jpg")
    for size in range(700, len(data) - 1, len(data) // 9):
        assert code_of(data[:size]) == "truncated"


def test_a_damaged_progressive_file_that_was_cut_is_not_read(progressive: bytes) -> None:
    data = bytearray(progressive[: scan_ends(progressive)[3]])
    middle = (scan_starts(progressive)[0] + scan_ends(progressive)[0]) // 2
    data[middle : middle + 8] = b"\xff\xd0" * 4
    assert code_of(bytes(data)) == "truncated"


def test_a_grey_file_of_two_bits_a_block_is_whole_whatever_its_sampling() -> None:
    """The fewest bits of a whole file: after the first block, one bit for the mean and one for the end of each."""
    tables = segment(0xDB, b"\0" + b"\x08" * 64) + segment(0xC4, b"\0" + bytes([1, 1] + [0] * 14) + b"\0\7")
    tables += segment(0xC4, b"\x10" + bytes([1] + [0] * 15) + b"\0")
    bits = "10" + "1100100" + "0" + "00" * (25 * 25 - 1)
    data = int(bits.ljust(-(-len(bits) // 8) * 8, "1"), 2).to_bytes(-(-len(bits) // 8), "big")
    for sampling in ((1, 1), (2, 2), (4, 4)):
        whole = JPEG_START + tables + jpeg_frame(200, 200, (sampling,)) + scan_header((1,)) + data + JPEG_END
        np.testing.assert_array_equal(decode(whole).pixels, pillow(whole))
