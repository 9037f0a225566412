"""Small JSON bodies of routes that change something: read after the token was checked, with limits on size and time.

FastAPI's own body parameters are read whole and parsed on the event loop before the sender is checked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from galclass.errors import RequestError
from galclass.service.engine.state import state_of
from galclass.service.http.body import media_type_of
from galclass.service.http.json_images import refuse_ambiguous
from galclass.service.routes import catalog_schemas, desk_schemas, service_schemas
from galclass.service.routes.access import Publisher

MAX_JSON_BYTES = 64 * 1024
"""Largest of these bodies; a description of 2,000 characters is the longest text in one."""

Shape = TypeVar("Shape", bound=BaseModel)


def json_body(model: type[Shape]) -> Callable[..., Awaitable[Shape]]:
    """Return the dependency that admits a publisher, then reads the body as a model.

    Its errors have the shape of FastAPI's for a body parameter: 422 with the field's name.
    """

    async def read(request: Request, _: Publisher) -> Shape:
        if media_type_of(request) != "application/json":
            raise RequestError("invalid", "this takes JSON", expected="application/json", field="Content-Type")
        async with state_of(request).bodies.hold(request, max_bytes=MAX_JSON_BYTES) as body:
            return _parse(model, body.data)

    return read


def _parse(model: type[Shape], body: bytes) -> Shape:
    refuse_ambiguous(body)
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        faults = [{**fault, "loc": ("body", *fault["loc"])} for fault in error.errors(include_url=False)]
        raise RequestValidationError(faults) from error


def described(model: type[BaseModel]) -> dict[str, Any]:
    """Return the OpenAPI entry of a body that `json_body` reads."""
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}


ServiceBody = Annotated[service_schemas.ServiceBody, Depends(json_body(service_schemas.ServiceBody))]
AliasBody = Annotated[service_schemas.AliasBody, Depends(json_body(service_schemas.AliasBody))]
LabelBody = Annotated[catalog_schemas.LabelBody, Depends(json_body(catalog_schemas.LabelBody))]
DeskLabelBody = Annotated[desk_schemas.DeskLabelBody, Depends(json_body(desk_schemas.DeskLabelBody))]
DeskModelBody = Annotated[desk_schemas.DeskModelBody, Depends(json_body(desk_schemas.DeskModelBody))]
