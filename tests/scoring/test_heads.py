"""Heads of own classes: what is fitted, what is refused, and what the model file holds."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from sklearn.linear_model import LogisticRegression
from tiny_model import EMBEDDING, tiny_model, tiny_raw_model

from galclass.errors import ModelError, TrainingError
from galclass.scoring.graph import check_graph
from galclass.scoring.head_model import head_model
from galclass.scoring.heads import Head, Share, cross_validated, fit_head
from galclass.scoring.session import open_session, signature_of

Labelled = tuple[np.ndarray, list[str]]


def labelled(count: int, *, width: int = EMBEDDING, classes: int = 2, apart: float = 1.0, seed: int = 0) -> Labelled:
    """Draw embeddings around a centre for each class, and their labels."""
    rng = np.random.default_rng(seed)
    codes = np.arange(count) % classes
    centres = np.random.default_rng(99).normal(0, apart, (classes, width))
    scales = np.geomspace(3, 0.1, width)
    return (centres[codes] + rng.normal(0, 1, (count, width))) * scales + 5, [f"c{code}" for code in codes]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([], "fewer than two classes"),
        (["ring"] * 40, "fewer than two classes"),
        (["ring"] * 38 + ["none"] * 2, "2 of 'none'"),
        (["ring"] * 20 + ["Ring"] * 20, "not class names"),
        (["a|b"] * 20 + ["none"] * 20, "not class names"),
        ([" ring"] * 20 + ["none"] * 20, "not class names"),
    ],
)
def test_labels_that_make_no_head_are_refused(labels: list[str], words: str) -> None:
    with pytest.raises(TrainingError, match=words.replace("|", r"\|")):
        fit_head(np.zeros((len(labels), 4)), labels)


def test_a_class_without_labels_and_a_label_without_class_are_refused() -> None:
    embeddings, labels = labelled(20)
    with pytest.raises(TrainingError, match="0 of 'c2'"):
        fit_head(embeddings, labels, ["c0", "c1", "c2"])
    with pytest.raises(TrainingError, match="not among the classes"):
        fit_head(embeddings, labels, ["c0", "other"])


@pytest.mark.parametrize("embeddings", [np.zeros((19, 4)), np.zeros(20), np.full((20, 4), np.nan)])
def test_embeddings_that_do_not_belong_to_the_labels_are_refused(embeddings: np.ndarray) -> None:
    with pytest.raises(TrainingError):
        fit_head(embeddings, ["a", "b"] * 10)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("width", [EMBEDDING, 200])
def test_the_fit_is_that_of_scikit_learn(classes: int, width: int) -> None:
    embeddings, labels = labelled(150, width=width, classes=classes, apart=0.4)
    head = fit_head(embeddings, labels)
    standard = (embeddings - embeddings.mean(axis=0)) / embeddings.std(axis=0)
    # two classes: the same penalty on two columns that differ is half of that on their difference
    strength = head.penalty * len(labels) * (0.5 if classes == 2 else 1)
    reference = LogisticRegression(C=1 / strength, tol=1e-8, max_iter=5000).fit(standard, labels)
    ours = np.log(head.probabilities(embeddings).astype(np.float64))
    theirs = reference.predict_log_proba(standard)
    # equal but for the temperature, which divides all logits alike
    margins = ours[:, 0] - ours[:, 1], theirs[:, 0] - theirs[:, 1]
    assert np.corrcoef(*margins)[0, 1] > 0.9999
    ratio = margins[0] / margins[1]
    assert np.quantile(ratio, 0.9) / np.quantile(ratio, 0.1) == pytest.approx(1, abs=0.02)


def test_equal_arguments_make_an_equal_head_in_any_order_of_the_classes() -> None:
    embeddings, labels = labelled(60)
    first, again = fit_head(embeddings, labels), fit_head(embeddings, labels)
    turned = fit_head(embeddings, labels, ["c1", "c0"])
    assert np.array_equal(first.weights, again.weights)
    assert turned.classes == ("c1", "c0")
    assert turned.predict(embeddings) == first.predict(embeddings)


def test_probabilities_of_new_objects_are_calibrated() -> None:
    embeddings, labels = labelled(400, width=40, apart=0.3)
    head = fit_head(embeddings, labels)
    others, true = labelled(4000, width=40, apart=0.3, seed=1)
    likelihood = head.probabilities(others).max(axis=1)
    right = np.array(head.predict(others)) == np.array(true)
    assert likelihood.mean() == pytest.approx(right.mean(), abs=0.03)
    assert head.estimate.accuracy is not None
    assert head.estimate.accuracy.low - 0.02 < right.mean() < head.estimate.accuracy.high + 0.02


def test_sets_hold_the_truth_and_the_flag_finds_what_is_far_away() -> None:
    embeddings, labels = labelled(300, classes=3, apart=0.5)
    head = fit_head(embeddings, labels)
    assert head.conformal is not None
    assert head.unlike is not None
    assert head.limits() == []
    others, true = labelled(2000, classes=3, apart=0.5, seed=1)
    falling = -np.sort(-head.probabilities(others), axis=1)
    place = (
        (-head.probabilities(others))
        .argsort(axis=1)
        .argsort(axis=1)[np.arange(2000), [head.classes.index(one) for one in true]]
    )
    before = np.where(place > 0, np.cumsum(falling, axis=1)[np.arange(2000), place - 1], 0)
    assert (before < head.conformal.threshold).mean() == pytest.approx(0.9, abs=0.04)


@pytest.mark.parametrize("count", [6, 19, 20, 49, 50])
def test_few_labels_have_no_sets_and_no_flag_and_say_so(count: int) -> None:
    embeddings, labels = labelled(count)
    head = fit_head(embeddings, labels)
    assert (head.conformal is None) == (count < 20)
    assert (head.unlike is None) == (count < 50)
    assert len(head.limits()) == (count < 20) + (count < 50)


def test_no_accuracy_is_estimated_below_ten_labels_of_a_class() -> None:
    embeddings, labels = labelled(40)
    few = cross_validated(np.delete(embeddings, slice(0, 22, 2), axis=0), labels[1:22:2] + labels[22:])
    assert few.accuracy is None
    assert str(few) == "too few labels to estimate the accuracy: 9 of 'c0', at least 10 of each needed"
    assert cross_validated(embeddings, labels).accuracy is not None


def test_a_quick_fit_takes_the_penalty_it_is_told() -> None:
    embeddings, labels = labelled(80)
    head = fit_head(embeddings, labels)
    quick = fit_head(embeddings, labels, penalty=head.penalty, confidence=False)
    assert np.allclose(quick.weights, head.weights, atol=1e-3)
    assert (quick.conformal, quick.unlike) == (None, None)


def test_constant_and_dead_embeddings_make_a_head_of_the_frequencies() -> None:
    head = fit_head(np.full((40, 4), 3.0), ["a"] * 30 + ["b"] * 10)
    assert head.probabilities(np.full((1, 4), 3.0))[0] == pytest.approx([0.75, 0.25], abs=0.02)


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"), [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662)]
)
def test_intervals_are_those_of_wilson(hits: int, count: int, low: float, high: float) -> None:
    share = Share.of(hits, count)
    assert share is not None
    assert (share.low, share.high) == (pytest.approx(low, abs=2e-4), pytest.approx(high, abs=2e-4))
    assert Share.of(0, 0) is None


def head_of(model: bytes, cutouts: np.ndarray) -> tuple[Head, np.ndarray]:
    (embedding,) = open_session(model).run(["embedding"], cutouts)
    return fit_head(embedding, ["ring", "no ring", "ring?"] * (len(cutouts) // 3)), embedding


@pytest.fixture(scope="module")
def cutouts() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (60, 3, 32, 32), dtype=np.uint8)


@pytest.mark.parametrize("model", [tiny_model(), tiny_raw_model()])
def test_the_model_of_a_head_gives_its_probabilities_and_the_same_embedding(model: bytes, cutouts: np.ndarray) -> None:
    head, embedding = head_of(model, cutouts)
    made = head_model(model, head, trained={"catalog": "mine.csv"})
    signature = signature_of(check_graph(made))
    assert signature.classes == ("no ring", "ring", "ring?")
    assert (signature.groups, signature.questions, signature.vote_columns) == (None, (), ())
    assert signature.trained["labels"] == {"no ring": 20, "ring": 20, "ring?": 20}
    session = open_session(made)
    probabilities, same = session.run(["probabilities", "embedding"], cutouts)
    assert np.allclose(probabilities, head.probabilities(embedding), atol=1e-6)
    assert np.array_equal(same, embedding)
    assert [node.name for node in session.graph.get_outputs()] == ["probabilities", "embedding"]
    assert made == head_model(model, head, trained={"catalog": "mine.csv"})


def test_a_head_can_replace_a_head_and_nothing_of_the_old_one_stays(cutouts: np.ndarray) -> None:
    model = tiny_model()
    head, _ = head_of(model, cutouts)
    first, second = head_model(model, head), head_model(head_model(model, head), head)
    assert len(onnx.load_from_string(first).graph.node) == len(onnx.load_from_string(second).graph.node)
    names = {one.name for one in onnx.load_from_string(second).graph.initializer}
    assert "w2" not in names  # of the 13 classes


def test_a_head_of_another_width_or_a_foreign_model_is_refused() -> None:
    embeddings, labels = labelled(20, width=EMBEDDING + 1)
    with pytest.raises(ModelError, match="does not match"):
        head_model(tiny_model(), fit_head(embeddings, labels))
    with pytest.raises(ModelError):
        head_model(b"no model", fit_head(embeddings, labels))
