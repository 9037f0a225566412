"""Stores models and images, writes predictions as rows: registry, queue, worker, SQL functions, services, tokens.

One schema for SQLite (embedded, WAL) and PostgreSQL, made by numbered migrations; writes to the database only.
"""

from __future__ import annotations

from galclass.database.connection import Database, open_database
from galclass.database.images import Images, NewImage
from galclass.database.models import ModelInfo, ModelRecord
from galclass.database.registry import Registry
from galclass.database.score import ScoreSummary, score_pending
from galclass.database.service_rows import ServiceRecord
from galclass.database.services import Services
from galclass.database.sql import SqlResult, run_sql
from galclass.database.tokens import TokenInfo, Tokens
from galclass.moved import names_elsewhere

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
    "run_sql",
    "score_pending",
]

__getattr__ = names_elsewhere(
    __name__, {"register_stage": "galclass.tuning.register", "score_stage": "galclass.database.stages"}
)
