"""Loaded models are loaded once, and the least recently used is dropped."""

from __future__ import annotations

import threading

import pytest
from tiny_model import tiny_model

from galclass.errors import ModelError
from galclass.scoring import Scorer
from galclass.scoring.loaded import LoadedScorers


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer(tiny_model())


def test_a_load_that_fails_is_tried_again(scorer: Scorer) -> None:
    loaded: LoadedScorers[str] = LoadedScorers(2)

    def fail() -> Scorer:
        raise ModelError("damaged")

    with pytest.raises(ModelError):
        loaded.get("a", fail)
    assert "a" not in loaded
    assert loaded.get("a", lambda: scorer) is scorer


def test_the_least_recently_used_is_dropped(scorer: Scorer) -> None:
    loaded: LoadedScorers[str] = LoadedScorers(2)
    for key in ("a", "b", "a", "c"):
        loaded.get(key, lambda: scorer)
    assert [key in loaded for key in "abc"] == [True, False, True]


def test_threads_wait_for_one_load(scorer: Scorer) -> None:
    loaded: LoadedScorers[str] = LoadedScorers(2)
    loads, begun, go = [], threading.Event(), threading.Event()

    def load() -> Scorer:
        loads.append(1)
        begun.set()
        assert go.wait(30)
        return scorer

    threads = [threading.Thread(target=loaded.get, args=("a", load)) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert begun.wait(30)
    go.set()
    for thread in threads:
        thread.join(30)
    assert loads == [1]
