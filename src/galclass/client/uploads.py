"""From images and their ids to the bodies of requests: multipart, zip, or JSON where an id makes no file name.

Takes bytes or paths, returns what the client sends; ids arrive as they are.
"""

from __future__ import annotations

import io
import re
import zipfile
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

from galclass.errors import ServiceError
from galclass.image_names import MAX_ID_CHARACTERS, fault_of_id, object_id_of

Image = bytes | Path | str
"""Encoded image bytes, or the path of a file with them."""

Named = tuple[str, bytes]
"""An object id and its image."""

_FILE_NAME = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9_+.-]*")
"""Ids that a server finds again in the name of a file."""

_SUFFIX = ".img"
"""Ends the file names of uploads; a server takes all that stands before it for the id, dots and other suffixes too."""


def with_ids(images: Iterable[Image], object_ids: Sequence[str] | None) -> Iterator[Named]:
    """Read images one after another, each with its id: given, or that of the file's name, or the position.

    Raises
    ------
    ServiceError
        If there are more or fewer ids than images, or an id is neither valid text nor an integer.
    """
    index = -1
    for index, image in enumerate(images):
        if object_ids is not None and index >= len(object_ids):
            raise ServiceError("there are more images than object_ids", got=len(object_ids))
        data = image if isinstance(image, bytes) else Path(image).read_bytes()
        if object_ids is not None:
            yield _id(object_ids[index], index), data
        elif isinstance(image, bytes):
            yield str(index), data
        else:
            yield _valid(object_id_of(Path(image).name), str(image)), data
    if object_ids is not None and index + 1 != len(object_ids):
        raise ServiceError("there are fewer images than object_ids", expected=len(object_ids), got=index + 1)


def _id(value: object, index: int) -> str:
    """Return an id as text; a float has lost digits of an id already, and its text would name no object."""
    where = f"object_ids[{index}]"
    if not isinstance(value, str) and (not isinstance(value, Integral) or isinstance(value, bool)):
        raise ServiceError("not an object id", where=where, expected="text", got=type(value).__name__)
    return _valid(str(value), where)


def _valid(name: str, where: str) -> str:
    """Return an id if a server would accept it."""
    if fault := fault_of_id(name):
        expected = f"text of 1 to {MAX_ID_CHARACTERS} printable characters"
        raise ServiceError(f"not an object id: {fault}", where=where, expected=expected)
    return name


def in_portions(named: Iterable[Named], most_bytes: int, most_images: int) -> Iterator[list[Named]]:
    """Cut a stream of images into lists that a request may hold."""
    part: list[Named] = []
    size = 0
    for item in named:
        if part and (size + len(item[1]) > most_bytes or len(part) == most_images):
            yield part
            part, size = [], 0
        part.append(item)
        size += len(item[1])
    if part:
        yield part


def body_of(part: list[Named]) -> dict[str, Any]:
    """Return the body of a predict request; the response is a list even for one image."""
    if len(part) == 1 or not _are_file_names(part):
        return _json(part)
    return {"files": [("image", (f"{name}{_SUFFIX}", data, "application/octet-stream")) for name, data in part]}


def archive_of(part: list[Named]) -> dict[str, Any]:
    """Return the body of a request that fills a batch."""
    if not _are_file_names(part):
        return _json(part)
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_STORED) as archive:
        for name, content in part:
            archive.writestr(f"{name}{_SUFFIX}", content)
    return {"content": data.getvalue(), "headers": {"Content-Type": "application/zip"}}


def _are_file_names(part: list[Named]) -> bool:
    return all(_FILE_NAME.fullmatch(name) for name, _ in part)


def _json(part: list[Named]) -> dict[str, Any]:
    return {"json": {"images": [{"id": name, "img": b64encode(data).decode()} for name, data in part]}}
