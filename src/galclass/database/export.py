"""Predictions out of the database: Parquet and CSV streamed with flat memory, FITS and VOTable whole.

The columns are those of `galclass predict` but file and vote fractions, then ra, dec (deg, J2000) and `_healpix_29`:
the nested HEALPix index at order 29, as catalogs in HATS layout have it; shift it right by 2 (29 - k) bits for order k.
Then the votes that any of the exported predictions has, debiased before raw. Where all models have classes of their
own, these take the place of the 13; beside a model of the 13 they come last, and the others have NULL there.
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

from galclass.database.classes import classes_of, own_classes
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


@dataclass(frozen=True)
class _Columns:
    """The columns of an export that depend on the models.

    Attributes
    ----------
    classes, later : sequence of str
        Classes in their place, and those of other models, which come last.
    votes : mapping of str to sequence of str
        Answers with "debiased" and with "raw" votes.
    """

    classes: Sequence[str]
    later: Sequence[str]
    votes: Mapping[str, Sequence[str]]

    @property
    def schema(self) -> pa.Schema:
        """Names and types of all columns, in their order."""
        votes = [column for kind, stems in self.votes.items() for column in vote_columns_of(stems, kind)]
        return pa.schema(
            [(name, pa.string()) for name in ("object_id", "predicted_class", "predicted_group")]
            + [(f"predicted_{leaf}", pa.float64()) for leaf in self.classes]
            + [(name, pa.string()) for name in _TEXT]
            + [("model_version", pa.int32()), ("model_sha256", pa.string()), ("scored_at", pa.string())]
            + [("ra", pa.float64()), ("dec", pa.float64()), ("_healpix_29", pa.int64())]
            + [(column, pa.float64()) for column in votes]
            + [(f"predicted_{leaf}", pa.float64()) for leaf in self.later]
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
        columns = _columns(connection, only)
        with closing(_batches(connection, only, columns)) as batches:
            rows = write_batches(batches, columns.schema, path)
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
        columns = _columns(connection, only)
        with closing(_batches(connection, only, columns)) as batches:
            for row in (row for batch in batches for row in batch.to_pylist()):
                other = found.setdefault(row["object_id"], row)
                if other is not row:
                    versions = [f"{one['model_name']}@{one['model_version']}" for one in (other, row)]
                    raise DatabaseError(
                        "an object has predictions from several models", where=f"object_id {row['object_id']}",
                        got=" and ".join(versions), advice="name one with --model",
                    )  # fmt: skip
    return found


def _columns(connection: Connection, only: ModelId | None) -> _Columns:
    """Return the columns for the models that have predictions."""
    votes = {kind: _stems(connection, kind, only) for kind in _VOTES}
    versions = _versions(connection, only)
    sets = [classes_of(connection, name, version) for name, version in versions]
    if not sets or any(set(CLASSES) <= set(leaves) for leaves in sets):
        return _Columns(CLASSES, own_classes(connection, versions), votes)
    return _Columns(tuple(dict.fromkeys(leaf for leaves in sets for leaf in leaves)), (), votes)


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


def _batches(connection: Connection, only: ModelId | None, columns: _Columns) -> Generator[pa.RecordBatch, None, None]:
    query = _query().where(*_of(only)).execution_options(yield_per=ROWS)
    with connection.execute(query) as result:
        for rows in result.partitions():
            yield _batch(rows, columns)


def _query() -> Select[Any]:
    p = predictions.c
    model = and_(models.c.name == p.model_name, models.c.version == p.model_version)
    join = predictions.outerjoin(images, images.c.object_id == p.object_id).outerjoin(models, model)
    columns = (p.object_id, p.predicted_class, p.predicted_group, p.probabilities, p.prediction_set, p.flags, p.error)
    about = (p.model_name, p.model_version, models.c.sha256.label("model_sha256"), p.scored_at)
    return select(*columns, *about, images.c.ra, images.c.dec, *(p[name] for name in _VOTES.values())).select_from(join)


def _batch(rows: Sequence[Row[Any]], columns: _Columns) -> pa.RecordBatch:
    values: dict[str, Any] = dict(zip(rows[0]._fields, zip(*rows, strict=True), strict=True))
    for leaf in (*columns.classes, *columns.later):
        values[f"predicted_{leaf}"] = [None if row is None else row.get(leaf) for row in values["probabilities"]]
    for name in ("prediction_set", "flags"):
        values[name] = [SEPARATOR.join(row) for row in values[name]]
    values["scored_at"] = [time_text(moment) for moment in values["scored_at"]]
    values["_healpix_29"] = healpix_column(values["ra"], values["dec"])
    for kind, stems in columns.votes.items():
        _check_stems(values["object_id"], values[_VOTES[kind]], stems)
        for stem in stems:
            triples = [(row or {}).get(stem) or (None,) * 3 for row in values[_VOTES[kind]]]
            values |= dict(zip(vote_columns_of([stem], kind), zip(*triples, strict=True), strict=True))
    schema = columns.schema
    return pa.RecordBatch.from_arrays(
        [pa.array(values[field.name], field.type, from_pandas=False) for field in schema], schema=schema
    )


def _check_stems(object_ids: Sequence[str], rows: Sequence[Any], stems: Sequence[str]) -> None:
    """Refuse rows with votes that no column is for, rather than leave them out."""
    known = frozenset(stems)
    for object_id, row in zip(object_ids, rows, strict=True):
        if row and not known.issuperset(row):
            other = sorted(set(row) - known)[0]
            what = "a stored prediction has votes for an answer that its model does not have"
            raise DatabaseError(what, where=f"object_id {object_id}", got=other)
