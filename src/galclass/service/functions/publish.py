"""Publish a function as a version of a service, from the command line or Python of the machine that serves it.

Writes a row of `galaxy_services` and the file `functions.json` of the workspace. A server runs only what is listed in
that file: a row alone, which another machine or SQL may have written, makes no code run.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import sys
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from galclass.atomic_files import write_text
from galclass.database import Database, Registry, ServiceRecord, Services
from galclass.database.publish import PublishSummary, raised
from galclass.database.references import Reference
from galclass.errors import ServiceError
from galclass.scoring import ModelId
from galclass.service.functions.code import find_folder, parse_function
from galclass.service.functions.facts import DEADLINE_S, MEMORY_MIB, FunctionFacts
from galclass.service.functions.pool import FunctionPool, FunctionProcess

APPROVALS = "functions.json"
"""File of the workspace: the folder of each published function by the hash of its facts."""

MAX_EXAMPLES = 16

Result = TypeVar("Result")


def publish_function(
    database: Database,
    workspace: Path,
    name: str,
    function: str,
    version: str,
    *,
    models: Mapping[str, str] | None = None,
    requirements: Sequence[str] = (),
    examples: Sequence[Mapping[str, Any]] = (),
    code: Sequence[str] | None = None,
    deadline_s: float = DEADLINE_S,
    memory_mib: int = MEMORY_MIB,
    description: str = "",
    confirm: bool = False,
    by: str | None = None,
) -> PublishSummary:
    """Publish a function under a version; it is loaded and its examples are run first.

    Parameters
    ----------
    database : Database
    workspace : path
        Where servers of this machine find out that this code may run.
    name, version : str
    function : str
        Import path, such as "galaxies.api:classify".
    models : mapping of str to str, optional
        Registered model (NAME, NAME@VERSION or NAME@ALIAS, resolved now) of each parameter of type `Scorer`; with the
        key "", of the only one.
    requirements : sequence of str
        Distributions whose versions are part of the version, such as "scipy".
    examples : sequence of mapping
        Inputs; those of the OpenAPI document, with what they return now.
    code : sequence of str, optional
        Folders that may contain the module; by default the current folder and Python's path.
    deadline_s, memory_mib : float, int
        Longest run of a call; most address space of a process.
    description : str
    confirm : bool
        Whether other code than the version's is published as the next version.
    by : str, optional
        The publisher, for the log.

    Raises
    ------
    ServiceError
        If the function cannot be loaded, its models do not fit, or an example fails.
    RegistryError
        If a model is unknown, a name is not valid, or the version has other code.
    """
    if not 0 < deadline_s <= 100 or not 64 <= memory_mib <= 1 << 20:
        raise ServiceError("a limit is out of its range", expected="a deadline of up to 100 s, and from 64 MiB")
    path = parse_function(function)
    folder = find_folder(path, code if code is not None else [os.getcwd(), *sys.path])
    registry = Registry(database)
    limits = (float(deadline_s), int(memory_mib))
    facts = _run(_describe(registry, function, folder, models or {}, requirements, *limits))
    if len(examples) > MAX_EXAMPLES:
        raise ServiceError("there are too many examples", expected=f"at most {MAX_EXAMPLES}", got=len(examples))
    values = {key: registry.get(f"{one.name}@{one.version}").value for key, one in facts.models.items()}
    facts = replace(facts, examples=_run(_run_examples(facts, folder, values, examples)))
    approve(workspace, facts, folder)
    return _insert(database, name, version, facts, description, confirm, by)


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine in a thread: in a notebook, an event loop already runs in this one."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(asyncio.run, work).result()


def _insert(
    database: Database, name: str, version: str, facts: FunctionFacts, description: str, confirm: bool, by: str | None
) -> PublishSummary:
    services = Services(database)
    taken = services.published(name)
    there = {one.version: one for one in services.list(name)}
    same = [one for one in there.values() if one.code and one.code["sha256"] == facts.sha256]
    if confirm and same:
        return PublishSummary(same[-1], new=False)
    while confirm and (version in there or taken.get(version, facts.sha256) != facts.sha256):
        version = raised(version)
    first = next(iter(facts.models.values()), None)
    model_name, model_version = (first.name, first.version) if first else (None, None)
    record = services.publish(name, version, model_name, model_version, description, by=by, code=facts.as_json())
    return PublishSummary(record, new=version not in there)


async def _describe(
    registry: Registry,
    function: str,
    folder: Path,
    models: Mapping[str, str],
    requirements: Sequence[str],
    deadline_s: float,
    memory_mib: int,
) -> FunctionFacts:
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    orders: dict[str, Any] = {
        "function": function, "folder": str(folder), "files": None, "python": python, "models": {},
        "requirements": dict.fromkeys(requirements, ""), "memory_mib": memory_mib, "checked": False,
    }  # fmt: skip
    process = await FunctionProcess.start(orders, {})
    about = process.about
    await process.end()
    return FunctionFacts(
        function,
        about["files"],
        python,
        about["requirements"],
        _resolved(registry, about["scorers"], models),
        about["inputs"],
        about["outputs"],
        deadline_s,
        memory_mib,
    )


def _resolved(registry: Registry, scorers: Sequence[str], models: Mapping[str, str]) -> dict[str, ModelId]:
    if set(models) == {""} and len(scorers) == 1:
        models = {scorers[0]: models[""]}
    if set(models) != set(scorers):
        raise ServiceError(
            "the models are not those of its parameters",
            expected=", ".join(f"{name}=MODEL" for name in scorers) or "none",
            got=", ".join(f"{name}={model}" for name, model in models.items()) or "none",
        )
    found = {name: registry.resolve(models[name]).model for name in scorers}
    for one in found.values():
        registry.verify(Reference(one.name, version=one.version))
    return found


async def _run_examples(
    facts: FunctionFacts, folder: Path, values: Mapping[str, bytes], examples: Sequence[Mapping[str, Any]]
) -> tuple[Mapping[str, Any], ...]:
    pool = FunctionPool(facts, folder, values, service="an example")
    try:
        return tuple(
            [{"inputs": one, "output": json.loads(await pool.call(json.dumps(one).encode()))} for one in examples]
        )
    finally:
        pool.close()


def approve(workspace: Path, facts: FunctionFacts, folder: Path) -> None:
    """Note in the workspace that this code may be run from this folder; of several at once, one after another."""
    workspace.mkdir(parents=True, exist_ok=True)
    with (workspace / f".{APPROVALS}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = approved(workspace)
        known[facts.sha256] = {"function": facts.function, "folder": str(folder)}
        write_text(workspace / APPROVALS, json.dumps(known, indent=1))


def approved(workspace: Path) -> dict[str, dict[str, str]]:
    """Return the folder and import path of everything that may be run, by the hash of its facts.

    Raises
    ------
    ServiceError
        If the file cannot be read.
    """
    file = workspace / APPROVALS
    try:
        found = json.loads(file.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ServiceError("it cannot be read", where=str(file)) from error
    if not isinstance(found, dict):
        raise ServiceError("it is not a list of published functions", where=str(file))
    return found


def facts_of(record: ServiceRecord) -> FunctionFacts:
    """Return the facts of a service over code.

    Raises
    ------
    ServiceError
        If the row was changed: its facts do not have the hash that it names.
    """
    try:
        facts = FunctionFacts.from_json(record.code or {})
        if record.code is not None and facts.sha256 == record.code["sha256"]:
            return facts
    except (KeyError, TypeError, ValueError):
        pass
    raise ServiceError("its row is damaged", where=f"{record.name}@{record.version}")
