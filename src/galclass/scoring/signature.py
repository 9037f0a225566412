"""What a model needs to be run rightly: a frozen `Signature`, as JSON inside the ONNX file.

Takes the JSON text of the ONNX metadata entry `galclass_signature`, gives a checked `Signature`; and back.
Nothing of a signature is guessed: an unknown key, a missing key or another class list refuses the model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from galclass.errors import ModelError
from galclass.morphology import CLASSES, GROUPS
from galclass.scoring.checks import Checker, read_json

METADATA_KEY = "galclass_signature"
"""Key of the signature in the ONNX metadata_props."""

FORMAT = 1
INPUT_NAME = "cutouts"
PROBABILITIES = "probabilities"
EMBEDDING = "embedding"
VOTE_FRACTIONS = "vote_fractions"

MAX_SIZE_PX = 1024
MAX_EMBEDDING = 16_384
MAX_VIEWS = 64
MAX_VOTE_COLUMNS = 256
"""Largest values of a signature: a run takes memory in proportion to them."""

_KEYS: tuple[str, ...] = (
    *("format", "input", "views", "outputs", "classes", "groups", "calibration", "conformal", "unlike"),
    *("preprocessing_sha256", "trained", "probe"),
)
_INPUT_KEYS = ("name", "size_px", "crop_fraction", "channels", "scale")


@dataclass(frozen=True)
class Conformal:
    """How a prediction set is made from the probabilities.

    Attributes
    ----------
    method : "lac" or "aps"
        lac: every class with probability >= 1 - threshold (Sadinle et al. 2019). aps: classes in falling order
        of probability until their sum reaches the threshold (Romano et al. 2020, without randomisation).
    threshold : float
        In (0, 1], from the calibration split.
    coverage : float
        The promised share of sets that hold the true class, in (0, 1).
    """

    method: Literal["lac", "aps"]
    threshold: float
    coverage: float = 0.9


@dataclass(frozen=True)
class Unlike:
    """When an image is flagged as unlike the training data: the distance of its embedding is above a threshold.

    Attributes
    ----------
    mean : tuple of float, (d,)
        Centre of the training embeddings.
    whitening : tuple of tuple of float, (k, d)
        Rows of a matrix W; the score is the Euclidean norm of W (embedding - mean).
    threshold : float
        Scores above it are flagged.
    false_alarm : float
        Share of ordinary galaxies that is flagged, in [0, 1], as measured.
    """

    mean: tuple[float, ...]
    whitening: tuple[tuple[float, ...], ...]
    threshold: float
    false_alarm: float = 0.01


@dataclass(frozen=True)
class Probe:
    """A known answer: the model's probabilities for one image that is named by its sha256."""

    image_sha256: str
    probabilities: tuple[float, ...]


@dataclass(frozen=True)
class Signature:
    """Everything that stands between image bytes and the meaning of the outputs.

    Attributes
    ----------
    size_px : int
        Side of the cutout in px.
    crop_fraction : float
        Side of the crop as a fraction of the frame, in (0, 1].
    preprocessing_sha256 : str
        `CutoutParameters.sha256` of the code that made the training cutouts.
    embedding_size : int
        Width d of the output "embedding".
    views : int
        Orientations that the graph pools over (1: none).
    vote_columns : tuple of str, (k,)
        Answer stems (`<gz2 question>_<answer>`) of the output "vote_fractions"; empty where there is none.
    scale : str
        What the graph does with 0..255, for people.
    calibration : mapping or None
        How the probabilities in the graph were calibrated, for people.
    conformal, unlike, probe
        See the classes of these names; None where the model has none.
    trained : mapping
        config, data_ids_sha256, seed, galclass_version.
    """

    size_px: int
    crop_fraction: float
    preprocessing_sha256: str
    embedding_size: int
    views: int = 1
    vote_columns: tuple[str, ...] = ()
    scale: str = "0..255"
    calibration: Mapping[str, Any] | None = None
    conformal: Conformal | None = None
    unlike: Unlike | None = None
    probe: Probe | None = None
    trained: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Give the JSON-able form that the model file carries."""
        return {
            "format": FORMAT,
            "input": {
                "name": INPUT_NAME,
                "size_px": self.size_px,
                "crop_fraction": self.crop_fraction,
                "channels": "RGB",
                "scale": self.scale,
            },
            "views": self.views,
            "outputs": {
                PROBABILITIES: len(CLASSES),
                VOTE_FRACTIONS: list(self.vote_columns),
                EMBEDDING: self.embedding_size,
            },
            "classes": list(CLASSES),
            "groups": {group: list(leaves) for group, leaves in GROUPS.items()},
            "calibration": dict(self.calibration) if self.calibration is not None else None,
            "conformal": _plain(self.conformal),
            "unlike": _plain(self.unlike),
            "preprocessing_sha256": self.preprocessing_sha256,
            "trained": dict(self.trained),
            "probe": _plain(self.probe),
        }

    def to_json(self) -> str:
        """Give the text that goes into the ONNX metadata (keys sorted, so equal signatures give equal text)."""
        return json.dumps(self.to_dict(), sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str, *, where: str = "model") -> Signature:
        """Read and check the metadata text.

        Raises
        ------
        ModelError
            If `read_json` refuses the text, it is no object, or `from_dict` refuses it.
        """
        values = read_json(text, "its signature", where=where)
        if not isinstance(values, dict):
            raise ModelError("its signature is not a JSON object", where=where, got=type(values).__name__)
        return cls.from_dict(values, where=where)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, where: str = "model") -> Signature:
        """Check every key and value and collect all faults.

        Raises
        ------
        ModelError
            With every fault: unknown or missing keys, values out of range, other classes or groups.
        """
        if values.get("format") != FORMAT:
            raise ModelError(
                "its signature has another format",
                where=where,
                expected=FORMAT,
                got=repr(values.get("format"))[:60],
                advice="use the galclass version that wrote it, or export the model again",
            )
        check = Checker()
        check.keys("signature", values, _KEYS)
        signature = _read(values, check)
        if check.faults or signature is None:
            raise ModelError("its signature is not valid: " + "; ".join(check.faults), where=where)
        return signature


def _read(values: Mapping[str, Any], check: Checker) -> Signature | None:
    source = check.mapping("input", values.get("input"), _INPUT_KEYS)
    outputs = check.mapping("outputs", values.get("outputs"), (PROBABILITIES, VOTE_FRACTIONS, EMBEDDING))
    check.equal("input.name", source.get("name"), INPUT_NAME)
    check.equal("input.channels", source.get("channels"), "RGB")
    check.equal("outputs.probabilities", outputs.get(PROBABILITIES), len(CLASSES))
    check.equal("classes", values.get("classes"), list(CLASSES))
    check.equal("groups", values.get("groups"), {group: list(leaves) for group, leaves in GROUPS.items()})
    calibration = values.get("calibration")
    read: dict[str, Any] = {
        "size_px": check.integer("input.size_px", source.get("size_px"), 8, MAX_SIZE_PX),
        "crop_fraction": check.number("input.crop_fraction", source.get("crop_fraction"), 0.01, 1.0),
        "preprocessing_sha256": check.sha256("preprocessing_sha256", values.get("preprocessing_sha256")),
        "embedding_size": check.integer("outputs.embedding", outputs.get(EMBEDDING), 1, MAX_EMBEDDING),
        "views": check.integer("views", values.get("views"), 1, MAX_VIEWS),
        "vote_columns": check.texts("outputs.vote_fractions", outputs.get(VOTE_FRACTIONS), MAX_VOTE_COLUMNS),
        "scale": check.text("input.scale", source.get("scale")),
        "calibration": None if calibration is None else check.mapping("calibration", calibration),
        "trained": check.mapping("trained", values.get("trained")),
        "conformal": _read_conformal(values.get("conformal"), check),
        "unlike": _read_unlike(values.get("unlike"), outputs.get(EMBEDDING), check),
        "probe": _read_probe(values.get("probe"), check),
    }
    return None if check.faults else Signature(**read)


def _read_conformal(values: Any, check: Checker) -> Conformal | None:
    if values is None:
        return None
    values = check.mapping("conformal", values, ("method", "threshold", "coverage"))
    method = check.choice("conformal.method", values.get("method"), ("lac", "aps"))
    threshold = check.number("conformal.threshold", values.get("threshold"), 0.0, 1.0)
    coverage = check.number("conformal.coverage", values.get("coverage"), 0.0, 1.0)
    return Conformal("lac" if method == "lac" else "aps", threshold, coverage)


def _read_unlike(values: Any, size: Any, check: Checker) -> Unlike | None:
    if values is None:
        return None
    values = check.mapping("unlike", values, ("mean", "whitening", "threshold", "false_alarm"))
    mean = check.numbers("unlike.mean", values.get("mean"), size)
    rows = values.get("whitening")
    if not isinstance(rows, list) or not rows:
        check.faults.append("unlike.whitening must be a list of rows")
        rows = []
    whitening = tuple(check.numbers(f"unlike.whitening[{number}]", row, size) for number, row in enumerate(rows))
    threshold = check.number("unlike.threshold", values.get("threshold"), 0.0, float("inf"))
    false_alarm = check.number("unlike.false_alarm", values.get("false_alarm"), 0.0, 1.0)
    return Unlike(mean, whitening, threshold, false_alarm)


def _read_probe(values: Any, check: Checker) -> Probe | None:
    if values is None:
        return None
    values = check.mapping("probe", values, ("image_sha256", "probabilities"))
    sha256 = check.sha256("probe.image_sha256", values.get("image_sha256"))
    return Probe(sha256, check.numbers("probe.probabilities", values.get("probabilities"), len(CLASSES)))


def _plain(part: Conformal | Unlike | Probe | None) -> dict[str, Any] | None:
    if part is None:
        return None
    plain = dict(vars(part))
    for key, value in plain.items():
        if isinstance(value, tuple):
            plain[key] = [list(row) if isinstance(row, tuple) else row for row in value]
    return plain
