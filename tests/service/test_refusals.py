"""A client that is refused again and again gets its refusals later; good requests never wait for that."""

from __future__ import annotations

from dataclasses import replace
from time import monotonic

import pytest
from fastapi.testclient import TestClient

from galclass.config import Config
from galclass.service.http.refusals import BURST_S, MAX_DELAY_S, Refusals
from galclass.service.server.app import create_app

PREDICT = "/v1/services/galaxy-class/1.0/predict"
JPEG = {"Content-Type": "image/jpeg"}


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_second_of_refusals_is_free_and_the_rest_comes_at_the_rate() -> None:
    refusals = Refusals(10, Clock())
    assert [refusals.delay("a") for _ in range(10)] == pytest.approx([0.0] * 10, abs=1e-9)
    assert [refusals.delay("a") for _ in range(3)] == pytest.approx([0.1, 0.2, 0.3])
    assert refusals.delay("b") == 0.0


def test_no_refusal_waits_longer_than_the_limit_and_all_is_forgotten_soon() -> None:
    clock = Clock()
    refusals = Refusals(10, clock)
    assert max(refusals.delay("a") for _ in range(1000)) == MAX_DELAY_S
    clock.now += BURST_S + MAX_DELAY_S
    assert refusals.delay("a") == 0.0


def test_without_a_limit_nothing_waits() -> None:
    refusals = Refusals(0, Clock())
    assert {refusals.delay("a") for _ in range(1000)} == {0.0}


def test_addresses_that_were_refused_long_ago_are_not_kept() -> None:
    clock = Clock()
    refusals = Refusals(10, clock)
    for number in range(10_000):
        refusals.delay(str(number))
    clock.now += 1.0
    refusals.delay("new")
    assert len(refusals._due) == 1


def test_refused_bodies_wait_and_good_images_do_not(
    config: Config, galaxy: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    delays: list[float] = []
    count = Refusals.delay
    monkeypatch.setattr(Refusals, "delay", lambda self, client: delays.append(count(self, client)) or delays[-1])
    slow = replace(config, serve=replace(config.serve, refusals_per_s=1))
    with TestClient(create_app(slow), base_url="http://localhost") as client:

        def status(body: bytes, kind: str = "image/jpeg") -> int:
            return client.post(PREDICT, content=body, headers={"Content-Type": kind}).status_code

        assert [status(galaxy), status(b"no image"), status(b"{", "application/json"), status(galaxy)] == [
            200,
            422,
            400,
            200,
        ]
        started = monotonic()
        assert status(b"no image") == 422
        waited = monotonic() - started
        assert client.get("/v1/services/none/1").status_code == 404
    assert len(delays) == 3  # the good ones and what was not found are not counted
    assert waited >= delays[-1]
