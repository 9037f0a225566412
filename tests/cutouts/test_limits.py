"""What costs more than it may is refused by its header; what a survey or a camera writes is not."""

from __future__ import annotations

import struct
import time
import tracemalloc
import zlib
from io import BytesIO

import numpy as np
import pytest
from image_builders import (
    JPEG_END,
    JPEG_START,
    PNG_START,
    bmp,
    chunk,
    empty_scans,
    jpeg_frame,
    jpeg_tables,
    png,
    random_jpeg,
    scan_header,
    segment,
)
from PIL import Image

from galclass.cutouts import LOCAL, SERVED, CutoutParameters, cutout, decode_seconds, read_header
from galclass.cutouts.decode import decode
from galclass.errors import CutoutError

REFUSED_AT_ONCE_S = 0.5
"""A refusal by the header, with much room for a busy machine: decoding takes a hundred times as long."""


def code_of(data: bytes, limits=SERVED) -> str:
    with pytest.raises(CutoutError) as caught:
        cutout(data, CutoutParameters(50), limits=limits)
    return caught.value.code


@pytest.mark.parametrize("limits", [SERVED, LOCAL], ids=["served", "local"])
@pytest.mark.parametrize("marker", [0xC0, 0xC1, 0xC2])
def test_thousands_of_empty_scans_are_refused_at_once(marker: int, limits) -> None:
    data = empty_scans(1000, 1000, 6000, marker=marker)
    begin = time.process_time()
    assert code_of(data, limits) == "too_costly"
    assert time.process_time() - begin < REFUSED_AT_ONCE_S


@pytest.mark.parametrize("count", [30, 190])
@pytest.mark.parametrize("marker", [0xC0, 0xC2])
def test_a_few_scans_of_a_huge_picture_are_too_costly_to_serve(marker: int, count: int) -> None:
    data = empty_scans(5000, 5000, count, marker=marker, last=0 if marker == 0xC2 else 63)
    assert code_of(data) == "too_costly"


def test_a_refusal_names_limit_and_setting() -> None:
    data = empty_scans(4000, 4000, 100)
    with pytest.raises(CutoutError, match=r"at most 0\.25 s .* raise serve\.max_decode_s"):
        read_header(data, SERVED)
    with pytest.raises(CutoutError, match=r"at most 0\.03 s .* raise images\.max_decode_s"):
        read_header(data, LOCAL.with_seconds(0.1))
    assert read_header(data, LOCAL).width == 4000


def test_more_bytes_may_take_longer() -> None:
    assert SERVED.seconds_for(0) == SERVED.seconds_for(64 * 1024) == 0.25
    assert SERVED.seconds_for(128 * 1024) == 0.5
    assert SERVED.seconds_for(10**7) == 1.0
    assert LOCAL.seconds_for(10**7) > SERVED.seconds_for(10**7)


def test_the_estimate_grows_with_pixels_bytes_and_scans() -> None:
    flat = np.zeros((400, 400, 3), np.uint8)
    flat[::7] = 99

    def saved(pixels: np.ndarray, format: str, **options) -> bytes:
        file = BytesIO()
        Image.fromarray(pixels).save(file, format, **options)
        return file.getvalue()

    for format in ("JPEG", "PNG", "BMP"):
        small, large = saved(flat, format), saved(np.tile(flat, (4, 4, 1)), format)
        assert 0 < decode_seconds(small) < 0.02 < 8 * decode_seconds(small) < decode_seconds(large)
    assert decode_seconds(saved(flat, "JPEG", progressive=True)) > decode_seconds(saved(flat, "JPEG"))
    assert decode_seconds(b"no image") == 0


@pytest.mark.parametrize("repeats", [3000, 100_000])
def test_segments_and_chunks_are_counted(repeats: int) -> None:
    tables = JPEG_START + segment(0xFE, b"") * repeats + jpeg_tables() + jpeg_frame(400, 400)
    between = JPEG_START + jpeg_tables() + jpeg_frame(400, 400, marker=0xC2) + scan_header((1,), 0, 0)
    grey = np.zeros((64, 64, 1), np.uint16)
    for data in (
        tables + scan_header((1, 2, 3)) + bytes(9000) + JPEG_END,
        between + segment(0xDD, b"\0\1") * repeats + JPEG_END,
        png(grey, 8, 0, before=chunk(b"tEXt", b"") * repeats),
        png(grey, 8, 0, after=chunk(b"IDAT", b"") * repeats),
    ):
        begin = time.process_time()
        assert code_of(data) == "too_costly"
        assert time.process_time() - begin < REFUSED_AT_ONCE_S


def test_stuffed_bytes_without_end_are_looked_at_fast() -> None:
    data = (
        JPEG_START + jpeg_tables() + jpeg_frame(64, 64, marker=0xC2) + scan_header((1, 2, 3), 0, 0) + b"\xff\0" * 2**21
    )
    begin = time.process_time()
    read_header(data + JPEG_END, LOCAL)
    assert time.process_time() - begin < 0.5


def test_a_baseline_file_with_fewer_bits_than_blocks_is_truncated_at_once() -> None:
    data = JPEG_START + jpeg_tables() + jpeg_frame(5000, 5000) + scan_header((1, 2, 3)) + bytes(9000) + JPEG_END
    begin = time.process_time()
    assert code_of(data) == "truncated"
    assert time.process_time() - begin < REFUSED_AT_ONCE_S


def test_a_png_with_fewer_bytes_than_deflate_needs_is_truncated_at_once() -> None:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 5000, 5000, 8, 6, 0, 0, 0))
    data = PNG_START + header + chunk(b"IDAT", zlib.compress(bytes(10_000))) + chunk(b"IEND", b"")
    assert code_of(data) == "truncated"


def empty_blocks(count: int) -> bytes:
    """Deflate blocks with a code table each and nothing in them: 90 bits that take a microsecond."""
    lengths = {18: 1, 1: 1}
    order = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1)
    fields = [(0, 1), (2, 2), (0, 5), (0, 5), (14, 4)] + [(lengths.get(k, 0), 3) for k in order]
    fields += [(1, 1), (127, 7), (1, 1), (107, 7), (0, 1), (0, 1), (0, 1)]
    block = "".join(f"{value:0{width}b}"[::-1] for value, width in fields)
    bits = np.frombuffer((block * 4).encode(), np.uint8) - 48
    return b"\x78\x01" + np.packbits(bits, bitorder="little").tobytes() * (count // 4)


def test_blocks_that_unpack_to_nothing_are_stopped_by_the_clock() -> None:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0))
    data = PNG_START + header + chunk(b"IDAT", empty_blocks(400_000)) + chunk(b"IEND", b"")
    limits = SERVED.with_seconds(0.05)
    begin = time.thread_time()
    assert code_of(data, limits) == "too_costly"
    assert time.thread_time() - begin < 0.15


def test_run_lengths_are_refused_whatever_their_size() -> None:
    for width, height in ((1000, 1000), (781_250, 32)):
        data = bmp(b"\1\5\0\0" * 32 + b"\0\1", width, height, 8, packing=1, palette=bytes(1024))
        assert code_of(data) == "unsupported"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("JPEG", {}), ("JPEG", {"quality": 95, "subsampling": 0}), ("JPEG", {"progressive": True}),
        ("PNG", {"compress_level": 1}), ("BMP", {}),
    ],
)  # fmt: skip
def test_twenty_five_megapixels_are_served(format: str, options, sky) -> None:
    pixels = np.tile(sky(500), (10, 10, 1)) if format != "BMP" else np.tile(sky(320), (10, 10, 1))
    file = BytesIO()
    Image.fromarray(pixels).save(file, format, **options)
    assert cutout(file.getvalue(), CutoutParameters(64), limits=SERVED).shape == (64, 64, 3)


def test_exif_in_thousands_of_segments_is_put_together_once() -> None:
    data = empty_scans(64, 64, 1)
    block = segment(0xE1, b"Exif\0\0" + bytes(2800))
    begin = time.process_time()
    read_header(data[:2] + block * 5900 + data[2:], SERVED)  # 16 MB; copied for each segment: 50 GB
    assert time.process_time() - begin < REFUSED_AT_ONCE_S


def test_a_text_of_line_breaks_alone_is_not_taken_apart() -> None:
    data = png(np.zeros((64, 64, 3), np.uint8), 8, 2)
    text = chunk(b"tEXt", b"Raw profile type exif\0" + b"\n" * (8 << 20))
    tracemalloc.start()
    read_header(data[:33] + text + data[33:], SERVED)
    assert tracemalloc.get_traced_memory()[1] < 6 * len(text)  # it was 12 times in a list, besides the file
    tracemalloc.stop()


def test_an_exif_directory_that_names_the_same_bytes_again_and_again_does_not_reach_pillow(recwarn) -> None:
    picture = random_jpeg(64, 64, ((4, 1), (1, 1), (1, 1)))
    entries = b"".join(struct.pack("<HHII", 1000 + k, 7, 400_000, 8) for k in range(40_000))
    block = b"II*\0" + struct.pack("<IH", 8, 40_000) + entries
    pieces = [block[at : at + 65_000] for at in range(0, len(block), 65_000)]
    metadata = b"".join(segment(0xE1, b"Exif\0\0" + piece) for piece in pieces) + segment(0xFE, b"comment")
    tracemalloc.start()
    seen = decode(picture[:2] + metadata + picture[2:], limits=SERVED)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(seen.pixels, decode(picture).pixels)
    assert peak < 4 << 20
    assert not recwarn.list
