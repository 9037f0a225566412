"""The registry: models as rows (ONNX bytes, signature, sha256), immutable versions, movable aliases, a log of moves.

Takes ONNX bytes, returns `ModelRecord` rows; refuses files that are foreign, damaged or tampered with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select, union_all

from galclass.atomic_files import write_bytes
from galclass.database.connection import Database
from galclass.database.model_rows import (
    ALIASES,
    POINTS_AT,
    load_model,
    log_move,
    model_info,
    model_infos,
    resolve,
)
from galclass.database.models import AliasMove, ModelInfo, ModelRecord
from galclass.database.references import PRODUCTION, Reference, check_name, current_user
from galclass.database.schema import model_alias_log, models, score_queue, services
from galclass.database.statements import lock_table
from galclass.database.types import now
from galclass.errors import ModelError, RegistryError
from galclass.scoring.cage import try_model


class Registry:
    """The models of a database.

    Parameters
    ----------
    database : Database
        With a migrated schema.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def register(
        self,
        value: bytes,
        *,
        name: str = "galaxy",
        aliases: Sequence[str] = (PRODUCTION,),
        metrics: Mapping[str, Any] | None = None,
        card: str = "",
        by: str | None = None,
    ) -> ModelInfo:
        """Insert a model as the next version and move aliases to it; the same bytes are never inserted twice.

        Raises
        ------
        ModelError
            If the bytes are not a galclass model, or `try_model` finds that it returns no valid predictions.
        RegistryError
            If a name is not valid.
        """
        check_name(name, "model name")
        for alias in aliases:
            check_name(alias, "alias")
        tried = try_model(value, where=name)
        by = by or current_user()
        with self._database.write() as connection:
            lock_table(connection, models)
            version = connection.scalar(
                select(models.c.version).where(models.c.name == name, models.c.sha256 == tried.sha256)
            )
            if version is None:
                version = self._next_version(connection, name)
                row = {"name": name, "version": version, "value": value, "sha256": tried.sha256, "card": card}
                row |= {"signature": tried.signature.to_dict(), "metrics": dict(metrics or {})}
                connection.execute(models.insert().values(**row, created_at=now(), created_by=by))
            for alias in aliases:
                _move(connection, name, alias, version, by)
            return model_info(connection, name, version)

    def resolve(self, reference: str | Reference) -> ModelInfo:
        """Find which version a reference means, without loading its bytes.

        Raises
        ------
        RegistryError
            If the model, version or alias is unknown.
        """
        with self._database.read() as connection:
            return resolve(connection, reference)

    def points_at(self, name: str, alias: str) -> int | None:
        """Return the version an alias points at, or None if there is no such alias; a single cheap query."""
        with self._database.read() as connection:
            version: int | None = connection.scalar(POINTS_AT, {"name": name, "alias": alias})
            return version

    def get(self, reference: str | Reference) -> ModelRecord:
        """Load a version with its bytes, and check them against the sha256 of the row.

        Raises
        ------
        RegistryError
            If the model, version or alias is unknown.
        ModelError
            If the bytes differ from those that were registered.
        """
        with self._database.read() as connection:
            return load_model(connection, resolve(connection, reference))

    def list(self, name: str | None = None) -> list[ModelInfo]:
        """Return all versions, or those of one model, by name and version."""
        with self._database.read() as connection:
            return model_infos(connection) if name is None else model_infos(connection, models.c.name == name)

    def log(self, name: str) -> Sequence[AliasMove]:
        """Return every move of every alias of a model, oldest first."""
        table = model_alias_log
        query = select(table).where(table.c.name == name).order_by(table.c.id)
        with self._database.read() as connection:
            return [
                AliasMove(row.name, row.alias, row.old_version, row.new_version, row.set_at, row.set_by)
                for row in connection.execute(query)
            ]

    def alias(self, name: str, alias: str, version: int, *, by: str | None = None) -> ModelInfo:
        """Point an alias at a version that `verify` finds sound; the move is logged.

        Raises
        ------
        RegistryError
            If the version is unknown or the alias is no name.
        ModelError
            If the version is not sound: a row inserted with SQL was never tried.
        """
        check_name(alias, "alias")
        self.verify(Reference(name, version=version))
        with self._database.write() as connection:
            found = resolve(connection, Reference(name, version=version))
            _move(connection, name, alias, found.version, by or current_user())
            return model_info(connection, name, found.version)

    def rollback(self, name: str, alias: str = PRODUCTION, *, by: str | None = None) -> ModelInfo:
        """Point an alias at the version it had before, if `verify` finds that sound; twice goes back two steps.

        Raises
        ------
        RegistryError
            If the alias never pointed anywhere else.
        ModelError
            If the version is not sound: it may be older than the checks.
        """
        with self._database.read() as connection:
            before = self._before(connection, name, alias)
        self.verify(Reference(name, version=before))
        with self._database.write() as connection:
            version = self._before(connection, name, alias)
            if version != before:
                raise RegistryError(
                    "the alias has been moved in the meantime", where=f"{name}@{alias}", advice="try again"
                )
            _move(connection, name, alias, version, by or current_user())
            return model_info(connection, name, version)

    @staticmethod
    def _before(connection: Connection, name: str, alias: str) -> int:
        resolve(connection, Reference(name, alias=alias))
        return ALIASES.previous(connection, name, alias)

    def export(self, reference: str, path: Path) -> ModelRecord:
        """Write the ONNX file (with its signature inside); a half-written file is never left behind."""
        record = self.get(reference)
        write_bytes(Path(path), record.value)
        return record

    def verify(self, reference: str | Reference) -> float | None:
        """Check a version: its bytes have the sha256 of the row, and `try_model` finds nothing wrong with it.

        Returns
        -------
        float or None
            The largest difference from the recorded prediction; None where the model carries no probe.

        Raises
        ------
        ModelError
            If one of the checks fails.
        """
        record = self.get(reference)
        tried = try_model(record.value, where=str(record.model))
        if record.signature != tried.signature:
            raise ModelError("the signature in its row is not the one in its file", where=str(record.model))
        return tried.difference

    def delete(self, reference: str, *, by: str | None = None) -> ModelInfo:
        """Delete a version that no alias and no service points at; its number is never reused.

        Raises
        ------
        RegistryError
            If it is in use or unknown.
        """
        with self._database.write() as connection:
            lock_table(connection, models)
            info = resolve(connection, reference)
            users = [f"service {one}" for one in _services_of(connection, info)]
            users += [f"alias {alias}" for alias in info.aliases]
            if users:
                raise RegistryError(
                    "it is in use", where=str(info.model), got=", ".join(users), advice="move or delete these first"
                )
            key = (models.c.name == info.name, models.c.version == info.version)
            connection.execute(models.delete().where(*key))
            queue = score_queue.c
            connection.execute(
                score_queue.delete().where(queue.model_name == info.name, queue.model_version == info.version)
            )
            log_move(connection, info.name, "", info.version, None, by or current_user())
            return info

    @staticmethod
    def _next_version(connection: Connection, name: str) -> int:
        log = model_alias_log
        used = union_all(
            select(func.max(models.c.version).label("version")).where(models.c.name == name),
            select(func.max(log.c.old_version)).where(log.c.name == name),
        ).subquery()
        return (connection.scalar(select(func.max(used.c.version))) or 0) + 1


def _services_of(connection: Connection, info: ModelInfo) -> list[str]:
    """Return the services that use a model, also as one of several models of a function."""
    rows = connection.execute(select(services).order_by(services.c.name, services.c.version))
    mine = (info.name, info.version)

    def uses(row: Any) -> bool:
        models_of_code = ((row.code or {}).get("models") or {}).values()
        return mine in [(row.model_name, row.model_version), *((one["name"], one["version"]) for one in models_of_code)]

    return [f"{row.name}@{row.version}" for row in rows if uses(row)]


def _move(connection: Connection, name: str, alias: str, version: int, by: str) -> None:
    ALIASES.move(connection, name, alias, version, by, lambda old: log_move(connection, name, alias, old, version, by))
