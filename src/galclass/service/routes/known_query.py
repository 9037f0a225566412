"""Query parameters that a route does not take are refused: a misspelt filter would give the whole table."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping
from typing import get_args, get_origin

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant

from galclass.errors import RequestError

_SHOWN = 40


async def refuse_unknown(request: Request) -> None:
    """Refuse a query parameter that the route does not have, or one given twice where it takes one value."""
    if not request.scope["query_string"]:
        return
    taken = _parameters(request.scope["route"].dependant)
    for name, count in Counter(key for key, _ in request.query_params.multi_items()).items():
        if name not in taken:
            raise _unknown(name, taken)
        if count > 1 and not taken[name]:
            raise RequestError(
                "invalid", f"the query parameter {name} comes {count} times", expected="once", field=name
            )


def _unknown(name: str, taken: Mapping[str, bool]) -> RequestError:
    shown = name[:_SHOWN] if name.isprintable() else ascii(name[:_SHOWN])
    near = difflib.get_close_matches(name, taken, n=1)
    return RequestError(
        "invalid",
        f"there is no query parameter {shown!r} here",
        expected=", ".join(taken) if taken else "none",
        advice=f"did you mean {near[0]}?" if near else None,
        field=shown,
    )


def _parameters(dependant: Dependant) -> dict[str, bool]:
    """Return the query parameters of a route: whether each takes several values."""
    found = {field.alias: _is_list(field.field_info.annotation) for field in dependant.query_params}
    for one in dependant.dependencies:
        found |= _parameters(one)
    return found


def _is_list(annotation: object) -> bool:
    return get_origin(annotation) in (list, tuple, set) or any(map(_is_list, get_args(annotation)))


KNOWN_QUERY = Depends(refuse_unknown)
