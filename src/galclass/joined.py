"""A catalog with predictions beside its own columns: every row stays, in its order, with whatever it had.

Takes images, a scorer and a table, or the predictions of a database and a table; writes the table with our columns.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from galclass.catalog import CatalogColumns
from galclass.catalog.new_column import NewColumn
from galclass.catalog.own_table import OwnTable, read_own_table, writable_kind
from galclass.errors import CatalogError
from galclass.image_files import ImageFile
from galclass.image_files.keys import file_key, row_key
from galclass.morphology import CLASS_NAMES
from galclass.scoring import Prediction, Scorer
from galclass.scoring.files import predict_files
from galclass.scoring.output import kind_of, prediction_columns
from galclass.scoring.predict import foreign_sentence, model_name, mostly_unlike
from galclass.scoring.prediction import UNLIKE_TRAINING_DATA

_ABOUT = {
    "file": "image that was scored",
    "object_id": "id of the image that was scored",
    "predicted_class": "class where the walk down the Galaxy Zoo tree ends",
    "predicted_group": "group of the predicted class",
    "prediction_set": "classes of the conformal set, most probable first",
    "flags": "warnings, such as unlike_training_data",
    "error": "why the row has no prediction",
    "model_name": "model",
    "model_version": "version of the model; 0: not registered",
    "model_sha256": "sha256 of the model",
    "scored_at": "time of the prediction, UTC",
    "embedding": "penultimate vector of the model",
}

Row = Mapping[str, Any]


@dataclass
class JoinSummary:
    """What was joined.

    Attributes
    ----------
    rows, predicted : int
        Rows of the table, and how many of them have a prediction.
    model : str
        Which model predicted; empty where predictions of a database were joined.
    unlike, images : int
        Images with the flag unlike_training_data, and all that have a prediction.
    errors : Counter
        The others by the code of their error.
    unused : list of str
        Images that no row is about.
    columns : list of str
        Names of the columns that were added.
    comments : int
        Comment lines of the table, which the new one lacks.
    remark : str
        On separators and decimal signs, where the table's are not the usual ones.
    """

    path: Path
    rows: int = 0
    predicted: int = 0
    seconds: float = 0.0
    model: str = ""
    unlike: int = 0
    images: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    unused: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    comments: int = 0
    remark: str = ""

    @property
    def complete(self) -> bool:
        """Whether every row has a prediction."""
        return self.predicted == self.rows

    @property
    def foreign(self) -> bool:
        """Whether most of the images are unlike what the model was trained on."""
        return mostly_unlike(self.unlike, self.images)

    def __str__(self) -> str:
        why = ", ".join(f"{count:,} {code}" for code, count in self.errors.most_common())
        counts = f"{self.predicted:,} with a prediction + {self.rows - self.predicted:,} without"
        because = f" ({why})" if why else ""
        lines = [f"joined: {self.rows:,} rows = {counts}{because}, {self.seconds:.1f} s, written to {self.path}"]
        if self.unused:
            more = ", ..." if len(self.unused) > 3 else ""
            lines.append(f"{len(self.unused):,} images match no row: {', '.join(self.unused[:3])}{more}")
        if self.comments:
            lines.append(f"{self.comments:,} comment lines (with # in front) of the table were left out")
        lines += [self.remark] if self.remark else []
        renamed = [name for name in self.columns if name.startswith("galclass_")]
        if renamed:
            lines.append(f"the table already has columns of these names; the new ones are {', '.join(renamed[:4])}")
        lines += [foreign_sentence(self.unlike, self.images, self.model)] if self.foreign else []
        return "\n".join(lines)


def predict_catalog(
    images: Iterable[ImageFile],
    scorer: Scorer,
    catalog: Path,
    output: Path,
    *,
    columns: CatalogColumns | None = None,
    frame_px: int | None = None,
    processes: int = 0,
    embedding: bool = False,
    advance: Callable[[int], None] = lambda count: None,
) -> JoinSummary:
    """Score the images of a catalog and write the catalog with the predictions.

    Parameters
    ----------
    images : iterable of ImageFile
        An image belongs to the rows whose file column, asset_id or id is its name without suffix.
    scorer : Scorer
    catalog, output : Path
        .fits, .vot, .ecsv, .parquet, .csv or .tsv, each of its own kind.
    columns : CatalogColumns, optional
        Which columns of the catalog are ids and files.
    frame_px, processes
        As for `galclass.scoring.files.predict_files`.
    embedding : bool
        Whether to add the embedding as a column of float32 vectors.
    advance : callable
        Called after each scored image.

    Raises
    ------
    CatalogError
        If the catalog cannot be read, or the output's format cannot hold it.
    """
    started = time.perf_counter()
    writable_kind(output)
    own = read_own_table(catalog, columns)
    own.check(output)
    by_key: dict[str, list[ImageFile]] = {}
    for image in images:
        by_key.setdefault(file_key(image.name), []).append(image)
    keys = [row_key(key) for key in own.keys]
    wanted = set(keys)
    chosen = [files[0] for key, files in by_key.items() if key in wanted and len(files) == 1]
    if not any(key in wanted for key in by_key) and len(own):
        raise CatalogError(
            "no row of the catalog has an image", where=str(catalog), expected=f"files such as {own.keys[0]}.jpg",
            got=f"files such as {next(iter(by_key), 'none')}", advice="name the column of files with --file-column",
        )  # fmt: skip
    found: dict[str, Row] = {}
    unlike = predicted = 0
    scored = predict_files(chosen, scorer, frame_px=frame_px, processes=processes, embedding=embedding)
    for image, prediction in scored:
        found[file_key(image.name)] = _row(str(image), prediction, embedding)
        predicted += prediction.error is None
        unlike += UNLIKE_TRAINING_DATA in prediction.flags
        advance(1)
    rows = [found.get(key or "") or _without(key, by_key.get(key or "", [])) for key in keys]
    names = prediction_columns(scorer.signature, embedding=embedding)
    facts = {"GCMODEL": str(scorer.model), "GCSHA256": scorer.sha256}
    summary = _written(own, rows, names, output, facts)
    summary.model, summary.unlike, summary.images = model_name(scorer), unlike, predicted
    summary.unused = [str(image) for key, files in by_key.items() if key not in wanted for image in files]
    summary.seconds = time.perf_counter() - started
    return summary


def join_rows(
    catalog: Path, found: Mapping[str, Row], output: Path, columns: CatalogColumns | None = None
) -> JoinSummary:
    """Write a catalog with rows that are known by object id, such as those of a database.

    Parameters
    ----------
    catalog, output : Path
    found : mapping of str to row
        Predictions by object id; all rows have the same columns.
    columns : CatalogColumns, optional
    """
    started = time.perf_counter()
    writable_kind(output)
    own = read_own_table(catalog, columns)
    names = list(dict.fromkeys(chain.from_iterable(found.values())))
    none: Row = {"error": "no_prediction: the database has none for this object"}
    rows = [found.get(key or "") or none for key in own.object_ids]
    summary = _written(own, rows, names or ["error"], output, {})
    summary.seconds = time.perf_counter() - started
    return summary


def _row(file: str, prediction: Prediction, embedding: bool) -> Row:
    row = {"file": file, **prediction.as_row()}
    return row | {"embedding": prediction.embedding} if embedding else row


def _without(key: str | None, files: Sequence[ImageFile]) -> Row:
    if key is None:
        return {"error": "no_id: the row has no id"}
    if files:
        return {"error": f"several_images: {', '.join(map(str, files[:3]))}"}
    return {"error": f"no_image: no file is named {key}"}


def _written(
    own: OwnTable, rows: Sequence[Row], names: Sequence[str], output: Path, facts: Mapping[str, str]
) -> JoinSummary:
    new = [NewColumn(name, [row.get(name) for row in rows], _kind(name), _about(name)) for name in names]
    summary = JoinSummary(output, len(rows), comments=own.comments, remark=own.dialect.remark(output, own.path))
    summary.columns = own.write_with(new, output, facts)
    summary.errors = Counter(str(row["error"]).partition(":")[0] for row in rows if row.get("error"))
    summary.predicted = len(rows) - summary.errors.total()
    return summary


def _kind(name: str) -> str:
    return "list" if name == "embedding" else kind_of(name)


def _about(name: str) -> str:
    leaf = name.removeprefix("predicted_")
    if leaf in CLASS_NAMES:
        return f"probability of {CLASS_NAMES[leaf]}"
    if name.endswith(("_low", "_high")):
        return f"{'lower' if name.endswith('_low') else 'upper'} bound of the interval"
    kinds = {"_debiased": "vote fraction, debiased", "_raw": "vote fraction as volunteers would vote on this image"}
    return _ABOUT.get(name) or next((text for end, text in kinds.items() if name.endswith(end)), "")
