"""Parts of a signature: prediction sets, the out-of-distribution flag, a known response.

Takes the plain JSON values of a signature, returns checked dataclasses; and back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from galclass.scoring.checks import LARGEST, SMALLEST, Checker

_MAX_ROWS = 256  # of a whitening with a rest, so that comparing all pairs stays cheap
_RIGHT_ANGLE = 1e-4  # largest cosine between two rows; float32 and six digits leave about 1e-6

_UNLIKE_KEYS = ("mean", "whitening", "threshold", "false_alarm")


@dataclass(frozen=True)
class Conformal:
    """How prediction sets follow from the probabilities.

    Attributes
    ----------
    method : "lac" or "aps"
        lac: every class with probability >= 1 - threshold (Sadinle et al. 2019). aps: classes in falling order
        of probability until their sum reaches the threshold (Romano et al. 2020, without randomisation).
    threshold : float
        In (0, 1], from the calibration split.
    coverage : float
        The nominal share of sets that contain the true class, in (0, 1).
    """

    method: Literal["lac", "aps"]
    threshold: float
    coverage: float = 0.9


@dataclass(frozen=True)
class Unlike:
    """The out-of-distribution flag: the distance of an image's embedding is above a threshold.

    Attributes
    ----------
    mean : tuple of float, (d,)
        Centre of the training embeddings.
    whitening : tuple of tuple of float, (k, d)
        Rows of a matrix W; the score is the Euclidean norm of W (embedding - mean).
    rest : float or None
        If given (format 2), the rows of W are orthogonal and the score includes the component outside of them, in units
        of this.
    threshold : float
        Scores above it are flagged.
    false_alarm : float
        Measured share of ordinary galaxies that are flagged, in [0, 1].
    """

    mean: tuple[float, ...]
    whitening: tuple[tuple[float, ...], ...]
    threshold: float
    false_alarm: float = 0.01
    rest: float | None = None


@dataclass(frozen=True)
class Probe:
    """A known response: the model's probabilities for one image, identified by its sha256."""

    image_sha256: str
    probabilities: tuple[float, ...]


def read_conformal(values: Any, check: Checker) -> Conformal | None:
    """Read the entry for prediction sets; None: there are none."""
    if values is None:
        return None
    values = check.mapping("conformal", values, ("method", "threshold", "coverage"))
    method = check.choice("conformal.method", values.get("method"), ("lac", "aps"))
    threshold = check.number("conformal.threshold", values.get("threshold"), 0.0, 1.0)
    coverage = check.number("conformal.coverage", values.get("coverage"), 0.0, 1.0)
    return Conformal("lac" if method == "lac" else "aps", threshold, coverage)


def read_unlike(values: Any, size: Any, format: int, check: Checker) -> Unlike | None:
    """Read the out-of-distribution flag; None: there is none. `rest` is a key of format 2."""
    if values is None:
        return None
    values = check.mapping("unlike", values, _UNLIKE_KEYS if format == 1 else (*_UNLIKE_KEYS, "rest"))
    mean = check.numbers("unlike.mean", values.get("mean"), size)
    rows, rest = values.get("whitening"), values.get("rest")
    if not isinstance(rows, list) or not rows:
        check.faults.append("unlike.whitening must be a list of rows")
        rows = []
    whitening = tuple(check.numbers(f"unlike.whitening[{number}]", row, size) for number, row in enumerate(rows))
    if rest is not None:
        _check_orthogonal(whitening, size, check)
    return Unlike(
        mean,
        whitening,
        check.number("unlike.threshold", values.get("threshold"), 0.0, float("inf")),
        check.number("unlike.false_alarm", values.get("false_alarm"), 0.0, 1.0),
        None if rest is None else check.number("unlike.rest", rest, SMALLEST, LARGEST),
    )


def _check_orthogonal(whitening: tuple[tuple[float, ...], ...], size: Any, check: Checker) -> None:
    """Note rows that are not orthogonal: the component outside of them would be wrong."""
    if len(whitening) > _MAX_ROWS:
        check.faults.append(f"unlike.whitening has more than {_MAX_ROWS} rows beside a rest")
    elif not all(map(any, whitening)):
        check.faults.append("unlike.whitening has a row of zeros")
    elif whitening and all(len(row) == size for row in whitening):
        rows = np.array(whitening, dtype=np.float64)
        rows /= np.abs(rows).max(axis=1, keepdims=True)  # squares of tiny numbers would vanish
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        if np.abs(rows @ rows.T - np.eye(len(rows))).max() > _RIGHT_ANGLE:
            check.faults.append("unlike.whitening must have orthogonal rows beside a rest")


def read_probe(values: Any, classes: int, check: Checker) -> Probe | None:
    """Read the known response; None: there is none."""
    if values is None:
        return None
    values = check.mapping("probe", values, ("image_sha256", "probabilities"))
    sha256 = check.sha256("probe.image_sha256", values.get("image_sha256"))
    return Probe(sha256, check.numbers("probe.probabilities", values.get("probabilities"), classes))


def plain_part(part: Conformal | Unlike | Probe | None) -> dict[str, Any] | None:
    """Return a part as JSON."""
    if part is None:
        return None
    plain = dict(vars(part))
    for key, value in plain.items():
        if isinstance(value, tuple):
            plain[key] = [list(row) if isinstance(row, tuple) else row for row in value]
    return plain
