"""Labels of surveys, read off the votes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from train.drawn_galaxies import quick
from train.drawn_votes import OPTIONS, write_votes

from galclass.config import TrainConfig
from galclass.morphology import CLASSES, COARSE_LABELS
from galclass.train import train
from galclass.train.dataset import TrainingData, open_training_data
from galclass.train.likelihood import vote_targets
from galclass.train.surveys import SurveyReading
from galclass.train.trainer import Trainer

LABELS = (("gz1", "elliptical"), ("gz1", "spiral"), ("ngc", "E"), ("ngc", "Sa"), ("ngc", "Sc"), ("ngc", "SBc"))


def leaves_of(*labels: str) -> np.ndarray:
    return np.array([[leaf in COARSE_LABELS.get(label, ()) for leaf in CLASSES] for label in labels])


def reading() -> SurveyReading:
    return SurveyReading(LABELS, leaves_of("elliptical", "spiral", "elliptical", "spiral", "spiral", "spiral"))


def log_classes(count: int = 6) -> torch.Tensor:
    return torch.log_softmax(torch.randn(count, len(CLASSES), generator=torch.Generator().manual_seed(1)), 1)


def test_labels_of_each_source_are_probabilities_of_their_own() -> None:
    p = reading()(log_classes()).exp()
    assert p[:, :2].sum(1).tolist() == pytest.approx([1.0] * 6)
    assert p[:, 2:].sum(1).tolist() == pytest.approx([1.0] * 6)
    assert reading().choices.tolist() == [2, 2, 4, 4, 4, 4]


def test_reading_starts_from_the_leaves_of_a_label() -> None:
    smooth, face_on = torch.full((2, len(CLASSES)), -9.0)
    smooth[CLASSES.index("Ei")] = face_on[CLASSES.index("Sc")] = 0.0
    p = reading()(torch.log_softmax(torch.stack([smooth, face_on]), 1)).exp()
    assert p[0, 0] > 0.9 > 0.1 > p[0, 1]
    assert p[1, 1] > 0.9
    assert p[0, 2] > 0.9


def test_bars_and_bulges_are_learned_where_a_survey_tells_face_on_galaxies_apart() -> None:
    torch.manual_seed(0)
    known = reading()
    truth = torch.log_softmax(torch.randn(400, len(CLASSES)) * 3, 1)
    barred = [CLASSES.index(leaf) for leaf in CLASSES if leaf.startswith("SB")]
    face_on = [CLASSES.index(leaf) for leaf in COARSE_LABELS["spiral"]]
    share = truth[:, barred].exp().sum(1) / truth[:, face_on].exp().sum(1)
    label = torch.where(share > 0.5, 5, 4)
    optimizer = torch.optim.Adam(known.parameters(), lr=0.1)
    for _ in range(60):
        optimizer.zero_grad()
        loss = -known(truth).gather(1, label[:, None]).mean()
        loss.backward()
        optimizer.step()
    found = known(truth)[:, 2:].argmax(1) + 2
    assert (found == label).float().mean() > 0.95
    assert not known.details.grad[:2].any()  # Galaxy Zoo 1 has one label for them


def test_words_of_a_survey_go_before_its_label_and_need_none(data: TrainingData) -> None:  # noqa: F811
    row = data.source.index("survey")
    words, labels = [""] * len(data.label), list(data.label)
    words[row], labels[row] = "SABbc", ""
    leaves = data.leaves.copy()
    leaves[row] = False
    told = replace(data, survey_class=tuple(words), label=tuple(labels), leaves=leaves)
    targets, found = vote_targets(told, TrainConfig(**OPTIONS))  # type: ignore[arg-type]
    assert found is not None
    assert found.labels[targets.survey[row]] == ("survey", "SABbc")
    assert row in told.indices(told.split[row], raw=True)
    assert told.raw_sha256() != data.raw_sha256()


def test_words_of_another_source_say_nothing(data: TrainingData) -> None:  # noqa: F811
    row = data.source.index("clean")
    words = [""] * len(data.label)
    words[row] = "SABbc"
    targets, _ = vote_targets(replace(data, survey_class=tuple(words)), TrainConfig(**OPTIONS))  # type: ignore[arg-type]
    assert targets.survey[row] == -1


def test_another_surveys_transition_is_not_taken(tmp_path: Path) -> None:
    write_votes(tmp_path / "first")
    train(quick(tmp_path / "first", **OPTIONS, num_epochs=1), progress=False)
    checkpoint = tmp_path / "first" / "training" / "checkpoint.pt"
    state = torch.load(checkpoint, weights_only=True)
    assert state["observed"] == ["survey: edge_on", "survey: elliptical"]
    found = {}
    for name, words in {"same": ("", ""), "other": ("Irr", "S0")}.items():
        write_votes(tmp_path / name)
        told = open_training_data(tmp_path / name / "prepared")
        kinds = {"edge_on": words[0], "elliptical": words[1]}
        classes = tuple(kinds.get(label, "") for label in told.label)
        config = TrainConfig(**OPTIONS, initial_weights=str(checkpoint), vote_weight=0.0)  # type: ignore[arg-type]
        trainer = Trainer(replace(told, survey_class=classes), replace(config, topology="residual"), seed=1)
        assert trainer.observation is not None
        found[name] = trainer.observation.logits.detach()
    assert torch.equal(found["same"], state["observation"]["logits"])
    assert not torch.equal(found["other"], state["observation"]["logits"])


def test_a_mark_on_bars_starts_from_the_votes_on_bars() -> None:
    labels = (("ngc", "Sb"), ("ngc", "Sb B"), ("ngc", "Sb barred"), ("ngc", "Sb unbarred"), ("ngc", "S0 or Sa"))
    marked = SurveyReading(labels, leaves_of(*["spiral"] * 5)).details[:, :2].tolist()
    assert marked == [[0.0, 0.0], [0.0, 1.0], [0.0, 1.5], [1.5, 0.0], [0.0, 0.0]]
