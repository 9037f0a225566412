"""Stored predictions as pages: sorted, filtered by class, certainty and position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select

from galclass.database import Database
from galclass.database.classes import classes_of, groups_of
from galclass.database.cones import Cone, read_cone
from galclass.database.labels import HUMAN
from galclass.database.schema import images, labels, models, predictions
from galclass.database.sky import haversine, inside, separation_arcsec
from galclass.errors import RequestError
from galclass.morphology import CLASSES
from galclass.scoring.prediction import plain_votes

SORTS = ("object_id", "class", "group", "probability", "uncertainty", "scored_at", "ra", "dec", "separation")
"""Orders of a page; a minus in front turns one round; "separation" needs a cone.

"uncertainty" puts first what is most worth labelling."""

MAX_PAGE_SIZE = 500
VOTES = ("vote_fractions", "raw_vote_fractions")


@dataclass(frozen=True)
class CatalogQuery:
    """Which stored predictions are asked for.

    Attributes
    ----------
    model_name : str
    model_version : int
    predicted_class, predicted_group : str or None
    min_probability : float
        Least probability of the predicted class, in [0, 1].
    cone : Cone or None
    unlabelled : bool
        Only objects without a human label.
    object_id : str or None
        The one object that is wanted.
    search : str or None
        Text that is in the object id; A to Z also in the other case.
    sort : str or None
        One of `SORTS`, with a minus in front for falling order; None: by separation in a cone, else by object id.
    page : int
        From 1.
    page_size : int
    votes : bool
        Whether the rows have vote fractions, which are several times the rest.
    classes : tuple of str
        Of the model; `with_classes` fills them in.
    """

    model_name: str
    model_version: int
    predicted_class: str | None = None
    predicted_group: str | None = None
    min_probability: float = 0.0
    cone: Cone | None = None
    unlabelled: bool = False
    object_id: str | None = None
    search: str | None = None
    sort: str | None = None
    page: int = 1
    page_size: int = 50
    votes: bool = False
    classes: tuple[str, ...] = CLASSES


def parse_cone(text: str) -> Cone:
    """Read a cone as people type it (`galclass.database.cones`).

    Raises
    ------
    RequestError
        `invalid`, with the part that is wrong.
    """
    try:
        return read_cone(text)
    except ValueError as error:
        raise RequestError("invalid", str(error), field="cone") from error


def with_classes(database: Database, query: CatalogQuery) -> CatalogQuery:
    """Return the query with the classes of its model."""
    with database.read() as connection:
        return replace(query, classes=classes_of(connection, query.model_name, query.model_version))


def find_predictions(database: Database, query: CatalogQuery) -> tuple[list[dict[str, Any]], int]:
    """Return one page of stored predictions and how many there are in all.

    Raises
    ------
    RequestError
        `invalid`, for an unknown sort, class or group.
    """
    query = with_classes(database, query)
    chosen = selected(database, query)
    statement = chosen.order_by(*ordered_by(query))
    offset = (query.page - 1) * query.page_size
    with database.read() as connection:
        total = connection.execute(select(func.count()).select_from(chosen.subquery())).scalar_one()
        found = connection.execute(statement.limit(query.page_size).offset(offset)).mappings().all()
    return [_row(row, query.cone) | (_votes(row) if query.votes else {}) for row in found], total


def selected(database: Database, query: CatalogQuery) -> Select[Any]:
    """Return the rows of stored predictions that pass the filters, each with its position and newest human label.

    Raises
    ------
    RequestError
        `invalid`, for an unknown class or group.
    """
    human = and_(labels.c.object_id == predictions.c.object_id, labels.c.source == HUMAN)
    other = labels.alias()
    newer = or_(
        other.c.labelled_at > labels.c.labelled_at,
        and_(other.c.labelled_at == labels.c.labelled_at, other.c.labelled_by > labels.c.labelled_by),
    )
    same = and_(other.c.object_id == labels.c.object_id, other.c.source == HUMAN, newer)
    superseded = select(other.c.object_id).where(same).correlate(labels).exists()
    joined = predictions.outerjoin(images, images.c.object_id == predictions.c.object_id).outerjoin(
        labels, and_(human, ~superseded)
    )
    own = [column for column in predictions.c if query.votes or column.name not in VOTES]
    label = [labels.c.label, labels.c.labelled_by, labels.c.labelled_at]
    of_model = and_(models.c.name == query.model_name, models.c.version == query.model_version)
    sha256 = select(models.c.sha256).where(of_model).scalar_subquery().label("model_sha256")
    columns = [*own, sha256, images.c.ra, images.c.dec, *label, _of_class(query.classes).label("probability")]
    return select(*columns).select_from(joined).where(and_(*_conditions(database, query)))


def _conditions(database: Database, query: CatalogQuery) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [
        predictions.c.model_name == query.model_name,
        predictions.c.model_version == query.model_version,
    ]
    if query.predicted_class is not None:
        _known(query.predicted_class, query.classes, "class")
        conditions.append(predictions.c.predicted_class == query.predicted_class)
    if query.predicted_group is not None:
        with database.read() as connection:
            groups = groups_of(connection, query.model_name, query.model_version)
        _known(query.predicted_group, groups, "group")
        conditions.append(predictions.c.predicted_group == query.predicted_group)
    if query.min_probability > 0:
        conditions.append(_of_class(query.classes) >= query.min_probability)
    if query.unlabelled:
        conditions.append(labels.c.label.is_(None))
    if query.object_id is not None:
        conditions.append(predictions.c.object_id == query.object_id)
    if query.search:
        part = "".join(f"/{one}" if one in "/%_" else one for one in query.search)
        # Both by the database: SQLite knows the two cases of A to Z alone.
        conditions.append(func.lower(predictions.c.object_id).like(func.lower(f"%{part}%"), escape="/"))
    if query.cone is not None:
        conditions += inside(query.cone)
    return conditions


def _known(value: str, known: tuple[str, ...], field: str) -> None:
    if value not in known:
        raise RequestError("invalid", f"unknown {field} {value[:40]!r}", expected=" ".join(known), field=field)


def _of_class(classes: Sequence[str]) -> ColumnElement[float]:
    """Return the stored probability of the predicted class; the walk may end at one that is not the most probable."""
    found: ColumnElement[float] = case(
        *((predictions.c.predicted_class == leaf, predictions.c.probabilities[leaf].as_float()) for leaf in classes)
    )
    return found


def ordered_by(query: CatalogQuery) -> list[ColumnElement[Any]]:
    """Return what the rows are ordered by; what failed comes last, either way round.

    Raises
    ------
    RequestError
        `invalid`, for an unknown order, and for one by separation without a cone.
    """
    sort = query.sort or ("separation" if query.cone else "object_id")
    name = sort.removeprefix("-")
    if name not in SORTS:
        raise RequestError("invalid", f"unknown order {sort[:40]!r}", expected=", ".join(SORTS), field="sort")
    if name == "separation" and query.cone is None:
        raise RequestError("invalid", "separation from what", advice="pass a cone", field="sort")
    columns: dict[str, ColumnElement[Any]] = {
        "object_id": predictions.c.object_id,
        "class": predictions.c.predicted_class,
        "group": predictions.c.predicted_group,
        "probability": _of_class(query.classes),
        "uncertainty": _of_class(query.classes),
        "scored_at": predictions.c.scored_at,
        "ra": images.c.ra,
        "dec": images.c.dec,
        **({"separation": haversine(query.cone)} if query.cone else {}),
    }
    column = columns[name]
    ordered = column.desc() if sort.startswith("-") else column.asc()
    return [ordered.nulls_last(), predictions.c.object_id]


_PLAIN = ("error", "model_name", "model_version", "model_sha256", "scored_at", "ra", "dec")


def _row(row: Any, cone: Cone | None) -> dict[str, Any]:
    separation = None
    if cone is not None:
        position = np.array([row["ra"]]), np.array([row["dec"]])
        separation = round(float(separation_arcsec(*position, cone.ra, cone.dec)[0]), 3)
    return {
        **{name: row[name] for name in ("object_id", "predicted_class", "predicted_group", "probability")},
        "probabilities": row["probabilities"],
        "prediction_set": row["prediction_set"] or [],
        "flags": row["flags"] or [],
        **{name: row[name] for name in _PLAIN},
        "image": f"v1/images/{row['object_id']}",
        "human_label": label_text(row["label"]),
        "labelled_by": row["labelled_by"],
        "labelled_at": row["labelled_at"],
        "separation_arcsec": separation,
    }


def _votes(row: Any) -> dict[str, Any]:
    return {name: None if row[name] is None else plain_votes(row[name]) for name in VOTES}


def label_text(label: Any) -> str | None:
    """Return the class of a stored label."""
    if isinstance(label, dict):
        value = label.get("class") or label.get("label")
        return str(value) if value else None
    return str(label) if label else None
