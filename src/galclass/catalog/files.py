"""Columns that name image files, as the keys by which images and rows are joined: names without folder and suffix."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from galclass.catalog.columns import Columns
from galclass.catalog.identifiers import ids_as_text
from galclass.catalog.report import CatalogReport
from galclass.image_names import READ_SUFFIXES, object_id_of, suffix_of

FILE_NAMES = ("file", "filename", "file_name", "path", "image_file")
"""Usual names of a column of image files, the first one first."""


def asset_keys(columns: Columns, name: str, report: CatalogReport) -> Any:
    """Return a column of asset ids; where users wrote the file's name, without the suffix of an image."""
    return without_suffixes(ids_as_text(columns.get(name), columns.at(name), report))


def without_suffixes(keys: Any) -> Any:
    """Return names without their image suffix, if they have one; others are unchanged."""
    with_suffix = pc.match_substring_regex(keys, r"(?i)\.(jpe?g|jpe|jfif|png|bmp|dib|(fits?|fts)(\.[gf]z)?|fz)$")
    if not pc.any(with_suffix).as_py():
        return keys
    texts = [object_id_of(key) if key and suffix_of(key) in READ_SUFFIXES else key for key in keys.to_pylist()]
    return pa.array(texts, pa.string())


def file_keys(columns: Columns, name: str, report: CatalogReport) -> Any:
    """Return the key of each file of a column: its name without folders and without the suffix of an image."""
    texts = ids_as_text(columns.get(name), columns.at(name), report).to_pylist()
    return pa.array([object_id_of(text) or None if text else None for text in texts], pa.string())
