"""Aliases: names that point at one version of a model or service and can be moved and rolled back.

Models and services keep them in tables of the same form; only their logs differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Table, select

from galclass.database.statements import upsert
from galclass.database.types import now
from galclass.errors import RegistryError

Version = TypeVar("Version", int, str)


class Aliases(Generic[Version]):
    """The aliases of models or of services.

    Parameters
    ----------
    versions : Table
        With a row for each name and version.
    table : Table
        name, alias, version, set_at, set_by.
    log : Table
        With a row for each move.
    log_column : str
        The log's column of the version that an alias was moved to.
    """

    def __init__(self, versions: Table, table: Table, log: Table, log_column: str) -> None:
        self._versions, self._table, self._log, self._log_column = versions, table, log, log_column

    def target(self, connection: Connection, name: str, alias: str) -> Version | None:
        """Return the version that an alias points at, or None."""
        columns = self._table.c
        version: Version | None = connection.scalar(
            select(columns.version).where(columns.name == name, columns.alias == alias)
        )
        return version

    def move(
        self,
        connection: Connection,
        name: str,
        alias: str,
        version: Version,
        by: str,
        write_log: Callable[[Version | None], None],
    ) -> None:
        """Point an alias at a version; `write_log` gets the version it pointed at before, unless it is the same."""
        old = self.target(connection, name, alias)
        if old == version:
            return
        row: dict[str, Any] = {"name": name, "alias": alias, "version": version, "set_at": now(), "set_by": by}
        connection.execute(upsert(connection, self._table, row))
        write_log(old)

    def previous(self, connection: Connection, name: str, alias: str) -> Version:
        """Return the version that an alias pointed at before its present one.

        Raises
        ------
        RegistryError
            If it never pointed anywhere else.
        """
        log, versions = self._log.c, self._versions.c
        query = select(log[self._log_column]).where(log.name == name, log.alias == alias).order_by(log.id)
        existing = set(connection.scalars(select(versions.version).where(versions.name == name)))
        version: Version | None = previous_version(connection.scalars(query), existing)
        if version is None:
            raise RegistryError("there is no earlier version to go back to", where=f"{name}@{alias}")
        return version


def previous_version(moves: Iterable[Version | None], existing: set[Version]) -> Version | None:
    """Return the version an alias pointed at before its present one.

    The log is read as a stack, so that rolling back twice goes back two steps.

    Parameters
    ----------
    moves : iterable
        Versions the alias was set to, oldest first; None where it was taken away.
    existing : set
        Versions that still exist; others are passed over.

    Returns
    -------
    version or None
        None if there is nothing to go back to.
    """
    stack: list[Version] = []
    for version in moves:
        if version is None or version not in existing or (stack and stack[-1] == version):
            continue
        if len(stack) > 1 and stack[-2] == version:
            stack.pop()
        else:
            stack.append(version)
    return stack[-2] if len(stack) > 1 else None


def with_aliases(rows: Iterable[Any]) -> Iterator[tuple[tuple[Any, ...], tuple[str, ...]]]:
    """Yield each version once, with its aliases, from rows in order whose last column is one of these or NULL."""
    for about, group in groupby(rows, lambda row: tuple(row[:-1])):
        yield about, tuple(row[-1] for row in group if row[-1] is not None)
