"""Rows of published services: how they are found, read and logged within a transaction."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, select

from galclass.database.aliases import Aliases, with_aliases
from galclass.database.references import Reference
from galclass.database.schema import models, service_aliases, service_log, services
from galclass.database.types import now
from galclass.errors import RegistryError

LATEST = "latest"
"""The alias used where no version is named; publishing moves it."""

SHADOW = "shadow"
"""The alias of the version that predicts beside the others out of sight, to be compared."""

VERSION = re.compile(r"[0-9][A-Za-z0-9_.+-]{0,31}")

_ABOUT = (
    *(services.c.name, services.c.version, services.c.model_name, services.c.model_version),
    *(services.c.description, services.c.created_at, services.c.created_by, models.c.sha256, services.c.code),
)

_JOINED = services.outerjoin(
    models, and_(models.c.name == services.c.model_name, models.c.version == services.c.model_version)
).outerjoin(
    service_aliases,
    and_(service_aliases.c.name == services.c.name, service_aliases.c.version == services.c.version),
)

ALIASES: Aliases[str] = Aliases(services, service_aliases, service_log, "version")


@dataclass(frozen=True)
class ServiceRecord:
    """A published version of a service."""

    name: str
    version: str
    model_name: str | None
    model_version: int | None
    description: str
    created_at: datetime
    created_by: str
    model_sha256: str | None = None
    code: Mapping[str, Any] | None = None
    aliases: tuple[str, ...] = ()

    @property
    def model(self) -> Reference | None:
        """The model version served, or that a function uses first; None for a function without one."""
        return None if self.model_name is None else Reference(self.model_name, version=self.model_version)

    @property
    def function(self) -> str | None:
        """Import path of the published function; None for a model."""
        return str(self.code["function"]) if self.code else None

    @property
    def answered_by(self) -> str:
        """What the service runs, for people."""
        return self.function or str(self.model)


@dataclass(frozen=True)
class ServiceEvent:
    """One line of the log: publish, alias, unalias, rollback or delete."""

    name: str
    action: str
    version: str | None
    alias: str | None
    old_version: str | None
    at: datetime
    by: str


def published_versions(connection: Connection, name: str) -> dict[str, str | None]:
    """Return every version that was ever published, deleted ones too, with the sha256 of its model or code."""
    log = service_log.c
    query = select(log.version, log.model_sha256).where(log.name == name, log.action == "publish").order_by(log.id)
    return {version: sha256 for version, sha256 in connection.execute(query)}


def find_service(connection: Connection, name: str, version: str) -> ServiceRecord | None:
    """Return a version by its text, or None."""
    found = service_records(connection, services.c.name == name, services.c.version == version)
    return found[0] if found else None


def resolve_service(connection: Connection, name: str, version: str) -> ServiceRecord:
    """Return a version by its text or an alias.

    Raises
    ------
    RegistryError
        If there is no such service or version.
    """
    found = find_service(connection, name, version)
    if found is not None:
        return found
    target = ALIASES.target(connection, name, version)
    if target is not None:
        return service_record(connection, name, target)
    known = connection.scalars(select(services.c.version).where(services.c.name == name)).all()
    raise RegistryError(
        "unknown version of this service" if known else "unknown service",
        where=f"{name}@{version}",
        expected=f"one of {', '.join(known)}" if known else None,
        advice="see `galclass services list`",
    )


def service_record(connection: Connection, name: str, version: str) -> ServiceRecord:
    """Return a version that exists."""
    (record,) = service_records(connection, services.c.name == name, services.c.version == version)
    return record


def service_records(connection: Connection, *where: ColumnElement[bool]) -> list[ServiceRecord]:
    """Read versions, the sha256 of their models and their aliases with one statement."""
    order = (services.c.name, services.c.created_at, services.c.version, service_aliases.c.alias)
    query = select(*_ABOUT, service_aliases.c.alias).select_from(_JOINED).where(*where).order_by(*order)
    rows = connection.execute(query)
    return [replace(ServiceRecord(*about), aliases=aliases) for about, aliases in with_aliases(rows)]


def log_event(connection: Connection, name: str, action: str, by: str, **facts: str | None) -> None:
    """Write one line of the log."""
    connection.execute(service_log.insert().values(name=name, action=action, by=by, at=now(), **facts))
