"""Which texts of a VOTable's binary rows are missing: astropy reads their bytes and drops what says so.

Takes the file and the table that astropy made of it, returns the rows for each column of text.
"""

from __future__ import annotations

import base64
import gzip
import io
from collections import defaultdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

_TEXT = ("char", "unicodeChar")


def missing_texts(path: Path, number: int, table: Any) -> dict[int, list[int]]:
    """Find the texts that are marked as missing.

    Parameters
    ----------
    path : path
    number : int
        The table's index among those of the file, from 0.
    table : astropy.io.votable.tree.TableElement
        Parsed.

    Returns
    -------
    dict of int to list of int
        Column -> rows, from 0; only columns of text, and only where the rows are in the form BINARY2, in which a bit
        for each cell says whether it is missing.
    """
    fields = table.fields
    texts = [index for index, field in enumerate(fields) if field.datatype in _TEXT]
    packed = _binary2(path, number) if texts else None
    found: dict[int, list[int]] = defaultdict(list)
    if packed is None:
        return found
    rows = io.BytesIO(packed)
    size = (len(fields) + 7) // 8
    for row in range(len(table.array)):
        flags = rows.read(size)
        for index in texts:
            if flags[index // 8] & (0x80 >> index % 8):
                found[index].append(row)
        for field in fields:
            field.converter.binparse(rows.read)
    return found


def _binary2(path: Path, number: int) -> bytes | None:
    """Return the bytes of a table's rows; None where they have another form, or are in another file."""
    data = path.read_bytes()
    data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    tables = [one for one in ElementTree.fromstring(data).iter() if _name(one) == "TABLE"]
    streams = [part for one in tables[number] for form in one.iter() if _name(form) == "BINARY2" for part in form]
    if not streams or streams[0].text is None or streams[0].get("encoding") != "base64":
        return None
    return base64.b64decode(streams[0].text)


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
