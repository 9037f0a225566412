"""The process that runs a published function: started with one end of a socket, ends with it.

Takes frames (a letter, a length, bytes): what to load, then one call after another. The function's output is discarded,
and its exceptions are passed only to the server.
"""

from __future__ import annotations

import importlib
import json
import resource
import socket
import struct
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from galclass.cutouts import SERVED
from galclass.errors import GalclassError, RequestError, ServiceError
from galclass.scoring import Scorer
from galclass.service.functions.code import (
    difference,
    hash_files,
    import_checked,
    installed_versions,
    parse_function,
)
from galclass.service.functions.signature import FunctionSignature, faults_of
from galclass.service.http.json_images import refuse_ambiguous

READY, REFUSED, RESULT, INVALID, FAILED, NO_MEMORY, UNWRITABLE = b"Y", b"X", b"R", b"I", b"F", b"M", b"U"
"""Kinds of frames that this process sends."""

HEAD = struct.Struct("!cQ")
MAX_TRACE = 20_000
MAX_SHOWN = 400


def main(descriptor: int) -> None:
    """Load the function that the first frame names, then handle calls until the socket closes."""
    link = socket.socket(fileno=descriptor)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    orders = json.loads(_read(link) or b"{}")
    models = {name: (about, _read(link) or b"") for name, about in orders["models"].items()}
    try:
        function, signature = _load(orders, models)
    except BaseException as error:
        _send(link, REFUSED, json.dumps({"reason": _reason(error), "trace": _trace()}).encode())
        return
    inputs, outputs = signature.schemas
    about = {"inputs": inputs, "outputs": outputs, "scorers": signature.scorers, "files": orders["files"]}
    about["requirements"] = orders["requirements"]
    _send(link, READY, json.dumps(about).encode())
    scorers = orders["scorers"]
    while (body := _read(link)) is not None:
        _send(link, *_answer(function, signature, scorers, body))


def _load(orders: dict[str, Any], models: Mapping[str, Any]) -> tuple[Callable[..., Any], FunctionSignature]:
    path = parse_function(orders["function"])
    folder = Path(orders["folder"])
    files = hash_files(folder, path.top)
    if orders["files"] is not None:
        reason = difference(orders["files"], files, "file")
        if reason:
            raise ServiceError(reason)
        python = f"{sys.version_info[0]}.{sys.version_info[1]}"
        if orders["python"] != python:
            raise ServiceError(f"Python is {python}, not {orders['python']} as it was published")
    requirements = installed_versions(list(orders["requirements"]))
    if orders["files"] is not None:
        reason = difference(orders["requirements"], requirements, "requirement")
        if reason:
            raise ServiceError(reason)
    orders["files"], orders["requirements"] = files, requirements
    orders["scorers"] = {
        name: Scorer(
            value,
            name=model["name"],
            version=model["version"],
            limits=SERVED.with_seconds(orders["max_decode_s"]),
        )
        for name, (model, value) in models.items()
    }
    limit = orders["memory_mib"] << 20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    import_checked(folder, files)
    function = getattr(importlib.import_module(path.module), path.name, None)
    if function is None:
        raise ServiceError(f"the module {path.module} has no {path.name}")
    signature = FunctionSignature(function)
    if orders["checked"] and set(signature.scorers) != set(models):
        raise ServiceError(
            "the models are not those of its parameters", expected=", ".join(signature.scorers) or "none"
        )
    return function, signature


def _answer(
    function: Callable[..., Any], signature: FunctionSignature, scorers: Mapping[str, Scorer], body: bytes
) -> tuple[bytes, bytes]:
    try:
        refuse_ambiguous(body)
        arguments = signature.arguments(body)
    except ValidationError as error:
        return INVALID, json.dumps(faults_of(error)).encode()
    except RequestError as error:
        return INVALID, json.dumps({"message": error.what, "field": error.field}).encode()
    except BaseException as error:  # a validator of the author's raised something else
        return _failure(error)
    try:
        return RESULT, signature.written(function(**arguments, **scorers))
    except RequestError as error:
        return UNWRITABLE, json.dumps({"message": error.what, "advice": error.advice}).encode()
    except (ValidationError, PydanticSerializationError):
        return FAILED, b"it did not return what its annotation says\n" + _trace().encode()
    except BaseException as error:  # also SystemExit: a function ends its call, not the process
        return _failure(error)


def _failure(error: BaseException) -> tuple[bytes, bytes]:
    return (NO_MEMORY, b"") if isinstance(error, MemoryError) else (FAILED, _trace().encode())


def _reason(error: BaseException) -> str:
    """Return the public message: our own words, never those of the function's module."""
    return str(error)[:MAX_SHOWN] if isinstance(error, GalclassError) else "its module cannot be imported"


def _trace() -> str:
    return traceback.format_exc()[-MAX_TRACE:]


def _read(link: socket.socket) -> bytes | None:
    head = _exactly(link, HEAD.size)
    return None if head is None else _exactly(link, HEAD.unpack(head)[1])


def _exactly(link: socket.socket, count: int) -> bytes | None:
    found = bytearray(count)
    view = memoryview(found)
    while view:
        got = link.recv_into(view)
        if not got:
            return None
        view = view[got:]
    return bytes(found)


def _send(link: socket.socket, kind: bytes, data: bytes) -> None:
    link.sendall(HEAD.pack(kind, len(data)) + data)
