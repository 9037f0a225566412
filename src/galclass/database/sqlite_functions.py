"""The SQL functions of our SQLite connections: predict_galaxy_class(img), predict_galaxy_group and predict_galaxy_json.

The model is looked up on every call (a few microseconds) and loaded once per version, so a moved alias takes
effect at once. On PostgreSQL the same functions are installed in the server (`galclass db install-procedure`).
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from galclass.cutouts import SERVED, DecodeLimits
from galclass.database.references import parse_reference
from galclass.errors import DatabaseError, GalclassError, ModelError, RegistryError
from galclass.scoring import Prediction, Scorer
from galclass.scoring.graph import MAX_MODEL_BYTES
from galclass.scoring.loaded import LoadedScorers

KEPT_MODELS = 3
"""Loaded models kept for a database."""

_LOOKUP_ALIAS = """
SELECT m.version, m.sha256 FROM galaxy_model_aliases a JOIN galaxy_models m USING (name, version)
WHERE a.name = ? AND a.alias = ?"""
_LOOKUP_VERSION = "SELECT version, sha256 FROM galaxy_models WHERE name = ? AND version = ?"
_LOAD = f"""
SELECT CASE WHEN length(value) <= {MAX_MODEL_BYTES} THEN value END FROM galaxy_models WHERE name = ? AND version = ?"""


_KINDS = {str: "text", int: "an integer", float: "a real number", bytes: "a blob"}


class SqlScoring:
    """The functions of one SQLite file; shared by its connections and threads.

    Parameters
    ----------
    path : Path
        The file, which holds the registry too.
    model : str
        Which model predicts.
    limits : DecodeLimits
        How long an image may take to decode.
    """

    def __init__(self, path: Path, model: str = "galaxy", limits: DecodeLimits = SERVED) -> None:
        self._path = path
        self.limits = limits
        self._reference = parse_reference(model)
        self._lock = threading.Lock()
        self._lookup: sqlite3.Connection | None = None
        self._scorers: LoadedScorers[tuple[int, str]] = LoadedScorers(KEPT_MODELS)
        self._failed = threading.local()

    def install(self, connection: sqlite3.Connection) -> None:
        """Define the functions on a connection, with and without a frame size as second argument."""
        functions: dict[str, Callable[[Prediction], str | None]] = {
            "predict_galaxy_class": lambda prediction: prediction.predicted_class,
            "predict_galaxy_group": lambda prediction: prediction.predicted_group,
            "predict_galaxy_json": lambda prediction: json.dumps(prediction.as_json()),
        }
        for name, spell in functions.items():
            connection.create_function(name, 1, self._function(name, spell))
            connection.create_function(name, 2, self._function(name, spell))

    @property
    def error(self) -> BaseException | None:
        """Why a function last failed in this thread; Python's sqlite3 only says that one did."""
        return getattr(self._failed, "error", None)

    @error.setter
    def error(self, error: BaseException | None) -> None:
        self._failed.error = error

    def _function(self, name: str, spell: Callable[[Prediction], str | None]) -> Callable[..., str | None]:
        def predict(img: object, frame_px: object = None) -> str | None:
            try:
                if img is None:
                    return None
                frame = _whole(name, frame_px)
                return spell(self.scorer().score([_bytes(name, img)], object_ids=[""], frame_px=frame)[0])
            except GalclassError as error:
                self.error = error
                raise
            except Exception as error:
                self.error = DatabaseError(f"{name} failed", got=f"{type(error).__name__}: {error}")
                raise self.error from error
            except BaseException as error:  # Ctrl-C
                self.error = error
                raise

        return predict

    def scorer(self) -> Scorer:
        """Return the loaded model that the registry names now.

        Raises
        ------
        RegistryError
            If there is no such model.
        ModelError
            If its bytes differ from those that were registered, or it is not a galclass model.
        """
        name, version, alias = self._reference.name, self._reference.version, self._reference.alias
        with self._lock:
            if self._lookup is None:
                self._lookup = sqlite3.connect(self._path, check_same_thread=False)
            query, key = (_LOOKUP_ALIAS, alias) if version is None else (_LOOKUP_VERSION, version)
            row = self._lookup.execute(query, (name, key)).fetchone()
            if row is None:
                advice = (
                    "see `galclass models list`; `galclass models register package` registers the model in the package"
                )
                raise RegistryError("unknown model", where=str(self._reference), advice=advice)
            version, sha256 = row
            return self._scorers.get((version, sha256), lambda: self._load(version, sha256))

    def _load(self, version: int, sha256: str) -> Scorer:
        assert self._lookup is not None
        (value,) = self._lookup.execute(_LOAD, (self._reference.name, version)).fetchone()
        return _load(value, self._reference.name, version, sha256, self.limits)

    def close(self) -> None:
        """Close the connection that looks models up."""
        if self._lookup is not None:
            self._lookup.close()
            self._lookup = None


def _load(value: bytes | None, name: str, version: int, sha256: str, limits: DecodeLimits) -> Scorer:
    scorer = Scorer(value or b"", name=name, version=version, limits=limits)
    if scorer.sha256 != sha256:
        raise ModelError(
            "its bytes differ from those that were registered",
            where=str(scorer.model),
            advice="restore the database, or register the model again under a new version",
        )
    return scorer


def _bytes(name: str, img: object) -> bytes:
    if isinstance(img, bytes):
        return img
    advice = "`WHERE typeof(img) = 'blob'` leaves out rows without an image"
    raise _wrong(name, "the image", "a blob with the bytes of a JPEG, PNG, BMP or FITS file", img, advice)


def _whole(name: str, frame_px: object) -> int | None:
    """Return the frame size; a column that went through floating point has whole numbers as reals."""
    whole = int(frame_px) if isinstance(frame_px, float) and frame_px.is_integer() else frame_px
    if whole is None or (isinstance(whole, int) and whole > 0):
        return whole
    raise _wrong(name, "the frame size", "a positive integer in px", frame_px)


def _wrong(name: str, what: str, expected: str, value: object, advice: str | None = None) -> DatabaseError:
    got = str(value) if isinstance(value, int) else _KINDS.get(type(value), type(value).__name__)
    return DatabaseError(f"{name} cannot use this as {what}", expected=expected, got=got, advice=advice)
