"""Types for the inputs of functions, in addition to pydantic's."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from galclass.errors import RequestError
from galclass.service.http.encoded import decode_text


def _decode(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise PydanticCustomError("bad_base64", "an image is text: base64, a data URL or hexadecimal digits")
    try:
        return decode_text(value, "img")
    except RequestError as error:
        raise PydanticCustomError("bad_base64", "{what}", {"what": error.what}) from error


Image = Annotated[
    bytes,
    BeforeValidator(_decode),
    WithJsonSchema({"type": "string", "contentEncoding": "base64", "contentMediaType": "image/*"}),
]
"""The bytes of an image, sent as text as in `img` of a prediction: base64, a data URL or hexadecimal digits."""
