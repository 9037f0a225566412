"""Training the distribution of raw votes: what labels say of it, the loss, a whole run, and how it is resumed."""

from __future__ import annotations

import math
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow as pa
import pytest
import torch
from train.drawn_galaxies import quick, write_prepared
from train.drawn_votes import OPTIONS, outputs, write_votes

from galclass.catalog.raw_counts import raw_counts
from galclass.catalog.votes import STEMS
from galclass.config import TrainConfig
from galclass.errors import ConfigError, TrainingError
from galclass.morphology import CLASSES, GROUPS, QUESTIONS
from galclass.scoring import Scorer
from galclass.scoring.cage import try_model
from galclass.scoring.walk import VoteWalk
from galclass.train import train
from galclass.train.dataset import TrainingData, open_training_data
from galclass.train.events import clean_probabilities, largest_probabilities, log_votes, plurality_of_three
from galclass.train.likelihood import vote_targets, votes_log_likelihood
from galclass.train.progress import Reporter
from galclass.train.raw_votes import (
    concentrations,
    dirichlets,
    largest_kind,
    leaves_by_votes,
    mean_votes,
)


def table_of(**columns: list[float | None]) -> pa.Table:
    return pa.table({name: pa.array(values, pa.float32()) for name, values in columns.items()})


def test_counts_are_total_times_fractions_down_the_tree() -> None:
    counts = raw_counts(
        table_of(
            total_classifications=[40.0, None],
            t01_smooth_or_features_a01_smooth_fraction=[0.25, 0.5],
            t01_smooth_or_features_a02_features_or_disk_fraction=[0.75, 0.5],
            t01_smooth_or_features_a03_star_or_artifact_weighted_fraction=[0.0, 0.0],
            t02_edgeon_a04_yes_weighted_fraction=[0.2, None],
            t02_edgeon_a05_no_weighted_fraction=[0.8, None],
            t04_spiral_a08_spiral_weighted_fraction=[0.5, None],
            t04_spiral_a09_no_spiral_weighted_fraction=[0.5, None],
        )
    )
    of = {stem: counts[:, STEMS.index(stem)] for stem in STEMS}
    assert of["t01_smooth_or_features_a01_smooth"].tolist() == [10, 22.5]
    assert of["t02_edgeon_a04_yes"] == pytest.approx([6, 0])
    assert of["t02_edgeon_a05_no"] == pytest.approx([24, 0])
    assert of["t04_spiral_a08_spiral"] == pytest.approx([12, 0])
    assert counts.sum(1) == pytest.approx([40 + 30 + 24, 45])


def test_table_without_votes_has_no_counts() -> None:
    assert not raw_counts(pa.table({"label": ["Er"]})).any()
    assert largest_kind(pa.table({"label": ["Er"]})).tolist() == [-1]
    assert largest_kind(pa.table({"largest": ["odd", None, "bar"]})).tolist() == [3, -1, -1]


def test_each_label_says_its_event_and_no_other(data: TrainingData) -> None:
    targets, reading = vote_targets(data, TrainConfig(**OPTIONS))  # type: ignore[arg-type]
    said = {
        "votes": targets.counts.sum(1) > 0,
        "clean": targets.clean >= 0,
        "survey": targets.survey >= 0,
    }
    for name, rows in said.items():
        assert rows.tolist() == [source == name for source in data.source]
    assert (targets.largest >= 0).tolist() == [source != "votes" for source in data.source]
    assert reading is not None
    assert reading.labels == (("survey", "edge_on"), ("survey", "elliptical"))
    assert not targets.artifact.any()
    assert targets.says.all()


def test_object_with_votes_is_trained_by_them_alone(data: TrainingData) -> None:
    first = data.source.index("clean")
    ids = list(data.object_id)
    ids[first] = data.object_id[data.source.index("votes")]
    targets, _ = vote_targets(replace(data, object_id=tuple(ids)), TrainConfig(**OPTIONS))  # type: ignore[arg-type]
    assert targets.clean[first] == -1
    assert targets.largest[first] == -1


def test_label_that_no_clean_sample_has_is_refused(data: TrainingData) -> None:
    config = TrainConfig(**(OPTIONS | {"clean_sources": ("survey",)}))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="not a kind of the clean samples"):
        vote_targets(data, config)


def test_frequencies_in_nature_must_name_every_kind(data: TrainingData) -> None:
    config = TrainConfig(**OPTIONS, natural={"clean": {"edge_on": 1.0}})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="frequencies in nature are missing"):
        vote_targets(data, config)
    config = replace(config, natural={"clean": {"edge-on": 1.0}})
    with pytest.raises(ConfigError, match="no such label"):
        vote_targets(data, config)


def test_likelihood_is_that_of_the_events(data: TrainingData) -> None:
    config = TrainConfig(**OPTIONS)  # type: ignore[arg-type]
    targets, reading = vote_targets(data, config)
    given = outputs(len(data.label))
    assert given.raw is not None
    assert reading is not None
    alphas = dirichlets(given.raw)
    found = votes_log_likelihood(given, targets, reading, 1.0).detach()
    votes, clean, weak, survey = (data.source.index(name) for name in ("votes", "clean", "weak", "survey"))
    counts = targets.counts[votes : votes + 1, :3]
    assert found[votes] == pytest.approx(log_votes(counts, alphas["t01_smooth_or_features"][votes, None]).item())
    largest = torch.log(largest_probabilities(alphas))
    kind = torch.log(clean_probabilities(alphas)[clean, targets.clean[clean]])
    assert found[clean] == pytest.approx((kind + largest[clean, targets.largest[clean]]).item(), rel=1e-4)
    assert found[weak] == pytest.approx(largest[weak, targets.largest[weak]].item(), rel=1e-4)
    read = reading(given.logits)[survey, targets.survey[survey]] + largest[survey, targets.largest[survey]]
    assert found[survey] == pytest.approx(read.item(), rel=1e-4)


def test_chosen_objects_are_compared_with_the_others_that_were_chosen(data: TrainingData) -> None:
    natural = {"completely_round_smooth": 1.0, "in_between_smooth": 1.0, "cigar_shaped_smooth": 1.0}
    natural |= {"edge_on": 2.0, "spiral": 1.0}
    config = TrainConfig(**OPTIONS, natural={"clean": natural})  # type: ignore[arg-type]
    targets, _ = vote_targets(data, config)
    assert targets.clean_rate.tolist() == [1, 0, 0, 0.5, 0]  # as many of each, of a kind twice as common
    targets = replace(targets, largest=torch.full_like(targets.largest, -1))
    given = outputs(len(data.label))
    assert given.raw is not None
    p = clean_probabilities(dirichlets(given.raw))
    row = data.source.index("clean")
    own = p[row, targets.clean[row]] * targets.clean_rate[targets.clean[row]]
    expected = torch.log(own / (p[row, 0] + 0.5 * p[row, 3]))
    assert votes_log_likelihood(given, targets, None, 1.0)[row] == pytest.approx(expected.item(), rel=1e-3)


def test_artifact_is_the_plurality_and_another_label_is_one_volunteers_word(data: TrainingData) -> None:
    labels, source = list(data.label), list(data.source)
    rows = [data.source.index("clean"), data.source.index("survey")]
    labels[rows[0]], labels[rows[1]] = "A", "spiral"
    source[rows[0]] = source[rows[1]] = "mine"
    leaves = data.leaves.copy()
    for row, name in zip(rows, ("A", "spiral"), strict=True):
        leaves[row] = [leaf == "A" if name == "A" else leaf not in ("A", "Se", "Er", "Ei", "Ec") for leaf in CLASSES]
    changed = replace(
        data, label=tuple(labels), source=tuple(source), leaves=leaves, largest=np.full(len(labels), -1, np.int64)
    )
    targets, _ = vote_targets(changed, TrainConfig(**OPTIONS))  # type: ignore[arg-type]
    assert targets.artifact.tolist() == [row == rows[0] for row in range(len(labels))]
    given = outputs(len(labels))
    assert given.raw is not None
    found = votes_log_likelihood(given, targets, None, 1.0)
    most = plurality_of_three(dirichlets(given.raw)["t01_smooth_or_features"])[rows[0], 2]
    assert found[rows[0]] == pytest.approx(math.log(most), rel=1e-4)
    assert found[rows[1]] == pytest.approx(torch.logsumexp(given.logits[rows[1], 4:12], 0).item(), rel=1e-4)


def test_absent_labels_train_nothing(data: TrainingData) -> None:
    config = TrainConfig(type="votes")
    nothing = replace(
        data,
        label=("",) * len(data.label),
        leaves=np.zeros_like(data.leaves),
        counts=np.zeros_like(data.counts),
        largest=np.full_like(data.largest, -1),
        votes=np.full_like(data.votes, np.nan),
    )
    targets, reading = vote_targets(nothing, config)
    given = outputs(len(data.label))
    assert given.raw is not None
    given.raw.requires_grad_()
    total = votes_log_likelihood(given, targets, None, 1.0)
    total.sum().backward()
    assert not targets.says.any()
    assert reading is None
    assert total.tolist() == [0.0] * len(data.label)
    assert not given.raw.grad.any()  # type: ignore[union-attr]


def test_means_sum_to_one_and_concentrations_are_bounded() -> None:
    raw = torch.full((1, 48), 1e4)
    raw[:, 0] = -1e4
    start = 0
    for question in QUESTIONS.values():
        part = mean_votes(raw)[:, start : start + len(question.answers)]
        assert part.sum().item() == pytest.approx(1)
        assert part.min() > 0
        start += len(question.answers)
    assert concentrations(raw).max() == pytest.approx(500)


def test_votes_are_learned_and_exported(tmp_path: Path) -> None:
    write_votes(tmp_path, 96)
    config = quick(tmp_path, **OPTIONS, num_epochs=6, learning_rate=0.01, validation_views=1)
    summary = train(config, progress=False)
    assert summary.metrics["validation_first_question"] >= 0.9
    assert summary.metrics["validation_first_question_rmse"] < 0.2
    scorer = Scorer(summary.model)
    store = open_training_data(tmp_path / "prepared").store
    session = onnxruntime.InferenceSession(summary.model)
    pixels = np.ascontiguousarray(store.central(np.arange(8)).transpose(0, 3, 1, 2))
    raw, spread = session.run(["raw_votes", "raw_concentrations"], {"cutouts": pixels})
    assert raw.shape == (8, 37)
    assert spread.shape == (8, 11)
    assert raw[:, :3].sum(1) == pytest.approx(np.ones(8), abs=1e-5)
    assert (raw[::2, 0] > 0.5).all()
    assert (raw[1::2, 0] < 0.5).all()
    assert scorer.signature.vote_columns == STEMS
    assert scorer.signature.raw_columns == STEMS
    assert scorer.signature.unlike is None  # too few galaxies


def test_a_model_of_votes_has_sets_a_flag_and_format_2(tmp_path: Path) -> None:
    write_votes(tmp_path, 640)
    summary = train(quick(tmp_path, **OPTIONS, num_epochs=1), progress=False)
    scorer = try_model(Path(summary.model).read_bytes())
    signature = scorer.signature
    assert (signature.format, signature.raw_columns, signature.vote_columns) == (2, STEMS, STEMS)
    assert len(signature.debiased_concentrations) == len(QUESTIONS)
    assert signature.conformal is not None
    assert (signature.calibration or {})["set_objects"] >= 50
    assert signature.unlike is not None
    assert signature.unlike.rest is not None
    data = open_training_data(tmp_path / "prepared")
    rows = np.flatnonzero(np.array(data.split) == "validation")
    answers = Scorer(summary.model).predict_cutouts(data.store.central(rows), object_ids=[str(row) for row in rows])
    assert all(one.predicted_class in one.prediction_set for one in answers)
    assert np.mean(["unlike_training_data" in one.flags for one in answers]) <= 0.02
    truth = leaves_by_votes(data.counts[rows])
    pairs = [(one, row) for one, row in zip(answers, truth, strict=True) if row.any()]
    assert len(pairs) >= 50
    assert np.mean([any(row[CLASSES.index(leaf)] for leaf in one.prediction_set) for one, row in pairs]) >= 0.9


def test_votes_leave_open_what_nobody_was_asked() -> None:
    random = np.random.default_rng(0)
    counts = random.random((300, len(STEMS)))
    whole = leaves_by_votes(counts)
    assert (whole.sum(1) == 1).all()
    assert (whole.argmax(1) == VoteWalk(STEMS).classes(counts)).all()
    counts[:, 3:] = 0
    kinds = {frozenset(np.array(CLASSES)[row]) for row in leaves_by_votes(counts)}
    featured = frozenset((*GROUPS["Spiral"], *GROUPS["BarredSpiral"]))
    assert kinds == {frozenset(GROUPS["Elliptical"]), featured, frozenset("A")}
    assert not leaves_by_votes(np.zeros((1, len(STEMS)))).any()


def test_type_votes_needs_something_said_about_votes(tmp_path: Path) -> None:
    write_prepared(tmp_path / "prepared", ["merger", None] * 12)
    with pytest.raises(TrainingError, match="no labelled objects"):
        train(quick(tmp_path, **OPTIONS), progress=False)


def test_interrupted_votes_run_ends_with_the_weights_of_an_uninterrupted_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("whole", "halves"):
        write_votes(tmp_path / name)
    options = OPTIONS | {"num_epochs": 2}
    train(quick(tmp_path / "whole", **options), progress=False)
    count = 0

    def interrupt(self: Reporter, step: int, steps: int) -> None:
        nonlocal count
        count += 1
        if count == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Reporter, "step", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(quick(tmp_path / "halves", **options), progress=False)
    train(quick(tmp_path / "halves", **options), resume=True, progress=False)
    states = [
        torch.load(tmp_path / name / "training" / "checkpoint.pt", weights_only=True) for name in ("whole", "halves")
    ]
    for part in ("network", "answering", "best", "observation"):
        for key, value in states[0][part].items():
            assert torch.equal(value, states[1][part][key]), (part, key)
