"""The chunks of a PNG: its header, its compressed pixels, and what they cost to decode.

Takes bytes, returns a `Header` or a `Png`. Only the chunks that make pixels reach a decoder: profiles and texts are not
unpacked (but for an orientation in them, 1 MiB at most), and the data are handed over in one piece.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from galclass.cutouts.exif import inflated, orientation_of, raw_profile
from galclass.cutouts.facts import Header
from galclass.cutouts.limits import MAX_SEGMENTS, check_size
from galclass.errors import CutoutError

RAW_BYTE_S = 8.5e-9
"""Seconds for one unpacked byte: inflating, and the slowest of the row filters."""
PIXEL_S, LOOKED_UP_PIXEL_S, MIXED_PIXEL_S, INTERLACED_S = 5e-9, 14e-9, 25e-9, 10e-9
"""Seconds for one pixel of the output: of plain colours; looked up; with alpha, a transparent colour or 16 bits; and
more where it is interlaced."""
BYTE_S = 6e-9
"""Seconds for one byte of the file."""
LINE_S = 1e-6
"""Seconds for one line of pixels."""

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
GREY, RGB, PALETTE, GREY_ALPHA = 0, 2, 3, 4
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Adam7: first column and row, and steps across and down."""
_MAX_DEFLATE_RATIO = 1032


@dataclass
class Png:
    """What the chunks of a PNG hold.

    Attributes
    ----------
    width, height, depth, colour : int
        As in its header; `colour` is 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGB and alpha.
    interlaced : bool
    palette, transparency : bytes
        Chunks PLTE and tRNS.
    data : list of memoryview
        The pieces of the compressed pixels.
    exif, xmp : bytes
    texts : set of bytes
        Keywords of the texts that were looked into: the first of each.
    """

    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool
    palette: bytes = b""
    transparency: bytes = b""
    data: list[memoryview] = field(default_factory=list)
    exif: bytes = b""
    xmp: bytes = b""
    texts: set[bytes] = field(default_factory=set)

    @property
    def raw_bytes(self) -> int:
        """Size of the unpacked rows with their filter bytes."""
        bits = self.depth * _CHANNELS[self.colour]
        total = 0
        for x, y, across, down in _PASSES if self.interlaced else ((0, 0, 1, 1),):
            columns, rows = -(-(self.width - x) // across), -(-(self.height - y) // down)
            if columns > 0 and rows > 0:
                total += rows * (1 + -(-columns * bits // 8))
        return total


def read_png(data: bytes) -> Header:
    """Read size, orientation and decode work of a PNG.

    Raises
    ------
    CutoutError
        With code truncated, corrupt, unsupported or too_costly.
    """
    png = parse(data)
    raw = png.raw_bytes
    packed = sum(map(len, png.data))
    if raw > _MAX_DEFLATE_RATIO * packed + 1024:
        raise CutoutError("truncated", "the PNG holds fewer bytes than its pixels need", got=f"{packed} bytes")
    work = raw * RAW_BYTE_S + png.width * png.height * _pixel_s(png) + len(data) * BYTE_S + png.height * LINE_S
    twice = 2 if png.depth == 16 and png.colour in (2, 6) else 1  # the low bytes may be wanted too
    return Header("png", png.width, png.height, 0, orientation_of(png.exif, png.xmp), decode_s=twice * work)


def _pixel_s(png: Png) -> float:
    interlaced = INTERLACED_S if png.interlaced else 0
    if png.depth <= 8 and png.colour in (GREY, PALETTE):
        return LOOKED_UP_PIXEL_S + interlaced
    plain = png.depth == 8 and png.colour == RGB and not png.transparency
    return (PIXEL_S if plain else MIXED_PIXEL_S) + interlaced


def parse(data: bytes, *, checked: bool = False) -> Png:
    """Walk over the chunks.

    Parameters
    ----------
    data : bytes
        A whole PNG file.
    checked : bool
        Whether to compute the checksums of the chunks that make pixels.
    """
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise CutoutError("truncated", "the PNG ends before its header", got=f"{len(data)} bytes")
    png = _header(data)
    if checked:
        _check(data, 8, 13)
    for position, length, kind in _chunks(data):
        body = memoryview(data)[position + 8 : position + 8 + length]
        if kind == b"IDAT":
            if len(body) + 4 > len(data) - position - 8:
                raise CutoutError("truncated", "the PNG ends before its last pixel", got=f"{len(data)} bytes")
            png.data.append(body)
        elif kind == b"PLTE" and not png.data:
            png.palette = bytes(body)
        elif kind == b"tRNS" and not png.data:
            png.transparency = bytes(body)
        elif kind == b"eXIf":
            png.exif = bytes(body)
        elif kind in (b"tEXt", b"zTXt", b"iTXt") and not checked:
            _read_text(png, kind, bytes(body))
        if checked and kind in (b"IDAT", b"PLTE", b"tRNS"):
            _check(data, position, length)
    if not png.data:
        raise CutoutError("truncated", "the PNG ends before its first pixel", got=f"{len(data)} bytes")
    return png


def _chunks(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    position, most = 33, MAX_SEGMENTS + len(data) // 4096
    for _ in range(most):
        if position + 8 > len(data):
            return
        length, kind = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        if kind == b"IEND":
            return
        yield position, length, kind
        position += 12 + length
    raise CutoutError("too_costly", "the PNG has too many chunks", expected=f"<= {most}", got="more")


def _header(data: bytes) -> Png:
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    check_size(width, height)
    depth, colour, packing, filters, interlace = data[24:29]
    if depth not in _DEPTHS.get(colour, ()) or packing or filters or interlace > 1:
        raise CutoutError("corrupt", "an invalid PNG header", got=f"colour type {colour} with {depth} bits per sample")
    return Png(width, height, depth, colour, bool(interlace))


def _check(data: bytes, position: int, length: int) -> None:
    end = position + 8 + length
    if zlib.crc32(memoryview(data)[position + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
        kind = data[position + 4 : position + 8].decode("latin-1")
        raise CutoutError("corrupt", "the checksum of a PNG chunk is wrong", got=kind)


def _read_text(png: Png, kind: bytes, body: bytes) -> None:
    """Keep a text that may name the orientation; of all others not even the start is unpacked."""
    keyword, _, text = body.partition(b"\0")
    if keyword in png.texts:
        return
    if keyword == b"Raw profile type exif" and kind in (b"tEXt", b"zTXt"):
        png.texts.add(keyword)
        png.exif = png.exif or raw_profile(text if kind == b"tEXt" else inflated(text[1:]))
    elif keyword == b"XML:com.adobe.xmp" and kind == b"iTXt":
        png.texts.add(keyword)
        packed, rest = text[:1] == b"\1", text[2:].partition(b"\0")[2].partition(b"\0")[2]
        png.xmp = inflated(rest) if packed else rest
