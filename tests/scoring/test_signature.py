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
        (("format",), 3, "another format"),
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


def changed(**values: object) -> str:
    return json.dumps(full_signature().to_dict() | values)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
        ('{"a": ' * 5_000 + "1" + "}" * 5_000, "nested too deeply"),
        (changed(trained={"a": [[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]}), "nested too deeply"),
        ("9" * 10_000, "not JSON"),
        (changed(trained={"seed": float("nan")}), "not finite"),
        (changed(trained={"seed": float("inf")}), "not finite"),
        (changed(trained={"name": "a\0b"}), "databases cannot store"),
        (changed(trained={"a\ud800": 1}), "databases cannot store"),
        (changed(views=10**400), "views must be an integer"),
        (changed(views=65), "views must be an integer"),
        (changed(conformal={"method": "lac", "threshold": 10**400, "coverage": 0.9}), "threshold must be a number"),
        (changed(probe={"image_sha256": "ab" * 32, "probabilities": [1e30] * 13}), "probabilities must be a number"),
        (changed(format="x" * 10_000_000), "another format"),
        (changed(**{f"key{n}": 1 for n in range(1000)}), "980 further unknown keys"),
        (changed(trained={"a": [1] * 100_001}), "too many values"),
        (changed(trained={"a": [{}] * 100_001}), "too many values"),
        (changed(trained={f"key{n}": 1 for n in range(100_001)}), "too many values"),
        (changed(unlike={"mean": [1e30] * 4, "whitening": [[1e30] * 4] * 5_000, "threshold": 1.0}), "whitening"),
    ],
    ids=range(18),
)
def test_a_hostile_signature_is_an_error_of_a_few_lines(text: str, told: str) -> None:
    with pytest.raises(ModelError, match=told) as caught:
        Signature.from_json(text)
    assert len(str(caught.value)) < 10_000


def test_a_signature_that_is_too_long_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("galclass.scoring.checks.MAX_JSON_BYTES", 100)
    with pytest.raises(ModelError, match="too long"):
        Signature.from_json(full_signature().to_json())


@pytest.mark.parametrize(
    ("key", "value"),
    [("vote_fractions", [f"t{n}" for n in range(257)]), ("vote_fractions", ["x" * 1001]), ("embedding", 16_385)],
)
def test_a_signature_beyond_its_limits_is_refused(key: str, value: object) -> None:
    outputs = full_signature().to_dict()["outputs"] | {key: value}
    with pytest.raises(ModelError, match=key):
        Signature.from_json(changed(outputs=outputs))
