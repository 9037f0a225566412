"""Every error galclass raises on purpose: one base class, one child per stage.

An error takes facts and composes its message itself, so that all stages speak alike:
what went wrong, where (file, row, field, url), what was expected, what was got, what to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class GalclassError(Exception):
    """Base of all errors that a user can fix.

    Parameters
    ----------
    what : str
        What went wrong, as one clause without a full stop.
    where : str, optional
        File, row, field, object_id or URL that the error is about.
    expected, got : object, optional
        What was expected and what was found instead.
    advice : str, optional
        What to do about it, as a sentence without a full stop.
    """

    code = "error"

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        expected: object = None,
        got: object = None,
        advice: str | None = None,
    ) -> None:
        self.what = what
        self.where = where
        self.expected = expected
        self.got = got
        self.advice = advice
        super().__init__(self._compose())

    def _compose(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        facts = []
        if self.expected is not None:
            facts.append(f"expected {self.expected}")
        if self.got is not None:
            facts.append(f"got {self.got}")
        if facts:
            text += f" ({', '.join(facts)})"
        if self.advice:
            text += f". {self.advice[0].upper()}{self.advice[1:]}."
        return text


class Rejection(GalclassError):
    """One item that a stage leaves out and counts: `code` is the reason kept in the rejects table."""

    def __init__(self, code: str, what: str, **facts: object) -> None:
        self.code = code
        super().__init__(what, **facts)  # type: ignore[arg-type]  # facts are the base's keywords


class ConfigError(GalclassError):
    """The configuration file or a flag is wrong; lists all faults together."""

    code = "config"


class ExtraError(GalclassError):
    """Something needs packages that `pip install galclass` alone does not bring.

    Parameters
    ----------
    what : str
        What needs them, as the subject of a sentence.
    extras : list of str
        The extras of galclass that bring them.
    modules : list of str
        The modules that were not found.
    """

    code = "extra"

    def __init__(self, what: str, extras: list[str], modules: list[str]) -> None:
        self.extras = extras
        self.modules = modules
        names = ",".join(extras)
        super().__init__(
            f"{what} needs the extra{'s' if len(extras) > 1 else ''} {names}",
            got=f"no {', '.join(modules)}",
            advice=f"install it with: pip install 'galclass[{names}]'",
        )


class DownloadError(GalclassError):
    """A source could not be fetched."""

    code = "download"


class ChecksumError(DownloadError):
    """Fetched bytes are not the bytes the manifest declares."""

    code = "checksum"


class ArchiveError(DownloadError):
    """An archive is damaged, unsafe or over its limits."""

    code = "archive"


class CatalogError(GalclassError):
    """A catalog or table cannot be read as what it claims to be."""

    code = "catalog"


class MorphologyError(CatalogError):
    """A label is not a gz2_class string, a class or a known coarse label."""

    code = "morphology"


class CutoutError(Rejection):
    """Image bytes yield no cutout; `code` says why (empty, truncated, not_an_image, too_large, ...)."""


class StoreError(GalclassError):
    """The packed store is damaged, incomplete or made with other parameters."""

    code = "store"


class TopologyError(GalclassError):
    """A topology is ill-formed; carries line and column where known."""

    code = "topology"

    def __init__(
        self,
        what: str,
        *,
        line: int | None = None,
        column: int | None = None,
        source_line: str | None = None,
        **facts: object,
    ) -> None:
        self.line = line
        self.column = column
        self.source_line = source_line
        super().__init__(what, **facts)  # type: ignore[arg-type]  # facts are the base's keywords

    def _compose(self) -> str:
        text = super()._compose()
        if self.line is None:
            return text
        text = f"line {self.line}, column {self.column}: {text}"
        if self.source_line is not None and self.column is not None:
            text += f"\n  {self.source_line}\n  {' ' * (self.column - 1)}^"
        return text


class TrainingError(GalclassError):
    """Training cannot start or continue (no data, NaN loss, wrong checkpoint)."""

    code = "training"


class TrackingError(GalclassError):
    """A finished run cannot be logged where `train.mlflow` says."""

    code = "tracking"


class ModelError(GalclassError):
    """A model file is damaged, foreign or does not behave as its signature says."""

    code = "model"


class EvaluationError(GalclassError):
    """There is nothing sound to evaluate."""

    code = "evaluation"


class ClusterError(GalclassError):
    """The cluster cannot be reached, was lost, or cannot do what is asked; what is done is kept."""

    code = "cluster"


class DatabaseError(GalclassError):
    """The database cannot be reached, is at another schema version or refused a statement."""

    code = "database"


class DatabaseValueError(DatabaseError):
    """A value that no column accepts: text with a NUL, a number out of range."""

    code = "invalid"


class RegistryError(DatabaseError):
    """A model, version or alias is unknown, already there, or in use."""

    code = "registry"


class ServiceError(GalclassError):
    """A service, version or request is wrong; `code` goes into the error body."""

    code = "service"


class RequestError(ServiceError):
    """A request that is refused: `code` says why, `field` names what to fix.

    Parameters
    ----------
    code : str
        Key of the table of HTTP statuses in `service/http/errors.py`.
    what : str
        What is wrong, as one clause.
    field : str or None
        Header, parameter, part or JSON key that is wrong.
    headers : mapping, optional
        More headers of the response.
    facts
        `where`, `expected`, `got`, `advice` of `GalclassError`.
    """

    def __init__(
        self, code: str, what: str, *, field: str | None = None, headers: Mapping[str, str] | None = None, **facts: Any
    ) -> None:
        self.code = code
        self.field = field
        self.headers = dict(headers or {})
        super().__init__(what, **facts)
