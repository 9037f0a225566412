"""The filters over stored predictions as query parameters, the same for pages, exports and the sky map."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request

from galclass.database.catalog import CatalogQuery, parse_cone
from galclass.scoring.references import DEFAULT_MODEL
from galclass.service.engine.published import refused_as
from galclass.service.engine.state import state_of
from galclass.service.routes import service_schemas

_CONE = (
    'Position and radius, such as "10:00:28.6 +02:12:21 30 arcsec" or "150.119, 2.206, 0.01"; decimal numbers and a '
    "radius without unit are in degrees"
)


def catalog_query(
    request: Request,
    model: Annotated[str, Query(pattern=service_schemas.REFERENCE)] = DEFAULT_MODEL,
    predicted_class: Annotated[str | None, Query(alias="class")] = None,
    group: str | None = None,
    min_probability: Annotated[float, Query(ge=0, le=1)] = 0.0,
    cone: Annotated[str | None, Query(description=_CONE, max_length=100)] = None,
    unlabelled: bool = False,
    object_id: Annotated[str | None, Query(description="This object alone", max_length=200)] = None,
    search: Annotated[str | None, Query(description="Text in the object id", max_length=200)] = None,
    sort: Annotated[
        str | None,
        Query(description="A column; a leading minus reverses the order. Default: separation in a cone, else id"),
    ] = None,
) -> CatalogQuery:
    """Return the query for the parameters, on the model version that the reference means."""
    with refused_as("unknown_model", "model"):
        info = state_of(request).registry.resolve(model)
    return CatalogQuery(
        info.name,
        info.version,
        predicted_class,
        group,
        min_probability,
        parse_cone(cone) if cone is not None else None,
        unlabelled,
        object_id,
        search,
        sort,
    )


Filters = Annotated[CatalogQuery, Depends(catalog_query)]
"""The filters of a request, as a parameter of a route."""
