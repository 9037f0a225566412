"""What the shadow of a service predicted beside the visible version: counts, and the objects that differ.

Takes what a server compared since it last wrote, adds it to the rows; returns a report by pair of versions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection, and_, func, select

from galclass.database.connection import Database
from galclass.database.schema import models, shadow_differences, shadows
from galclass.database.statements import insert_for
from galclass.database.types import now
from galclass.errors import RegistryError
from galclass.scoring import Signature

if TYPE_CHECKING:
    from galclass.database.service_rows import ServiceRecord

MAX_DIFFERENCES = 1000
"""Objects that are listed for a pair of versions; the newest stay."""

_COUNTS = ("compared", "same_class", "same_group", "dropped", "failed")


@dataclass(frozen=True)
class ShadowPair:
    """A visible version of a service and the version that predicts beside it, out of sight."""

    name: str
    version: str
    shadow_version: str


@dataclass
class ShadowCounts:
    """Outcomes of the images sent to both versions of a pair.

    Attributes
    ----------
    compared : int
        Images that both predicted.
    same_class, same_group : int
        Those of them with the same class, and with the same group.
    largest_difference : float
        The largest difference of a class probability, in [0, 1].
    dropped : int
        Images that the shadow did not get because too many were waiting.
    failed : int
        Images that the shadow yielded no prediction for.
    """

    compared: int = 0
    same_class: int = 0
    same_group: int = 0
    largest_difference: float = 0.0
    dropped: int = 0
    failed: int = 0


@dataclass(frozen=True)
class ShadowDifference:
    """An object for which the two versions predict different classes."""

    object_id: str
    img_sha256: str
    predicted_class: str
    shadow_class: str
    difference: float
    seen_at: datetime


@dataclass(frozen=True)
class ShadowReport:
    """What is known about a pair of versions; `differing` lists the newest first."""

    pair: ShadowPair
    counts: ShadowCounts
    since: datetime
    updated_at: datetime
    differing: tuple[ShadowDifference, ...]


class Shadows:
    """The comparisons of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, pair: ShadowPair, counts: ShadowCounts, differing: Iterable[ShadowDifference] = ()) -> None:
        """Add counts to those of a pair, and objects to its list, of which the oldest leave it."""
        with self._database.write() as connection:
            _add_counts(connection, pair, counts)
            newest = {(one.object_id, one.img_sha256): {**vars(pair), **vars(one)} for one in differing}
            if newest:
                insert = insert_for(connection, shadow_differences)
                said = ("predicted_class", "shadow_class", "difference", "seen_at")
                statement = insert.on_conflict_do_update(
                    index_elements=[column.name for column in shadow_differences.primary_key.columns],
                    set_={name: insert.excluded[name] for name in said},
                )
                connection.execute(statement, list(newest.values()))
                _forget_oldest(connection, pair)

    def reports(self, name: str, *, most: int = MAX_DIFFERENCES) -> list[ShadowReport]:
        """Return what is known of every pair of versions of a service, the newest first, with `most` objects each."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(shadows).where(shadows.c.name == name).order_by(shadows.c.updated_at.desc(), shadows.c.version)
            ).mappings()
            return [_report(connection, dict(row), most) for row in rows]


def forget_shadow(connection: Connection, name: str, version: str) -> None:
    """Delete what is known of the pairs of which a version is the shadow or the visible one."""
    for table in (shadows, shadow_differences):
        either = (table.c.version == version) | (table.c.shadow_version == version)
        connection.execute(table.delete().where(table.c.name == name, either))


def check_shadow(connection: Connection, visible: ServiceRecord | None, shadow: ServiceRecord) -> None:
    """Refuse a shadow that cannot predict what the latest version predicts, or that is this version.

    Raises
    ------
    RegistryError
        If there is no latest version or it is the shadow; if one is a function; if their classes differ.
    """
    where = f"{shadow.name}@{shadow.version} as shadow"
    if visible is None:
        raise RegistryError("there is no latest version for it to shadow", where=where)
    for one in (visible, shadow):
        if one.code is not None:
            raise RegistryError(
                "a function can neither be a shadow nor have one: it may have side effects",
                where=where,
                got=f"{one.name}@{one.version} served by {one.function}",
                advice="publish the model that it uses as a service",
            )
    if visible.version == shadow.version:
        raise RegistryError("it is the latest version, so there is nothing to compare", where=where)
    ours, others = _classes(connection, visible), _classes(connection, shadow)
    if ours != others:
        raise RegistryError(
            "a shadow must have the classes of the latest version",
            where=where,
            expected=", ".join(ours),
            got=", ".join(others),
        )


def _classes(connection: Connection, record: ServiceRecord) -> tuple[str, ...]:
    where = (models.c.name == record.model_name, models.c.version == record.model_version)
    signature = connection.scalars(select(models.c.signature).where(*where)).one()
    return Signature.from_dict(signature, where=str(record.model)).classes


def _add_counts(connection: Connection, pair: ShadowPair, counts: ShadowCounts) -> None:
    at = now()
    insert = insert_for(connection, shadows).values(**vars(pair), **vars(counts), since=at, updated_at=at)
    columns, new = shadows.c, insert.excluded
    larger = func.greatest if connection.dialect.name == "postgresql" else func.max
    changed = {name: columns[name] + new[name] for name in _COUNTS}
    changed["largest_difference"] = larger(columns.largest_difference, new.largest_difference)
    keys = [column.name for column in shadows.primary_key.columns]
    connection.execute(
        insert.on_conflict_do_update(index_elements=keys, set_={**changed, "updated_at": new.updated_at})
    )


def _forget_oldest(connection: Connection, pair: ShadowPair) -> None:
    columns = shadow_differences.c
    mine = and_(*(columns[name] == value for name, value in vars(pair).items()))
    order = (columns.seen_at.desc(), columns.object_id, columns.img_sha256)
    surplus = connection.execute(
        select(columns.object_id, columns.img_sha256).where(mine).order_by(*order).offset(MAX_DIFFERENCES)
    ).all()
    for object_id, sha256 in surplus:
        one = and_(mine, columns.object_id == object_id, columns.img_sha256 == sha256)
        connection.execute(shadow_differences.delete().where(one))


def _report(connection: Connection, row: dict[str, object], most: int) -> ShadowReport:
    pair = ShadowPair(**{name: row[name] for name in ("name", "version", "shadow_version")})  # type: ignore[arg-type]
    counts = ShadowCounts(**{name: row[name] for name in vars(ShadowCounts())})  # type: ignore[arg-type]
    columns = shadow_differences.c
    query = (
        select(*(columns[name] for name in ShadowDifference.__dataclass_fields__))
        .where(*(columns[name] == value for name, value in vars(pair).items()))
        .order_by(columns.seen_at.desc(), columns.object_id, columns.img_sha256)
        .limit(most)
    )
    differing = tuple(ShadowDifference(*one) for one in connection.execute(query))
    return ShadowReport(pair, counts, row["since"], row["updated_at"], differing)  # type: ignore[arg-type]
