"""What an image file says of itself before anything is decoded: format, size, colours, orientation.

Takes bytes, gives a `Header`, or a `CutoutError` where the file is empty, foreign, too large, too
small or of a kind that no decoder here reads. Nothing in it allocates more than the file itself.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from galclass.errors import CutoutError

MAX_BYTES = 32 * 1024 * 1024
"""Largest file in bytes; a survey frame has 10-500 kB."""
MAX_PIXELS = 25_000_000
"""Largest width times height: 5,000 x 5,000 px; more is refused before decoding."""
MIN_SIDE_PX = 32
"""Smallest width and height in px."""
MAX_SCANS = 200
"""Most scans of a progressive JPEG; real ones have about ten, hostile ones thousands."""

ImageFormat = Literal["jpeg", "png", "bmp"]

_SIGNATURES: tuple[tuple[bytes, ImageFormat], ...] = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"BM", "bmp"),
)
_FITS = b"SIMPLE  ="
_FITS_ADVICE = "a FITS file: make a colour JPEG or PNG of it, or use `galclass download cutouts`"
_FRAME_MARKERS = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})
"""Baseline, extended and progressive Huffman, and the arithmetic two: what libjpeg-turbo decodes."""
_FOREIGN_FRAME_MARKERS = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF})
_PROGRESSIVE_MARKERS = frozenset({0xC2, 0xCA})
_MARKERS_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})
_EXIF = b"Exif\x00\x00"
_ORIENTATION_TAG = 0x0112


class Header(NamedTuple):
    """Format and size of an image file.

    Attributes
    ----------
    format : "jpeg", "png" or "bmp"
    width, height : int
        In px, as stored (before the EXIF orientation).
    components : int
        Colour components of a JPEG: 1 grey, 3 colour, 4 CMYK; 0 for the other formats.
    orientation : int
        EXIF orientation, 1..8; 1 where the file has none.
    inverted : bool
        Whether a CMYK JPEG holds 255 less the ink, as Adobe's programs write it.
    """

    format: ImageFormat
    width: int
    height: int
    components: int = 0
    orientation: int = 1
    inverted: bool = False


def read_header(data: bytes) -> Header:
    """Read format, size and orientation of an image, and hold it to the limits above.

    Parameters
    ----------
    data : bytes
        A whole JPEG, PNG or BMP file.

    Raises
    ------
    CutoutError
        With code empty, not_an_image, unsupported, truncated, corrupt, too_large or too_small.
    """
    if not data:
        raise CutoutError("empty", "the file is empty", got="0 bytes")
    if len(data) > MAX_BYTES:
        raise CutoutError("too_large", "the file is too large", expected=f"<= {MAX_BYTES} bytes", got=len(data))
    header = _READERS[_sniff(data)](data)
    _check_size(header)
    return header


def _sniff(data: bytes) -> ImageFormat:
    for signature, name in _SIGNATURES:
        if data.startswith(signature):
            return name
    if data.startswith(_FITS):
        raise CutoutError("not_an_image", _FITS_ADVICE)
    raise CutoutError("not_an_image", "not an image", expected="JPEG, PNG or BMP", got=_looks_like(data))


def _looks_like(data: bytes) -> str:
    start = data[:64].lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page (an error page saved as an image?)"
    if not data[:256].strip(b"\x00"):
        return "zero bytes"
    return f"bytes that start with {data[:8]!r}"


def _check_size(header: Header) -> None:
    width, height = header.width, header.height
    if min(width, height) >= MIN_SIDE_PX and width * height <= MAX_PIXELS:
        return
    size = f"{width} x {height} px"
    if min(width, height) < MIN_SIDE_PX:
        raise CutoutError("too_small", "the image is too small", expected=f">= {MIN_SIDE_PX} px a side", got=size)
    raise CutoutError("too_large", "the image is too large", expected=f"<= {MAX_PIXELS} pixels", got=size)


def _read_jpeg(data: bytes) -> Header:
    orientation, inverted, position, end = 1, False, 2, len(data)
    while position + 4 <= end:
        if data[position] != 0xFF:
            raise CutoutError("corrupt", "a JPEG segment does not start with a marker", where=f"byte {position}")
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker in _MARKERS_WITHOUT_LENGTH:
            position += 2
            continue
        length = data[position + 2] << 8 | data[position + 3]
        if marker in _FRAME_MARKERS:
            return _jpeg_frame(data, position, marker)._replace(orientation=orientation, inverted=inverted)
        if marker in _FOREIGN_FRAME_MARKERS:
            raise CutoutError("unsupported", "lossless and hierarchical JPEG are not read", got=f"SOF{marker - 0xC0}")
        if marker in (0xD9, 0xDA) or length < 2:
            raise CutoutError("corrupt", "a JPEG without a frame header", where=f"byte {position}")
        if marker == 0xE1 and data[position + 4 : position + 10] == _EXIF:
            orientation = _exif_orientation(data[position + 10 : position + 2 + length])
        inverted = inverted or (marker == 0xEE and data[position + 4 : position + 9] == b"Adobe")
        position += 2 + length
    raise CutoutError("truncated", "the JPEG ends before its frame header", got=f"{end} bytes")


def _jpeg_frame(data: bytes, position: int, marker: int) -> Header:
    if position + 10 > len(data):
        raise CutoutError("truncated", "the JPEG ends inside its frame header", got=f"{len(data)} bytes")
    if data[position + 9] not in (1, 3, 4):
        raise CutoutError(
            "unsupported", "JPEG of neither grey, colour nor CMYK", got=f"{data[position + 9]} components"
        )
    if data[position + 4] != 8:
        raise CutoutError("unsupported", "JPEG of more than 8 bits a sample", got=f"{data[position + 4]} bits")
    if marker in _PROGRESSIVE_MARKERS:
        scans = data.count(b"\xff\xda", position)
        if scans > MAX_SCANS:
            raise CutoutError("too_large", "the JPEG has too many scans", expected=f"<= {MAX_SCANS}", got=scans)
    height = data[position + 5] << 8 | data[position + 6]
    width = data[position + 7] << 8 | data[position + 8]
    return Header("jpeg", width, height, data[position + 9])


def _read_png(data: bytes) -> Header:
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise CutoutError("truncated", "the PNG ends before its header", got=f"{len(data)} bytes")
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    orientation, position = 1, 33
    while position + 8 <= len(data):
        length, kind = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        if kind == b"eXIf":
            orientation = _exif_orientation(data[position + 8 : position + 8 + length])
        if kind in (b"eXIf", b"IEND"):
            break
        position += 12 + length
    return Header("png", width, height, 0, orientation)


def _read_bmp(data: bytes) -> Header:
    if len(data) < 26:
        raise CutoutError("truncated", "the BMP ends before its header", got=f"{len(data)} bytes")
    if int.from_bytes(data[14:18], "little") == 12:  # the OS/2 core header has 16-bit sides
        return Header("bmp", int.from_bytes(data[18:20], "little"), int.from_bytes(data[20:22], "little"))
    width = int.from_bytes(data[18:22], "little", signed=True)
    height = int.from_bytes(data[22:26], "little", signed=True)  # negative: rows from the top
    return Header("bmp", width, abs(height))


def _exif_orientation(tiff: bytes) -> int:
    """Give the orientation tag of the first directory of an EXIF block; 1 where there is none or it is damaged."""
    order: Literal["little", "big"] = "little" if tiff[:2] == b"II" else "big"
    if tiff[:2] not in (b"II", b"MM") or len(tiff) < 8:
        return 1
    start = int.from_bytes(tiff[4:8], order)
    entries = int.from_bytes(tiff[start : start + 2], order)
    for position in range(start + 2, min(start + 2 + 12 * entries, len(tiff) - 11), 12):
        if int.from_bytes(tiff[position : position + 2], order) == _ORIENTATION_TAG:
            value = int.from_bytes(tiff[position + 8 : position + 10], order)
            return value if 1 <= value <= 8 else 1
    return 1


_READERS = {"jpeg": _read_jpeg, "png": _read_png, "bmp": _read_bmp}
