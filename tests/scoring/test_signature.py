from __future__ import annotations

import json

import pytest
from tiny_model import tiny_signature

from galclass.errors import ModelError
from galclass.scoring import Conformal, Probe, Signature, Unlike


def full_signature() -> Signature:
    return tiny_signature(
        views=8,
        vote_columns=("t01_smooth_or_features_a01_smooth",),
        calibration={"method": "temperature", "temperature": 1.25},
        conformal=Conformal("aps", 0.93),
        unlike=Unlike((0.0,) * 8, tuple((float(n),) * 8 for n in range(2)), 3.5),
        probe=Probe("ab" * 32, (1 / 13,) * 13),
    )


@pytest.mark.parametrize("signature", [tiny_signature(), full_signature()])
def test_json_and_back_is_the_identity(signature: Signature) -> None:
    assert Signature.from_json(signature.to_json()) == signature


def test_the_json_has_the_keys_of_the_contract() -> None:
    values = full_signature().to_dict()
    assert set(values) == {
        *("format", "input", "views", "outputs", "classes", "groups", "calibration", "conformal", "unlike"),
        *("preprocessing_sha256", "trained", "probe"),
    }
    assert set(values["input"]) == {"name", "size_px", "crop_fraction", "channels", "scale"}
    assert set(values["outputs"]) == {"probabilities", "vote_fractions", "embedding"}


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("format",), 2, "another format"),
        (("surprise",), 1, "unknown key 'surprise'"),
        (("input", "size_px"), 0, "input.size_px must be an integer"),
        (("input", "size_px"), True, "input.size_px must be an integer"),
        (("input", "crop_fraction"), 1.5, "input.crop_fraction must be a number"),
        (("input", "crop_fraction"), float("nan"), "input.crop_fraction must be a number"),
        (("input", "channels"), "BGR", "input.channels must be 'RGB'"),
        (("classes",), ["A"], "classes must be"),
        (("groups",), {"Artifact": ["A"]}, "groups must be"),
        (("preprocessing_sha256",), "xyz", "64 hexadecimal digits"),
        (("outputs", "embedding"), -1, "outputs.embedding"),
        (("outputs", "vote_fractions"), ["a", "a"], "different texts"),
        (("conformal",), {"method": "guess", "threshold": 0.9, "coverage": 0.9}, "one of lac, aps"),
        (("unlike",), {"mean": [1.0], "whitening": [[1.0]], "threshold": 1, "false_alarm": 0.1}, "list of 8 numbers"),
        (("probe",), {"image_sha256": "00", "probabilities": []}, "probe.probabilities"),
        (("trained",), 7, "trained must be an object"),
    ],
)
def test_a_fault_is_named(path: tuple[str, ...], value: object, told: str) -> None:
    values = full_signature().to_dict()
    inner = values
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(ModelError, match=told.replace("(", r"\(")):
        Signature.from_dict(values)


def test_all_faults_are_told_at_once() -> None:
    values = tiny_signature().to_dict()
    del values["views"]
    values["classes"] = []
    with pytest.raises(ModelError, match="lacks 'views'.*classes must be"):
        Signature.from_dict(values)


@pytest.mark.parametrize("text", ["", "[]", "{", json.dumps("text")])
def test_text_that_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(ModelError):
        Signature.from_json(text)
