"""From image bytes to pixels: one function for training, SQL, HTTP and the page, and the packed store.

Takes files and a catalog, gives uint8 cutouts (y, x, channel) and the folder `prepared/`
(`store.u8`, `index.parquet`, `rejects.parquet`, `prepared.json`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from galclass.preprocess.cutouts import (
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
from galclass.preprocess.decode import Decoded, decode
from galclass.preprocess.facts import Header
from galclass.preprocess.headers import decode_seconds, read_header
from galclass.preprocess.limits import LOCAL, SERVED, DecodeLimits

if TYPE_CHECKING:
    from galclass.preprocess.chunks import Reject, cutouts_of_chunk
    from galclass.preprocess.store import Store, StoreWriter

__all__ = [
    "LOCAL",
    "SERVED",
    "TRUNCATED",
    "Cutout",
    "CutoutParameters",
    "DecodeLimits",
    "Decoded",
    "Header",
    "Reject",
    "Store",
    "StoreWriter",
    "cutout",
    "cutouts_of_chunk",
    "decode",
    "decode_seconds",
    "flagged_cutout",
    "flagged_stored_cutout",
    "has_content",
    "read_header",
    "stored_cutout",
    "views",
]


_HOME = {"Reject": "chunks", "cutouts_of_chunk": "chunks", "Store": "store", "StoreWriter": "store"}
"""What scoring one image does not need (zip files, pyarrow) is imported when it is asked for."""


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"galclass.preprocess.{_HOME[name]}"), name)
    raise AttributeError(f"module 'galclass.preprocess' has no attribute {name!r}")
