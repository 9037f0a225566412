"""Routes of services over code: call the function, capabilities, OpenAPI document."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from galclass.database.jobs.quotas import MAX_IMAGES
from galclass.database.jobs.rows import JobImage
from galclass.database.service_rows import ServiceRecord
from galclass.errors import GalclassError, RequestError
from galclass.service.engine.auth import READER
from galclass.service.engine.state import state_of
from galclass.service.functions.facts import FunctionFacts
from galclass.service.functions.publish import facts_of
from galclass.service.http.body import media_type_of
from galclass.service.http.image_inputs import kind_of
from galclass.service.http.json_images import read_json
from galclass.service.http.outputs import JSON
from galclass.service.routes import schemas, service_schemas
from galclass.service.routes.known_query import KNOWN_QUERY
from galclass.service.routes.openapi import one_service, responses
from galclass.service.routes.predict import Name, Version

router = APIRouter(tags=["functions"], dependencies=[KNOWN_QUERY])

_ANY_OBJECT: dict[str, Any] = {
    "requestBody": {"required": True, "content": {JSON: {"schema": {"type": "object", "additionalProperties": True}}}}
}
_NOT_FOR_FUNCTIONS = ("/predict", "/explain", "/cutout", "/similar")
_PREFIX, _TEMPLATE = "function.", "#/components/schemas/"


class CallsBody(BaseModel):
    """Several calls of a function; its process checks the inputs of each."""

    model_config = ConfigDict(extra="forbid")

    inputs: list[dict[Any, Any]] = Field(min_length=1, max_length=MAX_IMAGES)


@router.post(
    "/v1/services/{name}/{version}/call",
    summary="Call a function",
    openapi_extra=_ANY_OBJECT,
    responses={
        200: {"description": "What the function returns", "content": {JSON: {"schema": {}}}},
        **responses(400, 401, 404, 408, 409, 413, 415, 422, 429, 500, 503, 504),
    },
    response_model=None,
)
async def call(request: Request, name: Name, version: Version) -> Response:
    """Call the function of a service over code with a JSON object of its inputs.

    The service's own OpenAPI document has the schemas of inputs and output, and examples. The function runs in a
    separate process, which is killed at its deadline (504).
    """
    state = state_of(request)
    await state.admit(request, READER)
    service = await state.resolve_any(name, version)
    if service.record.code is None:
        raise RequestError(
            "no_function", "this service is a model, not a function", advice="send images to .../predict"
        )
    if media_type_of(request) != JSON:
        raise RequestError("unsupported_type", "this takes JSON", expected=JSON, field="Content-Type")
    async with state.bodies.hold(request) as body:
        written = await state.functions.call(service.record, body.data)
    return Response(written, media_type=JSON, headers={"Cache-Control": "no-store"})


def calls_of(body: bytes) -> list[JobImage]:
    """Return the calls of a batch, {"inputs": [{...}, ...]}, as items of a job; an `id` of text names its result.

    Raises
    ------
    RequestError
        `bad_json`, `invalid`, `too_many_images`.
    """
    try:
        calls = CallsBody.model_validate(read_json(body, finite=True)).inputs
    except ValidationError as error:
        raise _refusal(error.errors(include_url=False)) from error
    return [_item(one, index) for index, one in enumerate(calls)]


def _refusal(faults: Sequence[ErrorDetails]) -> RequestError:
    first, expected = faults[0], '{"inputs": [{...}, ...]}'
    match first["type"] if faults[-1]["type"] != "extra_forbidden" else "":
        case "dict_type":
            field, got = f"inputs.{first['loc'][1]}", kind_of(first["input"])
            return RequestError("invalid", "the inputs of a call are not an object", got=got, field=field)
        case "too_short":
            return RequestError("invalid", "the list of inputs is empty", expected=expected, field="inputs")
        case "too_long":
            return RequestError("too_many_images", "too many calls in one batch", expected=f"at most {MAX_IMAGES}")
    return RequestError("invalid", "this is not a batch of calls", expected=expected, field="inputs")


def _item(inputs: Mapping[str, Any], index: int) -> JobImage:
    name = inputs.get("id")
    if not (isinstance(name, str) and 0 < len(name) <= 200 and name.isprintable()):
        name = f"call-{index + 1}"
    return JobImage(name, json.dumps(inputs).encode())


def facts_or_refusal(record: ServiceRecord) -> FunctionFacts:
    """Return the facts of a service over code.

    Raises
    ------
    RequestError
        `function_refused`, if its row was changed.
    """
    try:
        return facts_of(record)
    except GalclassError as error:
        raise RequestError("function_refused", f"this service is refused: {error.what}") from error


def capabilities_of(
    record: ServiceRecord, shown: service_schemas.ServiceRecord, most: int
) -> service_schemas.FunctionCapabilities:
    """Return the inputs and outputs of a service over code."""
    facts = facts_or_refusal(record)
    return service_schemas.FunctionCapabilities(
        service=shown,
        inputs=dict(facts.inputs["schema"]),
        output=dict(facts.outputs["schema"]),
        definitions=dict(facts.inputs["components"]),
        requirements=dict(facts.requirements),
        models=[schemas.ModelRef(**vars(one)) for one in facts.models.values()],
        python=facts.python,
        deadline_s=facts.deadline_s,
        memory_mib=facts.memory_mib,
        max_body_bytes=most,
    )


def openapi_of(document: dict[str, Any], record: ServiceRecord) -> dict[str, Any]:
    """Return the OpenAPI document of a service over code, with its own schemas and examples."""
    facts = facts_or_refusal(record)
    whole = one_service(document, record.name, record.version, record.description)
    base = f"/v1/services/{record.name}/{record.version}"
    paths = {path: item for path, item in whole["paths"].items() if not path.endswith(_NOT_FOR_FUNCTIONS)}
    inputs, output = _moved(facts.inputs["schema"]), _moved(facts.outputs["schema"])
    summary = f"Call {facts.function.partition(':')[2]}"
    post = {**paths[f"{base}/call"]["post"], "summary": summary, "description": record.description}
    names = [f"example{index}" for index, _ in enumerate(facts.examples, 1)]
    shown = {
        key: {name: {"value": one[key]} for name, one in zip(names, facts.examples, strict=True)}
        for key in ("inputs", "output")
    }
    post["requestBody"] = _body(inputs, shown["inputs"])
    done = {"description": "What the function returns", "content": {JSON: _media(output, shown["output"])}}
    post["responses"] = {**post["responses"], "200": done}
    batch = {"type": "object", "required": ["inputs"], "additionalProperties": False}
    batch["properties"] = {"inputs": {"type": "array", "items": inputs, "minItems": 1}}
    batches = {**paths[f"{base}/batches"]["post"], "requestBody": _body(batch, {})}
    paths[f"{base}/call"] = {"post": post}
    paths[f"{base}/batches"] = {"post": batches}
    own = {f"{_PREFIX}{name}": _moved(schema) for name, schema in facts.inputs["components"].items()}
    components = {**document["components"], "schemas": {**document["components"]["schemas"], **own}}
    return {**whole, "paths": paths, "components": components}


def _body(schema: Mapping[str, Any], examples: Mapping[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {JSON: _media(schema, examples)}}


def _media(schema: Mapping[str, Any], examples: Mapping[str, Any]) -> dict[str, Any]:
    return {"schema": schema, **({"examples": examples} if examples else {})}


def _moved(schema: Any) -> Any:
    """Return a schema whose references point to the function's own components."""
    if isinstance(schema, dict):
        return {
            key: f"{_TEMPLATE}{_PREFIX}{value.removeprefix(_TEMPLATE)}"
            if key == "$ref" and isinstance(value, str)
            else _moved(value)
            for key, value in schema.items()
        }
    return [_moved(one) for one in schema] if isinstance(schema, list) else schema
