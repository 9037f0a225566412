"""Who a route admits, as types of its parameters: `Reader`, `Publisher`, `Admin`."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from galclass.service.engine.auth import ADMIN, PUBLISHER, READER, Actor
from galclass.service.engine.state import state_of


async def reader(request: Request) -> Actor:
    """Admit anyone who may read."""
    return await state_of(request).admit(request, READER)


async def publisher(request: Request) -> Actor:
    """Admit those who may publish and label."""
    return await state_of(request).admit(request, PUBLISHER)


async def admin(request: Request) -> Actor:
    """Admit those who may delete."""
    return await state_of(request).admit(request, ADMIN)


Reader = Annotated[Actor, Depends(reader)]
Publisher = Annotated[Actor, Depends(publisher)]
Admin = Annotated[Actor, Depends(admin)]
