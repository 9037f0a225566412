"""The scorer inside a PostgreSQL back end, called by the PL/Python functions of procedures/postgresql.sql.

Takes plpy (the server's interface) and a relation, returns rows; the batch procedure writes them. Everything runs
with the caller's privileges, and the registry is read on every call: a REVOKE and a moved alias take effect
at once. A cancel and `statement_timeout` are noticed between two images, and while a graph runs.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from galclass.cutouts import SERVED, DecodeLimits
from galclass.errors import ModelError
from galclass.scoring.graph import MAX_MODEL_BYTES
from galclass.scoring.loaded import LoadedScorers
from galclass.scoring.prediction import Prediction
from galclass.scoring.references import PRODUCTION, REFERENCE
from galclass.scoring.scorer import CHUNK, Scorer
from galclass.scoring.watchdog import watchdog

KEPT_MODELS = 3
"""Loaded models kept in a back end."""

PAUSE_S = 0.02
"""How long scoring continues before it checks again whether the query was cancelled."""

TICK_S = 0.05
"""How often the server's flags are checked while a graph runs."""

WINDOW = 4096
"""Ids checked in one query of the batch procedure; those already scored cost no image read."""

_REFERENCE = re.compile(REFERENCE)

_BY_VERSION = "SELECT version, sha256 FROM {schema}.galaxy_models WHERE name = $1 AND version = $2"
_BY_ALIAS = """
SELECT m.version, m.sha256 FROM {schema}.galaxy_model_aliases a JOIN {schema}.galaxy_models m USING (name, version)
WHERE a.name = $1 AND a.alias = $2"""
_VALUE = f"""
SELECT CASE WHEN length(value) <= {MAX_MODEL_BYTES} THEN value END AS value
FROM {{schema}}.galaxy_models WHERE name = $1 AND version = $2"""
_WAITING = """
WITH part AS MATERIALIZED (SELECT object_id FROM {source} WHERE object_id > $1 ORDER BY object_id LIMIT $4)
SELECT object_id, EXISTS (
    SELECT 1 FROM {schema}.galaxy_predictions p
    WHERE p.object_id = part.object_id AND p.model_name = $2 AND p.model_version = $3
) AS scored FROM part ORDER BY object_id"""

_scorers: LoadedScorers[tuple[str, int, str, DecodeLimits]] = LoadedScorers(KEPT_MODELS)


class BackEnd:
    """State of one function call; created by each call, while the loaded models are kept.

    Parameters
    ----------
    plpy : module
        PL/Python's interface to the server.
    schema : str
        Quoted name of the schema of our tables.
    plans : dict
        PL/Python's SD: prepared statements of this function.
    max_decode_s : float
        Longest decode of an image by its header; part of the function's text, so that no caller can raise it.
    """

    def __init__(
        self, plpy: Any, schema: str, plans: dict[str, Any], max_decode_s: float = SERVED.max_decode_s
    ) -> None:
        self._plpy = plpy
        self._limits = SERVED.with_seconds(max_decode_s)
        self._schema = schema
        self._plans = plans
        self._looked = 0.0
        _watch_for_cancel()

    def scorer(self, reference: str | None) -> Scorer:
        """Return the loaded model that the registry names now, for a caller who may read the registry."""
        match = _REFERENCE.fullmatch(reference or "")
        if match is None:
            self._fail(f"{reference!r} is not a model reference", "NAME, NAME@VERSION or NAME@ALIAS")
        name, rest = match["name"], match["rest"] or PRODUCTION  # type: ignore[index]  # _fail does not return
        if rest.isdigit():
            rows = self._run(self._named(_BY_VERSION), ("text", "int"), [name, int(rest)])
        else:
            rows = self._run(self._named(_BY_ALIAS), ("text", "text"), [name, rest])
        if not rows:
            self._fail(f"there is no model {name}@{rest}", "see galaxy_models and galaxy_model_aliases")
        version, sha256 = rows[0]["version"], rows[0]["sha256"]
        return self._loaded(name, version, sha256)

    def _loaded(self, name: str, version: int, sha256: str) -> Scorer:
        key = (name, version, sha256, self._limits)
        return _scorers.get(key, lambda: self._load(name, version, sha256))

    def _load(self, name: str, version: int, sha256: str) -> Scorer:
        value = self._run(self._named(_VALUE), ("text", "int"), [name, version])[0]["value"]
        if value is None:
            self._fail(f"{name}@{version} is too large", f"models have at most {MAX_MODEL_BYTES:,} bytes")
        if hashlib.sha256(value).hexdigest() != sha256:
            self._fail(f"the bytes of {name}@{version} differ from those that were registered", "restore the database")
        with self._cancellable():
            return Scorer(value, name=name, version=version, limits=self._limits)

    def answer(self, img: bytes, reference: str | None, frame_px: int | None) -> Prediction:
        """Predict one image."""
        scorer = self.scorer(reference)
        with self._cancellable():
            return scorer.score([img], object_ids=[""], frame_px=frame_px, between=self._pause)[0]

    def rows(self, source: str, reference: str | None) -> Iterator[dict[str, Any]]:
        """Predict every row of a relation, in chunks; `source` is the text of a regclass, quoted by the server."""
        scorer = self.scorer(reference)
        cursor = self._plpy.cursor(f"SELECT object_id, img, {self._frame_px(source)} AS frame_px FROM {source}")
        while chunk := cursor.fetch(CHUNK):
            for prediction in self._score(scorer, list(chunk)):
                yield _row(prediction)

    def batch(self, source: str, reference: str | None, size: int, max_rows: int | None) -> int:
        """Score rows without a prediction of the model version, commit after every chunk, return the number of rows.

        An interrupted call keeps what it committed, and the next one continues.
        """
        if size < 1 or (max_rows is not None and max_rows < 0):
            self._fail("batch must be at least 1 and max_rows at least 0", "")
        self._check_columns()
        source = self._qualified(source)
        after, done = "", 0
        while max_rows is None or done < max_rows:
            self._fix_search_path()
            frame_px = self._frame_px(source)
            scorer = self.scorer(reference)
            last, waiting = self._waiting(source, scorer, after)
            if last is None:
                break
            after = last
            if max_rows is not None:
                waiting = waiting[: max_rows - done]
            for start in range(0, len(waiting), size):
                self._fix_search_path()
                self._batch_chunk(source, frame_px, reference, waiting[start : start + size])
                self._plpy.commit()
            done += len(waiting)
        return done

    def _check_columns(self) -> None:
        """Check that the table has the columns of the votes, which a migration adds."""
        values = [f"{self._schema}.galaxy_predictions", list(_VOTES)]
        if self._run(_HAS_VOTES, ("text", "text[]"), values)[0]["count"] != len(_VOTES):
            self._fail("galaxy_predictions is of an older version", "run `galclass db migrate`")

    def _qualified(self, source: str) -> str:
        """Return a relation's name that means the same under any search_path."""
        rows = self._run(
            "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name FROM pg_catalog.pg_class c "
            "JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace "
            "WHERE c.oid OPERATOR(pg_catalog.=) $1::pg_catalog.text::pg_catalog.regclass",
            ("text",), [source],
        )  # fmt: skip
        return str(rows[0]["name"])

    def _fix_search_path(self) -> None:
        """Let functions and operators be the catalog's until the transaction ends."""
        self._run("SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true)", (), [])

    def _waiting(self, source: str, scorer: Scorer, after: str) -> tuple[str | None, list[str]]:
        values = [after, scorer.model.name, scorer.model.version, WINDOW]
        rows = self._run(self._named(_WAITING, source), ("text", "text", "int", "int"), values)
        waiting = [row["object_id"] for row in rows if not row["scored"]]
        return (rows[-1]["object_id"] if rows else None), waiting

    def _batch_chunk(self, source: str, frame_px: str, reference: str | None, ids: Sequence[str]) -> None:
        query = f"SELECT object_id, img, {frame_px} AS frame_px FROM {source} WHERE object_id = ANY ($1)"
        rows = self._run(query, ("text[]",), [list(ids)])
        predictions = [_row(prediction) for prediction in self._score(self.scorer(reference), list(rows))]
        names = tuple(_COLUMNS)
        columns = ", ".join(f"${number}::{_COLUMNS[name]}[]" for number, name in enumerate(names, 1))
        self._run(
            f"INSERT INTO {self._schema}.galaxy_predictions ({', '.join(names)}, scored_at) "
            f"SELECT *, now() FROM unnest({columns}) ON CONFLICT DO NOTHING",
            tuple("int[]" if name == "model_version" else "text[]" for name in names),
            [[prediction[name] for prediction in predictions] for name in names],
        )

    def _score(self, scorer: Scorer, rows: list[Any]) -> list[Prediction]:
        with self._cancellable():
            return scorer.score(
                [row["img"] for row in rows],
                object_ids=[row["object_id"] for row in rows],
                frame_px=[row["frame_px"] for row in rows],
                between=self._pause,
            )

    def _pause(self) -> None:
        """Let the server cancel the query between two images, if the last check was some time ago."""
        now = time.monotonic()
        if now - self._looked > PAUSE_S:
            self._run("SELECT 1", (), [])
            self._looked = now

    @contextmanager
    def _cancellable(self) -> Iterator[None]:
        """Stop a run of the graph when the query is cancelled, and let the server raise its error."""
        self._looked = time.monotonic()
        try:
            yield
        except ModelError:
            self._run("SELECT 1", (), [])  # raises the server's error, if there is one
            raise

    def _frame_px(self, source: str) -> str:
        rows = self._run(
            "SELECT attname, atttypid::regtype::text AS kind FROM pg_catalog.pg_attribute "
            "WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped",
            ("text",), [source],
        )  # fmt: skip
        kinds = {row["attname"]: row["kind"] for row in rows}
        if kinds.get("object_id") not in ("text", "character varying") or kinds.get("img") != "bytea":
            self._fail(f"{source} lacks the columns object_id text and img bytea", "create a view with them")
        return "frame_px" if "frame_px" in kinds else "NULL::int"

    def _named(self, query: str, source: str = "") -> str:
        return query.replace("{schema}", self._schema).replace("{source}", source)

    def _run(self, query: str, kinds: Sequence[str], values: list[Any]) -> Any:
        plan = self._plans.get(query)
        if plan is None:
            plan = self._plans[query] = self._plpy.prepare(query, list(kinds))
        return self._plpy.execute(plan, values)

    def _fail(self, message: str, hint: str) -> None:
        self._plpy.error(f"galclass: {message}", hint=hint)


@lru_cache
def _watch_for_cancel() -> None:
    """Let the watchdog check the server's own flags: set by its signal handlers, acted on between our calls."""
    try:
        program = ctypes.CDLL(None)
        flags = [ctypes.c_int.in_dll(program, name) for name in ("QueryCancelPending", "ProcDiePending")]
    except (OSError, ValueError):  # a server built differently: cancels wait for the end of a run
        return
    watchdog.stop_when(lambda: any(flag.value for flag in flags), TICK_S)


_COLUMNS = {
    "object_id": "text",
    "model_name": "text",
    "model_version": "int",
    "predicted_class": "text",
    "predicted_group": "text",
    "probabilities": "jsonb",
    "prediction_set": "jsonb",
    "flags": "jsonb",
    "error": "text",
    "vote_fractions": "jsonb",
    "raw_vote_fractions": "jsonb",
}
_VOTES = ("vote_fractions", "raw_vote_fractions")
_HAS_VOTES = """
SELECT count(*) AS count FROM pg_catalog.pg_attribute WHERE attrelid = $1::pg_catalog.text::pg_catalog.regclass
AND attname OPERATOR(pg_catalog.=) ANY ($2) AND NOT attisdropped"""


def _row(prediction: Prediction) -> dict[str, Any]:
    return {
        "object_id": prediction.object_id,
        "model_name": prediction.model.name,
        "model_version": prediction.model.version,
        "predicted_class": prediction.predicted_class,
        "predicted_group": prediction.predicted_group,
        "probabilities": None if prediction.by_class is None else json.dumps(prediction.by_class),
        "prediction_set": json.dumps(prediction.prediction_set),
        "flags": json.dumps(prediction.flags),
        "error": str(prediction.error) if prediction.error else None,
        "vote_fractions": json.dumps(prediction.vote_fractions) if prediction.vote_fractions else None,
        "raw_vote_fractions": json.dumps(prediction.raw_vote_fractions) if prediction.raw_vote_fractions else None,
    }
