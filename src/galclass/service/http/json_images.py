"""Images in JSON: {"id": text, "img": base64}, {"images": [...]} of such, or {"object_ids": [...]} of stored ones.

Takes a body, returns `ImageInput`s. A key that is unknown, repeated or combined with one that excludes it is refused by
name, and so is a value of another type, with what was found instead.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from galclass.errors import RequestError
from galclass.service.http.encoded import decode_text
from galclass.service.http.image_inputs import UNNAMED, ImageInput, Inputs, check_object_id, kind_of, too_many

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
        `bad_json`, `too_many_images`; `invalid`, if a key is repeated in one object.
    """
    if sum(body.count(mark) for mark in b"[{,") > _PARTS_AN_IMAGE * max_images + _MORE_PARTS:
        raise too_many(max_images)
    try:
        return json.loads(body, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise RequestError("bad_json", "the body is not JSON", field="body") from error


def refuse_repeated_keys(body: bytes) -> None:
    """Refuse JSON with a repeated key in one object; text that is not JSON is left to the parser.

    Raises
    ------
    RequestError
        `invalid`.
    """
    with suppress(ValueError, RecursionError):
        json.loads(body, object_pairs_hook=_object)


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
        _refuse_others(value, ("object_ids",), "")
        if not stored:
            raise RequestError(
                "invalid",
                "stored images are not scored here",
                expected=_ONE,
                advice="send object_ids as a batch",
                field="object_ids",
            )
        return Inputs(_stored(value["object_ids"]), many=True)
    if "images" not in value:
        return Inputs((_image(value, ""),), many=False)
    _refuse_others(value, ("images",), "")
    items = value["images"]
    if not isinstance(items, list):
        raise _invalid("images is not a list", _SEVERAL, items, "images")
    if not items:
        raise RequestError("no_image", "the list of images is empty", field="images")
    return Inputs(tuple(_image(item, f"images.{place}.") for place, item in enumerate(items)), many=True)


def _stored(object_ids: object) -> tuple[ImageInput, ...]:
    if not isinstance(object_ids, list):
        raise _invalid("not a list of object ids", "a list of texts", object_ids, "object_ids")
    if not object_ids:
        raise RequestError("invalid", "the list of object ids is empty", field="object_ids")
    names = (check_object_id(one, f"object_ids.{place}") for place, one in enumerate(object_ids))
    return tuple(ImageInput(name, b"", stored=True) for name in names)


def _image(item: Any, prefix: str) -> ImageInput:
    if not isinstance(item, dict):
        raise _invalid("an image is not an object", _ONE, item, prefix.rstrip("."))
    _refuse_others(item, _IMAGE_KEYS, prefix)
    if "img" in item and "url" in item:
        raise RequestError("invalid", "an image has both img and url", expected="one of them", field=f"{prefix}url")
    if not ("img" in item or "url" in item):
        raise RequestError("invalid", "no image", expected=_ONE, field=f"{prefix}img")
    name = check_object_id(item.get("id", UNNAMED), f"{prefix}id")
    if "img" not in item:
        return ImageInput(name, b"", url=_text(item["url"], f"{prefix}url"))
    field = f"{prefix}img"
    data = decode_text(_text(item["img"], field), field)
    if not data and not prefix:  # among several, an empty one gets its error like any other faulty image
        raise RequestError("no_image", "img is empty", field=field)
    return ImageInput(name, data)


def _refuse_others(value: dict[str, Any], known: Iterable[str], prefix: str) -> None:
    unknown = [key for key in value if key not in known]
    if unknown:
        expected = ", ".join(known)
        field = prefix + _shown(unknown[0], 40)
        raise RequestError("invalid", f"unknown key {_shown(unknown[0])!r}", expected=expected, field=field)


def _text(value: object, field: str) -> str:
    if not isinstance(value, str):
        raise _invalid(f"{field.rpartition('.')[2]} is not text", "text", value, field)
    return value


def _invalid(what: str, expected: str, value: object, field: str, advice: str | None = None) -> RequestError:
    return RequestError("invalid", what, expected=expected, got=kind_of(value), advice=advice, field=field)


def _shown(key: str, most: int = 40) -> str:
    """Shorten a client's key for a message, without unprintable characters: a lone surrogate could not be sent."""
    return "".join(sign for sign in key[:most] if sign.isprintable())
