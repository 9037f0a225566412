"""From a request's body to the images in it: a raw image, a multipart upload or JSON with base64.

Takes bytes and a content type, gives `ImageInput`s; nothing is decoded as an image here.
"""

from __future__ import annotations

import binascii
import json
from base64 import b64decode
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from python_multipart.multipart import MultipartParser, parse_options_header

from galclass.errors import GalclassError
from galclass.service.errors import RequestError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

UNNAMED = "image"
"""The object_id of a raw body that names none."""

_MAX_ID_CHARACTERS = 200

_PARTS_AN_IMAGE, _MORE_PARTS = 8, 64
"""Brackets and commas of a JSON body: an image takes three, and its id may have some."""


@dataclass(frozen=True)
class ImageInput:
    """One image of a request: encoded bytes and the id it is answered under."""

    object_id: str
    data: bytes
    url: str | None = None


@dataclass(frozen=True)
class Inputs:
    """The images of a request; `many` says whether the answer is a list."""

    images: tuple[ImageInput, ...]
    many: bool


def parse_inputs(
    body: bytes, content_type: str, *, object_id: str | None = None, max_images: int, stored: bool = False
) -> Inputs:
    """Find the images in a body.

    Parameters
    ----------
    body : bytes
        The whole body.
    content_type : str
        image/*, application/octet-stream, multipart/form-data or application/json.
    object_id : str, optional
        Id of a raw body.
    max_images : int
        Most images one request may hold.
    stored : bool
        Whether {"object_ids": [...]} may name stored images, which then have no data.

    Raises
    ------
    RequestError
        `unsupported_type`, `no_image`, `bad_json`, `bad_base64`, `bad_multipart`, `too_many_images`, `invalid`.
    """
    kind, options = _parse_content_type(content_type)
    if kind.startswith("image/") or kind == "application/octet-stream":
        inputs = _from_raw(body, object_id)
    elif kind == "multipart/form-data":
        inputs = _from_multipart(body, options.get(b"boundary", b""), max_images)
    elif kind == "application/json":
        inputs = _from_json(body, max_images, stored)
    else:
        raise RequestError(
            "unsupported_type",
            "this content type holds no image",
            expected="image/*, application/octet-stream, multipart/form-data or application/json",
            got=repr(kind[:80]),
            field="Content-Type",
        )
    if len(inputs.images) > max_images:
        raise too_many(max_images)
    return inputs


def check_object_id(value: object, field: str) -> str:
    """Check an object id: text of 1 to 200 printable characters.

    Raises
    ------
    RequestError
        `invalid`, if it is anything else; a number is refused, as ids of 18 digits do not survive as numbers.
    """
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_ID_CHARACTERS or not value.isprintable():
        raise RequestError(
            "invalid", "not an object id", expected=f"text of 1 to {_MAX_ID_CHARACTERS} characters", field=field
        )
    return value


def too_many(max_images: int) -> RequestError:
    """Give the refusal of a request with more images than it may hold."""
    return RequestError(
        "too_many_images",
        "too many images in one request",
        expected=f"at most {max_images}",
        advice="send them in several requests, or as a batch",
        field="body",
    )


def _parse_content_type(content_type: str) -> tuple[str, dict[bytes, bytes]]:
    kind, options = parse_options_header(content_type)
    return kind.decode("latin-1").strip().lower(), options


def _from_raw(body: bytes, object_id: str | None) -> Inputs:
    if not body:
        raise RequestError("no_image", "the body is empty", field="body")
    name = UNNAMED if object_id is None else check_object_id(object_id, "object_id")
    return Inputs((ImageInput(name, body),), many=False)


def parse_json(body: bytes, max_images: int) -> Any:
    """Read a JSON body; one of more parts than images can have is refused unread, as it takes twenty times its size.

    Raises
    ------
    RequestError
        `bad_json`, `too_many_images`.
    """
    if sum(body.count(mark) for mark in b"[{,") > _PARTS_AN_IMAGE * max_images + _MORE_PARTS:
        raise too_many(max_images)
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError("bad_json", "the body is not JSON", field="body") from error


def _from_json(body: bytes, max_images: int, stored: bool) -> Inputs:
    value = parse_json(body, max_images)
    if stored and isinstance(value, dict) and "object_ids" in value:
        return Inputs(_stored(value["object_ids"]), many=True)
    if isinstance(value, dict) and isinstance(value.get("images"), list):
        items, many = value["images"], True
    else:
        items, many = [value], False
    if not items:
        raise RequestError("no_image", "the list of images is empty", field="images")
    prefix = "images.{}." if many else ""
    return Inputs(tuple(_json_image(item, prefix.format(place)) for place, item in enumerate(items)), many)


def _stored(object_ids: object) -> tuple[ImageInput, ...]:
    if not isinstance(object_ids, list) or not object_ids:
        raise RequestError("invalid", "not a list of object ids", expected="a list of texts", field="object_ids")
    return tuple(ImageInput(check_object_id(one, "object_ids"), b"") for one in object_ids)


def _json_image(item: Any, prefix: str) -> ImageInput:
    if not isinstance(item, dict) or not ("img" in item or "url" in item):
        raise RequestError(
            "invalid", "no image", expected='{"id": text, "img": base64}', field=f"{prefix}img" if prefix else "img"
        )
    unknown = sorted(set(item) - {"id", "img", "url"})
    if unknown:
        raise RequestError("invalid", f"unknown key {unknown[0][:40]!r}", expected="id, img, url", field=prefix + "id")
    name = check_object_id(item.get("id", UNNAMED), f"{prefix}id")
    if "img" not in item:
        return ImageInput(name, b"", url=_text(item["url"], f"{prefix}url"))
    try:
        data = b64decode(_text(item["img"], f"{prefix}img"), validate=True)
    except (binascii.Error, ValueError) as error:
        if isinstance(error, GalclassError):
            raise
        raise RequestError("bad_base64", "img is not base64", field=f"{prefix}img") from error
    if not data:
        raise RequestError("no_image", "img is empty", field=f"{prefix}img")
    return ImageInput(name, data)


def _text(value: object, field: str) -> str:
    if not isinstance(value, str):
        raise RequestError("invalid", "not a text", expected="text", got=type(value).__name__, field=field)
    return value


class _Parts:
    """Collects the parts of a multipart body that are files."""

    def __init__(self, max_images: int) -> None:
        self.images: list[ImageInput] = []
        self.ended = False
        self._max_images = max_images
        self._reset()

    def _reset(self) -> None:
        self._header_name = b""
        self._header_value = b""
        self._disposition = b""
        self._data: list[bytes] = []

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._reset,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_part_data": self._on_part_data,
            "on_part_end": self._on_part_end,
            "on_end": self._on_end,
        }

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = self._header_value
        self._header_name = self._header_value = b""

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._data.append(data[start:end])

    def _on_part_end(self) -> None:
        _, options = parse_options_header(self._disposition)
        if b"filename" not in options:
            return
        if len(self.images) == self._max_images:
            raise too_many(self._max_images)
        filename = options[b"filename"].decode("utf-8", errors="replace")
        self.images.append(ImageInput(id_of_file(filename, len(self.images)), b"".join(self._data)))

    def _on_end(self) -> None:
        self.ended = True


def id_of_file(filename: str, place: int) -> str:
    """Give the object id of a file: its name without folder and suffix, or "image-N"."""
    stem = PurePosixPath(filename.replace("\\", "/")).stem[:_MAX_ID_CHARACTERS]
    return stem if stem and stem.isprintable() else f"{UNNAMED}-{place + 1}"


def _from_multipart(body: bytes, boundary: bytes, max_images: int) -> Inputs:
    if not boundary:
        raise RequestError("bad_multipart", "no boundary", field="Content-Type")
    parts = _Parts(max_images)
    try:
        parser = MultipartParser(boundary, parts.callbacks())
        parser.write(body)
        parser.finalize()
    except ValueError as error:  # the parser's own errors are ValueErrors
        raise RequestError("bad_multipart", "the upload is malformed", field="body") from error
    if not parts.ended:
        raise RequestError("incomplete_body", "the upload ends before its last boundary", field="body")
    if not parts.images:
        raise RequestError("no_image", "no part is a file", advice="name a file in at least one part", field="body")
    return Inputs(tuple(parts.images), many=len(parts.images) > 1)
