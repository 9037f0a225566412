"""Stored predictions as pages: sorted, filtered by class, certainty and position; takes a database, gives rows."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, radians
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, select

from galclass.database import Database
from galclass.database.schema import images, labels, predictions
from galclass.morphology import CLASSES, GROUPS
from galclass.scoring.prediction import plain_votes
from galclass.service.errors import RequestError

HUMAN = "human"
"""Source of the labels people give on the page."""

SORTS = ("object_id", "class", "group", "probability", "uncertainty", "scored_at", "ra", "dec")
"""Orders of a page; a minus in front turns one round. "uncertainty" puts first what is most worth labelling."""

MAX_PAGE_SIZE = 500
VOTES = ("vote_fractions", "raw_vote_fractions")


@dataclass(frozen=True)
class Cone:
    """A circle on the sky: centre and radius in degrees."""

    ra: float
    dec: float
    radius_deg: float


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
    sort : str
        One of `SORTS`, with a minus in front for falling order.
    page : int
        From 1.
    page_size : int
    votes : bool
        Whether the rows have vote fractions, which are several times the rest.
    """

    model_name: str
    model_version: int
    predicted_class: str | None = None
    predicted_group: str | None = None
    min_probability: float = 0.0
    cone: Cone | None = None
    unlabelled: bool = False
    sort: str = "object_id"
    page: int = 1
    page_size: int = 50
    votes: bool = False


def parse_cone(text: str) -> Cone:
    """Read "RA,DEC,RADIUS" in degrees.

    Raises
    ------
    RequestError
        `invalid`, if it is anything else or out of range.
    """
    parts = text.split(",")
    try:
        ra, dec, radius_deg = (float(part) for part in parts)
    except ValueError as error:
        raise _bad_cone() from error
    if not (0 <= ra < 360 and -90 <= dec <= 90 and 0 < radius_deg <= 180):
        raise _bad_cone()
    return Cone(ra, dec, radius_deg)


def _bad_cone() -> RequestError:
    return RequestError(
        "invalid", "not a cone", expected="RA,DEC,RADIUS in degrees, 0 <= RA < 360, -90 <= DEC <= 90", field="cone"
    )


def find_predictions(database: Database, query: CatalogQuery) -> tuple[list[dict[str, Any]], int]:
    """Give one page of stored predictions and how many there are in all.

    Raises
    ------
    RequestError
        `invalid`, for an unknown sort, class or group.
    """
    chosen = _select(database, query)
    statement = chosen.order_by(*_order(database, query.sort))
    offset = (query.page - 1) * query.page_size
    with database.read() as connection:
        total = connection.execute(select(func.count()).select_from(chosen.subquery())).scalar_one()
        found = connection.execute(statement.limit(query.page_size).offset(offset)).mappings().all()
    return [_row(row) | (_votes(row) if query.votes else {}) for row in found], total


def _select(database: Database, query: CatalogQuery) -> Select[Any]:
    human = and_(labels.c.object_id == predictions.c.object_id, labels.c.source == HUMAN)
    other = labels.alias()
    newer = other.c.labelled_at > labels.c.labelled_at
    same = and_(other.c.object_id == labels.c.object_id, other.c.source == HUMAN, newer)
    superseded = select(other.c.object_id).where(same).correlate(labels).exists()
    joined = predictions.outerjoin(images, images.c.object_id == predictions.c.object_id).outerjoin(
        labels, and_(human, ~superseded)
    )
    own = [column for column in predictions.c if query.votes or column.name not in VOTES]
    columns = [*own, images.c.ra, images.c.dec, labels.c.label, _top(database).label("probability")]
    return select(*columns).select_from(joined).where(and_(*_conditions(database, query)))


def _conditions(database: Database, query: CatalogQuery) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [
        predictions.c.model_name == query.model_name,
        predictions.c.model_version == query.model_version,
    ]
    if query.predicted_class is not None:
        _known(query.predicted_class, CLASSES, "class")
        conditions.append(predictions.c.predicted_class == query.predicted_class)
    if query.predicted_group is not None:
        _known(query.predicted_group, tuple(GROUPS), "group")
        conditions.append(predictions.c.predicted_group == query.predicted_group)
    if query.min_probability > 0:
        conditions.append(_top(database) >= query.min_probability)
    if query.unlabelled:
        conditions.append(labels.c.label.is_(None))
    if query.cone is not None:
        conditions += _inside(query.cone)
    return conditions


def _known(value: str, known: tuple[str, ...], field: str) -> None:
    if value not in known:
        raise RequestError("invalid", f"unknown {field} {value[:40]!r}", expected=" ".join(known), field=field)


def _top(database: Database) -> ColumnElement[float]:
    """Give the largest of the 13 stored probabilities."""
    values = [predictions.c.probabilities[leaf].as_float() for leaf in CLASSES]
    largest = func.max if database.dialect == "sqlite" else func.greatest
    top: ColumnElement[float] = largest(*values)
    return top


def _inside(cone: Cone) -> list[ColumnElement[bool]]:
    """Give a box in declination for speed, then the exact distance by the haversine formula."""
    dec, ra = func.radians(images.c.dec), func.radians(images.c.ra)
    half_dec = func.sin((dec - radians(cone.dec)) / 2)
    half_ra = func.sin((ra - radians(cone.ra)) / 2)
    haversine = half_dec * half_dec + func.cos(dec) * cos(radians(cone.dec)) * half_ra * half_ra
    limit = (1 - cos(radians(cone.radius_deg))) / 2
    return [images.c.dec.between(cone.dec - cone.radius_deg, cone.dec + cone.radius_deg), haversine <= limit]


def _order(database: Database, sort: str) -> list[ColumnElement[Any]]:
    name = sort.removeprefix("-")
    if name not in SORTS:
        raise RequestError("invalid", f"unknown order {sort[:40]!r}", expected=", ".join(SORTS), field="sort")
    columns: dict[str, ColumnElement[Any]] = {
        "object_id": predictions.c.object_id,
        "class": predictions.c.predicted_class,
        "group": predictions.c.predicted_group,
        "probability": _top(database),
        "uncertainty": _top(database),
        "scored_at": predictions.c.scored_at,
        "ra": images.c.ra,
        "dec": images.c.dec,
    }
    column = columns[name]
    ordered = column.desc() if sort.startswith("-") else column.asc()
    return [ordered.nulls_last(), predictions.c.object_id]  # what failed comes last, either way round


def _row(row: Any) -> dict[str, Any]:
    return {
        **{name: row[name] for name in ("object_id", "predicted_class", "predicted_group", "probability")},
        "probabilities": row["probabilities"],
        "prediction_set": row["prediction_set"] or [],
        "flags": row["flags"] or [],
        **{name: row[name] for name in ("error", "model_name", "model_version", "scored_at", "ra", "dec")},
        "image": f"v1/images/{row['object_id']}",
        "human_label": _label_text(row["label"]),
    }


def _votes(row: Any) -> dict[str, Any]:
    return {name: None if row[name] is None else plain_votes(row[name]) for name in VOTES}


def _label_text(label: Any) -> str | None:
    if isinstance(label, dict):
        value = label.get("class") or label.get("label")
        return str(value) if value else None
    return str(label) if label else None
