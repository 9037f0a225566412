"""The images of a request, and their allowed object ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from galclass.errors import RequestError
from galclass.image_names import MAX_ID_CHARACTERS, base_name, fault_of_id, object_id_of

UNNAMED = "image"
"""The object_id of a raw body that names none."""

UPLOAD_SUFFIX = ".img"
"""Suffix that our clients append to an id to make a file name; the id is everything before it."""

_KINDS: Mapping[type, str] = {
    type(None): "null",
    bool: "true or false",
    int: "a number",
    float: "a number with a decimal point or an exponent",
    str: "text",
    list: "a list",
    dict: "an object",
}


@dataclass(frozen=True)
class ImageInput:
    """One image of a request: encoded bytes and the id in the response.

    Attributes
    ----------
    url : str or None
        Where the bytes are to be fetched from.
    stored : bool
        Whether it refers to the stored image of its object id; then it has no bytes.
    """

    object_id: str
    data: bytes
    url: str | None = None
    stored: bool = False


@dataclass(frozen=True)
class Inputs:
    """The images of a request; `many` says whether the response is a list."""

    images: tuple[ImageInput, ...]
    many: bool


def too_many(max_images: int) -> RequestError:
    """Return the refusal of a request with more images than it may hold."""
    return RequestError(
        "too_many_images",
        "too many images in one request",
        expected=f"at most {max_images}",
        advice="send them in several requests, or as a batch",
        field="body",
    )


def kind_of(value: object) -> str:
    """Describe the type of a JSON value; the value itself goes into no message."""
    return _KINDS.get(type(value), type(value).__name__)


def check_object_id(value: object, field: str) -> str:
    """Check an object id: text of 1 to 200 printable characters.

    Raises
    ------
    RequestError
        `invalid`, if it is anything else. Numbers are refused, also integers: JavaScript and others round an id of 18
        digits before it is sent, and nobody could tell.
    """
    refusal = refusal_of_id(value, field)
    if refusal is not None:
        raise refusal
    return str(value)


def refusal_of_id(value: object, field: str) -> RequestError | None:
    """Return what `check_object_id` raises for a value, or None if it is an object id."""
    if not isinstance(value, str):
        advice = "put its digits in quotes: numbers lose digits on the way" if type(value) in (int, float) else None
        return RequestError(
            "invalid", "not an object id", expected="text", got=kind_of(value), advice=advice, field=field
        )
    fault = fault_of_id(value)
    if fault is None:
        return None
    expected = f"text of 1 to {MAX_ID_CHARACTERS} printable characters"
    return RequestError("invalid", f"not an object id: {fault}", expected=expected, field=field)


def id_of_file(filename: str, index: int) -> str:
    """Return the object id of a file name: without folders and image suffix, or "image-N" where no name is left.

    Parameters
    ----------
    filename : str
        From the client or an archive.
    index : int
        Index of the image, from 0.
    """
    base = base_name(filename)
    name = base.removesuffix(UPLOAD_SUFFIX) if base.endswith(UPLOAD_SUFFIX) else object_id_of(base)
    return name or f"{UNNAMED}-{index + 1}"
