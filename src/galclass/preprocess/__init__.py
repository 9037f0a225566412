"""From image bytes to pixels: one function for training, SQL, HTTP and the page, and the packed store.

Takes files and a catalog, gives uint8 cutouts (y, x, channel) and the folder `prepared/`
(`store.u8`, `index.parquet`, `rejects.parquet`, `prepared.json`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from galclass.preprocess.chunks import Reject, cutouts_of_chunk
from galclass.preprocess.cutouts import CutoutParameters, cutout, stored_cutout, views
from galclass.preprocess.decode import Decoded, decode
from galclass.preprocess.headers import Header, read_header

if TYPE_CHECKING:
    from galclass.preprocess.store import Store, StoreWriter

__all__ = [
    "CutoutParameters",
    "Decoded",
    "Header",
    "Reject",
    "Store",
    "StoreWriter",
    "cutout",
    "cutouts_of_chunk",
    "decode",
    "read_header",
    "stored_cutout",
    "views",
]


def __getattr__(name: str) -> Any:
    if name in __all__:  # the store needs pyarrow, which scoring one image does not
        return getattr(import_module("galclass.preprocess.store"), name)
    raise AttributeError(f"module 'galclass.preprocess' has no attribute {name!r}")
