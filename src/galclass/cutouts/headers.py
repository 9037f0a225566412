"""What an image file says of itself before anything is decoded: format, size, colours, orientation, decode work.

Takes bytes, returns a `Header`; raises `CutoutError` if the file is empty, foreign, too large, too small, too costly or
of a kind that no decoder here reads. Allocates at most a few times the size of the file.
"""

from __future__ import annotations

from galclass.cutouts.bmp import read_bmp
from galclass.cutouts.facts import Header, ImageFormat
from galclass.cutouts.jpeg import read_jpeg
from galclass.cutouts.limits import LOCAL, MAX_BYTES, DecodeLimits
from galclass.cutouts.png import read_png
from galclass.errors import CutoutError

__all__ = ["MAX_BYTES", "Header", "read_header"]

_SIGNATURES: tuple[tuple[bytes, ImageFormat], ...] = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"BM", "bmp"),
    (b"SIMPLE  =", "fits"),
    (b"\x1f\x8b", "fits"),  # gzip: nothing but FITS comes in it
)
_READERS = {"jpeg": read_jpeg, "png": read_png, "bmp": read_bmp}
"""What reads a header; that of FITS is imported where there is one."""


def read_header(data: bytes, limits: DecodeLimits = LOCAL) -> Header:
    """Read format, size, orientation and decode work of an image, and hold it to the limits.

    Parameters
    ----------
    data : bytes
        A whole JPEG, PNG, BMP or FITS file.
    limits : DecodeLimits
        `LOCAL` for files of one's own, `SERVED` for what others send.

    Raises
    ------
    CutoutError
        With code empty, not_an_image, unsupported, truncated, corrupt, too_large, too_small or too_costly.
    """
    if not data:
        raise CutoutError("empty", "the file is empty", got="0 bytes")
    if len(data) > MAX_BYTES:
        raise CutoutError("too_large", "the file is too large", expected=f"<= {MAX_BYTES} bytes", got=len(data))
    kind = _sniff(data)
    header = _read_fits(data, limits) if kind == "fits" else _READERS[kind](data)
    limits.check(header.decode_s, len(data))
    return header


def decode_seconds(data: bytes) -> float:
    """Estimate from header and markers how many processor seconds a decode takes at most; 0 where it is refused.

    Examples
    --------
    >>> decode_seconds(b"no image")
    0.0
    """
    try:
        return read_header(data).decode_s
    except CutoutError:
        return 0.0


def _read_fits(data: bytes, limits: DecodeLimits) -> Header:
    from galclass.cutouts.fits import read_fits

    return read_fits(data, limits)


def _sniff(data: bytes) -> ImageFormat:
    for signature, name in _SIGNATURES:
        if data.startswith(signature):
            return name
    raise CutoutError("not_an_image", "not an image", expected="JPEG, PNG, BMP or FITS", got=_looks_like(data))


def _looks_like(data: bytes) -> str:
    start = data[:64].lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page (an error page saved as an image?)"
    if not data[:256].strip(b"\x00"):
        return "zero bytes"
    return f"bytes that start with {data[:8]!r}"
