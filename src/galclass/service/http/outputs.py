"""From predictions to a response: JSON by default, CSV or Parquet by Accept, with an ETag.

Takes predictions, returns responses; the JSON record and the columns are those of `galclass.scoring`.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
import xxhash
from fastapi import Response

from galclass.csv_cells import CsvRows
from galclass.errors import RequestError
from galclass.scoring import ModelId, Prediction, Signature
from galclass.scoring.output import parquet_schema, vote_fraction_columns
from galclass.scoring.prediction import row_columns
from galclass.service.http.inputs import Inputs

JSON, CSV, PARQUET = "application/json", "text/csv", "application/vnd.apache.parquet"
MEDIA_TYPES = (JSON, CSV, PARQUET)

_TEXTS = ("human_label", "labelled_by", "labelled_at")
"""Text columns of our tables that no file of predictions has."""

REVALIDATE = "private, no-cache"
"""A cached response must be revalidated by its ETag, as a service's model can be switched."""


def choose_media_type(accept: str | None) -> str:
    """Choose the response's media type by an Accept header; the first of equal weights wins.

    Raises
    ------
    RequestError
        `not_acceptable`, if none of JSON, CSV and Parquet is acceptable.
    """
    if not accept or accept == "*/*":
        return JSON
    weighed: list[tuple[float, int, str]] = []
    for index, item in enumerate(accept.split(",")):
        kind, *parameters = (part.strip().lower() for part in item.split(";"))
        for media_type in MEDIA_TYPES:
            if kind in (media_type, "*/*", media_type.split("/")[0] + "/*"):
                weighed.append((-_quality(parameters), index, media_type))
                break
    acceptable = [entry for entry in weighed if entry[0] < 0]
    if not acceptable:
        raise RequestError(
            "not_acceptable", "no acceptable media type", expected=" or ".join(MEDIA_TYPES), field="Accept"
        )
    return min(acceptable, key=lambda entry: entry[:2])[2]


def _quality(parameters: Iterable[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def etag_of(*parts: str | bytes) -> str:
    """Return the ETag of a response from everything it depends on: image bytes, model sha256, options."""
    digest = xxhash.xxh3_128()  # anyone who makes two images collide misleads only themselves
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode()
        digest.update(b"%d " % len(data))  # where one part ends counts, too
        digest.update(data)
    return f'"{digest.hexdigest()}"'


def matches(if_none_match: str | None, etag: str) -> bool:
    """Return whether an If-None-Match header names this ETag."""
    if not if_none_match:
        return False
    names = [name.strip().removeprefix("W/") for name in if_none_match.split(",")]
    return etag in names or "*" in names


def cache_headers(
    model: ModelId, inputs: Inputs, media_type: str, options: Mapping[str, object] | None = None
) -> dict[str, str]:
    """Return the caching headers of a response; the ETag is known before anything is scored.

    Parameters
    ----------
    model : ModelId
    inputs : Inputs
    media_type : str
    options : mapping, optional
        Parameters that change the response; None or False is the same as absent.
    """
    chosen = [f"{name}={value}" for name, value in options.items() if value] if options else []
    parts: list[str | bytes] = [f"{model} {model.sha256} {media_type} {inputs.many} {chosen}"]
    for image in inputs.images:
        parts += [image.object_id, image.data or image.url or ""]
    return {"ETag": etag_of(*parts), "Cache-Control": REVALIDATE, "Vary": "Accept, Authorization"}


def raise_if_known(if_none_match: str | None, headers: Mapping[str, str]) -> None:
    """Refuse a request whose response the client already has.

    Raises
    ------
    RequestError
        `not_changed`, if If-None-Match names the response's ETag.
    """
    if matches(if_none_match, headers["ETag"]):
        raise RequestError("not_changed", "the response is unchanged", field="If-None-Match", headers=headers)


def raise_fault(prediction: Prediction) -> None:
    """Refuse an image without a prediction.

    Raises
    ------
    RequestError
        With the code of the image's fault.
    """
    if prediction.error is not None:
        raise RequestError(prediction.error.code, prediction.error.message, field="img")


def json_bytes(value: dict[str, Any]) -> bytes:
    """Write a response as compact JSON, with an encoder far faster than the standard library's."""
    return orjson.dumps(value)


def record_of(prediction: Prediction, *, embedding: bool = False) -> dict[str, Any]:
    """Return the JSON record of a prediction, with its embedding if asked for."""
    record = prediction.as_json()
    if embedding and prediction.embedding is not None:
        record["embedding"] = prediction.embedding.tolist()
    return record


def prediction_columns(signature: Signature) -> tuple[str, ...]:
    """Return the columns of a table of predictions by the signature: no row decides, as it may be faulty."""
    return (*row_columns(signature.classes), *vote_fraction_columns(signature))


def csv_bytes(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> bytes:
    """Write rows as CSV; lists as "a|b", None, empty lists and what a row lacks as nothing."""
    text = io.StringIO(newline="")
    writer = CsvRows(text, columns)
    for row in rows:
        writer.write(_csv_value(row.get(name)) for name in columns)
    return text.getvalue().encode()


def _csv_value(value: Any) -> Any:
    return "|".join(str(item) for item in value) if isinstance(value, list | tuple) else value


def parquet_bytes(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> bytes:
    """Write rows as one Parquet file; the columns' types do not depend on what the rows hold."""
    import pyarrow
    import pyarrow.parquet

    types = {field.name: field.type for field in parquet_schema(columns)} | dict.fromkeys(_TEXTS, pyarrow.string())
    schema = pyarrow.schema([(name, types[name]) for name in columns])
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([dict(row) for row in rows], schema=schema), sink)
    return sink.getvalue()


def table_response(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str], media_type: str, headers: Mapping[str, str]
) -> Response:
    """Return rows as CSV or Parquet."""
    data = csv_bytes(rows, columns) if media_type == CSV else parquet_bytes(rows, columns)
    suffix = "csv" if media_type == CSV else "parquet"
    disposition = {"Content-Disposition": f'attachment; filename="predictions.{suffix}"'}
    return Response(data, media_type=media_type, headers={**headers, **disposition})
