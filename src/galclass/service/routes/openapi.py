"""The OpenAPI document's entries about bodies and refusals, in one place."""

from __future__ import annotations

from typing import Any

from galclass.service.http.json_shapes import ImageBody, ImagesBody, ImageUrlBody, ObjectIdsBody
from galclass.service.routes.access import BEARER
from galclass.service.routes.schemas import ErrorBody

_BINARY = {"schema": {"type": "string", "format": "binary"}}

_ABOUT = {
    400: "The request cannot be read",
    401: "A token is needed",
    403: "The token's role does not allow this",
    404: "No such service, version or object",
    406: "No such media type",
    408: "The body took too long",
    409: "It already exists or is in use",
    412: "The response is unchanged",
    413: "Too large",
    415: "This content type does not contain images",
    422: "The request or the image is invalid",
    429: "Too many requests",
    500: "The function failed",
    503: "Overloaded or not ready; Retry-After says when to retry",
    504: "The function took longer than its deadline",
    507: "No space for more jobs, or too little on the server's disk",
}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries of error responses."""
    return {status: {"model": ErrorBody, "description": _ABOUT[status]} for status in statuses}


def _json_schema() -> dict[str, Any]:
    """Return the schema of a JSON body, with its parts in line."""
    one, other, several = (model.model_json_schema() for model in (ImageBody, ImageUrlBody, ImagesBody))
    several.pop("$defs", None)
    several["properties"]["images"]["items"] = {"anyOf": [one, other]}
    return {"anyOf": [one, other, several]}


IMAGE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "image/*": _BINARY,
            "application/fits": _BINARY,
            "application/octet-stream": _BINARY,
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "image": {"type": "array", "items": _BINARY["schema"], "minItems": 1},
                        "object_id": {
                            "type": "array",
                            "items": {"type": "string", "minLength": 1, "maxLength": 200},
                            "description": "One per file, in their order; by default the files' names",
                        },
                    },
                    "additionalProperties": False,
                    "required": ["image"],
                }
            },
            "application/json": {"schema": _json_schema()},
        },
    }
}
"""The body of routes that take images."""

BATCH_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/zip": _BINARY,
            "multipart/form-data": IMAGE_BODY["requestBody"]["content"]["multipart/form-data"],
            "application/json": {"schema": {"anyOf": [*_json_schema()["anyOf"], ObjectIdsBody.model_json_schema()]}},
        },
    }
}
"""The body of routes that take many images."""


def with_open_reading(document: dict[str, Any]) -> dict[str, Any]:
    """Mark routes that need no publisher's token as open to a reader's or, by default, to none."""
    for path, item in document["paths"].items():
        if path.startswith("/v1/"):
            for operation in item.values():
                operation.setdefault("security", [{BEARER.scheme_name: []}, {}])
    return document


def one_service(document: dict[str, Any], name: str, version: str, description: str) -> dict[str, Any]:
    """Return the part of an OpenAPI document for one service.

    Parameters
    ----------
    document : dict
        The whole document; it is not changed.
    name, version, description : str
        Fill the path parameters and the title.
    """
    prefix = "/v1/services/{name}/{version}"
    paths = {
        path.replace("{name}", name).replace("{version}", version): {
            method: _without_parameters(operation) for method, operation in item.items() if method != "delete"
        }
        for path, item in document["paths"].items()
        if path.startswith(prefix)
    }
    info = {"title": name, "version": version, "description": description}
    return {**document, "info": info, "paths": paths}


def _without_parameters(operation: dict[str, Any]) -> dict[str, Any]:
    parameters = [one for one in operation.get("parameters", []) if one["name"] not in ("name", "version")]
    return {**operation, "parameters": parameters}
