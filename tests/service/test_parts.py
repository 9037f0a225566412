"""The small parts of the service on their own: queue, rate, media types, tables, saliency."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import numpy as np
import pytest

from galclass.errors import RequestError
from galclass.scoring.saliency import eight_views, heat_png, occlusion_map
from galclass.service.engine.pool import ScoringPool
from galclass.service.http.errors import STATUS, status_of
from galclass.service.http.limits import RateLimit
from galclass.service.http.outputs import CSV, JSON, PARQUET, choose_media_type, csv_bytes, etag_of, matches


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until a condition holds."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0)


def test_beyond_its_queue_the_pool_refuses_and_recovers() -> None:
    pool = ScoringPool(threads=1, max_waiting=1)
    release = threading.Event()

    async def scenario() -> None:
        running = [asyncio.create_task(pool.run(release.wait)) for _ in range(2)]
        await until(lambda: pool.pending == 2)
        with pytest.raises(RequestError) as caught:
            await pool.run(release.wait)
        assert (caught.value.code, status_of(caught.value)) == ("overloaded", 503)
        release.set()
        assert await asyncio.gather(*running) == [True, True]
        assert await pool.run(lambda: 5) == 5

    asyncio.run(scenario())
    assert pool.pending == 0
    pool.close()


def test_a_cancelled_request_frees_its_place() -> None:
    pool = ScoringPool(threads=1, max_waiting=1)
    release = threading.Event()

    async def scenario() -> None:
        first = asyncio.create_task(pool.run(release.wait))
        await until(lambda: pool.pending == 1)
        second = asyncio.create_task(pool.run(release.wait))
        await until(lambda: pool.pending == 2)
        second.cancel()
        await until(lambda: pool.pending == 1)
        release.set()
        await first

    asyncio.run(scenario())
    pool.close()


def test_a_rate_refills_with_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("galclass.service.http.limits.monotonic", lambda: clock[0])
    rate = RateLimit(60)
    assert all(rate.allows("a") for _ in range(60))
    assert not rate.allows("a")
    assert rate.allows("b")
    clock[0] += 1.01
    assert rate.allows("a")
    assert not rate.allows("a")


def test_processes_that_share_a_file_share_the_rate(tmp_path: Path) -> None:
    first, second = (RateLimit(60, tmp_path / "rates", b"secret") for _ in range(2))
    assert sum(rate.allows("a") for rate in (first, second) * 60) == 60
    assert second.allows("b")


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, JSON),
        ("*/*", JSON),
        ("text/csv", CSV),
        ("text/*", CSV),
        ("application/json;q=0.5, text/csv", CSV),
        ("text/html, */*;q=0.1", JSON),
        ("application/vnd.apache.parquet", PARQUET),
        ("text/csv;q=0, application/json", JSON),
    ],
)
def test_the_media_type_follows_accept(accept: str | None, chosen: str) -> None:
    assert choose_media_type(accept) == chosen


@pytest.mark.parametrize("accept", ["image/png", "text/csv;q=0", "nonsense", "text/csv;q=x"])
def test_an_unknown_media_type_is_not_acceptable(accept: str) -> None:
    with pytest.raises(RequestError) as caught:
        choose_media_type(accept)
    assert caught.value.code == "not_acceptable"


def test_a_table_runs_no_formula_of_a_hostile_id() -> None:
    text = csv_bytes(
        [{"object_id": '=cmd|"/c calc"', "set": ["Sb", "Sc"], "error": None}], ("object_id", "set", "error")
    ).decode()
    assert text == 'object_id,set,error\n"\'=cmd|""/c calc""",Sb|Sc,\n'


def test_an_etag_tells_parts_apart_and_is_matched_weakly() -> None:
    assert etag_of("ab", b"c") != etag_of("a", b"bc")
    etag = etag_of("a")
    assert matches(f'"x", W/{etag}', etag)
    assert matches("*", etag)
    assert not matches('"x"', etag)
    assert not matches(None, etag)


def test_every_status_is_one_that_http_knows() -> None:
    assert all(HTTPStatus(status) >= 400 for status in STATUS.values())


def test_the_saliency_map_is_high_where_the_answer_hangs_on() -> None:
    def bright_corner(cutouts: np.ndarray) -> np.ndarray:
        share = cutouts[:, :16, :16].mean(axis=(1, 2, 3)) / 255
        rest = np.repeat((1 - share[:, None]) / 12, 12, axis=1)
        return np.concatenate([share[:, None], rest], axis=1).astype(np.float32)

    cutout = np.zeros((64, 64, 3), np.uint8)
    cutout[:16, :16] = 255
    heat = occlusion_map(cutout, bright_corner, 0)
    assert heat[:16, :16].mean() > 10 * heat[32:, 32:].mean()
    assert heat_png(heat).startswith(b"\x89PNG")
    assert heat_png(np.zeros((64, 64), np.float32)).startswith(b"\x89PNG")


def test_the_eight_views_are_all_different_and_begin_with_the_cutout() -> None:
    cutout = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    views = [view for _, _, view in eight_views(cutout)]
    assert np.array_equal(views[0], cutout)
    assert len({view.tobytes() for view in views}) == 8


def test_requests_that_come_together_read_the_service_once(config, monkeypatch: pytest.MonkeyPatch) -> None:
    from galclass.service.engine.published import PublishedServices
    from galclass.service.engine.state import ServiceState

    state = ServiceState(config)
    reads = []
    original = PublishedServices.look_up

    def counted(self: PublishedServices, name: str, version: str):
        reads.append(name)
        return original(self, name, version)

    monkeypatch.setattr(PublishedServices, "look_up", counted)

    async def together() -> None:
        found = await asyncio.gather(*(state.resolve("galaxy-class", "1.0") for _ in range(20)))
        assert {one.model.version for one in found} == {1}
        with pytest.raises(RequestError, match="unknown service"):
            await state.resolve("nothing", "1.0")

    asyncio.run(together())
    assert reads == ["galaxy-class", "nothing"]
    state.pool.close()
    state.database.close()
