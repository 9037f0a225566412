"""Settings of the server that no other test names: each reaches the part that it limits."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from galclass.config import Config
from galclass.database.jobs.rows import JobImage
from galclass.database.types import now
from galclass.errors import RequestError
from galclass.service.engine.state import ServiceState
from galclass.service.http.inputs import ImageInput

HOST = "cutouts.example.org"


def state_with(config: Config, **settings: object) -> ServiceState:
    return ServiceState(replace(config, serve=replace(config.serve, **settings)))  # type: ignore[arg-type]


@pytest.fixture
def by_url() -> tuple[ImageInput, ...]:
    return (ImageInput("1", b"", url="https://other.example.org/a.jpg"),)


@pytest.mark.parametrize(("hosts", "refusal"), [((), "fetches no URLs"), ((HOST,), "its host is not allowed")])
def test_url_hosts_lists_what_may_be_fetched(
    config: Config, by_url: tuple[ImageInput, ...], hosts: tuple[str, ...], refusal: str
) -> None:
    fetcher = state_with(config, url_hosts=hosts).fetcher
    with pytest.raises(RequestError, match=refusal):
        asyncio.run(fetcher.fill(by_url))


@pytest.mark.parametrize("days", [1, 30])
def test_results_of_a_job_are_kept_for_job_days(config: Config, days: int) -> None:
    before = now()
    job = state_with(config, job_days=days).jobs.submit("galaxy-class", "1.0", "me", [JobImage("a", b"x")])
    assert before + timedelta(days=days) <= job.expires_at <= now() + timedelta(days=days)
