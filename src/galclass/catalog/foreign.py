"""Files that are not text tables although their names say so: how each kind begins, and what to do with it.

Takes the first bytes of a file, returns its kind. A prefix of letters is not enough, since a column of a table may be
called `PAR1` or `{a}`: what has to follow in a file of that kind is looked at, too.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_LOOKED_AT = 1024


class Foreign(NamedTuple):
    """What a file is, and what its user can do."""

    what: str
    advice: str


_PAGE = Foreign("a web page", "look at it in a browser: it may say what went wrong")
_JSON = Foreign("JSON", "save it as CSV or Parquet")
_PACKED = "unpack it"
_SPREADSHEET = "save it as CSV in UTF-8"

_KINDS = (
    (rb"PK(\x03\x04|\x05\x06)", Foreign("a zip archive or a spreadsheet", f"unpack it, or {_SPREADSHEET}")),
    (rb"\xd0\xcf\x11\xe0", Foreign("a spreadsheet", _SPREADSHEET)),
    (rb"PAR[1E][^\n]*[\0-\x08\x0e-\x1f]", Foreign("a Parquet file", "name it .parquet")),
    (rb"ARROW1\0\0|FEA1[^\n]*[\0-\x08\x0e-\x1f]|\xff{4}", Foreign("an Arrow file", "name it .arrow")),
    (rb"SIMPLE  = {1,30}[TF][ /]", Foreign("a FITS file", "name it .fits")),
    (rb"\x89HDF\r\n\x1a\n", Foreign("an HDF5 file", "save it as Parquet or CSV")),
    (rb"SQLite format 3\0", Foreign("an SQLite database", "export the table as CSV")),
    (rb"7z\xbc\xaf\x27\x1c", Foreign("a packed file", _PACKED)),
    (rb"(?s).{257}ustar[ \0]", Foreign("a tar archive", _PACKED)),
    (rb"%PDF-\d\.\d", Foreign("a PDF file", _SPREADSHEET)),
    (rb"\{\\rtf\d", Foreign("rich text", _SPREADSHEET)),
    (rb"(?i)\s*<(!doctype\s+html|html)[\s>]", _PAGE),
    (rb"(?i)\s*<\?xml\s|\s*<VOTABLE[\s>]", Foreign("XML", "name a VOTable .vot")),
    (rb"\s*\{\s*(\"[^\"\n]*\"\s*:|\})|\s*\[\s*[\[{]\s*[\"\[{]", _JSON),
)
"""How files of other kinds begin."""


def kind_of(data: bytes) -> Foreign | None:
    """Return what a file is by its first bytes; None for what may be a table of text."""
    start = data[:_LOOKED_AT]
    return next((kind for pattern, kind in _KINDS if re.match(pattern, start)), None)
