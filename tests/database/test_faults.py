"""What is killed, full or crowded: no row is lost, none is scored twice, and the next run goes on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from database.gated_worker import gated_worker, wait_until
from sqlalchemy import func, select, text
from tiny_model import tiny_model

from galclass.database import Database, Images, NewImage, Registry, open_database, score_pending
from galclass.database.schema import images, predictions
from galclass.errors import DatabaseError
from galclass.scoring import CHUNK

CHUNKS = 3
"""What a worker has finished when something happens to it in the middle of the next chunk."""
DONE = CHUNKS * CHUNK
COUNT = 2 * DONE + 10


@pytest.fixture
def crowd(database: Database, galaxies: dict[str, bytes]) -> Database:
    """Some chunks of images that wait."""
    Registry(database).register(tiny_model())
    kinds = list(galaxies.values())
    Images(database).add(NewImage(f"{number:05}", kinds[number % len(kinds)]) for number in range(COUNT))
    return database


def count(database: Database) -> int:
    with database.read() as connection:
        return connection.scalar(select(func.count()).select_from(predictions)) or 0


def assert_each_image_has_one_prediction(database: Database) -> None:
    with database.read() as connection:
        keys = connection.scalars(select(predictions.c.object_id).order_by(predictions.c.object_id)).all()
        assert keys == connection.scalars(select(images.c.object_id).order_by(images.c.object_id)).all()
        assert connection.scalar(text("SELECT count(*) FROM galaxy_score_queue")) == 0


@pytest.mark.slow
def test_a_killed_worker_loses_nothing_and_the_next_goes_on_at_once(crowd: Database, url: str) -> None:
    with gated_worker(url, CHUNKS) as worker:
        worker.wait()
        worker.end(signal.SIGKILL)
    assert count(crowd) == DONE
    summary = score_pending(crowd)
    assert summary.scored == COUNT - DONE
    assert_each_image_has_one_prediction(crowd)


@pytest.mark.slow
def test_an_interrupted_worker_gives_its_chunk_back(crowd: Database, url: str) -> None:
    held = text("SELECT count(*) FROM galaxy_score_queue WHERE claimed_by IS NOT NULL")
    with gated_worker(url, CHUNKS) as worker:
        worker.wait()
        with crowd.read() as connection:
            assert connection.scalar(held) == CHUNK
        status, output = worker.end(signal.SIGINT)
    assert status == 130, output
    with crowd.read() as connection:
        assert connection.scalar(held) == 0
    score_pending(crowd)
    assert_each_image_has_one_prediction(crowd)


@pytest.mark.slow
def test_two_worker_processes_share_and_one_may_die(crowd: Database, url: str) -> None:
    with gated_worker(url, 2) as first, gated_worker(url, 2) as second:
        for worker in (first, second):
            worker.wait()
        assert count(crowd) == 4 * CHUNK  # each has done its own
        first.end(signal.SIGKILL)
        status, output = second.end()
    assert status == 0, output
    score_pending(crowd)
    assert_each_image_has_one_prediction(crowd)


@pytest.mark.slow
def test_a_killed_server_keeps_what_was_committed(own_cluster, galaxies: dict[str, bytes]) -> None:
    url = own_cluster.create_database("killed_server")
    with open_database(url, migrate=True) as database:
        Registry(database).register(tiny_model())
        Images(database).add(NewImage(f"{n:05}", data) for n, data in enumerate(list(galaxies.values()) * 6))
        with gated_worker(url, CHUNKS) as worker:
            worker.wait()
            own_cluster.execute("CHECKPOINT")  # chunks are committed without waiting for the disk
            own_cluster.kill()
            status, output = worker.end()
        assert status == 1, output
        assert "Error: " in output
        assert "Traceback" not in output
        database.close()
        own_cluster.start()
        assert count(database) == DONE
        score_pending(database)
        assert_each_image_has_one_prediction(database)


GATE = """
CREATE FUNCTION wait_after_some() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT count(*) FROM public.galaxy_predictions) > {done} THEN
        PERFORM pg_advisory_xact_lock(1);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER wait_after_some AFTER INSERT ON galaxy_predictions EXECUTE FUNCTION wait_after_some()
"""
WAITING = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'CALL predict%' AND wait_event = 'advisory'"


@pytest.mark.slow
def test_a_killed_client_of_the_procedure_keeps_what_was_committed(
    own_cluster, galaxies: dict[str, bytes], packages: Path
) -> None:
    from galclass.database.procedure import check_server, install_procedure

    url = own_cluster.create_database("killed_client")
    with open_database(url, migrate=True) as database:
        if not check_server(database)[0].ok:
            pytest.skip("PL/Python is not installed: make test-deps")
        Registry(database).register(tiny_model())
        Images(database).add(NewImage(f"{n:05}", data) for n, data in enumerate(list(galaxies.values()) * 6))
        install_procedure(database, packages=packages)
        own_cluster.execute(GATE.format(done=DONE), "killed_client")
        call = "import sys, psycopg; psycopg.connect(sys.argv[1], autocommit=True).execute(sys.argv[2])"
        command = [sys.executable, "-c", call, url, "CALL predict_galaxy_class_batch()"]
        with psycopg.connect(url, autocommit=True) as gate:
            gate.execute("SELECT pg_advisory_lock(1)")
            client = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            wait_until(lambda: gate.execute(WAITING).fetchone() is not None or client.poll() is not None)
            client.kill()
            client.wait()
            assert gate.execute(f"SELECT pg_terminate_backend(pid) FROM ({WAITING}) AS waiting").fetchone() == (True,)
            wait_until(lambda: gate.execute(WAITING).fetchone() is None)
            assert count(database) == DONE
            gate.execute("DROP TRIGGER wait_after_some ON galaxy_predictions")
        own_cluster.execute("CALL predict_galaxy_class_batch()", "killed_client")
        assert count(database) == 6 * len(galaxies)


@pytest.mark.slow
def test_a_server_writes_to_the_sqlite_file_while_the_command_line_scores(
    tmp_path: Path, galaxies: dict[str, bytes]
) -> None:
    url = f"sqlite:///{tmp_path / 'galclass.db'}"
    with open_database(url) as database:
        Registry(database).register(tiny_model())
        kinds = list(galaxies.values())
        Images(database).add(NewImage(f"{n:05}", kinds[n % len(kinds)]) for n in range(COUNT))

        def upload(first: int) -> None:
            for number in range(first, first + 100):
                Images(database).add([NewImage(f"upload-{number:05}", kinds[0])])

        with gated_worker(url, CHUNKS) as worker:
            upload(0)  # beside its chunks
            worker.wait()
            upload(100)  # beside the scoring of a chunk, which holds no lock that a write would wait for
            status, output = worker.end()
        assert status == 0, output
        score_pending(database)
        assert_each_image_has_one_prediction(database)
        assert Images(database).count() == COUNT + 200


def fill_disk(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


@contextmanager
def mounted(folder: Path, megabytes: int, owner: str | None = None) -> Iterator[Path]:
    """A file system of its own in a new folder."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("mounting a small tmpfs needs root")
    try:
        if owner is not None:
            shutil.chown(folder, owner)
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB."""
    with mounted(tmp_path / "disk", 8) as folder:
        yield folder


def test_a_full_disk_stops_work_with_a_reason_and_loses_nothing(small_disk: Path, galaxies: dict[str, bytes]) -> None:
    filler = small_disk / "filler"
    with open_database(f"sqlite:///{small_disk / 'galclass.db'}") as database:
        Registry(database).register(tiny_model())
        Images(database).add(NewImage(f"{number:05}", next(iter(galaxies.values()))) for number in range(100))
        with pytest.raises(OSError, match="No space"):
            fill_disk(filler)
        with pytest.raises(DatabaseError, match="full|disk I/O"):
            Images(database).add(NewImage(f"late-{number}", bytes(100_000)) for number in range(100))
        with pytest.raises(DatabaseError, match="full|disk I/O"):
            score_pending(database)
        assert Images(database).count() == 100
        filler.unlink()
        score_pending(database)
        assert_each_image_has_one_prediction(database)


@pytest.mark.slow
def test_a_full_disk_of_the_server_stops_work_with_a_reason_and_loses_nothing(
    own_cluster, galaxies: dict[str, bytes]
) -> None:
    with mounted(own_cluster.folder / "small", 24, owner="postgres") as folder:
        own_cluster.execute(f"CREATE TABLESPACE small LOCATION '{folder}'")
        own_cluster.execute("CREATE DATABASE full_disk TABLESPACE small")
        with open_database(own_cluster.url("full_disk"), migrate=True) as database:
            Registry(database).register(tiny_model())
            kinds = list(galaxies.values())
            Images(database).add(NewImage(f"{number:05}", kinds[number % len(kinds)]) for number in range(300))
            filler = folder / "filler"
            with pytest.raises(OSError, match="No space"):
                fill_disk(filler)
            with pytest.raises(DatabaseError, match="No space left"):
                Images(database).add(NewImage(f"late-{number}", os.urandom(100_000)) for number in range(100))
            with pytest.raises(DatabaseError, match="No space left"):
                score_pending(database)
            assert Images(database).count() == 300
            filler.unlink()
            score_pending(database)
            assert_each_image_has_one_prediction(database)
        own_cluster.execute("DROP DATABASE full_disk")
        own_cluster.execute("DROP TABLESPACE small")


@pytest.mark.slow
def test_dump_and_restore_keep_everything_working(
    own_cluster, galaxies: dict[str, bytes], tmp_path: Path, packages: Path
) -> None:
    from galclass.database.procedure import check_server, install_procedure

    url = own_cluster.create_database("before")
    programs = own_cluster.programs
    with open_database(url, migrate=True) as database:
        Registry(database).register(tiny_model(1))
        Registry(database).register(tiny_model(2))
        Images(database).add(NewImage(key, data) for key, data in galaxies.items())
        score_pending(database)
        functions = check_server(database)[0].ok
        if functions:
            install_procedure(database, packages=packages)
    dump = tmp_path / "dump.sql"
    subprocess.run([programs / "pg_dump", "-d", url, "-f", str(dump)], check=True)
    restored = own_cluster.create_database("after")
    quiet = ["-q", "-v", "ON_ERROR_STOP=1", "-o", os.devnull]
    subprocess.run([programs / "psql", *quiet, "-d", restored, "-f", str(dump)], check=True)
    with open_database(restored) as database:
        registry = Registry(database)
        assert registry.verify("galaxy@1") == pytest.approx(0, abs=1e-6)
        assert registry.rollback("galaxy").version == 1
        assert count(database) == 70
        Images(database).add([NewImage("new", next(iter(galaxies.values())))])
        assert score_pending(database).scored == 71
    if functions:
        rows = own_cluster.execute("SELECT DISTINCT model_version FROM predict_galaxies()", "after")
        assert rows == [(1,)]
