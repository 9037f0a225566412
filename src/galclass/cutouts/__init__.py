"""From image bytes to pixels: one function for training, SQL, HTTP and the page; the ground floor.

Takes the bytes of a JPEG, PNG or BMP, checks its header against a limit of decode time, returns uint8 cutouts
(y, x, channel).
"""

from __future__ import annotations

from galclass.cutouts.decode import Decoded, decode
from galclass.cutouts.extract import (
    TRUNCATED,
    Cutout,
    CutoutParameters,
    cutout,
    flagged_cutout,
    flagged_stored_cutout,
    has_content,
    stored_cutout,
    views,
)
from galclass.cutouts.facts import Header
from galclass.cutouts.headers import decode_seconds, read_header
from galclass.cutouts.limits import LOCAL, SERVED, DecodeLimits

__all__ = [
    "LOCAL",
    "SERVED",
    "TRUNCATED",
    "Cutout",
    "CutoutParameters",
    "DecodeLimits",
    "Decoded",
    "Header",
    "cutout",
    "decode",
    "decode_seconds",
    "flagged_cutout",
    "flagged_stored_cutout",
    "has_content",
    "read_header",
    "stored_cutout",
    "views",
]
