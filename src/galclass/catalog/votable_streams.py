"""Where a VOTable says that its rows are: astropy would fetch them from any address."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from xml.parsers import expat

from galclass.catalog.packed import opened
from galclass.errors import CatalogError


def check_streams(path: Path) -> None:
    """Check that the rows of a VOTable are in the file itself, or in another plain file.

    A file that is no XML is left to its reader.

    Raises
    ------
    CatalogError
        If they are at an address, or packed in another file.
    """

    def start(name: str, attributes: Mapping[str, str]) -> None:
        href = attributes.get("href", "")
        if name.rpartition(":")[2] != "STREAM" or not href:
            return
        if not href.startswith("file") or attributes.get("encoding") == "gzip":
            raise CatalogError(
                "its rows are in another file, which is not fetched", where=str(path), got=href[:80],
                advice="save the table with its rows",
            )  # fmt: skip

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    try:
        with opened(path) as stream:
            parser.ParseFile(stream)
    except (expat.ExpatError, OSError, EOFError, ValueError):
        return
