"""A model of own classes predicts, explains and is written like every other, and never names a class of Galaxy Zoo."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pyarrow.parquet as pq
import pytest
from tiny_model import OWN_CLASSES, signed, tiny_own_model

from galclass.errors import ModelError
from galclass.morphology import CLASSES
from galclass.scoring import Scorer, check_probe
from galclass.scoring.cage import try_model
from galclass.scoring.explain import explain
from galclass.scoring.output import PredictionFile


@pytest.fixture(scope="module")
def own() -> Scorer:
    return Scorer(tiny_own_model(), name="rings", version=1)


def test_predictions_have_the_own_classes_alone(own: Scorer, galaxies: dict[str, bytes]) -> None:
    predictions = own.score([*galaxies.values(), b"no image"], object_ids=[*galaxies, "bad"])
    for one in predictions[:-1]:
        assert one.probabilities is not None
        assert one.by_class is not None
        assert tuple(one.by_class) == OWN_CLASSES
        assert one.predicted_class == OWN_CLASSES[int(np.argmax(one.probabilities))]
        assert one.predicted_group is None
        assert one.predicted_class in one.prediction_set
        assert set(one.prediction_set) <= set(OWN_CLASSES)
        assert not any(f'"{leaf}"' in json.dumps(one.as_json()) for leaf in CLASSES)
    assert predictions[-1].error is not None
    assert list(predictions[-1].as_row()) == list(predictions[0].as_row())


def test_the_cage_and_the_probe_take_it(own: Scorer) -> None:
    assert try_model(tiny_own_model()).signature.classes == OWN_CLASSES
    difference = check_probe(own)
    assert difference is not None
    assert difference < 1e-5


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_files_have_a_column_for_each_own_class(
    own: Scorer, galaxies: dict[str, bytes], tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"out{suffix}"
    with PredictionFile(path, own.signature) as file:
        for one in own.score([*list(galaxies.values())[:3], b"no image"]):
            file.write("x.jpg", one)
    is_csv = suffix == ".csv"
    rows = list(csv.DictReader(path.read_text().splitlines())) if is_csv else pq.read_table(path).to_pylist()
    wanted = ["file", "object_id", "predicted_class", "predicted_group", *(f"predicted_{name}" for name in OWN_CLASSES)]
    assert list(rows[0])[: len(wanted)] == wanted
    assert sum(float(rows[0][name]) for name in wanted[4:]) == pytest.approx(1, abs=1e-5)
    assert not rows[-1][wanted[-1]]


def test_groups_of_own_classes_are_told(galaxies: dict[str, bytes]) -> None:
    groups = {"rings": ("ring",), "others": ("no ring", "it's 100 % unclear")}
    signature = replace(Scorer(tiny_own_model()).signature, groups=groups)
    scorer = Scorer(signed(onnx.load_from_string(tiny_own_model()), signature))
    for one in scorer.score(list(galaxies.values())[:10]):
        assert one.predicted_class in groups[str(one.predicted_group)]


def test_what_explains_an_image_names_the_own_classes(own: Scorer, galaxies: dict[str, bytes]) -> None:
    said = explain(own, next(iter(galaxies.values())), "one", None)
    assert said["predicted_class"] in OWN_CLASSES
    assert all(tuple(view["probabilities"]) == OWN_CLASSES for view in said["views"])


@pytest.mark.parametrize("name", ["class", "Group", 'a "b"', "a\\b", "a|b", ""])
def test_names_that_would_be_other_columns_or_keys_are_refused(name: str) -> None:
    signature = replace(Scorer(tiny_own_model()).signature, classes=("no ring", "ring", name))
    with pytest.raises(ModelError):
        Scorer(signed(onnx.load_from_string(tiny_own_model()), signature))
