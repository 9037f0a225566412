"""Published services as a server sees them: read from the database, remembered for less than a second.

Takes a database, returns `PublishedService`s. A switch or deletion is seen within `TTL_S`; while the
database is unreachable, the last known state is served for `STALE_S`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic

from galclass.database import Database, Services
from galclass.database.service_rows import ServiceRecord
from galclass.errors import DatabaseError, RegistryError, RequestError
from galclass.scoring import ModelId

log = logging.getLogger("galclass.service")

TTL_S = 0.8
"""Age up to which a result from the database is reused."""

_RENEW_S = 0.5
"""Age from which it is reread, while requests still use it."""

STALE_S = 300.0
"""Age up to which it is used while the database cannot be reached."""

_MAX_KEPT = 1000


@dataclass(frozen=True)
class PublishedService:
    """A version of a service with its exact model.

    Attributes
    ----------
    record : ServiceRecord
    model : ModelId
        For a function: its import path, version 0, and the hash of its facts.
    shadow : ShadowService or None
        The version under its alias `shadow`.
    """

    record: ServiceRecord
    model: ModelId
    shadow: ShadowService | None = None


@dataclass(frozen=True)
class ShadowService:
    """The version under the alias `shadow`, with its model."""

    version: str
    model: ModelId


@contextmanager
def refused_as(code: str, field: str | None = None) -> Iterator[None]:
    """Turn the registry's refusals into this code; an unreachable database remains one."""
    try:
        yield
    except RegistryError as error:
        raise RequestError(
            code,
            error.what,
            field=field,
            where=error.where,
            expected=error.expected,
            got=error.got,
            advice=error.advice,
        ) from error


class PublishedServices:
    """Looks services up by name and version or alias."""

    def __init__(self, database: Database) -> None:
        self._services = Services(database)
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], tuple[float, PublishedService]] = {}

    def recent(self, name: str, version: str) -> tuple[PublishedService | None, bool]:
        """Return a result read less than `TTL_S` ago, and whether to refresh it; never queries the database."""
        known = self._known.get((name, version))
        age = monotonic() - known[0] if known else TTL_S
        return (known[1] if known and age < TTL_S else None), age > _RENEW_S

    def look_up(self, name: str, version: str) -> PublishedService:
        """Read a service from the database.

        Raises
        ------
        RequestError
            `unknown_service`.
        DatabaseError
            If the database is unreachable and the service was not seen lately.
        """
        key = (name, version)
        try:
            found = self._read(name, version)
        except RequestError:
            self._known.pop(key, None)
            raise
        except DatabaseError as error:
            known = self._known.get(key)
            if known is None or monotonic() - known[0] > STALE_S:
                raise
            log.warning("serving the last known state", extra={"service": f"{name}@{version}", "reason": str(error)})
            return known[1]
        with self._lock:
            if len(self._known) >= _MAX_KEPT:
                self._known.clear()
            self._known[key] = (monotonic(), found)
        return found

    def _read(self, name: str, version: str) -> PublishedService:
        with refused_as("unknown_service"):
            record = self._services.get(name, version)
        if record.code is not None:
            return PublishedService(record, ModelId(str(record.function), 0, str(record.code["sha256"])))
        shadow = self._services.shadow(name)
        if shadow is None or shadow.version == record.version or shadow.code is not None:
            return PublishedService(record, _model(record))
        return PublishedService(record, _model(record), ShadowService(shadow.version, _model(shadow)))

    def forget(self) -> None:
        """Reread everything, after a change made in this process."""
        self._known.clear()


def _model(record: ServiceRecord) -> ModelId:
    if record.model_sha256 is None:
        where = f"{record.name}@{record.version}"
        raise RequestError("unknown_service", "the model of this service no longer exists", where=where)
    return ModelId(str(record.model_name), record.model_version or 0, record.model_sha256)
