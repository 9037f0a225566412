"""The tables as SQLAlchemy Core sees them; migrations/*.sql is what makes them.

docs/database.md says what they hold. A test compares this page with a freshly migrated database.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, ForeignKey, Integer, LargeBinary, MetaData, Table, Text
from sqlalchemy.sql.schema import SchemaItem

from galclass.database.types import JsonColumn, UtcTime

metadata = MetaData()


def _key(name: str) -> Column[str]:
    return Column(name, Text, primary_key=True)


def _text(name: str, *, nullable: bool = False) -> Column[str]:
    return Column(name, Text, nullable=nullable)


def _version(name: str = "version", *, key: bool = False, nullable: bool = False) -> Column[int]:
    return Column(name, Integer, primary_key=key, nullable=nullable)


def _table(name: str, *columns: SchemaItem) -> Table:
    return Table(name, metadata, *columns)


models = _table(
    "galaxy_models",
    _key("name"),
    _version(key=True),
    Column("value", LargeBinary, nullable=False),
    _text("sha256"),
    Column("signature", JsonColumn, nullable=False),
    Column("metrics", JsonColumn, nullable=False),
    _text("card"),
    Column("created_at", UtcTime, nullable=False),
    _text("created_by"),
)
model_aliases = _table(
    "galaxy_model_aliases",
    _key("name"),
    _key("alias"),
    _version(),
    Column("set_at", UtcTime, nullable=False),
    _text("set_by"),
)
model_alias_log = _table(
    "galaxy_model_alias_log",
    Column("id", Integer, primary_key=True),
    _text("name"),
    _text("alias"),
    _version("old_version", nullable=True),
    _version("new_version", nullable=True),
    Column("set_at", UtcTime, nullable=False),
    _text("set_by"),
)
images = _table(
    "galaxy_images",
    _key("object_id"),
    Column("img", LargeBinary),
    _text("uri", nullable=True),
    _text("sha256", nullable=True),
    Column("frame_px", Integer),
    Column("stored_px", Integer),
    Column("ra", Double),
    Column("dec", Double),
    Column("added_at", UtcTime, nullable=False),
    _text("pixels_sha256", nullable=True),
)
labels = _table(
    "galaxy_labels",
    _key("object_id"),
    _key("source"),
    Column("label", JsonColumn, nullable=False),
    _key("labelled_by"),
    Column("labelled_at", UtcTime, nullable=False),
)
predictions = _table(
    "galaxy_predictions",
    _key("object_id"),
    _key("model_name"),
    _version("model_version", key=True),
    _text("predicted_class", nullable=True),
    _text("predicted_group", nullable=True),
    Column("probabilities", JsonColumn),
    Column("prediction_set", JsonColumn, nullable=False),
    Column("flags", JsonColumn, nullable=False),
    _text("error", nullable=True),
    Column("scored_at", UtcTime, nullable=False),
    Column("vote_fractions", JsonColumn),
    Column("raw_vote_fractions", JsonColumn),
)
embeddings = _table(
    "galaxy_embeddings",
    _key("model_sha256"),
    _key("object_id"),
    _text("img_sha256"),
    Column("embedding", LargeBinary, nullable=False),
    Column("embedded_at", UtcTime, nullable=False),
    _text("predicted_class", nullable=True),
)
score_queue = _table(
    "galaxy_score_queue",
    _key("model_name"),
    _version("model_version", key=True),
    _key("object_id"),
    _text("claimed_by", nullable=True),
    Column("claimed_until", UtcTime),
)
services = _table(
    "galaxy_services",
    _key("name"),
    _key("version"),
    _text("model_name", nullable=True),
    _version("model_version", nullable=True),
    _text("description"),
    Column("created_at", UtcTime, nullable=False),
    _text("created_by"),
    Column("code", JsonColumn),
)
service_aliases = _table(
    "galaxy_service_aliases",
    _key("name"),
    _key("alias"),
    _text("version"),
    Column("set_at", UtcTime, nullable=False),
    _text("set_by"),
)
service_log = _table(
    "galaxy_service_log",
    Column("id", Integer, primary_key=True),
    _text("name"),
    _text("action"),
    _text("version", nullable=True),
    _text("alias", nullable=True),
    _text("old_version", nullable=True),
    Column("at", UtcTime, nullable=False),
    _text("by"),
    _text("model_sha256", nullable=True),
)
shadows = _table(
    "galaxy_shadows",
    _key("name"),
    _key("version"),
    _key("shadow_version"),
    *(Column(name, BigInteger, nullable=False) for name in ("compared", "same_class", "same_group")),
    Column("largest_difference", Double, nullable=False),
    *(Column(name, BigInteger, nullable=False) for name in ("dropped", "failed")),
    Column("since", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
)
shadow_differences = _table(
    "galaxy_shadow_differences",
    _key("name"),
    _key("version"),
    _key("shadow_version"),
    _key("object_id"),
    _key("img_sha256"),
    _text("predicted_class"),
    _text("shadow_class"),
    Column("difference", Double, nullable=False),
    Column("seen_at", UtcTime, nullable=False),
)
jobs = _table(
    "galaxy_jobs",
    _key("id"),
    _text("service_name"),
    _text("service_version"),
    _text("state"),
    Column("total", Integer, nullable=False),
    Column("done", Integer, nullable=False),
    _text("error", nullable=True),
    Column("created_at", UtcTime, nullable=False),
    _text("created_by"),
    Column("updated_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    _text("client"),
    Column("img_bytes", BigInteger, nullable=False),
    Column("turn", BigInteger, nullable=False),
    Column("answered", Integer, nullable=False),
    _text("worker", nullable=True),
    Column("beat_at", UtcTime),
    Column("takeovers", Integer, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("careful_to", Integer, nullable=False),
)
job_clients = _table("galaxy_job_clients", _key("client"), Column("turn", BigInteger, nullable=False))
job_items = _table(
    "galaxy_job_items",
    Column("job_id", Text, ForeignKey("galaxy_jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    _text("object_id"),
    Column("img", LargeBinary),
    Column("record", JsonColumn),
)
tokens = _table(
    "galaxy_tokens",
    Column("id", Integer, primary_key=True),
    Column("sha256", Text, nullable=False, unique=True),
    _text("role"),
    _text("label"),
    Column("created_at", UtcTime, nullable=False),
    Column("revoked_at", UtcTime),
)
migrations = _table("schema_migrations", Column("id", Integer, primary_key=True), _text("name"), _text("applied_at"))
