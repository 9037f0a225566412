"""Who a route admits, as types of its parameters: `Reader`, `Publisher`, `Admin`."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer

from galclass.service.engine.auth import ADMIN, PUBLISHER, READER, Actor
from galclass.service.engine.state import state_of

BEARER = HTTPBearer(
    scheme_name="token", auto_error=False, description="`galclass tokens create` makes one; reading may need none"
)
"""Describes the Authorization header in the OpenAPI document; `admit` reads and checks it."""


Header = Annotated[object, Security(BEARER)]


async def reader(request: Request) -> Actor:
    """Admit anyone who may read."""
    return await state_of(request).admit(request, READER)


async def publisher(request: Request, _: Header) -> Actor:
    """Admit those who may publish and label."""
    return await state_of(request).admit(request, PUBLISHER)


async def admin(request: Request, _: Header) -> Actor:
    """Admit those who may delete."""
    return await state_of(request).admit(request, ADMIN)


Reader = Annotated[Actor, Depends(reader)]
Publisher = Annotated[Actor, Depends(publisher)]
Admin = Annotated[Actor, Depends(admin)]
