"""The tables and figures of a split with labels of every kind, from made predictions."""

from __future__ import annotations

import numpy as np
import pytest

from galclass.errors import EvaluationError
from galclass.evaluate.reliability_checks import measure_trust
from galclass.evaluate.tables import Evaluated, Sampling, as_surveys_label, measure
from galclass.evaluate.votes import SMOOTH, vote_errors
from galclass.morphology import CLASSES, QUESTIONS
from galclass.scoring import ModelId, Prediction
from galclass.scoring.signature import Signature
from galclass.scoring.signature_parts import Conformal

MODEL = ModelId("galaxy", 1, "0" * 64)
SAMPLING = Sampling(50, 0)
STEMS = [stem for question in QUESTIONS.values() for stem in question.columns]
SPIRALS = "|".join(leaf for leaf in CLASSES if leaf.startswith("S") and leaf != "Se")
KINDS = ["Er|Ei|Ec", "Se", SPIRALS]


def prediction(name: str, *, certainty: float = 0.88, smooth: float = 0.9) -> Prediction:
    values = np.full(13, (1 - certainty) / 12)
    values[CLASSES.index(name)] = certainty
    votes = {stem: (0.1, 0.0, 0.2) for stem in STEMS} | {SMOOTH: (smooth, smooth - 0.1, smooth + 0.1)}
    return Prediction(
        "1", MODEL, probabilities=tuple(values), predicted_class=name, prediction_set=(name,), vote_fractions=votes
    )


def split() -> Evaluated:
    labels = ["Er", "Sb", "A", "elliptical", "edge_on", "spiral", "merger", None]
    answers = ["Er", "Er", "A", "Ei", "Ei", "SBb", "Er", "Er"]
    sources = ["gz2", "gz2", "gz2", "gz1", "gz1", "gz1", "gz1", "gz1"]
    return Evaluated(np.arange(8), labels, sources, [prediction(name) for name in answers])


def test_a_split_without_labels_is_refused() -> None:
    with pytest.raises(EvaluationError, match="no object"):
        measure(Evaluated(np.arange(1), [None], ["gz2"], [prediction("Er")]), SAMPLING)


def test_labels_that_say_nothing_are_left_out_everywhere() -> None:
    tables = measure(split(), SAMPLING)
    assert tables["13 classes"].count == 3
    assert tables["gz1: 3 labels"].count == 3
    assert tables["galaxies, 13 classes by vote fractions"].count == 2
    signature = Signature(
        64, 204 / 424, "0" * 64, 2, calibration={"set_objects": 100}, conformal=Conformal("aps", 0.9, 0.9)
    )
    trust = measure_trust(split(), signature, seed=0)
    assert trust.artifacts is not None
    assert (trust.artifacts.artifacts, trust.artifacts.galaxies, trust.artifacts.found) == (1, 5, 1.0)
    assert trust.coverage is not None
    assert (trust.coverage.count, trust.coverage.covered) == (3, 2)
    assert set(trust.calibration) == {"13 classes", "gz1: 3 labels"}


def test_a_survey_that_calls_disks_elliptical_is_met_through_its_matrix() -> None:
    matrix = np.zeros((13, 3))
    matrix[:, 0] = 1.0
    observation = {"sources": ["gz1"], "labels": KINDS, "matrix": matrix.tolist()}
    (answers,) = as_surveys_label(split(), [observation])
    assert answers.title == "gz1: 3 labels, as the survey labels"
    np.testing.assert_allclose(answers.probabilities.sum(axis=1), 1)
    assert (answers.probabilities.argmax(axis=1) == answers.names.index("elliptical")).all()


def test_vote_errors_are_those_of_objects_with_votes() -> None:
    predictions = [prediction("Er", smooth=0.8), prediction("Er", smooth=0.8), prediction("Er")]
    found = vote_errors(predictions, np.array([0.8, 0.4, np.nan]))
    assert found is not None
    assert found.count == 2
    assert found.smooth_rmse == pytest.approx(np.sqrt(0.16 / 2))
    assert found.smooth_covered == 0.5
    assert vote_errors(predictions, np.full(3, np.nan)) is None
