"""Which classes and groups a registered model has, without loading its bytes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, select

from galclass.database.schema import models
from galclass.morphology import CLASSES, GROUPS


def classes_of(connection: Connection, name: str, version: int) -> tuple[str, ...]:
    """Return the classes of a model version in its order; the 13 classes if the model no longer exists."""
    found = connection.scalar(
        select(models.c.signature["classes"]).where(models.c.name == name, models.c.version == version)
    )
    return _names(found) or CLASSES


def groups_of(connection: Connection, name: str, version: int) -> tuple[str, ...]:
    """Return the groups of a model version; none where its classes have none."""
    signature = models.c.signature
    query = select(signature["format"], signature["groups"]).where(models.c.name == name, models.c.version == version)
    row = connection.execute(query).one_or_none()
    if row is None or row[0] == 1:
        return tuple(GROUPS)
    groups = row[1] if isinstance(row[1], list) else []
    return _names([group.get("name") if isinstance(group, dict) else None for group in groups])


def own_classes(connection: Connection, versions: Iterable[tuple[str, int]]) -> tuple[str, ...]:
    """Return the classes of some model versions other than the 13, each once, in order."""
    found = (leaf for name, version in versions for leaf in classes_of(connection, name, version))
    return tuple(dict.fromkeys(leaf for leaf in found if leaf not in CLASSES))


def _names(values: Any) -> tuple[str, ...]:
    """Return a list of texts; nothing where a row inserted with SQL holds something else."""
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        return ()
    return tuple(values)
