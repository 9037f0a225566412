"""Raw votes of a model: bounds, the walk, and every spelling of a prediction."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.stats import betabinom
from tiny_model import tiny_model, tiny_raw_graph, tiny_raw_model, tiny_signature

from galclass.errors import ModelError
from galclass.morphology import (
    CLASSES,
    QUESTIONS,
    Answer,
    Question,
    group_of,
    gz2_class_from_fractions,
    parse_gz2_class,
)
from galclass.scoring import ROW_COLUMNS, Scorer, Signature
from galclass.scoring.cage import try_model
from galclass.scoring.output import PredictionFile
from galclass.scoring.raw_votes import VotePanel
from galclass.scoring.walk import VoteWalk, walk

TREE = tuple(QUESTIONS.values())
STEMS = tuple(column for question in TREE for column in question.columns)
OF_QUESTION = np.array([number for number, question in enumerate(TREE) for _ in question.answers])


def drawn(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    votes = np.concatenate([random.dirichlet(np.full(len(q.answers), 0.4), count) for q in TREE], axis=1)
    return votes, np.exp(random.uniform(np.log(0.5), np.log(500), (count, len(TREE))))


@pytest.fixture(scope="module")
def raw_scorer() -> Scorer:
    return Scorer(tiny_raw_model(), version=4)


def test_bounds_are_the_beta_binomial_ones_of_those_who_are_asked() -> None:
    votes, spread = drawn(6)
    panel = VotePanel(TREE, 45)
    low, high = panel.bounds(votes, spread)
    asked = np.maximum(np.rint(panel.reach(votes) * 45), 1)[:, OF_QUESTION]
    alpha = votes * spread[:, OF_QUESTION]
    law = betabinom(asked[..., None], alpha[..., None], (spread[:, OF_QUESTION] - alpha)[..., None])
    below = law.cdf(np.arange(46))
    expected_low = (below <= 0.05).sum(axis=2) / asked
    expected_high = (below < 0.95).sum(axis=2) / asked
    np.testing.assert_allclose(low, np.minimum(expected_low, votes), atol=1e-12)
    np.testing.assert_allclose(high, np.maximum(expected_high, votes), atol=1e-12)


def test_the_bounds_cover_what_a_panel_of_volunteers_says() -> None:
    votes, spread = (np.repeat(part, 400, axis=0) for part in drawn(10, seed=3))
    low, high = VotePanel(TREE, 45).bounds(votes, spread)
    random = np.random.default_rng(1)
    alpha = votes[:, :3] * spread[:, :1]
    said = np.array([random.multinomial(45, random.dirichlet(np.maximum(one, 1e-6))) for one in alpha]) / 45
    covered = ((low[:, :3] <= said) & (said <= high[:, :3])).mean()
    assert 0.9 <= covered < 0.985


def test_reach_follows_the_tree() -> None:
    votes, _ = drawn(20)
    by_stem = dict(zip(STEMS, votes.T, strict=True))
    reach = dict(zip(QUESTIONS, VotePanel(TREE, 45).reach(votes).T, strict=True))
    featured, artifact = (
        by_stem[f"t01_smooth_or_features_{a}"] for a in ("a02_features_or_disk", "a03_star_or_artifact")
    )
    np.testing.assert_allclose(reach["t02_edgeon"], featured)
    np.testing.assert_allclose(reach["t05_bulge_prominence"], featured * by_stem["t02_edgeon_a05_no"])
    np.testing.assert_allclose(reach["t06_odd"], 1 - artifact, atol=1e-12)


def test_bounds_hold_the_mean_and_stay_in_range_at_every_extreme() -> None:
    votes = np.zeros((2, 37))
    votes[:, [STEMS.index(question.columns[0]) for question in TREE]] = 1
    votes[1] = [1 / len(TREE[q].answers) for q in OF_QUESTION]
    for spread in (1e-12, 0.5, 500, 1e30):
        for voters in (1, 2, 100):
            low, high = VotePanel(TREE, voters).bounds(votes, np.full((2, 11), spread))
            assert np.isfinite(low).all()
            assert (low >= 0).all()
            assert (high <= 1).all()
            assert (low <= votes).all()
            assert (votes <= high).all()
    low, high = VotePanel(TREE, 45).bounds(np.empty((0, 37)), np.empty((0, 11)))
    assert low.shape == high.shape == (0, 37)


def test_the_walk_on_votes_is_that_of_gz2_class() -> None:
    votes, _ = drawn(300)
    for row, position in zip(votes, VoteWalk(STEMS).classes(votes), strict=True):
        text = gz2_class_from_fractions(dict(zip(STEMS, row.tolist(), strict=True)))
        assert parse_gz2_class(text).leaf == CLASSES[position]


@pytest.mark.parametrize(
    ("largest", "leaf"),
    [
        ({}, "Er"),
        ({"t01_smooth_or_features_a02_features_or_disk": 0.9}, "Se"),
        ({"t01_smooth_or_features_a02_features_or_disk": 0.9, "t02_edgeon_a05_no": 0.9}, "SBd"),
        ({"t01_smooth_or_features_a03_star_or_artifact": 0.9}, "A"),
        ({"t01_smooth_or_features_a02_features_or_disk": 0.1 + 1e-9}, "Er"),
    ],
)
def test_the_first_of_equal_answers_wins(largest: dict[str, float], leaf: str) -> None:
    votes = np.array([[largest.get(stem, 0.1) for stem in STEMS]])
    assert CLASSES[VoteWalk(STEMS).classes(votes)[0]] == leaf
    assert CLASSES[VoteWalk(STEMS).classes(np.round(votes, 7))[0]] == leaf


def test_open_classes_end_at_the_class_unless_a_question_was_not_asked() -> None:
    votes, _ = drawn(300)
    walk_down = VoteWalk(STEMS)
    open_classes = walk_down.open_classes(votes)
    assert (open_classes.sum(axis=1) == 1).all()
    assert (open_classes.argmax(axis=1) == walk_down.classes(votes)).all()
    unasked = votes.copy()
    unasked[:, [STEMS.index(column) for column in QUESTIONS["t03_bar"].columns]] = 0
    wider = walk_down.open_classes(unasked)
    assert (wider >= open_classes).all()
    assert set(wider.sum(axis=1)) == {1, 2}


def test_class_and_group_follow_from_the_raw_votes(raw_scorer: Scorer, galaxies: dict[str, bytes]) -> None:
    differ = 0
    for one in raw_scorer.score(list(galaxies.values())):
        assert tuple(one.raw_vote_fractions) == STEMS
        values = np.array([[v[0] for v in one.raw_vote_fractions.values()]])
        position = VoteWalk(STEMS).classes(values)[0]
        assert (one.predicted_class, one.predicted_group) == (CLASSES[position], group_of(CLASSES[position]))
        assert all(low <= fraction <= high for fraction, low, high in one.raw_vote_fractions.values())
        differ += CLASSES[walk(np.array([one.probabilities]))[0]] != one.predicted_class
    assert differ > 10  # the tiny model's probabilities say something else


def test_the_class_is_in_the_set_where_the_probabilities_lack_it(galaxies: dict[str, bytes]) -> None:
    from galclass.scoring import Conformal

    scorer = Scorer(tiny_raw_model(conformal=Conformal("aps", 0.5)))
    answers = scorer.score(list(galaxies.values()))
    assert all(one.predicted_class in one.prediction_set for one in answers)
    assert any(one.predicted_class == one.prediction_set[-1] for one in answers if len(one.prediction_set) > 1)


def test_record_and_tables_have_raw_votes_last_and_only_with_them(
    raw_scorer: Scorer, galaxies: dict[str, bytes], tmp_path: Path
) -> None:
    good, bad = raw_scorer.score([next(iter(galaxies.values())), b"x"], object_ids=["good", "bad"])
    record = json.loads(json.dumps(good.as_json()))
    assert list(record)[-1] == "raw_vote_fractions"
    assert set(record["raw_vote_fractions"][STEMS[0]]) == {"fraction", "low", "high"}
    assert "raw_vote_fractions" not in bad.as_json()
    (old,) = Scorer(tiny_model(votes=STEMS[:1])).score([next(iter(galaxies.values()))])
    assert (old.raw_vote_fractions, "raw_vote_fractions" in old.as_json()) == ({}, False)
    with PredictionFile(tmp_path / "p.parquet", raw_scorer.signature) as file:
        file.write("a", good)
        file.write("b", bad)
    table = pq.read_table(tmp_path / "p.parquet")
    debiased, raw = ([f"{s}_{k}{b}" for s in STEMS for b in ("", "_low", "_high")] for k in ("debiased", "raw"))
    assert table.column_names == ["file", *ROW_COLUMNS, *debiased, *raw]
    rows = table.to_pylist()
    assert rows[0][f"{STEMS[0]}_raw_high"] == good.raw_vote_fractions[STEMS[0]][2]
    assert all(rows[1][name] is None for name in raw)


def test_a_model_with_raw_votes_alone_has_no_debiased_columns(galaxies: dict[str, bytes]) -> None:
    scorer = Scorer(tiny_raw_model(debiased=False))
    (one,) = scorer.score([next(iter(galaxies.values()))])
    assert one.vote_fractions == {}
    assert len(one.raw_vote_fractions) == 37
    assert try_model(tiny_raw_model(debiased=False)).signature == scorer.signature


def test_a_model_whose_votes_are_none_is_refused() -> None:
    from tiny_model import signed

    model = tiny_raw_graph()
    spread = next(i for i in model.graph.initializer if i.name == "ten")
    spread.CopyFrom(__import__("onnx").numpy_helper.from_array(np.float32(-10), "ten"))
    signature = Scorer(tiny_raw_model()).signature
    with pytest.raises(ModelError, match="not finite or not probabilities"):
        try_model(signed(model, Signature.from_dict({**signature.to_dict(), "probe": None})))


def test_format_2_and_back_is_the_identity() -> None:
    signature = Scorer(tiny_raw_model()).signature
    assert Signature.from_json(signature.to_json()) == signature
    own = tiny_signature(
        format=2, classes=("ring", "no ring"), groups=None, questions=(), raw=False, debiased_concentrations=()
    )
    assert Signature.from_json(own.to_json()) == own
    assert json.loads(own.to_json())["groups"] is None
    assert json.loads(own.to_json())["votes"] is None
    last = Question("q0", (Answer("x", None), Answer("y", None)))
    questions = (Question("q1", (Answer("yes", "q0"), Answer("no", None))), last)
    groups = {"two": ("a", "b"), "one": ("c",)}
    grouped = tiny_signature(format=2, classes=("b", "a", "c"), groups=groups, raw=True, questions=questions)
    back = Signature.from_json(grouped.to_json())
    assert back == grouped
    assert list(back.groups or ()) == ["two", "one"]
    assert back.raw_columns == ("q1_yes", "q1_no", "q0_x", "q0_y")


def test_own_classes_that_the_graph_does_not_give_are_refused() -> None:
    from tiny_model import signed, tiny_graph

    model = signed(tiny_graph(), tiny_signature(format=2, classes=("ring", "no ring"), groups=None))
    with pytest.raises(ModelError, match="has shape \\(n, 13\\), not \\(n, 2\\)"):
        Scorer(model)


def leads_back(values: dict) -> None:
    values["votes"]["questions"][5]["answers"][1]["leads_to"] = "t01_smooth_or_features"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda v: v.pop("votes"), "lacks 'votes'"),
        (lambda v: v.update(votes=None), "outputs.raw_votes must be 0"),
        (lambda v: v.update(groups={"Elliptical": ["Er"]}), "groups must be a list"),
        (lambda v: v["groups"][0]["classes"].pop(), "groups must contain every class once"),
        (lambda v: v.update(classes=["a", "A"]), "classes must be different texts"),
        (lambda v: v.update(classes=["a", "b|c"]), "printable characters without"),
        (lambda v: v["outputs"].update(raw_votes=36), "outputs.raw_votes must be 37"),
        (lambda v: v["outputs"].update(raw_concentrations=True), "outputs.raw_concentrations must be 11"),
        (lambda v: v["votes"].update(voters=101), "votes.voters must be an integer from 1 to 100"),
        (lambda v: v["votes"].update(raw=1), "votes.raw must be true or false"),
        (lambda v: v["votes"].update(raw=False, debiased=False), "votes must be raw or debiased"),
        (lambda v: v["votes"].update(debiased_concentrations=[0.0] * 11), "must be above 0"),
        (lambda v: v["votes"]["questions"][0]["answers"][0].update(leads_to="t99"), "a question that does not exist"),
        (lambda v: v["votes"]["questions"][0]["answers"][0].update(leads_to=["t02_edgeon"]), "does not exist"),
        (lambda v: v["votes"]["questions"][1].update(name="t01_smooth_or_features"), "different texts"),
        (leads_back, "leads back to itself"),
        (lambda v: v.update(format=1), "unknown key 'votes'"),
        (lambda v: v.update(format=True), "another format"),
    ],
)  # fmt: skip
def test_a_fault_of_format_2_is_named(change, told: str) -> None:
    values = json.loads(Scorer(tiny_raw_model()).signature.to_json())
    change(values)
    with pytest.raises(ModelError, match=told):
        Signature.from_dict(values)
