"""What a FITS file holds, from its header cards alone: each HDU with its shape, offset and the cards that matter.

Takes bytes, returns a list of `Hdu`; nothing is decoded and astropy is not needed. Sizes, counts of cards and HDUs are
limited, since astropy would read whatever a file claims.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod

from galclass.cutouts.limits import DecodeLimits
from galclass.errors import CutoutError

BLOCK = 2880
CARD = 80
MAX_CARDS = 20_000
"""Most header cards of a file; a survey's coadd with its whole history has a few thousand."""
MAX_HDUS = 1000
"""Most HDUs of a file; a mosaic camera has some 200."""
MAX_UNPACKED = 256 << 20
"""Largest size in bytes of a .fits.gz, unpacked."""
_SMALL_UNPACKED = 16 << 20
_MOST_RATIO = 50
"""Unpacked by packed size, above 16 MiB; measured fluxes shrink by 1 to 4."""
_UNPACK_BYTES_S = 150e6
"""Bytes that a processor unpacks in a second, at least."""

GZIP = b"\x1f\x8b"
FITS = b"SIMPLE  ="

_STRUCTURE = re.compile(
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|GROUPS|BSCALE|BZERO|BLANK|EXTNAME|EXTVER|FILTER|FILTER1|BAND|BANDS"
    r"|BAND\d|TFIELDS|T(?:TYPE|FORM|DIM|SCAL|ZERO|NULL)\d+|THEAP|Z[A-Z]+\d*|(?:CTYPE|CRPIX|CRVAL|CDELT|CROTA)[12]"
    r"|(?:CD|PC)[12]_[12]"
)
"""Keywords that decide how the pixels are read, shown or named; all others are passed over."""
_TEXT = re.compile(r"'((?:[^']|'')*)'")

Value = str | int | float | bool


@dataclass(frozen=True)
class Hdu:
    """One header and data unit.

    Attributes
    ----------
    number : int
        From 0, as astropy counts.
    cards : mapping of str to value
        Of the keywords that matter.
    lines : tuple of bytes
        The same as 80 bytes each, as the file has them.
    start, size : int
        Where the data begin and how many bytes they have.
    """

    number: int
    cards: Mapping[str, Value]
    lines: tuple[bytes, ...] = field(repr=False)
    start: int = 0
    size: int = 0

    @property
    def name(self) -> str:
        """EXTNAME, in upper case and without blanks; "" where it has none."""
        return str(self.cards.get("EXTNAME", "")).strip().upper()

    @property
    def compressed(self) -> bool:
        """Whether it is a table that holds a compressed image."""
        return self.cards.get("ZIMAGE") is True and self.cards.get("XTENSION") == "BINTABLE"

    @property
    def is_image(self) -> bool:
        """Whether it holds an image of two axes or more that are longer than one pixel."""
        plain = "XTENSION" not in self.cards or self.cards["XTENSION"] == "IMAGE"
        return (plain or self.compressed) and len([side for side in self.shape if side > 1]) >= 2

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the image as numpy has it, the last axis of the header first; of a table, that of its bytes."""
        return axes(self.cards, "Z" if self.compressed else "")

    @property
    def bitpix(self) -> int:
        """BITPIX of the image."""
        return integer(self.cards, "ZBITPIX" if self.compressed else "BITPIX")

    @property
    def label(self) -> str:
        """What errors call it: "HDU 1 (SCI)"."""
        return f"HDU {self.number}" + (f" ({self.name[:32]})" if self.name else "")


def unpacked(data: bytes, limits: DecodeLimits) -> bytes:
    """Return the bytes of a FITS file; those of a .fits.gz are unpacked.

    Raises
    ------
    CutoutError
        not_an_image, truncated, corrupt or too_large.
    """
    if not data.startswith(GZIP):
        return data
    if not _inflated(data, BLOCK)[0].startswith(FITS):
        raise CutoutError("not_an_image", "a gzip file without a FITS image", expected="JPEG, PNG, BMP or FITS")
    allowed = min(MAX_UNPACKED, int(limits.seconds_for(len(data)) * _UNPACK_BYTES_S))
    allowed = min(allowed, max(_SMALL_UNPACKED, _MOST_RATIO * len(data)))
    content, whole = _inflated(data, allowed + 1)
    if len(content) > allowed:
        raise CutoutError("too_large", "the .fits.gz is too large unpacked", expected=f"<= {allowed:,} bytes")
    if not whole:
        raise CutoutError("truncated", "the .fits.gz ends before its last byte")
    return content


def _inflated(data: bytes, most: int) -> tuple[bytes, bool]:
    """Return the first bytes of a gzip file of one member or several, and whether it is whole."""
    parts: list[bytes] = []
    while data.startswith(GZIP) and most > 0:
        unzip = zlib.decompressobj(31)
        try:
            parts.append(unzip.decompress(data, most))
        except zlib.error as error:
            raise CutoutError("corrupt", "the .fits.gz is damaged", got=str(error)) from error
        most -= len(parts[-1])
        if not unzip.eof:
            return b"".join(parts), False
        data = unzip.unused_data if parts[-1] else b""
    return b"".join(parts), True


def read_layout(data: bytes) -> list[Hdu]:
    """Read the headers of a FITS file.

    Raises
    ------
    CutoutError
        corrupt, truncated or too_costly, with the HDU named.
    """
    hdus: list[Hdu] = []
    at = cards = 0
    while at < len(data) and (not hdus or data.startswith(b"XTENSION", at)):
        if len(hdus) == MAX_HDUS:
            raise CutoutError("too_costly", "the FITS file has too many HDUs", expected=f"<= {MAX_HDUS}", got="more")
        number = len(hdus)
        lines, at, seen = _header(data, at, number, MAX_CARDS - cards)
        cards += seen
        values = dict(_values(lines, number))
        size = _data_bytes(values, number)
        hdus.append(Hdu(number, values, tuple(lines), at, size))
        at += -(-size // BLOCK) * BLOCK
    return hdus


def _header(data: bytes, at: int, number: int, left: int) -> tuple[list[bytes], int, int]:
    """Return the cards that matter, where the data begin, and how many cards there were."""
    kept: list[bytes] = []
    for seen in range(left):
        line = data[at + seen * CARD : at + (seen + 1) * CARD]
        if len(line) < CARD:
            raise CutoutError("truncated", f"the header of HDU {number} of the FITS file has no end")
        key = line[:8].rstrip()
        if key == b"END":
            used = (seen + 1) * CARD
            return kept, at + -(-used // BLOCK) * BLOCK, seen + 1
        if line[8:10] == b"= " and _STRUCTURE.fullmatch(key.decode("latin-1")):
            kept.append(line)
    raise CutoutError("too_costly", "the FITS file has too many header cards", expected=f"<= {MAX_CARDS}", got="more")


def _values(lines: list[bytes], number: int) -> Iterator[tuple[str, Value]]:
    """Yield keyword and value of each card; the first of a keyword counts."""
    seen: set[str] = set()
    for line in lines:
        key, text = line[:8].decode("latin-1").rstrip(), line[10:].decode("latin-1")
        if key in seen:
            continue
        seen.add(key)
        quoted = _TEXT.match(text.lstrip())
        if quoted:
            yield key, quoted[1].replace("''", "'").rstrip()
            continue
        word = text.split("/")[0].strip()
        if word in ("T", "F"):
            yield key, word == "T"
        elif word:
            yield key, _number(word, key, number)


def _number(word: str, key: str, number: int) -> int | float:
    try:
        return int(word) if re.fullmatch(r"[+-]?\d{1,18}", word) else float(word.upper().replace("D", "E"))
    except ValueError as error:
        raise _corrupt(number, f"its {key} is not a number", repr(word[:40])) from error


def axes(cards: Mapping[str, Value], prefix: str) -> tuple[int, ...]:
    """Return the lengths of the axes that a header names, the last first.

    Raises
    ------
    CutoutError
        corrupt.
    """
    count = integer(cards, f"{prefix}NAXIS")
    if not 0 <= count <= 999:
        raise CutoutError("corrupt", f"{prefix}NAXIS of the FITS file is not a number of axes", got=count)
    lengths = [integer(cards, f"{prefix}NAXIS{axis}") for axis in range(count, 0, -1)]
    if any(length < 0 for length in lengths):
        raise CutoutError("corrupt", "an axis of the FITS file has a negative length", got=min(lengths))
    return tuple(lengths)


def integer(cards: Mapping[str, Value], key: str, default: int | None = None) -> int:
    """Return an integer of a header.

    Raises
    ------
    CutoutError
        corrupt, where it is missing or something else.
    """
    value = cards.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise CutoutError("corrupt", f"{key} of the FITS file is missing or not an integer", got=repr(value)[:40])
    return value


def _data_bytes(cards: Mapping[str, Value], number: int) -> int:
    if integer(cards, "BITPIX") not in (8, 16, 32, 64, -32, -64):
        raise _corrupt(number, "its BITPIX is invalid", cards["BITPIX"])
    shape = axes(cards, "")
    if not shape:
        return 0
    if cards.get("GROUPS") is True and shape[-1] == 0:
        shape = shape[:-1]
    count = integer(cards, "PCOUNT", 0) + prod(shape)
    size = abs(integer(cards, "BITPIX")) // 8 * integer(cards, "GCOUNT", 1) * count
    if size < 0:
        raise _corrupt(number, "its size is negative", size)
    return size


def _corrupt(number: int, what: str, got: object) -> CutoutError:
    return CutoutError("corrupt", f"HDU {number} of the FITS file is damaged: {what}", got=got)
