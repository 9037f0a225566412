"""Jobs on both databases: workers that are lost, images that kill them, and clients that would keep others waiting."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from tiny_model import tiny_model

from galclass.cutouts.headers import decode_seconds
from galclass.database import Database
from galclass.database.jobs import queue as job_queue
from galclass.database.jobs.queue import LOST_S, MAX_TAKEOVERS, MAX_TRIES, Claim, JobItem, JobQueue
from galclass.database.jobs.quotas import client_of
from galclass.database.jobs.rows import CHUNK, JobImage
from galclass.database.jobs.submit import Jobs
from galclass.database.types import now
from galclass.scoring import ImageFault, Prediction, Scorer

MODEL = Scorer(tiny_model(0)).model


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = now()

    def __call__(self) -> datetime:
        return self.now

    def lose(self) -> None:
        """Let everybody's last sign of life be too old."""
        self.now += timedelta(seconds=LOST_S + 1)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(either: Database, clock: Clock) -> JobQueue:
    return JobQueue(either, clock)


@pytest.fixture
def jobs(either: Database) -> Jobs:
    return Jobs(either, 7)


def submit(jobs: Jobs, client: str, count: int, name: str = "a") -> str:
    return jobs.submit("galaxy-class", "1.0", client, [JobImage(f"{name}{n}", b"x" * 100) for n in range(count)]).id


def results_of(items: list[JobItem]) -> list[Prediction]:
    return [Prediction(item.object_id, MODEL, error=ImageFault("empty", "no image")) for item in items]


def work(queue: JobQueue) -> Claim:
    """Score a chunk, as a worker does."""
    claim = queue.claim()
    assert claim is not None
    items = queue.next_items(claim)
    assert queue.save(claim, items, results_of(items))
    return claim


def test_a_lost_worker_can_save_nothing_and_is_told_so(jobs: Jobs, queue: JobQueue, clock: Clock) -> None:
    job_id = submit(jobs, "a", 20)
    lost = queue.claim()
    items = queue.next_items(lost)
    assert queue.claim() is None
    clock.lose()
    second = queue.claim()
    assert second.job.id == job_id
    assert not queue.beat(lost)
    assert not queue.save(lost, items, results_of(items))
    queue.finish(lost, "a reason of the lost one")
    queue.release(lost)
    assert (jobs.get(job_id).state, jobs.get(job_id).done) == ("running", 0)
    assert queue.beat(second)
    chunk = queue.next_items(second)
    assert [item.object_id for item in chunk] == ["a0"]  # one by one, where a worker was lost
    assert queue.save(second, chunk, results_of(chunk))
    while jobs.get(job_id).state == "running":
        work(queue)
    assert (jobs.get(job_id).state, jobs.get(job_id).done) == ("done", 20)
    assert [record["object_id"] for _, record in jobs.results(job_id, -1, 100)[1]] == [f"a{n}" for n in range(20)]


def test_signs_of_life_keep_a_slow_chunk_with_its_worker(jobs: Jobs, queue: JobQueue, clock: Clock) -> None:
    submit(jobs, "a", 1)
    claim = queue.claim()
    for _ in range(10):
        clock.now += timedelta(seconds=LOST_S - 1)
        assert queue.beat(claim)
        assert queue.claim() is None
    items = queue.next_items(claim)
    assert queue.save(claim, items, results_of(items))


def test_an_image_that_kills_its_workers_is_given_up_and_the_others_are_scored(
    jobs: Jobs, queue: JobQueue, clock: Clock
) -> None:
    job_id = submit(jobs, "a", 40)
    killed, gave_up = 0, []
    while (claim := queue.claim()) is not None:
        items = queue.next_items(claim)
        if claim.give_up:
            gave_up += [item.object_id for item in items]
        elif "a20" in {item.object_id for item in items}:
            killed += 1
            clock.lose()
            continue
        assert queue.save(claim, items, results_of(items))
    assert (jobs.get(job_id).state, jobs.get(job_id).done) == ("done", 40)
    assert gave_up == ["a20"]
    # Its chunk, then the image alone; a chunk that was got through in between starts the count anew.
    assert MAX_TRIES < killed <= MAX_TRIES + 1


def test_a_job_that_kills_worker_after_worker_fails_with_the_image(jobs: Jobs, queue: JobQueue, clock: Clock) -> None:
    job_id = submit(jobs, "a", 40)
    other = submit(jobs, "b", 1)
    killed = 0
    while (claim := queue.claim()) is not None:
        items = queue.next_items(claim)
        if claim.job.id == job_id and not claim.give_up:
            killed += 1
            clock.lose()
            continue
        assert queue.save(claim, items, results_of(items))
    job = jobs.get(job_id)
    assert job.state == "failed"
    assert job.error == f"its worker was lost {MAX_TAKEOVERS + 1} times, last at image 'a{job.done}'"
    assert killed == MAX_TAKEOVERS + 1
    assert jobs.get(other).state == "done"


def test_a_job_given_back_waits_for_nobody(jobs: Jobs, queue: JobQueue) -> None:
    job_id = submit(jobs, "a", 20)
    first = queue.claim()
    queue.release(first, lost=True)
    second = queue.claim()
    assert (second.job.id, second.one_by_one, second.give_up) == (job_id, True, False)
    assert not queue.beat(first)


def test_clients_take_turns_however_much_one_of_them_sends(jobs: Jobs, queue: JobQueue) -> None:
    for _ in range(5):
        submit(jobs, "greedy", 500)
    work(queue)
    small = submit(jobs, "small", 1)
    other = submit(jobs, "other", 2 * CHUNK)
    assert {work(queue).job.id for _ in range(2)} == {small, other}
    assert jobs.get(small).state == "done"
    served = [work(queue).job.created_by for _ in range(2)]
    assert sorted(served) == ["greedy", "other"]
    assert jobs.get(other).state == "done"


def test_the_jobs_of_one_client_take_turns_too(jobs: Jobs, queue: JobQueue) -> None:
    large = submit(jobs, "a", 100)
    work(queue)
    small = submit(jobs, "a", 1)
    assert work(queue).job.id == small
    assert work(queue).job.id == large


def test_a_client_that_comes_back_is_not_served_twice_in_a_row(jobs: Jobs, queue: JobQueue) -> None:
    submit(jobs, "greedy", 100)
    served = []
    for _ in range(6):  # one new small job after another must not keep the large one out
        submit(jobs, "small", 1)
        served += [work(queue).job.created_by for _ in range(2)]
    assert served.count("greedy") == 6


def test_workers_that_look_at_one_time_take_different_jobs(jobs: Jobs, queue: JobQueue) -> None:
    made = [submit(jobs, str(n % 2), 1) for n in range(8)]
    with ThreadPoolExecutor(4) as pool:
        claims = list(pool.map(lambda _: queue.claim(), range(8)))
    assert sorted(claim.job.id for claim in claims) == sorted(made)
    assert queue.claim() is None


def test_a_chunk_is_bounded_in_bytes_and_decode_time(jobs: Jobs, queue: JobQueue, galaxy: bytes, monkeypatch) -> None:
    jobs.submit("galaxy-class", "1.0", "a", [JobImage(str(n), galaxy) for n in range(CHUNK)])
    claim = queue.claim()
    assert len(queue.next_items(claim)) == CHUNK
    monkeypatch.setattr(job_queue, "CHUNK_BYTES", int(2.5 * len(galaxy)))
    assert [item.position for item in queue.next_items(claim)] == [0, 1]
    monkeypatch.setattr(job_queue, "CHUNK_BYTES", 1)
    assert len(queue.next_items(claim)) == 1
    monkeypatch.undo()
    monkeypatch.setattr(job_queue, "CHUNK_DECODE_S", 2.5 * decode_seconds(galaxy))
    assert len(queue.next_items(claim)) == 2
    monkeypatch.setattr(job_queue, "CHUNK_DECODE_S", 0.0)
    assert len(queue.next_items(claim)) == 1


def test_a_refused_image_hides_no_result_that_comes_later(jobs: Jobs, queue: JobQueue) -> None:
    refused = JobImage("bad", b"", {"object_id": "bad"})
    job_id = jobs.submit("galaxy-class", "1.0", "a", [JobImage("good", b"x"), refused]).id
    assert (jobs.get(job_id).done, jobs.results(job_id, -1, 10)[1]) == (1, [])
    work(queue)
    assert [record["object_id"] for _, record in jobs.results(job_id, -1, 10)[1]] == ["good", "bad"]
    assert jobs.get(job_id).state == "done"


@pytest.mark.parametrize(
    ("key", "client"),
    [
        ("token 0123", "token 0123"),
        ("address 192.0.2.7", "address 192.0.2.7"),
        ("address 2001:db8:1:2:3:4:5:6", "address 2001:db8:1:2::/64"),
        ("address 2001:db8:1:2:ffff::", "address 2001:db8:1:2::/64"),
        ("address ::ffff:192.0.2.7", "address 192.0.2.7"),
        ("address unknown", "address unknown"),
        ("address no:address", "address no:address"),
    ],
)
def test_a_client_is_a_token_an_address_or_a_network(key: str, client: str) -> None:
    assert client_of(key) == client
