"""The shapes of JSON bodies that hold images: what `json_images` checks a body against, and what OpenAPI shows."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag

from galclass.image_names import MAX_ID_CHARACTERS, fault_of_id
from galclass.service.http.image_inputs import UNNAMED

MAX_URL = 4096
"""Most characters of an image's address."""


def _printable(text: str) -> str:
    fault = fault_of_id(text)
    if fault is not None:
        raise ValueError(fault)
    return text


_LENGTHS = {"minLength": 1, "maxLength": MAX_ID_CHARACTERS}
ObjectIdText = Annotated[str, AfterValidator(_printable), Field(json_schema_extra=_LENGTHS)]
"""An object id; its lengths are checked with its characters."""


class ImageBody(BaseModel):
    """One image as JSON."""

    model_config = ConfigDict(extra="forbid")

    id: ObjectIdText = UNNAMED
    img: str = Field(
        json_schema_extra={"minLength": 4},  # `encoded.decode_text` says what is wrong with a shorter one
        description="JPEG, PNG, BMP or FITS bytes in base64 (also URL-safe, without padding, with line breaks or as a "
        "data URL), or in hexadecimal digits",
    )


class ImageUrlBody(BaseModel):
    """One image by its address, only at hosts that the server allows."""

    model_config = ConfigDict(extra="forbid")

    id: ObjectIdText = UNNAMED
    url: str = Field(  # `fetching` refuses others, with the reason
        json_schema_extra={"minLength": 9, "maxLength": MAX_URL, "pattern": "^https://"}
    )


def named_shape(item: Any) -> str:
    """Return which shape an image is checked against: "url" where it has one, else "img"."""
    return "url" if isinstance(item, dict) and "url" in item else "img"


class ImagesBody(BaseModel):
    """Several images as JSON."""

    model_config = ConfigDict(extra="forbid")

    images: list[
        Annotated[Annotated[ImageBody, Tag("img")] | Annotated[ImageUrlBody, Tag("url")], Discriminator(named_shape)]
    ] = Field(min_length=1)


class ObjectIdsBody(BaseModel):
    """Stored images by their object ids."""

    model_config = ConfigDict(extra="forbid")

    object_ids: list[ObjectIdText] = Field(min_length=1)
