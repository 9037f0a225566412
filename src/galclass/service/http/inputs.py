"""From a request's body to the images in it: a raw image, a multipart upload or JSON.

Takes bytes and a content type, returns `ImageInput`s; no image is decoded here. Every part and every key of a body
becomes an image, names one, or is refused by name.
"""

from __future__ import annotations

from dataclasses import replace

from python_multipart.multipart import parse_options_header

from galclass.errors import RequestError
from galclass.image_names import fault_of_id
from galclass.service.http.image_inputs import (
    UNNAMED,
    ImageInput,
    Inputs,
    check_object_id,
    id_of_file,
    too_many,
)
from galclass.service.http.json_images import json_images
from galclass.service.http.multipart import Part, split_multipart

__all__ = ["UNNAMED", "ImageInput", "Inputs", "check_object_id", "parse_inputs", "too_many"]

_ID_FIELDS = ("object_id", "id")
"""Fields of an upload that name its files, the first the first file and so on."""

_IMAGE_FIELDS = frozenset({"image", "images", "img", "file", "files"})
"""Fields that hold an image also where they have no file name; others need one, or the content type of an image."""

_MORE_PARTS = 16
"""Parts of an upload beyond an image and an id for each."""

_ZIP = b"PK\x03\x04"


def parse_inputs(
    body: bytes, content_type: str, *, object_id: str | None = None, max_images: int, stored: bool = False
) -> Inputs:
    """Find the images in a body.

    Parameters
    ----------
    body : bytes
        The whole body.
    content_type : str
        image/*, application/fits, application/octet-stream, multipart/form-data or application/json.
    object_id : str, optional
        Id of the one image of the body.
    max_images : int
        Most images one request may hold.
    stored : bool
        Whether {"object_ids": [...]} may name stored images, which then have no data.

    Raises
    ------
    RequestError
        `unsupported_type`, `no_image`, `bad_json`, `bad_base64`, `bad_multipart`, `incomplete_body`,
        `too_many_images`, `invalid`.
    """
    kind, options = _parse_content_type(content_type)
    if _is_image_type(kind):
        return _from_raw(body, object_id)
    if kind == "multipart/form-data":
        inputs = _from_multipart(body, options.get(b"boundary", b""), max_images)
    elif kind == "application/json":
        inputs = json_images(body, max_images, stored)
    else:
        raise RequestError(
            "unsupported_type",
            "this content type does not contain images",
            expected="image/*, application/fits, application/octet-stream, multipart/form-data or application/json",
            got=repr(kind[:80]),
            field="Content-Type",
        )
    if len(inputs.images) > max_images:
        raise too_many(max_images)
    return inputs if object_id is None else _named(inputs, check_object_id(object_id, "object_id"))


def _parse_content_type(content_type: str) -> tuple[str, dict[bytes, bytes]]:
    kind, options = parse_options_header(content_type)
    return kind.decode("latin-1").strip().lower(), options


def _from_raw(body: bytes, object_id: str | None) -> Inputs:
    if not body:
        raise RequestError("no_image", "the body is empty", field="body")
    name = UNNAMED if object_id is None else check_object_id(object_id, "object_id")
    return Inputs((ImageInput(name, body),), many=False)


def _named(inputs: Inputs, object_id: str) -> Inputs:
    """Name the one image of a body by the id in the query, which takes precedence over its file name.

    Raises
    ------
    RequestError
        `invalid`, if there are several images: one id cannot name them.
    """
    if len(inputs.images) != 1:
        raise RequestError(
            "invalid",
            "object_id names one image",
            expected="1 image",
            got=len(inputs.images),
            advice="name each in the body",
            field="object_id",
        )
    return replace(inputs, images=(replace(inputs.images[0], object_id=object_id),))


def _from_multipart(body: bytes, boundary: bytes, max_images: int) -> Inputs:
    parts = split_multipart(body, boundary, 2 * max_images + _MORE_PARTS)
    names: list[str] = []
    images: list[ImageInput] = []
    for part in parts:
        if _is_id(part):
            names.append(_id_of_field(part))
            continue
        if len(images) == max_images:
            raise too_many(max_images)
        images.append(_image_of(part, len(images)))
    if not images:
        raise RequestError("no_image", "no part is a file", advice="name a file in at least one part", field="body")
    if names:
        images = _renamed(images, names)
    return Inputs(tuple(images), many=len(images) > 1)


def _is_id(part: Part) -> bool:
    return part.filename is None and part.name in _ID_FIELDS


def _id_of_field(part: Part) -> str:
    try:
        text = part.data.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise part.refusal("invalid", "the object id is not UTF-8") from error
    return check_object_id(text, part.label)


def _renamed(images: list[ImageInput], names: list[str]) -> list[ImageInput]:
    if len(names) != len(images):
        expected = f"one field for each of {len(images)} files, or none"
        raise RequestError(
            "invalid",
            "the fields object_id do not match the files",
            expected=expected,
            got=len(names),
            field="object_id",
        )
    return [replace(image, object_id=name) for image, name in zip(images, names, strict=True)]


def _image_of(part: Part, index: int) -> ImageInput:
    """Return the image of a part under the id of its file name, or "image-N" where it has none.

    Raises
    ------
    RequestError
        `no_image`, `invalid`, `unsupported_type`: always by the part's name.
    """
    if part.filename is None and not _holds_image(part):
        raise part.refusal(
            "no_image",
            "a field that is neither a file nor the object_id of one",
            advice="options such as frame_px go into the query, and a file needs a file name",
        )
    if not part.filename and not part.data:
        raise part.refusal("no_image", "no file was chosen")
    if part.data.startswith(_ZIP):
        raise part.refusal(
            "unsupported_type", "it is a zip archive", advice="send it alone to the batches, as application/zip"
        )
    name = id_of_file(part.filename or "", index)
    fault = fault_of_id(name)
    if fault is not None:
        raise part.refusal("invalid", f"its file name is not an object id: {fault}")
    return ImageInput(name, part.data)


def _holds_image(part: Part) -> bool:
    kind = part.content_type
    field = (part.name or "").removesuffix("[]").lower()
    return _is_image_type(kind) or field in _IMAGE_FIELDS


def _is_image_type(kind: str) -> bool:
    """Return whether a media type may hold an image; FITS has one of its own (RFC 4047)."""
    return kind.startswith("image/") or kind in ("application/octet-stream", "application/fits")
