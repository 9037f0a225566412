"""Where images are scored: lone ones together, slow ones one at a time on the machine, only light ones on the loop."""

from __future__ import annotations

import asyncio
import fcntl
import io
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from PIL import Image
from service.hostile import jpeg_of_size, run_length_bmp

from galclass.config import Config
from galclass.cutouts import decode_seconds
from galclass.errors import RequestError
from galclass.scoring import Scorer
from galclass.service.engine import lane as lanes
from galclass.service.engine import scheduling as scoring
from galclass.service.engine.lane import InTurn, SlowLane, is_light, is_quick
from galclass.service.engine.together import Together, share
from galclass.service.server.app import create_app

PATH = "/v1/services/galaxy-class/1.0/predict"


def test_slow_images_are_told_by_header_and_markers(galaxy: bytes) -> None:
    large = io.BytesIO()
    Image.new("RGB", (3000, 3000)).save(large, "JPEG")
    assert is_quick(galaxy)
    assert is_quick(b"no image")
    assert not is_quick(large.getvalue())
    for refused in (run_length_bmp(5000), jpeg_of_size(galaxy, 65_500, 65_500)):
        assert decode_seconds(refused) == 0.0 or not is_quick(refused)


def test_lone_images_are_scored_in_the_quick_threads_and_slow_ones_in_the_lane(
    config: Config, galaxy: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TestClient(create_app(replace(config, serve=replace(config.serve, threads=2)))) as client:  # also on one core
        lone_images_and_slow_ones(client, galaxy, monkeypatch)


def lone_images_and_slow_ones(client: TestClient, galaxy: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[str] = []
    score = Scorer.score

    def noted(self: Scorer, *arguments, **options):
        threads.append(threading.current_thread().name)
        return score(self, *arguments, **options)

    monkeypatch.setattr(Scorer, "score", noted)
    jpeg = {"Content-Type": "image/jpeg"}
    for _ in range(3):
        assert client.post(PATH, content=galaxy, headers=jpeg).status_code == 200
    assert threads[0].startswith("scoring")  # the model has to be loaded
    assert threads[-1].startswith("quick")
    monkeypatch.setattr(lanes, "QUICK_DECODE_S", 0.0)
    threads.clear()
    assert client.post(PATH, content=galaxy, headers=jpeg).status_code == 200
    several = {"files": [("a", (f"{number}.jpg", galaxy)) for number in range(3)]}
    assert len(client.post(PATH, **several).json()["predictions"]) == 3
    assert client.post(PATH.replace("predict", "similar"), content=galaxy, headers=jpeg).status_code == 200
    assert [name.startswith("slow") for name in threads[:5]] == [True] * 5


def test_light_images_are_scored_on_the_loop_of_a_process_with_one_core(
    config: Config, galaxy: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[str] = []
    score = Scorer.score

    def noted(self: Scorer, *arguments, **options):
        threads.append(threading.current_thread().name)
        return score(self, *arguments, **options)

    monkeypatch.setattr(Scorer, "score", noted)
    png = io.BytesIO()
    Image.open(io.BytesIO(galaxy)).resize((64, 64)).save(png, "PNG")
    with TestClient(create_app(replace(config, serve=replace(config.serve, threads=1)))) as client:

        def place_of(image: bytes) -> str:
            assert client.post(PATH, content=image, headers={"Content-Type": "image/jpeg"}).status_code == 200
            return threads[-1].split("-")[0]

        assert [place_of(galaxy) for _ in range(3)][0] == "scoring"  # the model has to be loaded
        assert threads[-1].startswith("asyncio")
        assert place_of(png.getvalue()) == "quick"  # how long it is inflated shows only while it is
        monkeypatch.setattr(lanes, "LIGHT_DECODE_S", 0.0)
        assert place_of(galaxy) == "quick"
        monkeypatch.undo()
        monkeypatch.setattr(Scorer, "score", noted)
        monkeypatch.setattr(scoring, "_STALLED_S", 0.0)
        assert place_of(galaxy).startswith("asyncio")
        assert place_of(galaxy) == "quick"  # a model that kept the loop once never does again


def test_an_image_is_light_by_its_size_and_work(galaxy: bytes) -> None:
    large = io.BytesIO()
    Image.new("RGB", (1200, 1200)).save(large, "JPEG")
    assert is_light(galaxy)
    assert not is_light(galaxy + bytes(lanes.LIGHT_BYTES))
    assert not is_light(large.getvalue())
    assert not is_light(b"no image")


def test_a_slow_image_keeps_its_place_among_quick_ones(galaxies: dict[str, bytes], monkeypatch) -> None:
    from tiny_model import tiny_model

    scorer = Scorer(tiny_model(0))
    keys, images = list(galaxies)[:4], list(galaxies.values())[:4]
    plain = scorer.score(images, object_ids=keys)
    monkeypatch.setattr(lanes, "is_quick", lambda data: data not in (images[1], images[3]))
    lane = SlowLane()
    scored = InTurn(scorer, lane).score(images, object_ids=keys, frame_px=[None] * 4)
    assert [one.object_id for one in scored] == keys
    assert [one.predicted_class for one in scored] == [one.predicted_class for one in plain]
    assert InTurn(scorer, lane).sha256 == scorer.sha256
    lane.close()


HOLDS = """
import sys
from pathlib import Path
from galclass.service.engine.lane import SlowLane
with SlowLane(Path(sys.argv[1])).turn():
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_the_lane_is_one_for_all_processes(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lane = SlowLane(lock)
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout.readline() == "held\n"

        async def scenario() -> None:
            waiting = asyncio.create_task(lane.run(lambda: 5))
            await asyncio.sleep(0.3)
            assert not waiting.done()
            other.kill()  # the kernel lets go of the lock
            assert await asyncio.wait_for(waiting, 10) == 5

        asyncio.run(scenario())
    finally:
        other.kill()
        other.communicate()
    lane.close()


def test_a_lane_without_its_lock_still_works(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    lane = SlowLane(tmp_path / "link")
    assert asyncio.run(lane.run(lambda: 5)) == 5
    assert not (tmp_path / "elsewhere").exists()  # a link that somebody else put there is not followed
    assert "at once" in caplog.text
    lane.close()


def test_more_slow_images_than_may_wait_are_refused() -> None:
    async def scenario() -> None:
        release = threading.Event()
        lane = SlowLane()
        running = [asyncio.create_task(lane.run(release.wait)) for _ in range(lanes.MAX_WAITING + 1)]
        await asyncio.sleep(0)
        with pytest.raises(RequestError, match="is overloaded"):
            await lane.run(release.wait)
        release.set()
        await asyncio.gather(*running)
        assert lane.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("waiting", "rounds"), [(1, [1]), (8, [8]), (9, [5, 4]), (13, [7, 6]), (16, [8, 8]), (17, [6, 6, 5])]
)
def test_those_who_wait_are_answered_in_rounds_of_like_size(waiting: int, rounds: list[int]) -> None:
    sizes = []
    while waiting:
        sizes.append(share(waiting, 8))
        waiting -= sizes[-1]
    assert sizes == rounds


def rounds_of(items: list[tuple[str, int]], *, most: int = 8, rounds: int = 1) -> list[tuple[str, list[int]]]:
    """Add items of keys at one time and give the rounds that ran."""
    ran: list[tuple[str, list[int]]] = []

    async def run(key: str, some: list[int]) -> list[int]:
        ran.append((key, some))
        await asyncio.sleep(0)
        return [-item for item in some]

    async def scenario() -> None:
        together: Together[str, int, int] = Together(run, lambda _: most, rounds, 1000)
        results = await asyncio.gather(*(together.add(key, item) for key, item in items))
        assert results == [-item for _, item in items]

    asyncio.run(scenario())
    return ran


def test_what_arrives_together_runs_together_and_keys_take_turns() -> None:
    assert rounds_of([("a", n) for n in range(9)]) == [("a", [0, 1, 2, 3, 4]), ("a", [5, 6, 7, 8])]
    mixed = [("a", n) for n in range(16)] + [("b", 16)]
    assert [key for key, _ in rounds_of(mixed)] == ["a", "b", "a"]
    assert [len(some) for _, some in rounds_of([("a", n) for n in range(16)], rounds=2)] == [8, 8]


def test_a_round_waits_for_those_whose_clients_answer_at_once() -> None:
    ran: list[int] = []

    async def run(_: str, some: list[int]) -> list[int]:
        ran.append(len(some))
        return some

    async def client(together: Together[str, int, int], turns: int) -> None:
        for item in range(3):
            for _ in range(turns):  # from the response to the next request
                await asyncio.sleep(0)
            await together.add("a", item)

    async def scenario() -> None:
        together: Together[str, int, int] = Together(run, lambda _: 8, 1, 1000)
        await asyncio.gather(*(client(together, turns) for turns in (0, 1, 2, 2)))

    asyncio.run(scenario())
    assert ran == [4, 4, 4]


def test_a_failed_round_fails_its_items_and_no_others() -> None:
    async def run(key: str, some: list[int]) -> list[int]:
        if key == "bad":
            raise ZeroDivisionError
        return some

    async def scenario() -> None:
        together: Together[str, int, int] = Together(run, lambda _: 8, 1, 1000)
        adding = (together.add(key, item) for item, key in enumerate(["bad", "good", "bad"]))
        results = await asyncio.gather(*adding, return_exceptions=True)
        assert [type(one) for one in results] == [ZeroDivisionError, int, ZeroDivisionError]
        assert await together.add("good", 7) == 7

    asyncio.run(scenario())


def test_items_beyond_the_limit_are_refused_and_cancelled_ones_are_left_out() -> None:
    async def scenario() -> None:
        ran: list[list[int]] = []
        release = asyncio.Event()

        async def run(_: str, some: list[int]) -> list[int]:
            ran.append(some)
            await release.wait()
            return some

        together: Together[str, int, int] = Together(run, lambda _: 1, 1, 2)
        first = asyncio.create_task(together.add("a", 0))
        await asyncio.sleep(0.01)
        waiting = [asyncio.create_task(together.add("a", item)) for item in (1, 2)]
        await asyncio.sleep(0.01)
        with pytest.raises(RequestError, match="is overloaded"):
            await together.add("a", 3)
        waiting[0].cancel()
        release.set()
        assert await first == 0
        assert await waiting[1] == 2
        assert ran == [[0], [2]]

    asyncio.run(scenario())


def test_one_client_keeps_nobody_else_out_of_the_lane() -> None:
    async def scenario() -> None:
        release = threading.Event()
        lane = SlowLane()
        lanes.CLIENT.set("greedy")
        running = [asyncio.create_task(lane.run(release.wait)) for _ in range(lanes.MAX_OF_CLIENT)]
        await asyncio.sleep(0)
        with pytest.raises(RequestError, match="slow images of this client"):
            await lane.run(release.wait)
        lanes.CLIENT.set("other")
        running.append(asyncio.create_task(lane.run(release.wait)))
        await asyncio.sleep(0)
        release.set()
        assert await asyncio.gather(*running) == [True] * len(running)
        lanes.CLIENT.set("greedy")
        assert await lane.run(release.wait)  # what is done counts no longer
        assert lane.close()

    asyncio.run(scenario())


def test_the_lane_knows_the_client_of_a_request(client: TestClient, galaxy: bytes, monkeypatch) -> None:
    monkeypatch.setattr(lanes, "QUICK_DECODE_S", 0.0)
    monkeypatch.setattr(lanes, "MAX_OF_CLIENT", 0)
    for path in (PATH, PATH.replace("predict", "similar")):
        answer = client.post(path, content=galaxy, headers={"Content-Type": "image/jpeg"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "overloaded")


def test_a_process_that_never_leaves_the_lane_does_not_end_it(tmp_path: Path, monkeypatch, caplog) -> None:
    monkeypatch.setattr(lanes, "PATIENCE_S", 0.05)
    lane = SlowLane(tmp_path / "lock")
    done = []
    with (tmp_path / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # as a suspended process does
        with lane.turn():
            done.append("late")
        monkeypatch.setattr(lanes, "PATIENCE_S", 1000)
        with lane.turn():
            done.append("at once")
    with lane.turn(), (tmp_path / "lock").open("w") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # held again
    assert done == ["late", "at once"]
    assert caplog.text.count("not leaving the slow lane") == 1
    lane.close()


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority of their own")
def test_slow_images_leave_the_processor_to_the_others() -> None:
    def priority() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    lane = SlowLane()
    assert asyncio.run(lane.run(priority)) == min(priority() + 10, 19)
    lane.close()
