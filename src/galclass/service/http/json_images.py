"""Images in JSON: {"id": text, "img": base64}, {"images": [...]} of such, or {"object_ids": [...]} of stored ones.

Takes a body, returns `ImageInput`s. A key that is unknown, repeated or combined with one that excludes it is refused by
name, and so is a value of another type, with what was found instead.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from contextlib import suppress
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from galclass.errors import RequestError
from galclass.service.http.encoded import decode_text
from galclass.service.http.image_inputs import ImageInput, Inputs, kind_of, refusal_of_id, too_many
from galclass.service.http.json_shapes import ImageBody, ImagesBody, ImageUrlBody, ObjectIdsBody, named_shape

Shape = TypeVar("Shape", bound=BaseModel)

_PARTS_AN_IMAGE, _MORE_PARTS = 8, 64
"""Brackets and commas of a JSON body: an image takes three, and its id may have some."""

_IMAGE_KEYS = ("id", "img", "url")
_ONE = '{"id": text, "img": base64}'
_SEVERAL = '{"images": [{"id": text, "img": base64}, ...]}'


def parse_json(body: bytes, max_images: int) -> Any:
    """Read a JSON body; one of more parts than images can have is refused unread, as it takes twenty times its size.

    Raises
    ------
    RequestError
        `bad_json`, `too_many_images`; `invalid`, as in `read_json`.
    """
    if sum(body.count(mark) for mark in b"[{,") > _PARTS_AN_IMAGE * max_images + _MORE_PARTS:
        raise too_many(max_images)
    return read_json(body)


def read_json(body: bytes, *, finite: bool = False) -> Any:
    """Read a JSON body of any length.

    Raises
    ------
    RequestError
        `bad_json`; `invalid`, if a key is repeated in one object, or where they have to be finite, a number is not
        (NaN, Infinity, 1e400).
    """
    try:
        return json.loads(body, object_pairs_hook=_finite_object if finite else _object)
    except (ValueError, RecursionError) as error:
        raise RequestError("bad_json", "the body is not JSON", field="body") from error


def refuse_ambiguous(body: bytes) -> None:
    """Refuse JSON with a repeated key or a number that is not finite; other faults are left to the parser.

    Raises
    ------
    RequestError
        `invalid`.
    """
    with suppress(ValueError, RecursionError):
        json.loads(body, object_pairs_hook=_finite_object)


def _finite_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    for key, value in pairs:
        _refuse_not_finite(value, key)
    return _object(pairs)


def _refuse_not_finite(value: Any, key: str) -> None:
    if isinstance(value, int | float) and not abs(value) <= sys.float_info.max:  # also NaN
        what = f"a number of {_shown(key)} is not finite, or is too large"
        raise RequestError("invalid", what, got=f"{value}"[:40], field=_shown(key, 40))
    if isinstance(value, list):
        for item in value:
            _refuse_not_finite(item, key)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise RequestError("invalid", f"the key {_shown(twice)} comes twice in one object", field=_shown(twice, 40))
    return found


def json_images(body: bytes, max_images: int, stored: bool) -> Inputs:
    """Return the images of a JSON body.

    Parameters
    ----------
    body : bytes
    max_images : int
    stored : bool
        Whether {"object_ids": [...]} may name stored images, which then have no data.

    Raises
    ------
    RequestError
        `bad_json`, `bad_base64`, `invalid`, `no_image`, `too_many_images`.
    """
    value = parse_json(body, max_images)
    if not isinstance(value, dict):
        advice = f"write the list as {_SEVERAL}" if isinstance(value, list) else None
        raise _invalid("the body is not an object", _ONE, value, "body", advice)
    if "object_ids" in value:
        if not stored and len(value) == 1:
            raise RequestError(
                "invalid",
                "stored images are not scored here",
                expected=_ONE,
                advice="send object_ids as a batch",
                field="object_ids",
            )
        named = _checked(ObjectIdsBody, value)
        return Inputs(tuple(ImageInput(name, b"", stored=True) for name in named.object_ids), many=True)
    if "images" not in value:
        shape: type[ImageBody | ImageUrlBody] = ImageUrlBody if named_shape(value) == "url" else ImageBody
        return Inputs((_image(_checked(shape, value), ""),), many=False)
    items = _checked(ImagesBody, value).images
    return Inputs(tuple(_image(item, f"images.{index}.") for index, item in enumerate(items)), many=True)


def _image(item: ImageBody | ImageUrlBody, prefix: str) -> ImageInput:
    if isinstance(item, ImageUrlBody):
        return ImageInput(item.id, b"", url=item.url)
    field = f"{prefix}img"
    data = decode_text(item.img, field)
    if not data and not prefix:  # among several, an empty one gets its error like any other faulty image
        raise RequestError("no_image", "img is empty", field=field)
    return ImageInput(item.id, data)


def _checked(shape: type[Shape], value: dict[str, Any]) -> Shape:
    """Check a body against a shape; the first fault is reported in our own words."""
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False)
    raise _refusal(min(faults, key=_in_order), shape)


def _in_order(fault: ErrorDetails) -> tuple[int, int]:
    """Return the rank of a fault: those of the body before its images', an unknown key before what is wrong in one."""
    location, kind = fault["loc"], fault["type"]
    index = location[1] if len(location) > 1 and isinstance(location[1], int) else -1
    if kind == "extra_forbidden":
        return index, 1 if location[-1] == "img" and index >= 0 else 0
    return index, 2 if kind == "missing" else 3


def _refusal(fault: ErrorDetails, shape: type[BaseModel]) -> RequestError:
    # The tag of the shape that a list's item was checked against is no part of its name.
    path = [str(part) for at, part in enumerate(fault["loc"]) if not (at == 2 and shape is ImagesBody)]
    field, name, value = ".".join(path), path[-1], fault["input"]
    match fault["type"], name:
        case "extra_forbidden", _:
            return _unknown_key(path, shape)
        case "missing", _:
            return RequestError("invalid", "no image", expected=_ONE, field=field)
        case "model_type", _:
            return _invalid("an image is not an object", _ONE, value, field)
        case "list_type", "images":
            return _invalid("images is not a list", _SEVERAL, value, field)
        case "list_type", _:
            return _invalid("not a list of object ids", "a list of texts", value, field)
        case "too_short", "images":
            return RequestError("no_image", "the list of images is empty", field=field)
        case "too_short", _:
            return RequestError("invalid", "the list of object ids is empty", field=field)
        case _, "img" | "url":
            return _invalid(f"{name} is not text", "text", value, field)
    return refusal_of_id(value, field) or RequestError("invalid", str(fault["msg"]), field=field)


def _unknown_key(path: list[str], shape: type[BaseModel]) -> RequestError:
    *parents, key = path
    own = shape in (ImageBody, ImageUrlBody) or bool(parents)
    prefix = "".join(f"{parent}." for parent in parents)
    if own and key == "img":
        return RequestError("invalid", "an image has both img and url", expected="one of them", field=f"{prefix}url")
    expected = ", ".join(_IMAGE_KEYS if own else shape.model_fields)
    return RequestError("invalid", f"unknown key {_shown(key)!r}", expected=expected, field=prefix + _shown(key))


def _invalid(what: str, expected: str, value: object, field: str, advice: str | None = None) -> RequestError:
    return RequestError("invalid", what, expected=expected, got=kind_of(value), advice=advice, field=field)


def _shown(key: str, most: int = 40) -> str:
    """Shorten a client's key for a message, without unprintable characters: a lone surrogate could not be sent."""
    return "".join(sign for sign in key[:most] if sign.isprintable())
