"""Models are tried in a limited process; what they give later is checked too, and ends at a deadline."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cachetools import TLRUCache
from hostile_models import constant_of, insert_after, model, scaled, slow
from onnx import ModelProto, helper, numpy_helper
from tiny_model import SIZE_PX, signed, tiny_graph, tiny_model, tiny_signature

from galclass.errors import ModelError
from galclass.morphology import QUESTIONS
from galclass.scoring import Scorer, cage, check_probe
from galclass.scoring.cage import try_model
from galclass.scoring.limits import MEMORY_VARIABLE, SECONDS_VARIABLE
from galclass.scoring.trial import try_outputs
from galclass.scoring.verdicts import FOLDER_VARIABLE, Verdict, keep, recall, verdict_path
from galclass.scoring.watchdog import Watchdog


def nothing(graph: ModelProto) -> None:
    """Change nothing."""


def rows_depend_on_their_number(graph: ModelProto) -> None:
    """Add the batch's mean embedding to every row."""
    nodes = [
        helper.make_node("ReduceMean", ["own"], ["all"], axes=[0], keepdims=1),
        helper.make_node("Add", ["own", "all"], ["embedding"]),
    ]
    insert_after(graph, "Tanh", "own", nodes)


def drawn_by_chance(graph: ModelProto) -> None:
    """Leave out a third of the embedding, as in training."""
    values = {"share": np.float32(0.3), "training": np.array(True)}
    graph.graph.initializer.extend(numpy_helper.from_array(np.asarray(value), name) for name, value in values.items())
    insert_after(
        graph, "Tanh", "own", [helper.make_node("Dropout", ["own", "share", "training"], ["embedding"], seed=1)]
    )


def fewer_columns(graph: ModelProto) -> None:
    """Return 12 probabilities, under a shape that is known only when the graph runs."""
    kept = np.arange(13) < 12
    graph.graph.initializer.append(numpy_helper.from_array(kept, "kept"))
    insert_after(graph, "Softmax", "all", [helper.make_node("Compress", ["all", "kept"], ["probabilities"], axis=1)])


UNSOUND = {
    "values of 900": (scaled("probabilities", 900), "not probabilities"),
    "negative values": (scaled("probabilities", -1), "not probabilities"),
    "an embedding that is NaN": (scaled("embedding", float("nan")), "not probabilities"),
    "an infinite embedding": (scaled("embedding", float("inf")), "not probabilities"),
    "sums of a half": (scaled("probabilities", 0.5), "do not sum to 1"),
    "fewer columns": (fewer_columns, "outputs do not match its signature"),
    "rows that depend on others": (rows_depend_on_their_number, "depends on the rest of the batch"),
    "chance": (drawn_by_chance, "depends on the rest of the batch"),
}


@pytest.mark.parametrize("name", UNSOUND)
def test_a_model_that_gives_no_predictions_is_found(name: str) -> None:
    change, match = UNSOUND[name]
    with pytest.raises(ModelError, match=match):
        try_outputs(Scorer(model(change)))


def test_exclusive_answers_must_sum_to_one() -> None:
    votes = QUESTIONS["t03_bar"].columns
    graph = tiny_graph(vote_columns=len(votes))
    with pytest.raises(ModelError, match="do not sum to 1 .*t03_bar"):
        try_outputs(Scorer(signed(graph, tiny_signature(vote_columns=votes))))


def test_an_honest_model_passes_with_and_without_a_probe() -> None:
    assert try_model(tiny_model()).difference == pytest.approx(0, abs=1e-6)
    assert try_model(model(nothing)).difference is None


def test_the_process_tells_what_is_wrong() -> None:
    with pytest.raises(ModelError, match=r"galaxy@2: it returns values that are not finite or not probabilities"):
        try_model(model(scaled("probabilities", 900)), where="galaxy@2")


class _Trials:
    """Counts the processes that are started, and starts them or fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.count = 0
        monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
        self.now = 1000.0
        monkeypatch.setattr(cage, "_tried", TLRUCache(8, cage._forgotten_at, timer=lambda: self.now))
        self._start = cage.start_isolated
        monkeypatch.setattr(cage, "start_isolated", self.start)

    def start(self, *arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        self.count += 1
        return self._start(*arguments, **options)


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> _Trials:
    return _Trials(monkeypatch, tmp_path / "cache")


def test_a_machine_tries_a_sound_model_once(trials: _Trials) -> None:
    for _ in range(2):
        assert try_model(tiny_model()).difference == pytest.approx(0, abs=1e-6)
        cage._tried.clear()  # as in another process
    assert trials.count == 1


@pytest.mark.parametrize("spoil", ["others may write", "a link", "no JSON", "nested", "of another model", "a text"])
def test_a_verdict_that_cannot_be_trusted_counts_for_nothing(
    spoil: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    facts = {"sha256": "0f", "seconds": 30.0}
    keep(facts, Verdict(0.25))
    assert recall(facts) == Verdict(0.25)
    assert recall({**facts, "seconds": 29.0}) is None
    path = verdict_path(facts)
    if spoil == "others may write":
        path.parent.chmod(0o777)
    elif spoil == "a link":
        path.rename(tmp_path / "elsewhere.json")
        path.symlink_to(tmp_path / "elsewhere.json")
    else:
        written = path.read_text()
        texts = {"no JSON": "{", "nested": "[" * 4000, "of another model": written.replace("0f", "1f")}
        path.write_text(texts.get(spoil, written.replace("0.25", '"much"')))
    assert recall(facts) is None


def test_without_a_folder_for_verdicts_models_are_tried_all_the_same(
    trials: _Trials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "file"))
    assert try_model(tiny_model()).difference == pytest.approx(0, abs=1e-6)
    assert trials.count == 1


def test_a_refusal_holds_for_a_while_under_the_name_that_is_asked_for(trials: _Trials) -> None:
    loud = model(scaled("probabilities", 900))
    for name, seconds, count in (("galaxy@1", 0, 1), ("galaxy@2", 590, 1), ("galaxy@3", 20, 2)):
        trials.now += seconds
        with pytest.raises(ModelError, match=f"{name}: it returns values"):
            try_model(loud, where=name)
        assert trials.count == count


def test_a_tampered_probe_is_found_in_the_process() -> None:
    tampered = signed(tiny_graph(seed=2), Scorer(tiny_model(seed=1)).signature)
    with pytest.raises(ModelError, match="probe image"):
        try_model(tampered)


def test_billions_of_elements_are_refused_and_the_process_lives() -> None:
    with pytest.raises(ModelError, match="more memory than models are allowed"):
        try_model(model(constant_of(6_000_000_000)))


def test_a_run_ends_at_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECONDS_VARIABLE, "0.3")
    scorer = Scorer(model(slow(400)))
    started = time.monotonic()
    with pytest.raises(ModelError, match=r"takes too long and was stopped \(expected at most 0.3 s\)"):
        scorer.score_cutouts(np.zeros((1, SIZE_PX, SIZE_PX, 3), np.uint8))
    assert time.monotonic() - started < 10  # all of it takes a minute


def test_the_deadline_of_one_run_is_not_that_of_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECONDS_VARIABLE, "0.3")
    slow_one, quick_one = Scorer(model(slow(400))), Scorer(tiny_model())
    with pytest.raises(ModelError):
        slow_one.score_cutouts(np.zeros((1, SIZE_PX, SIZE_PX, 3), np.uint8))
    assert check_probe(quick_one) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("value", ["soon", "-1", "0", "nan", "1e99"])
def test_a_limit_that_is_no_number_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    for variable in (SECONDS_VARIABLE, MEMORY_VARIABLE):
        monkeypatch.setenv(variable, value)
        with pytest.raises(ModelError, match=variable):
            Scorer(tiny_model())
        monkeypatch.delenv(variable)


def test_the_watchdog_stops_what_is_late_and_nothing_else() -> None:
    dog, stopped = Watchdog(tick_s=0.01), []
    dog.watch(lambda: stopped.append("late"), 0.02)
    dog.watch(lambda: stopped.append("early"), 60)
    dog.unwatch(dog.watch(lambda: stopped.append("done"), 0.0))
    _until(lambda: stopped == ["late"])


def test_the_watchdog_wakes_again_after_it_slept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("galclass.scoring.watchdog._AWAKE_TICKS", 1)
    dog, stopped = Watchdog(tick_s=0.001), []
    for number in range(5):
        dog.watch(lambda number=number: stopped.append(number), 0.0)
        _until(lambda number=number: stopped == list(range(number + 1)))
        _until(lambda: dog._asleep)


def test_the_watchdog_stops_everything_when_told() -> None:
    dog, stopped = Watchdog(), []
    dog.stop_when(lambda: True, 0.001)
    dog.watch(lambda: stopped.append("run"), 60)
    _until(lambda: stopped == ["run"])


def _until(condition) -> None:
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError("it did not come about")


def sometimes_nan(graph: ModelProto) -> None:
    """Divide by zero where an image has a black pixel."""
    nodes = [
        helper.make_node("ReduceMin", ["as_float"], ["darkest"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Div", ["darkest", "darkest"], ["one"]),
        helper.make_node("Unsqueeze", ["one", "last"], ["column"]),
        helper.make_node("Mul", ["sound", "column"], ["probabilities"]),
    ]
    graph.graph.initializer.append(numpy_helper.from_array(np.array([1]), "last"))
    insert_after(graph, "Softmax", "sound", nodes)


def test_a_row_without_probabilities_is_an_error_and_the_others_are_answered() -> None:
    scorer = Scorer(model(sometimes_nan))
    cutouts = np.random.default_rng(0).integers(1, 256, (5, SIZE_PX, SIZE_PX, 3), dtype=np.uint8)
    cutouts[[1, 4], 0, 0] = 0
    answers = scorer.predict_cutouts(cutouts, object_ids=list("abcde"))
    assert [answer.object_id for answer in answers] == list("abcde")
    assert [answer.error.code if answer.error else None for answer in answers] == [
        None, "model_fault", None, None, "model_fault",
    ]  # fmt: skip
    assert answers[1].probabilities is None
    assert answers[1].predicted_class is None
    alone = scorer.predict_cutouts(cutouts[[0, 2, 3]], object_ids=list("acd"))
    assert [answer.probabilities for answer in answers if not answer.error] == [a.probabilities for a in alone]
    with pytest.raises(ModelError, match="not probabilities"):
        scorer.score_cutouts(cutouts)
