"""The functions and the procedure inside a real PostgreSQL server."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psycopg
import pytest
from database.gated_worker import wait_until
from image_builders import empty_scans
from sqlalchemy import text
from tiny_model import OWN_CLASSES, tiny_model, tiny_own_model
from traces import attached, read

from galclass.database import Database, Images, NewImage, Registry, open_database, run_sql, score_pending
from galclass.database.procedure import check_server, install_procedure, procedure_sql
from galclass.errors import DatabaseError
from galclass.morphology import CLASSES
from galclass.scoring import Scorer


@pytest.fixture(scope="module")
def server(cluster, galaxies: dict[str, bytes], packages: Path) -> Iterator[Database]:
    """A database with a model, seventy images, the functions, and three roles."""
    url = cluster.create_database("with_functions")
    with open_database(url, migrate=True) as database:
        if not check_server(database)[0].ok:
            pytest.skip("PL/Python is not installed: make test-deps")
        Registry(database).register(tiny_model())
        Images(database).add(NewImage(key, data) for key, data in galaxies.items())
        install_procedure(database, packages=packages)
        with database.write() as connection:
            connection.exec_driver_sql(ROLES)
        yield database


ROLES = """
CREATE ROLE reader LOGIN; CREATE ROLE writer LOGIN; CREATE ROLE nobody LOGIN;
GRANT SELECT ON galaxy_models, galaxy_model_aliases, galaxy_images TO reader, writer;
GRANT EXECUTE ON FUNCTION predict_galaxy_class, predict_galaxy_group, predict_galaxy_json, predict_galaxies
    TO reader, writer;
GRANT SELECT, INSERT ON galaxy_predictions TO writer;
GRANT EXECUTE ON PROCEDURE predict_galaxy_class_batch TO reader, writer;
"""


@pytest.fixture
def session(server: Database, cluster) -> Iterator[psycopg.Connection]:
    """A superuser's session with no predictions in the table."""
    with psycopg.connect(cluster.url("with_functions"), autocommit=True) as connection:
        connection.execute("TRUNCATE galaxy_predictions")
        yield connection


@pytest.fixture
def as_role(cluster, server: Database):
    """Open a session as a role."""
    opened = []

    def connect(role: str) -> psycopg.Connection:
        opened.append(psycopg.connect(cluster.url("with_functions", role), autocommit=True))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


def test_the_functions_give_the_scorers_answers(session, galaxies: dict[str, bytes]) -> None:
    expected = Scorer(tiny_model(), version=1).score(list(galaxies.values()), object_ids=list(galaxies))
    rows = session.execute(
        "SELECT object_id, predict_galaxy_class(img), predict_galaxy_group(img), predict_galaxy_json(img) "
        "FROM galaxy_images"
    ).fetchall()
    found = {row[0]: row[1:] for row in rows}
    for answer in expected:
        name, group, record = found[answer.object_id]
        assert (name, group) == (answer.predicted_class, answer.predicted_group)
        values = [json.loads(record)["probabilities"][leaf] for leaf in CLASSES]
        np.testing.assert_allclose(values, answer.probabilities, atol=1e-5)


def test_own_classes_come_out_of_every_function_and_of_the_view(server: Database, session, galaxies) -> None:
    Registry(server).register(tiny_own_model(), name="rings")
    expected = Scorer(tiny_own_model(), version=1).score(list(galaxies.values()), object_ids=list(galaxies))
    by_id = {one.object_id: one for one in expected}
    query = "SELECT object_id, predict_galaxy_class(img, 'rings'), predict_galaxy_group(img, 'rings'), "
    for object_id, name, group, record in session.execute(
        f"{query} predict_galaxy_json(img, 'rings')::jsonb FROM galaxy_images LIMIT 3"
    ):
        assert (name, group) == (by_id[object_id].predicted_class, None)
        assert set(record["probabilities"]) == set(OWN_CLASSES)
    rows = session.execute(
        "SELECT object_id, (probabilities->>'ring')::float8 FROM predict_galaxies('galaxy_images', 'rings')"
    ).fetchall()
    assert {key: pytest.approx(value, abs=1e-6) for key, value in rows} == {
        key: one.by_class["ring"] for key, one in by_id.items()
    }
    session.execute("CALL predict_galaxy_class_batch('rings')")
    flat = session.execute(
        "SELECT object_id, predicted_class, predicted_er, (probabilities->>%s)::float8 FROM galaxy_predictions_flat",
        (OWN_CLASSES[2],),
    ).fetchall()
    assert len(flat) == 70
    for object_id, name, round_one, value in flat:
        assert (name, round_one) == (by_id[object_id].predicted_class, None)
        assert value == pytest.approx(by_id[object_id].by_class[OWN_CLASSES[2]], abs=1e-6)


def test_functions_installed_by_an_earlier_version_give_the_same(session, packages: Path) -> None:
    query = "SELECT object_id, predict_galaxy_json(img)::jsonb - 'scored_at' FROM galaxy_images ORDER BY 1 LIMIT 3"
    expected = session.execute(query).fetchall()
    older = procedure_sql(packages=packages).replace("galclass.scoring.plpython", "galclass.scoring.backend")
    with session.transaction(force_rollback=True):
        session.execute(older)
        (text,) = session.execute("SELECT prosrc FROM pg_proc WHERE proname = 'predict_galaxy_json'").fetchone()
        assert "from galclass.scoring.backend import" in text
        assert session.execute(query).fetchall() == expected


def test_null_gives_null_and_a_bad_image_its_reason(session) -> None:
    row = session.execute(
        "SELECT predict_galaxy_class(NULL), predict_galaxy_group(NULL), predict_galaxy_json(NULL), "
        "predict_galaxy_class('\\x00'), predict_galaxy_group('\\x00'), predict_galaxy_json('\\x00')"
    ).fetchone()
    assert row[:5] == (None,) * 5
    assert json.loads(row[5])["error"]["code"]


def test_rows_have_defaults_for_source_and_model_and_both_can_be_named(session) -> None:
    everything = session.execute("SELECT * FROM predict_galaxies() ORDER BY object_id").fetchall()
    assert len(everything) == 70
    session.execute("CREATE TEMP VIEW few AS SELECT object_id, img FROM galaxy_images ORDER BY object_id LIMIT 3")
    few = session.execute("SELECT * FROM predict_galaxies('few', 'galaxy@1') ORDER BY object_id").fetchall()
    assert few == everything[:3]


def test_the_procedure_and_the_row_function_give_what_the_worker_writes(server: Database, session) -> None:
    session.execute("CALL predict_galaxy_class_batch()")
    columns = (
        "object_id, model_name, model_version, predicted_class, predicted_group, probabilities, prediction_set, flags"
    )
    written = session.execute(f"SELECT {columns}, error FROM galaxy_predictions ORDER BY object_id").fetchall()
    session.execute("TRUNCATE galaxy_predictions")
    score_pending(server)
    assert session.execute(f"SELECT {columns}, error FROM galaxy_predictions ORDER BY object_id").fetchall() == written
    assert session.execute(f"SELECT {columns}, error FROM predict_galaxies() ORDER BY object_id").fetchall() == written
    assert len(written) == 70


def test_what_the_procedure_scored_waits_for_no_worker(server: Database, session) -> None:
    session.execute("DELETE FROM galaxy_score_queue")
    session.execute(
        "INSERT INTO galaxy_score_queue (model_name, model_version, object_id)"
        " SELECT 'galaxy', 1, object_id FROM galaxy_images"
    )
    session.execute("CALL predict_galaxy_class_batch(max_rows => 50)")
    assert score_pending(server).scored == 20
    assert session.execute("SELECT count(*) FROM galaxy_score_queue").fetchone() == (0,)
    assert session.execute("SELECT count(*) FROM galaxy_predictions").fetchone() == (70,)


def test_the_procedure_goes_on_where_it_stopped(session) -> None:
    session.execute("CALL predict_galaxy_class_batch(batch => 7, max_rows => 20)")
    assert session.execute("SELECT count(*) FROM galaxy_predictions").fetchone() == (20,)
    session.execute("CALL predict_galaxy_class_batch()")
    session.execute("CALL predict_galaxy_class_batch()")
    assert session.execute("SELECT count(*) FROM galaxy_predictions").fetchone() == (70,)


def test_corrupt_rows_are_written_with_their_reason(session, galaxies: dict[str, bytes]) -> None:
    good = next(iter(galaxies.values()))
    session.execute("CREATE TEMP TABLE odd (object_id text, img bytea)")
    for key, data in (("a", good), ("b", b""), ("c", good[:999]), ("d", b"\xff\xd8\xff"), ("e", None)):
        session.execute("INSERT INTO odd VALUES (%s, %s)", (key, data))
    session.execute("CALL predict_galaxy_class_batch(source => 'odd')")
    rows = session.execute("SELECT object_id, error FROM galaxy_predictions ORDER BY object_id").fetchall()
    assert [key for key, error in rows if error is None] == ["a"]
    assert len(rows) == 5


def test_a_moved_alias_takes_effect_in_an_open_session(server: Database, session) -> None:
    query = "SELECT DISTINCT model_version FROM predict_galaxies()"
    assert session.execute(query).fetchall() == [(1,)]
    Registry(server).register(tiny_model(3))
    try:
        assert session.execute(query).fetchall() == [(2,)]
        assert session.execute(
            "SELECT DISTINCT model_version FROM predict_galaxies(model => 'galaxy@1')"
        ).fetchall() == [(1,)]
    finally:
        Registry(server).rollback("galaxy")
    assert session.execute(query).fetchall() == [(1,)]


@pytest.mark.parametrize("model", ["", "galaxy'; DROP TABLE galaxy_models; --", "galaxy@", "nothing", "galaxy@99"])
def test_odd_model_names_are_errors_and_nothing_else(session, model: str) -> None:
    with pytest.raises(psycopg.Error, match="galclass"):
        session.execute("SELECT predict_galaxy_class('\\x00', %s)", (model,))
    assert session.execute("SELECT count(*) >= 1 FROM galaxy_models").fetchone() == (True,)


@pytest.mark.parametrize("source", ["galaxy_images; DROP TABLE galaxy_labels", "(SELECT 1) x", "pg_authid", "nowhere"])
def test_odd_sources_are_errors_and_nothing_else(session, source: str) -> None:
    for statement in ("SELECT * FROM predict_galaxies(%s)", "CALL predict_galaxy_class_batch(source => %s)"):
        with pytest.raises(psycopg.Error):
            session.execute(statement, (source,))
    assert session.execute("SELECT count(*) FROM galaxy_labels").fetchone() == (0,)


def test_a_relation_with_a_hostile_name_is_only_a_relation(session) -> None:
    name = '"x; DROP TABLE galaxy_labels; --"'
    session.execute(f"CREATE TEMP TABLE {name} AS SELECT object_id, img FROM galaxy_images LIMIT 2")
    assert session.execute("SELECT count(*) FROM predict_galaxies(%s)", (name,)).fetchone() == (2,)
    assert session.execute("SELECT count(*) FROM galaxy_labels").fetchone() == (0,)


def test_a_role_without_rights_gets_nothing(as_role, session) -> None:
    nobody = as_role("nobody")
    for statement in (
        "SELECT predict_galaxy_class('\\x00')",
        "SELECT * FROM predict_galaxies()",
        "CALL predict_galaxy_class_batch()",
        "SELECT * FROM galaxy_models",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            nobody.execute(statement)


def test_the_procedure_lends_nobody_its_owners_rights(as_role, session) -> None:
    reader = as_role("reader")
    assert reader.execute("SELECT count(*) FROM predict_galaxies()").fetchone() == (70,)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.execute("CALL predict_galaxy_class_batch()")
    session.execute("CREATE TABLE IF NOT EXISTS secret AS SELECT object_id, img FROM galaxy_images LIMIT 1")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.execute("SELECT * FROM predict_galaxies('secret')")
    assert session.execute("SELECT count(*) FROM galaxy_predictions").fetchone() == (0,)


def test_a_revoke_takes_effect_at_once_in_an_open_session(as_role, session) -> None:
    reader = as_role("reader")
    query = "SELECT predict_galaxy_class(img) FROM galaxy_images LIMIT 1"
    reader.execute(query)
    session.execute("REVOKE SELECT ON galaxy_models FROM reader")
    try:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute(query)
    finally:
        session.execute("GRANT SELECT ON galaxy_models TO reader")
    reader.execute(query)


@pytest.fixture
def many(session, galaxies: dict[str, bytes]) -> str:
    """A table of 20,000 images: some ten seconds of scoring."""
    session.execute("CREATE TABLE IF NOT EXISTS many (object_id text PRIMARY KEY, img bytea)")
    session.execute(
        "INSERT INTO many SELECT i::text, img FROM generate_series(1, 20000) i, "
        "(SELECT img FROM galaxy_images LIMIT 1) one ON CONFLICT DO NOTHING"
    )
    return "many"


def processor_seconds(connection: psycopg.Connection) -> float:
    """Processor time of a session's back end: a busy machine does not count."""
    fields = Path(f"/proc/{connection.info.backend_pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_timeout_is_honoured_within_a_second_and_keeps_what_was_committed(as_role, session, many: str) -> None:
    session.execute("GRANT SELECT ON many TO writer")
    writer = as_role("writer")
    writer.execute("SELECT predict_galaxy_class('\\x00')")  # loads the model
    kept = 0
    for timeout_s in (0.7, 1.4, 2.8, 5.6):  # a busy machine may need longer for its first chunk
        writer.execute(f"SET statement_timeout = '{timeout_s}s'")
        before = processor_seconds(writer)
        with pytest.raises(psycopg.errors.QueryCanceled):
            writer.execute("CALL predict_galaxy_class_batch(source => 'many')")
        assert processor_seconds(writer) - before < timeout_s + 1.0
        if kept := session.execute("SELECT count(*) FROM galaxy_predictions").fetchone()[0]:
            break
    assert 0 < kept < 20000
    assert kept % 64 == 0


def test_a_cancel_is_honoured_within_a_second(as_role, session, many: str) -> None:
    reader = as_role("reader")
    session.execute("GRANT SELECT ON many TO reader")
    reader.execute("SELECT predict_galaxy_class('\\x00')")  # loads the model
    start, cancelled = processor_seconds(reader), []

    def cancel() -> None:
        wait_until(lambda: processor_seconds(reader) > start + 0.5)  # it scores
        cancelled.append(processor_seconds(reader))
        reader.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(psycopg.errors.QueryCanceled):
        reader.execute("SELECT count(*) FROM predict_galaxies('many')")
    thread.join()
    assert processor_seconds(reader) - cancelled[0] < 1.0


def test_settings_that_favour_parallel_plans_do_no_harm(session, many: str) -> None:
    session.execute("ANALYZE many")
    session.execute("SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0")
    query = "SELECT count(predict_galaxy_class(img)) FROM many WHERE object_id < '11'"
    assert session.execute(query).fetchone()[0] > 100


def test_installing_again_replaces_the_functions(server: Database, packages: Path) -> None:
    assert all(finding.ok for finding in install_procedure(server, packages=packages))
    with server.read() as connection:
        assert connection.scalar(text("SELECT count(*) FROM pg_proc WHERE proname LIKE 'predict_galax%'")) == 5


@pytest.mark.parametrize("marker", [0xC0, 0xC2, 0xC9])
def test_an_image_of_thousands_of_scans_is_refused_under_a_timeout(session, marker: int) -> None:
    session.execute("SET LOCAL statement_timeout = '5s'")
    data = empty_scans(1000, 1000, 6000, marker=marker)
    row = session.execute("SELECT predict_galaxy_class(%s), predict_galaxy_json(%s)", (data, data)).fetchone()
    assert row[0] is None
    assert json.loads(row[1])["error"]["code"] in ("too_costly", "unsupported")


@pytest.mark.parametrize("arguments", ["5", "object_id", "img, 'galaxy', 'many'::text", "img, 'galaxy', 4.5"])
def test_a_function_called_with_another_type_says_what_it_takes(server: Database, arguments: str) -> None:
    with pytest.raises(DatabaseError, match="to be bytea and frame_px an integer"):
        run_sql(server, f"SELECT predict_galaxy_class({arguments}) FROM galaxy_images LIMIT 1")


def test_text_that_is_no_image_has_its_reason_and_a_hint_is_shown(server: Database) -> None:
    row = run_sql(
        server, "SELECT predict_galaxy_class('text'), predict_galaxy_json(''), predict_galaxy_class(NULL)"
    ).rows
    assert (row[0][0], json.loads(row[0][1])["error"]["code"], row[0][2]) == (None, "empty", None)
    with pytest.raises(DatabaseError, match="NAME@VERSION"):
        run_sql(server, "SELECT predict_galaxy_class('text', 'no model!')")


def test_a_back_end_that_scores_connects_to_nothing_and_writes_only_the_servers_files(
    server: Database, cluster, tmp_path: Path
) -> None:
    with (
        psycopg.connect(cluster.url("with_functions"), autocommit=True) as fresh,
        attached(fresh.info.backend_pid, tmp_path / "log"),
    ):
        rows = fresh.execute("SELECT predict_galaxy_class(img) FROM galaxy_images LIMIT 3").fetchall()
    trace = read(tmp_path / "log", cluster.data)
    assert all(row[0] for row in rows)
    assert "onnxruntime" in (tmp_path / "log").read_text()
    assert trace.internet == ()
    assert trace.outside(cluster.data) == []
