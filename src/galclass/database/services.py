"""Published services as rows: a name, immutable version strings, the alias `latest`, and a log of everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select

from galclass.database.connection import Database
from galclass.database.model_rows import resolve
from galclass.database.references import Reference, check_name, current_user
from galclass.database.registry import Registry
from galclass.database.schema import service_aliases, service_log, services
from galclass.database.service_rows import (
    ALIASES,
    LATEST,
    SHADOW,
    VERSION,
    ServiceEvent,
    ServiceRecord,
    find_service,
    log_event,
    published_versions,
    resolve_service,
    service_record,
    service_records,
)
from galclass.database.shadows import check_shadow, forget_shadow
from galclass.database.statements import lock_table
from galclass.database.types import now
from galclass.errors import RegistryError


class Services:
    """The services of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def publish(
        self,
        name: str,
        version: str,
        model_name: str | None,
        model_version: int | None,
        description: str = "",
        by: str | None = None,
        *,
        code: Mapping[str, Any] | None = None,
        aliases: tuple[str, ...] = (LATEST,),
    ) -> ServiceRecord:
        """Insert a version and move aliases to it; versions before it stay as they are.

        The same version with the same model is left as it is, so publishing may be repeated. `code` holds the facts of
        a function (`service/functions/facts.py`) with their `sha256`; then the model may be None.

        Raises
        ------
        RegistryError
            If the version is another model's, or was before it was deleted; if the model is unknown, or a name is
            not valid.
        """
        check_name(name, "service name")
        for alias in aliases:
            _check_alias(alias)
        if not VERSION.fullmatch(version):
            raise RegistryError(f"{version!r} is not a valid service version", expected="such as 1.0")
        by = by or current_user()
        with self._database.write() as connection:
            lock_table(connection, services)
            sha256 = code["sha256"] if code else _model_sha256(connection, model_name, model_version)
            there = find_service(connection, name, version)
            if there is not None:
                _check_same(there, model_name, model_version, sha256, is_code=bool(code))
                return there
            _check_never_another(connection, name, version, sha256)
            row = {"name": name, "version": version, "model_name": model_name, "model_version": model_version}
            about = {"description": description, "created_at": now(), "created_by": by, "code": code}
            connection.execute(services.insert().values(**row, **about))
            log_event(connection, name, "publish", by, version=version, model_sha256=sha256)
            for alias in aliases:
                _move(connection, name, alias, version, by, "alias")
            return service_record(connection, name, version)

    def published(self, name: str) -> dict[str, str | None]:
        """Return every version that was ever published, deleted ones too, with the sha256 of its model.

        None where it was deleted by a galclass that did not keep the sha256.
        """
        with self._database.read() as connection:
            return published_versions(connection, name)

    def list(self, name: str | None = None) -> list[ServiceRecord]:
        """Return all versions of all services, or of one, by name and age."""
        with self._database.read() as connection:
            return service_records(connection) if name is None else service_records(connection, services.c.name == name)

    def get(self, name: str, version: str = LATEST) -> ServiceRecord:
        """Find a version by its text or an alias.

        Raises
        ------
        RegistryError
            If there is no such service or version.
        """
        with self._database.read() as connection:
            return resolve_service(connection, name, version)

    def alias(self, name: str, alias: str, version: str, *, by: str | None = None) -> ServiceRecord:
        """Point an alias at a version whose model `Registry.verify` finds sound.

        Raises
        ------
        RegistryError
            If there is no such version, or the alias is no name or could be a version; if it is `SHADOW` and
            `check_shadow` refuses the version.
        ModelError
            If the model is not sound: it may be older than the checks, or a row inserted with SQL.
        """
        _check_alias(alias)
        self._check_sound(self.get(name, version))
        with self._database.write() as connection:
            lock_table(connection, services)
            found = resolve_service(connection, name, version)
            _move(connection, name, alias, found.version, by or current_user(), "alias")
            return service_record(connection, name, found.version)

    def unalias(self, name: str, alias: str, *, by: str | None = None) -> ServiceRecord:
        """Take an alias other than `LATEST` away and return the version that it stood for.

        Raises
        ------
        RegistryError
            If there is no such alias, or if it is `LATEST`.
        """
        if alias == LATEST:
            raise RegistryError("every service has this alias", where=f"{name}@{alias}", advice="move it instead")
        with self._database.write() as connection:
            lock_table(connection, services)
            version = ALIASES.target(connection, name, alias)
            if version is None:
                raise RegistryError("there is no such alias of this service", where=f"{name}@{alias}")
            table = service_aliases
            connection.execute(table.delete().where(table.c.name == name, table.c.alias == alias))
            log_event(connection, name, "unalias", by or current_user(), alias=alias, old_version=version)
            return service_record(connection, name, version)

    def shadow(self, name: str) -> ServiceRecord | None:
        """Return the version that is the shadow, or None."""
        with self._database.read() as connection:
            version = ALIASES.target(connection, name, SHADOW)
            return None if version is None else find_service(connection, name, version)

    def rollback(self, name: str, alias: str = LATEST, *, by: str | None = None) -> ServiceRecord:
        """Point an alias at the version it had before, if `Registry.verify` finds the model of that sound.

        Raises
        ------
        RegistryError
            If the alias never pointed anywhere else.
        ModelError
            If the model is not sound: it may be older than the checks.
        """
        with self._database.read() as connection:
            before = _before(connection, name, alias)
        self._check_sound(self.get(name, before))
        with self._database.write() as connection:
            lock_table(connection, services)
            version = _before(connection, name, alias)
            if version != before:
                raise RegistryError(
                    "the alias has been moved in the meantime", where=f"{name}@{alias}", advice="try again"
                )
            _move(connection, name, alias, version, by or current_user(), "rollback")
            return service_record(connection, name, version)

    def _check_sound(self, record: ServiceRecord) -> None:
        if record.model is not None:  # a function without models was loaded when it was published
            Registry(self._database).verify(record.model)

    def delete(self, name: str, version: str, *, by: str | None = None) -> ServiceRecord:
        """Delete a version that no alias points at, or the last version of a service with its aliases.

        Raises
        ------
        RegistryError
            If an alias points at it while other versions stand.
        """
        with self._database.write() as connection:
            lock_table(connection, services)
            record = resolve_service(connection, name, version)
            others = connection.scalars(
                select(services.c.version).where(services.c.name == name, services.c.version != record.version)
            ).all()
            if record.aliases and others:
                raise RegistryError(
                    "it is in use",
                    where=f"{name}@{record.version}",
                    got=f"alias {', '.join(record.aliases)}",
                    advice="move the alias to another version first",
                )
            aliases = service_aliases.c
            connection.execute(service_aliases.delete().where(aliases.name == name, aliases.version == record.version))
            connection.execute(services.delete().where(services.c.name == name, services.c.version == record.version))
            forget_shadow(connection, name, record.version)
            log_event(connection, name, "delete", by or current_user(), version=record.version)
            return record

    def log(self, name: str | None = None) -> Sequence[ServiceEvent]:
        """Return every publish, move and delete, oldest first."""
        log = service_log.c
        query = select(log.name, log.action, log.version, log.alias, log.old_version, log.at, log.by).order_by(log.id)
        with self._database.read() as connection:
            rows = connection.execute(query if name is None else query.where(log.name == name))
            return [ServiceEvent(*row) for row in rows]


def _before(connection: Connection, name: str, alias: str) -> str:
    resolve_service(connection, name, alias)
    return ALIASES.previous(connection, name, alias)


def _model_sha256(connection: Connection, name: str | None, version: int | None) -> str:
    if name is None:
        raise RegistryError("a service needs a model or code")
    return resolve(connection, Reference(name, version=version)).sha256


def _check_alias(alias: str) -> None:
    check_name(alias, "alias")
    if VERSION.fullmatch(alias):
        raise RegistryError(
            f"{alias!r} could be a version", expected="an alias that begins with a letter", advice="such as stable"
        )


def _check_same(
    there: ServiceRecord, model_name: str | None, model_version: int | None, sha256: str, *, is_code: bool
) -> None:
    where = f"{there.name}@{there.version}"
    if (there.code or is_code) and (there.code or {}).get("sha256") != sha256:
        raise RegistryError(
            "this version is already published with different code",
            where=where,
            advice="publish under a new version, or let --confirm choose the next one; versions never change",
        )
    if (there.model_name, there.model_version) != (model_name, model_version):
        raise RegistryError(
            "this version is already published with another model",
            where=where,
            expected=f"{there.model_name}@{there.model_version}",
            got=f"{model_name}@{model_version}",
            advice="publish under a new version; versions never change",
        )


def _check_never_another(connection: Connection, name: str, version: str, sha256: str) -> None:
    before = published_versions(connection, name)
    was = before.get(version)
    if version in before and was != sha256:
        raise RegistryError(
            "this version belonged to another model before it was deleted",
            where=f"{name}@{version}",
            expected=f"the model with sha256 {was[:12]}..." if was else None,
            advice="publish under a new version; a version is permanently tied to one model or function",
        )


def _move(connection: Connection, name: str, alias: str, version: str, by: str, action: str) -> None:
    if alias == SHADOW and ALIASES.target(connection, name, SHADOW) != version:
        latest = ALIASES.target(connection, name, LATEST)
        check_shadow(
            connection,
            None if latest is None else service_record(connection, name, latest),
            service_record(connection, name, version),
        )
        forget_shadow(connection, name, version)  # its counts begin anew
    ALIASES.move(
        connection,
        name,
        alias,
        version,
        by,
        lambda old: log_event(connection, name, action, by, version=version, alias=alias, old_version=old),
    )
