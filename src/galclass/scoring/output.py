"""Predictions -> CSV or Parquet, streamed and written atomically: the file, then the record's columns."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from galclass.atomic_files import replacing
from galclass.csv_cells import CsvRows
from galclass.errors import ModelError
from galclass.morphology import CLASSES
from galclass.scoring.prediction import Prediction, row_columns, vote_columns_of
from galclass.scoring.signature import Signature

ROW_GROUP = 10_000
"""Rows collected before a Parquet row group is written."""


class Writer(Protocol):
    """A writer of rows with one set of columns."""

    def write(self, row: dict[str, Any]) -> None:
        """Add a row."""

    def close(self) -> None:
        """Write the remaining rows and close the file."""


class PredictionFile:
    """A CSV or Parquet file of predictions, as a context manager; it gets its name when the block ends without error.

    Parameters
    ----------
    path : Path
        With the suffix .csv or .parquet.
    signature : Signature, optional
        The model's, so that the columns do not depend on the first row; None: the 13 classes, no vote fractions.
    embedding : bool
        Whether there is a last column `embedding`, a list of float32; only in Parquet.

    Raises
    ------
    ModelError
        If the suffix is another one, embeddings are to go to CSV, or (when the block is entered) it cannot be written.
    """

    def __init__(self, path: Path | str, signature: Signature | None = None, *, embedding: bool = False) -> None:
        self._path = Path(path)
        self._embedding = embedding
        kinds: dict[str, Callable[[Path, Sequence[str]], Writer]] = {".csv": _CsvWriter, ".parquet": _ParquetWriter}
        if self._path.suffix.lower() not in kinds:
            raise ModelError(
                "predictions go to .csv or .parquet", where=str(path), got=self._path.suffix or "no suffix"
            )
        self._kind = kinds[self._path.suffix.lower()]
        if embedding and self._kind is _CsvWriter:
            raise ModelError("embeddings go to .parquet", where=str(path))
        self.columns = tuple(prediction_columns(signature, embedding=embedding))

    def __enter__(self) -> Self:
        try:
            with ExitStack() as stack:
                temporary = stack.enter_context(replacing(self._path))
                self._writer: Writer = self._kind(temporary, self.columns)
                stack.callback(self._writer.close)
                self._file = stack.pop_all()
        except OSError as error:
            got = os.strerror(error.errno) if error.errno else str(error)
            raise ModelError("the predictions cannot be written", where=str(self._path), got=got) from error
        return self

    def write(self, file: str, prediction: Prediction) -> None:
        """Add the row of one file."""
        vector = {"embedding": prediction.embedding} if self._embedding else {}
        self._writer.write({"file": file, **prediction.as_row(), **vector})

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.__exit__(kind, error, trace)


def prediction_columns(signature: Signature | None, *, embedding: bool = False) -> list[str]:
    """Return the columns of a file of predictions."""
    classes = CLASSES if signature is None else signature.classes
    return ["file", *row_columns(classes), *vote_fraction_columns(signature), *(["embedding"] if embedding else [])]


def vote_fraction_columns(signature: Signature | None) -> list[str]:
    """Return the columns of the votes that a model has: debiased ones, then raw ones."""
    return [*debiased_columns(signature), *raw_columns(signature)]


def debiased_columns(signature: Signature | None) -> list[str]:
    """Return the three columns of each answer with a debiased fraction."""
    return [] if signature is None else vote_columns_of(signature.vote_columns, "debiased")


def raw_columns(signature: Signature | None) -> list[str]:
    """Return the three columns of each answer with a raw fraction; they come after all others, in every table."""
    return [] if signature is None else vote_columns_of(signature.raw_columns, "raw")


def parquet_schema(columns: Iterable[str]) -> Any:
    """Return the types of the columns as a `pyarrow.Schema`."""
    import pyarrow

    vector = pyarrow.list_(pyarrow.float32())
    kinds = {name: vector if name == "embedding" else pyarrow.type_for_alias(kind_of(name)) for name in columns}
    return pyarrow.schema(list(kinds.items()))


class _CsvWriter:
    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._file = path.open("w", newline="", encoding="utf-8")
        self._columns = tuple(columns)
        self._rows = CsvRows(self._file, columns)

    def write(self, row: dict[str, Any]) -> None:
        if not row.keys() <= set(self._columns):
            raise ValueError("a row has more columns than the file")
        self._rows.write(row.get(name) for name in self._columns)

    def close(self) -> None:
        self._file.close()


class _ParquetWriter:
    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        import pyarrow
        import pyarrow.parquet

        self._table = pyarrow.Table
        self._schema = parquet_schema(columns)
        self._writer = pyarrow.parquet.ParquetWriter(path, self._schema, compression="zstd")
        self._rows: list[dict[str, Any]] = []

    def write(self, row: dict[str, Any]) -> None:
        self._rows.append(row)
        if len(self._rows) == ROW_GROUP:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(self._table.from_pylist(self._rows, schema=self._schema))
            self._rows = []


def kind_of(column: str) -> str:
    """Return the type of a column: "string", "int32", "int64" or "float64"."""
    if column == "model_version":
        return "int32"
    if column.startswith("_healpix_"):
        return "int64"  # indices have up to 62 bits
    names = (
        "file",
        "object_id",
        "predicted_class",
        "predicted_group",
        "prediction_set",
        "flags",
        "error",
        "model_name",
    )
    return "string" if column in (*names, "model_sha256", "scored_at") else "float64"
