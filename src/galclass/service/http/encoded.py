"""An image that was sent as text: base64 in its usual variants, a data URL, or hexadecimal digits."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode

from galclass.errors import RequestError

_BLANKS = b" \t\r\n\f\v"
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_DATA_URL = re.compile(r"data:([^,]{0,200}),", re.IGNORECASE)
_HEX_PREFIX = ("0x", "0X", "\\x", "\\X")
_IMAGES_IN_HEX = (b"ffd8ff", b"89504e47", b"424d", b"53494d504c452020")
"""How JPEG, PNG, BMP and FITS files begin. Hexadecimal digits that begin so are no image when read as base64."""

_HEX_DIGITS = b"0123456789abcdefABCDEF"
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_SIGNS_OF = {
    "b'": ("a Python bytes literal", "send base64.b64encode(data).decode()"),
    'b"': ("a Python bytes literal", "send base64.b64encode(data).decode()"),
    "http://": ("an address", 'send it as "url"'),
    "https://": ("an address", 'send it as "url"'),
    "file:": ("the address of a file", "send the file's bytes in base64"),
    "blob:": ("an address inside a browser", "send the file's bytes in base64"),
}


def decode_text(text: str, field: str) -> bytes:
    """Return the bytes that a text encodes.

    Base64 may have blanks and line breaks, the URL-safe alphabet, and no padding; a data URL must be base64.
    Hexadecimal digits (as the workflow of 2017 sent images) are read after 0x or backslash-x, or where they begin as
    a JPEG, PNG, BMP or FITS file does.

    Parameters
    ----------
    text : str
    field : str
        Name of the field for refusals.

    Raises
    ------
    RequestError
        `bad_base64`, with what the text looks like instead.
    """
    text = text.strip()
    for sign, (kind, advice) in _SIGNS_OF.items():
        if text[:8].lower().startswith(sign):
            raise _refused(f"the text is {kind}", field, advice)
    if text.startswith(_HEX_PREFIX):
        return _from_hex(text[2:], field)
    match = _DATA_URL.match(text)
    if match is not None:
        if not match[1].lower().rstrip().endswith(";base64"):
            raise _refused("the data URL is not base64", field, "put ;base64 before its comma, and base64 behind")
        text = text[match.end() :]
    try:
        packed = text.encode("ascii").translate(_URL_SAFE, _BLANKS)
    except UnicodeEncodeError as error:
        raise _refused(f"character {error.start + 1} is not base64", field) from error
    if packed[:8].lower().startswith(_IMAGES_IN_HEX) and not packed.translate(None, _HEX_DIGITS):
        return _from_hex(packed.decode(), field)
    return _from_base64(packed, field)


def _from_hex(text: str, field: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise _refused("the text is not made of pairs of hexadecimal digits", field) from error


def _from_base64(packed: bytes, field: str) -> bytes:
    bare = packed.rstrip(b"=")
    if len(packed) - len(bare) > 2:
        raise _refused("the base64 ends in more than two equals signs", field)
    others = bare.translate(None, _ALPHABET)
    if others:
        raise _refused(_what_is(others[:1], bare.index(others[:1])), field)
    if len(bare) % 4 == 1:
        raise _refused(f"the base64 is cut off after {len(bare)} characters", field)
    try:
        return b64decode(bare + b"=" * (-len(bare) % 4), validate=True)
    except binascii.Error as error:
        raise _refused("the text is not base64", field) from error


def _what_is(sign: bytes, index: int) -> str:
    """Describe the first character outside the alphabet; its index counts from 0."""
    if sign == b"=":
        return f"the base64 goes on after an equals sign (character {index}, without blanks); send one image per text"
    if sign == b"%":
        return "the text is percent-encoded base64"
    return f"the text is not base64: character {index + 1}, without blanks, is not of its alphabet"


def _refused(what: str, field: str, advice: str | None = None) -> RequestError:
    return RequestError("bad_base64", what, field=field, advice=advice)
