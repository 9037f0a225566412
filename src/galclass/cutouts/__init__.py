"""From image bytes to pixels: one function for training, SQL, HTTP and the page; the ground floor.

Takes the bytes of a JPEG, PNG, BMP or FITS, checks its header against a limit of decode time, returns uint8 cutouts
(y, x, channel).
"""

from __future__ import annotations

from galclass.cutouts.arrays import Image, drawn_once, image_bytes
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
from galclass.cutouts.stretch import render_bands

__all__ = [
    "LOCAL",
    "SERVED",
    "TRUNCATED",
    "Cutout",
    "CutoutParameters",
    "DecodeLimits",
    "Decoded",
    "Header",
    "Image",
    "cutout",
    "decode",
    "decode_seconds",
    "drawn_once",
    "flagged_cutout",
    "flagged_stored_cutout",
    "has_content",
    "image_bytes",
    "read_header",
    "render_bands",
    "stored_cutout",
    "views",
]
