"""What a model needs to be run correctly: a frozen `Signature`, as JSON inside the ONNX file.

Takes the JSON text of the ONNX metadata entry `galclass_signature`, returns a checked `Signature`; and back.
Nothing is guessed: a model with an unknown or missing key is refused. Format 1 has the 13 classes of
Galaxy Zoo and may have debiased vote fractions; format 2 names classes, groups and questions, and may have raw votes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from galclass.errors import ModelError
from galclass.morphology import CLASSES, GROUPS, Question
from galclass.scoring.checks import Checker, read_json
from galclass.scoring.labels import (
    EMBEDDING,
    INPUT_NAME,
    OUTPUTS,
    PROBABILITIES,
    RAW_CONCENTRATIONS,
    RAW_VOTES,
    VOTE_FRACTIONS,
    VOTERS,
    Groups,
    plain_groups,
    plain_questions,
    question_columns,
    read_labels,
)
from galclass.scoring.signature_parts import (
    Conformal,
    Probe,
    Unlike,
    plain_part,
    read_conformal,
    read_probe,
    read_unlike,
)

METADATA_KEY = "galclass_signature"
"""Key of the signature in the ONNX metadata_props."""

FORMATS = (1, 2)
"""Formats that are read; exports write 1 if the model has no raw votes."""

MAX_SIZE_PX = 1024
MAX_EMBEDDING = 16_384
MAX_VIEWS = 64
"""Largest values in a signature: the memory of a run is proportional to them."""

_KEYS: tuple[str, ...] = (
    *("format", "input", "views", "outputs", "classes", "groups", "calibration", "conformal", "unlike"),
    *("preprocessing_sha256", "trained", "probe"),
)
_INPUT_KEYS = ("name", "size_px", "crop_fraction", "channels", "scale")


@dataclass(frozen=True)
class Signature:
    """Everything between image bytes and the meaning of the outputs.

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
        Answer stems (`<gz2 question>_<answer>`) of the output "vote_fractions" (debiased); empty if there is none.
    scale : str
        How the graph scales 0..255, for people.
    calibration : mapping or None
        How the probabilities in the graph were calibrated, for people.
    conformal, unlike, probe
        See the classes of these names; None if the model has none.
    trained : mapping
        config, data_ids_sha256, seed, galclass_version.
    format : 1 or 2
    classes : tuple of str
        In the order of "probabilities"; format 1 has `CLASSES`.
    groups : mapping of str to tuple of str, or None
        Classes by group; None: there are none. Format 1 has `GROUPS`.
    questions : tuple of Question
        The questions of the votes; format 2 only, empty for a model without votes.
    raw : bool
        Whether there are outputs "raw_votes" (mean fractions among those asked, one per answer) and
        "raw_concentrations" (of each question's Dirichlet distribution, one per question).
    voters : int
        Volunteers per galaxy in `raw_vote_fractions`.
    debiased_concentrations : tuple of float
        Concentrations behind the bounds of the debiased fractions, one per question; empty if unknown.
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
    format: int = 1
    classes: tuple[str, ...] = CLASSES
    groups: Groups | None = field(default_factory=lambda: GROUPS)
    questions: tuple[Question, ...] = ()
    raw: bool = False
    voters: int = VOTERS
    debiased_concentrations: tuple[float, ...] = ()

    @cached_property
    def raw_columns(self) -> tuple[str, ...]:
        """Answer stems of the output "raw_votes"; empty if there is none."""
        return question_columns(self.questions) if self.raw else ()

    @property
    def output_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each required output, without the first axis."""
        shapes: dict[str, tuple[int, ...]] = {PROBABILITIES: (len(self.classes),), EMBEDDING: (self.embedding_size,)}
        if self.vote_columns:
            shapes[VOTE_FRACTIONS] = (len(self.vote_columns), 3)
        if self.raw:
            shapes |= {RAW_VOTES: (len(self.raw_columns),), RAW_CONCENTRATIONS: (len(self.questions),)}
        return shapes

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON-able form stored in the model file."""
        shared: dict[str, Any] = {
            "format": self.format,
            "input": {
                "name": INPUT_NAME,
                "size_px": self.size_px,
                "crop_fraction": self.crop_fraction,
                "channels": "RGB",
                "scale": self.scale,
            },
            "views": self.views,
            "outputs": self._plain_outputs(),
            "classes": list(self.classes),
            "calibration": dict(self.calibration) if self.calibration is not None else None,
            "conformal": plain_part(self.conformal),
            "unlike": plain_part(self.unlike),
            "preprocessing_sha256": self.preprocessing_sha256,
            "trained": dict(self.trained),
            "probe": plain_part(self.probe),
        }
        if self.format == 1:
            if shared["unlike"] is not None:
                del shared["unlike"]["rest"]
            return shared | {"groups": {group: list(leaves) for group, leaves in (self.groups or {}).items()}}
        return shared | {"groups": plain_groups(self.groups), "votes": self._plain_votes()}

    def _plain_votes(self) -> dict[str, Any] | None:
        if not self.questions:
            return None
        return {
            "questions": plain_questions(self.questions),
            "voters": self.voters,
            "raw": self.raw,
            "debiased": bool(self.vote_columns),
            "debiased_concentrations": list(self.debiased_concentrations) or None,
        }

    def _plain_outputs(self) -> dict[str, Any]:
        if self.format == 1:
            vote_fractions = list(self.vote_columns)
            return {PROBABILITIES: len(self.classes), VOTE_FRACTIONS: vote_fractions, EMBEDDING: self.embedding_size}
        shapes = self.output_shapes
        return {name: shapes[name][0] if name in shapes else 0 for name in OUTPUTS[2]}

    def to_json(self) -> str:
        """Return the text that goes into the ONNX metadata (keys sorted, so equal signatures have equal text)."""
        return json.dumps(self.to_dict(), sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str, *, where: str = "model") -> Signature:
        """Read and check the metadata text.

        Raises
        ------
        ModelError
            If `read_json` refuses the text, it is not an object, or `from_dict` refuses it.
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
            With every fault: unknown or missing keys, values out of range; in format 1 other classes or groups.
        """
        if values.get("format") not in FORMATS or isinstance(values.get("format"), (bool, float)):
            raise ModelError(
                "its signature has another format",
                where=where,
                expected=" or ".join(map(str, FORMATS)),
                got=repr(values.get("format"))[:60],
                advice="use the galclass version that wrote it, or export the model again",
            )
        check = Checker()
        check.keys("signature", values, _KEYS if values["format"] == 1 else (*_KEYS, "votes"))
        signature = _read(values, check)
        if check.faults or signature is None:
            raise ModelError("its signature is not valid: " + "; ".join(check.faults), where=where)
        return signature


def _read(values: Mapping[str, Any], check: Checker) -> Signature | None:
    source = check.mapping("input", values.get("input"), _INPUT_KEYS)
    outputs = check.mapping("outputs", values.get("outputs"), OUTPUTS[values["format"]])
    check.equal("input.name", source.get("name"), INPUT_NAME)
    check.equal("input.channels", source.get("channels"), "RGB")
    calibration = values.get("calibration")
    labels = read_labels(values, outputs, check)
    read: dict[str, Any] = {
        **labels,
        "size_px": check.integer("input.size_px", source.get("size_px"), 8, MAX_SIZE_PX),
        "crop_fraction": check.number("input.crop_fraction", source.get("crop_fraction"), 0.01, 1.0),
        "preprocessing_sha256": check.sha256("preprocessing_sha256", values.get("preprocessing_sha256")),
        "embedding_size": check.integer("outputs.embedding", outputs.get(EMBEDDING), 1, MAX_EMBEDDING),
        "views": check.integer("views", values.get("views"), 1, MAX_VIEWS),
        "scale": check.text("input.scale", source.get("scale")),
        "calibration": None if calibration is None else check.mapping("calibration", calibration),
        "trained": check.mapping("trained", values.get("trained")),
        "conformal": read_conformal(values.get("conformal"), check),
        "unlike": read_unlike(values.get("unlike"), outputs.get(EMBEDDING), values["format"], check),
        "probe": read_probe(values.get("probe"), len(labels["classes"]), check),
    }
    return None if check.faults else Signature(**read)
