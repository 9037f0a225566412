"""The inputs and outputs of a function as pydantic reads them from its annotations."""

from __future__ import annotations

import inspect
import json
import math
import typing
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUserError

from galclass.errors import RequestError, ServiceError
from galclass.scoring import Scorer

_OWN_CHECKS = ("value_error", "assertion_error")
"""Kinds of faults whose message is the author's own, and may contain what nobody else should read."""

_TEMPLATE = "#/components/schemas/{model}"


class FunctionSignature:
    """The inputs and output of a function.

    Parameters
    ----------
    function : callable
        Every parameter and the return value must be annotated; parameters of type `Scorer` get registered models.

    Raises
    ------
    ServiceError
        If an annotation is missing or pydantic cannot read it.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        where = getattr(function, "__qualname__", str(function))
        if not callable(function) or inspect.isclass(function):
            raise ServiceError("it is not a function", where=where)
        if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
            raise ServiceError("it is not a plain function", where=where, expected="def, without async and yield")
        try:
            hints = typing.get_type_hints(function, include_extras=True)
        except NameError as error:
            raise ServiceError("an annotation cannot be read", where=where, got=str(error)) from error
        fields: dict[str, Any] = {}
        self.scorers: list[str] = []
        for name, parameter in inspect.signature(function).parameters.items():
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise ServiceError(f"{name} is not a named parameter", where=where, expected="parameters with names")
            if name not in hints:
                raise ServiceError(f"the parameter {name} has no annotation", where=where)
            if hints[name] is Scorer:
                self.scorers.append(name)
            else:
                fields[name] = (hints[name], ... if parameter.default is parameter.empty else parameter.default)
        if "return" not in hints:
            raise ServiceError("the return value has no annotation", where=where)
        try:
            self._inputs: type[BaseModel] = create_model("Inputs", __config__=ConfigDict(extra="forbid"), **fields)
            self._outputs: TypeAdapter[Any] = TypeAdapter(hints["return"])
            self.schemas = self._schemas()
        except (PydanticUserError, PydanticInvalidForJsonSchema, TypeError, NameError) as error:
            message = str(error).splitlines()[0]
            raise ServiceError("a type cannot be read from JSON or written as it", where=where, got=message) from error

    def _schemas(self) -> tuple[dict[str, Any], dict[str, Any]]:
        adapter: TypeAdapter[Any] = TypeAdapter(self._inputs)
        wanted: Any = [("in", "validation", adapter), ("out", "serialization", self._outputs)]
        found, shared = TypeAdapter.json_schemas(wanted, ref_template=_TEMPLATE)
        definitions = shared.get("$defs", {})
        inputs = found["in", "validation"]
        if "$ref" in inputs:  # a schema of its own where another refers to it by name only
            inputs = definitions.pop(inputs["$ref"].rpartition("/")[2])
        return (
            {"schema": inputs, "components": definitions},
            {"schema": found["out", "serialization"]},
        )

    def arguments(self, body: bytes) -> dict[str, Any]:
        """Read the inputs of a call from JSON; types are not converted.

        Raises
        ------
        ValidationError
        """
        model = self._inputs.model_validate_json(body, strict=True)
        return {name: getattr(model, name) for name in type(model).model_fields}

    def written(self, result: Any) -> bytes:
        """Write the function's result as JSON.

        Raises
        ------
        ValidationError, PydanticSerializationError
            If it does not match its annotation.
        RequestError
            `function_failed`, if a number in it is not finite: JSON has none, and null would be another value.
        """
        result = list(result) if isinstance(result, Iterator) else result
        data = self._outputs.dump_json(self._outputs.validate_python(result))
        if any(word in data for word in (b"null", b"NaN", b"Infinity")):
            again = self._outputs.dump_python(self._outputs.validate_python(result))  # what is lazy is read but once
            _refuse_lost_numbers(again, json.loads(data, parse_int=str), "")
        return data


def _refuse_lost_numbers(value: Any, written: Any, path: str) -> None:
    """Refuse NaN and infinity, unless the author's type writes them as text."""
    if (
        isinstance(value, float)
        and not math.isfinite(value)
        and (written is None or written == value or written != written)
    ):
        raise RequestError(
            "function_failed",
            f"the function returned a number that is not finite: {path[1:] or 'its result'} is {value}",
            advice="where a value can be missing, the function should return None and say so in its annotation",
        )
    value = list(value) if isinstance(value, Iterator) else value
    if isinstance(value, dict) and isinstance(written, dict):
        if len(value) != len(written):
            raise RequestError("function_failed", f"two keys of {path[1:] or 'the result'} have one name in JSON")
        for own, (key, item) in zip(value.values(), written.items(), strict=False):
            _refuse_lost_numbers(own, item, f"{path}.{key[:40]}")
    elif isinstance(value, list | tuple | set | frozenset | deque) and isinstance(written, list):
        for index, (own, item) in enumerate(zip(value, written, strict=False)):
            _refuse_lost_numbers(own, item, f"{path}.{index}")


def faults_of(error: ValidationError) -> dict[str, Any]:
    """Return a refusal's message and field; values and the words of the author's own checks are left out."""
    texts = []
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    for fault in faults[:5]:
        argument = ".".join(str(part)[:40] for part in fault["loc"])
        message = "is refused by a check of the service" if fault["type"] in _OWN_CHECKS else fault["msg"]
        texts.append(f"{argument}: {message}" if argument else message)
    field = ".".join(str(part)[:40] for part in faults[0]["loc"]) or "body"
    return {"message": "; ".join(texts), "field": field}
