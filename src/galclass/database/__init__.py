"""Takes models and images, gives predictions as rows: registry, queue, worker, SQL functions, services, tokens.

One schema for SQLite (embedded, WAL) and PostgreSQL, made by numbered migrations; writes to the database only.
"""

from __future__ import annotations

from typing import Any

from galclass.database.connection import Database, open_database
from galclass.database.images import Images, NewImage
from galclass.database.models import ModelInfo, ModelRecord
from galclass.database.registry import Registry
from galclass.database.score import ScoreSummary, score_pending
from galclass.database.services import ServiceRecord, Services
from galclass.database.sql import SqlResult, run_sql
from galclass.database.tokens import TokenInfo, Tokens

__all__ = [
    "Database",
    "Images",
    "ModelInfo",
    "ModelRecord",
    "NewImage",
    "Registry",
    "ScoreSummary",
    "ServiceRecord",
    "Services",
    "SqlResult",
    "TokenInfo",
    "Tokens",
    "open_database",
    "register_stage",
    "run_sql",
    "score_pending",
    "score_stage",
]

_STAGES = ("register_stage", "score_stage")


def __getattr__(name: str) -> Any:
    if name in _STAGES:  # imported on first use: they need the stages before them
        from galclass.database import stages

        return getattr(stages, name)
    raise AttributeError(f"module 'galclass.database' has no attribute {name!r}")
