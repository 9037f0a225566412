"""Rows of registered models: how they are found, read and logged within a transaction."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from sqlalchemy import ColumnElement, Connection, Text, and_, cast, func, select, text

from galclass.database.aliases import Aliases, with_aliases
from galclass.database.models import ModelInfo, ModelRecord
from galclass.database.references import PRODUCTION, Reference, parse_reference
from galclass.database.schema import model_alias_log, model_aliases, models
from galclass.database.types import now
from galclass.errors import ModelError, RegistryError
from galclass.scoring import Signature
from galclass.scoring.checks import read_json
from galclass.scoring.graph import MAX_MODEL_BYTES, too_large

POINTS_AT = text("SELECT version FROM galaxy_model_aliases WHERE name = :name AND alias = :alias")
"""The version that an alias points to."""

CONTENT = (
    models.c.sha256, models.c.card, func.length(models.c.value).label("length"),
    cast(models.c.signature, Text).label("signature"), cast(models.c.metrics, Text).label("metrics"),
)  # fmt: skip
"""JSON as text: what stands there may be nested too deeply for the driver."""

ABOUT = (models.c.name, models.c.version, models.c.sha256, models.c.created_at, models.c.created_by)
"""What a list of models shows, in the order of `ModelInfo`."""

_POINTED_AT = models.outerjoin(
    model_aliases, and_(model_aliases.c.name == models.c.name, model_aliases.c.version == models.c.version)
)

ALIASES: Aliases[int] = Aliases(models, model_aliases, model_alias_log, "new_version")


def resolve(connection: Connection, reference: str | Reference) -> ModelInfo:
    """Find the version a reference means, on an open connection."""
    wanted = parse_reference(reference) if isinstance(reference, str) else reference
    version = wanted.version
    if version is None:
        version = ALIASES.target(connection, wanted.name, wanted.alias or PRODUCTION)
    found = model_infos(connection, models.c.name == wanted.name, models.c.version == version)
    if not found:
        raise unknown_model(connection, wanted)
    return found[0]


def load_model(connection: Connection, info: ModelInfo) -> ModelRecord:
    """Read the row of a version and check its bytes against its sha256."""
    where = (models.c.name == info.name, models.c.version == info.version)
    row = connection.execute(select(*CONTENT).where(*where)).one()
    if row.length > MAX_MODEL_BYTES:
        raise too_large(row.length, str(info.model))
    value = bytes(connection.execute(select(models.c.value).where(*where)).scalar_one())
    if hashlib.sha256(value).hexdigest() != row.sha256:
        raise ModelError(
            "its bytes differ from those that were registered",
            where=str(info.model),
            expected=f"sha256 {row.sha256[:12]}...",
            got=f"{hashlib.sha256(value).hexdigest()[:12]}...",
            advice="restore the database, or register the model again under a new version",
        )
    signature = Signature.from_json(row.signature, where=str(info.model))
    metrics = read_json(row.metrics, "its metrics", where=str(info.model))
    return ModelRecord(**vars(info), value=value, signature=signature, metrics=metrics, card=row.card)


def model_info(connection: Connection, name: str, version: int) -> ModelInfo:
    """Return a version that exists."""
    (info,) = model_infos(connection, models.c.name == name, models.c.version == version)
    return info


def model_infos(connection: Connection, *where: ColumnElement[bool]) -> list[ModelInfo]:
    """Read versions and their aliases with one statement."""
    order = (models.c.name, models.c.version, model_aliases.c.alias)
    rows = connection.execute(
        select(*ABOUT, model_aliases.c.alias).select_from(_POINTED_AT).where(*where).order_by(*order)
    )
    return [replace(ModelInfo(*about), aliases=aliases) for about, aliases in with_aliases(rows)]


def unknown_model(connection: Connection, wanted: Reference) -> RegistryError:
    """Return the error for a reference to nothing, which names what there is."""
    versions = connection.scalars(select(models.c.version).where(models.c.name == wanted.name)).all()
    if not versions:
        names = connection.scalars(select(models.c.name).distinct().order_by(models.c.name)).all()
        return RegistryError(
            "unknown model",
            where=str(wanted),
            expected=f"one of {', '.join(names)}" if names else None,
            advice=None
            if names
            else "the registry is empty: register a model first, such as `galclass models register package`",
        )
    return RegistryError(
        "this model has no such version or alias",
        where=str(wanted),
        expected=f"a version of {', '.join(map(str, sorted(versions)))} or an alias",
        advice=f"see `galclass models show {wanted.name}`",
    )


def log_move(connection: Connection, name: str, alias: str, old: int | None, new: int | None, by: str) -> None:
    """Write one move of an alias to the log."""
    row = {"name": name, "alias": alias, "old_version": old, "new_version": new, "set_at": now(), "set_by": by}
    connection.execute(model_alias_log.insert().values(**row))
