"""Predictions out of the database: Parquet and CSV streamed with flat memory, FITS and VOTable whole.

The columns are those of `galclass predict` but file and vote fractions, then ra, dec (deg, J2000) and `_healpix_29`:
the nested HEALPix index at order 29, as catalogs in HATS layout have it; shift it right by 2 (29 - k) bits for order k.
Then the votes that any of the exported predictions has, debiased before raw, and the classes of models that have their
own; the others have NULL there.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from sqlalchemy import ColumnElement, Connection, Row, Select, Text, and_, cast, select

from galclass.database.classes import own_classes
from galclass.database.connection import Database
from galclass.database.registry import Registry
from galclass.database.schema import images, models, predictions
from galclass.database.sky import healpix_column
from galclass.database.table_file import STREAMED, WHOLE, write_batches
from galclass.errors import DatabaseError, ModelError
from galclass.morphology import CLASSES, QUESTIONS
from galclass.scoring import ModelId, Signature
from galclass.scoring.prediction import SEPARATOR, time_text, vote_columns_of

ROWS = 10_000
"""Rows held at a time, and a Parquet row group."""


_STEMS = tuple(column for question in QUESTIONS.values() for column in question.columns)
_VOTES = {"debiased": "vote_fractions", "raw": "raw_vote_fractions"}
"""Which column of the table holds which votes."""

_TEXT = ("prediction_set", "flags", "error", "model_name")
SCHEMA = pa.schema(
    [("object_id", pa.string()), ("predicted_class", pa.string()), ("predicted_group", pa.string())]
    + [(f"predicted_{leaf}", pa.float64()) for leaf in CLASSES]
    + [(name, pa.string()) for name in _TEXT]
    + [("model_version", pa.int32()), ("model_sha256", pa.string()), ("scored_at", pa.string())]
    + [("ra", pa.float64()), ("dec", pa.float64()), ("_healpix_29", pa.int64())]
)


@dataclass(frozen=True)
class ExportSummary:
    """What was written."""

    path: Path
    rows: int
    seconds: float

    def __str__(self) -> str:
        return f"export: {self.rows:,} predictions to {self.path}, {self.seconds:.1f} s"


def export_predictions(database: Database, path: Path, *, model: str | None = None) -> ExportSummary:
    """Write the predictions to a file that appears whole or not at all.

    Parameters
    ----------
    database : Database
    path : Path
        .parquet or .csv (streamed), .fits, .vot or .votable (held in memory).
    model : str, optional
        Only the predictions of this version.

    Raises
    ------
    DatabaseError
        If the suffix is another one, or a prediction has votes for an answer that its model does not have.
    """
    started = time.perf_counter()
    if path.suffix.lower() not in STREAMED + WHOLE:
        raise DatabaseError("unknown format", where=str(path), expected=", ".join(STREAMED + WHOLE))
    only = None if model is None else Registry(database).resolve(model).model
    with database.snapshot() as connection:
        votes = {kind: _stems(connection, kind, only) for kind in _VOTES}
        own = own_classes(connection, _versions(connection, only))
        with closing(_batches(connection, only, votes, own)) as batches:
            rows = write_batches(batches, _schema(votes, own), path)
    return ExportSummary(path, rows, time.perf_counter() - started)


def predictions_by_id(database: Database, *, model: str | None = None) -> dict[str, dict[str, Any]]:
    """Return the rows of an export by object id, for joining with a catalog.

    Raises
    ------
    DatabaseError
        If an object has predictions of several versions: the catalog has one row for it.
    """
    only = None if model is None else Registry(database).resolve(model).model
    found: dict[str, dict[str, Any]] = {}
    with database.snapshot() as connection:
        votes = {kind: _stems(connection, kind, only) for kind in _VOTES}
        own = own_classes(connection, _versions(connection, only))
        with closing(_batches(connection, only, votes, own)) as batches:
            for row in (row for batch in batches for row in batch.to_pylist()):
                other = found.setdefault(row["object_id"], row)
                if other is not row:
                    versions = [f"{one['model_name']}@{one['model_version']}" for one in (other, row)]
                    raise DatabaseError(
                        "an object has predictions from several models", where=f"object_id {row['object_id']}",
                        got=" and ".join(versions), advice="name one with --model",
                    )  # fmt: skip
    return _without_foreign_classes(found) if own else found


def _without_foreign_classes(found: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Leave out those of the 13 classes that no prediction has, where a model has classes of its own."""
    thirteen = [f"predicted_{leaf}" for leaf in CLASSES]
    unused = {name for name in thirteen if all(row[name] is None for row in found.values())}
    return {key: {name: value for name, value in row.items() if name not in unused} for key, row in found.items()}


def _schema(votes: Mapping[str, Sequence[str]], own: Sequence[str]) -> pa.Schema:
    """Return the columns: those of every export, then the votes and the own classes that there are."""
    columns = [column for kind, stems in votes.items() for column in vote_columns_of(stems, kind)]
    columns += [f"predicted_{leaf}" for leaf in own]
    return pa.schema([*SCHEMA, *(pa.field(column, pa.float64()) for column in columns)])


def _versions(connection: Connection, only: ModelId | None) -> list[tuple[str, int]]:
    """Return the model versions that have predictions."""
    if only is not None:
        return [(only.name, only.version)]
    p = predictions.c
    versions = select(p.model_name, p.model_version).distinct().order_by(p.model_name, p.model_version)
    return [(name, version) for name, version in connection.execute(versions).all()]


def _stems(connection: Connection, kind: str, only: ModelId | None) -> list[str]:
    """Return the answers with votes, in the order of the questions."""
    p, votes = predictions.c, predictions.c[_VOTES[kind]]
    versions = select(p.model_name, p.model_version).where(*_of(only), votes.is_not(None)).distinct()
    found: set[str] = set()
    for name, version in connection.execute(versions).all():
        found |= _stems_of(connection, kind, name, version)
    order = {stem: number for number, stem in enumerate(_STEMS)}
    return sorted(found, key=lambda stem: (order.get(stem, len(order)), stem))


def _stems_of(connection: Connection, kind: str, name: str, version: int) -> set[str]:
    """Return the answers of a version by its signature; by all of its predictions where no signature can be read."""
    text = select(cast(models.c.signature, Text)).where(models.c.name == name, models.c.version == version)
    stored = connection.execute(text).scalar_one_or_none()
    if stored is not None:
        with suppress(ModelError):
            signature = Signature.from_json(stored, where=f"{name}@{version}")
            return set(signature.raw_columns if kind == "raw" else signature.vote_columns)
    p, votes = predictions.c, predictions.c[_VOTES[kind]]
    rows = select(votes).where(p.model_name == name, p.model_version == version, votes.is_not(None))
    found: set[str] = set()
    for row in connection.execute(rows.execution_options(yield_per=ROWS)).scalars():
        found.update(row or ())
    return found


def _of(only: ModelId | None) -> tuple[ColumnElement[bool], ...]:
    return () if only is None else (predictions.c.model_name == only.name, predictions.c.model_version == only.version)


def _batches(
    connection: Connection, only: ModelId | None, votes: Mapping[str, Sequence[str]], own: Sequence[str]
) -> Generator[pa.RecordBatch, None, None]:
    query = _query().where(*_of(only)).execution_options(yield_per=ROWS)
    with connection.execute(query) as result:
        for rows in result.partitions():
            yield _batch(rows, votes, own)


def _query() -> Select[Any]:
    p = predictions.c
    model = and_(models.c.name == p.model_name, models.c.version == p.model_version)
    join = predictions.outerjoin(images, images.c.object_id == p.object_id).outerjoin(models, model)
    columns = (p.object_id, p.predicted_class, p.predicted_group, p.probabilities, p.prediction_set, p.flags, p.error)
    about = (p.model_name, p.model_version, models.c.sha256.label("model_sha256"), p.scored_at)
    return select(*columns, *about, images.c.ra, images.c.dec, *(p[name] for name in _VOTES.values())).select_from(join)


def _batch(rows: Sequence[Row[Any]], votes: Mapping[str, Sequence[str]], own: Sequence[str]) -> pa.RecordBatch:
    columns: dict[str, Any] = dict(zip(rows[0]._fields, zip(*rows, strict=True), strict=True))
    for leaf in (*CLASSES, *own):
        columns[f"predicted_{leaf}"] = [None if row is None else row.get(leaf) for row in columns["probabilities"]]
    for name in ("prediction_set", "flags"):
        columns[name] = [SEPARATOR.join(row) for row in columns[name]]
    columns["scored_at"] = [time_text(moment) for moment in columns["scored_at"]]
    columns["_healpix_29"] = healpix_column(columns["ra"], columns["dec"])
    for kind, stems in votes.items():
        _check_stems(columns["object_id"], columns[_VOTES[kind]], stems)
        for stem in stems:
            triples = [(row or {}).get(stem) or (None,) * 3 for row in columns[_VOTES[kind]]]
            columns |= dict(zip(vote_columns_of([stem], kind), zip(*triples, strict=True), strict=True))
    schema = _schema(votes, own)
    return pa.RecordBatch.from_arrays(
        [pa.array(columns[field.name], field.type, from_pandas=False) for field in schema], schema=schema
    )


def _check_stems(object_ids: Sequence[str], rows: Sequence[Any], stems: Sequence[str]) -> None:
    """Refuse rows with votes that no column is for, rather than leave them out."""
    known = frozenset(stems)
    for object_id, row in zip(object_ids, rows, strict=True):
        if row and not known.issuperset(row):
            other = sorted(set(row) - known)[0]
            what = "a stored prediction has votes for an answer that its model does not have"
            raise DatabaseError(what, where=f"object_id {object_id}", got=other)
