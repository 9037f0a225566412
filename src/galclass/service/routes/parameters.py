"""Parameters that several routes take."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query

from galclass.image_names import MAX_ID_CHARACTERS
from galclass.service.routes.service_schemas import REFERENCE

ObjectId = Annotated[str, Path(min_length=1, max_length=MAX_ID_CHARACTERS)]
Model = Annotated[str, Query(pattern=REFERENCE, description="NAME, NAME@VERSION or NAME@ALIAS")]
