"""`galclass sql` without --write changes nothing, inside the database or out of it, whoever runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from database.gated_worker import wait_until
from sqlalchemy import text

from galclass.database import Database, open_database, run_sql
from galclass.errors import DatabaseError, GalclassError


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Database:
    with open_database(tmp_path_factory.mktemp("readonly") / "galclass.db") as database:
        yield database


@pytest.fixture(scope="module")
def postgresql(cluster) -> Database:
    """A database of a superuser, with things of another role in it."""
    url = cluster.create_database("read_only")
    with open_database(url, migrate=True) as database:
        cluster.execute("CREATE ROLE trojan LOGIN")
        cluster.execute("GRANT CREATE ON SCHEMA public TO trojan", "read_only")
        for statement in (
            "CREATE FUNCTION own_stable() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1'",
            "CREATE VIEW own_view AS SELECT 1 AS one",
            "CREATE DOMAIN own_domain AS int CHECK (own_stable() = 1)",
        ):
            cluster.execute(statement, "read_only", "trojan")
        for statement in (
            "CREATE FUNCTION changes() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            'CREATE FUNCTION "odd ""name"() RETURNS int LANGUAGE sql AS \'SELECT 1\'',
            "CREATE FUNCTION computes() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 7'",
            "CREATE SEQUENCE numbers",
            "CREATE EXTENSION IF NOT EXISTS tablefunc",
        ):
            cluster.execute(statement, "read_only")
        yield database


@pytest.mark.parametrize(
    "statement",
    [
        "ATTACH '{folder}/made.db' AS other",
        "DETACH main",
        "VACUUM INTO '{folder}/made.db'",
        "VACUUM",
        "CREATE TEMP TABLE t (a)",
        "CREATE VIEW v AS SELECT 1",
        "INSERT INTO galaxy_tokens (sha256) VALUES ('x')",
        "WITH x AS (SELECT 1) DELETE FROM galaxy_images",
        "EXPLAIN DELETE FROM galaxy_images",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA user_version = 7",
        "PRAGMA writable_schema = ON",
        "PRAGMA query_only = OFF",
        "PRAGMA wal_checkpoint(TRUNCATE)",
        "SELECT load_extension('{folder}/x.so')",
        "COMMIT",
        "SAVEPOINT x",
        "REINDEX",
        "ANALYZE",
    ],
)
def test_sqlite_does_nothing_but_read(sqlite: Database, tmp_path: Path, statement: str) -> None:
    before = sqlite.path.read_bytes()
    with pytest.raises(DatabaseError):
        run_sql(sqlite, statement.replace("{folder}", str(tmp_path)))
    assert list(tmp_path.iterdir()) == []
    assert sqlite.path.read_bytes() == before


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1",
        "  -- a comment\nSELECT 1",
        "VALUES (1), (2)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 5) SELECT sum(i) FROM n",
        "SELECT value FROM json_each('[1, 2]')",
        "PRAGMA table_info(galaxy_images)",
        "SELECT name FROM pragma_table_info('galaxy_images')",
        "PRAGMA user_version",
        "EXPLAIN QUERY PLAN SELECT * FROM galaxy_images",
        "SELECT name FROM sqlite_schema",
    ],
)
def test_sqlite_reads(sqlite: Database, statement: str) -> None:
    assert run_sql(sqlite, statement).rows


def test_a_statement_that_may_write_stays_in_its_file(sqlite: Database, tmp_path: Path) -> None:
    with pytest.raises(DatabaseError):
        run_sql(sqlite, f"ATTACH '{tmp_path}/made.db' AS other", write=True)
    assert list(tmp_path.iterdir()) == []
    run_sql(sqlite, "CREATE TABLE allowed (a)", write=True)
    run_sql(sqlite, "DROP TABLE allowed", write=True)


@pytest.mark.parametrize(
    "statement",
    [
        "COPY (SELECT 1) TO PROGRAM 'touch {folder}/made'",
        "COPY (SELECT 1) TO '{folder}/made'",
        "DO $$ BEGIN EXECUTE 'COPY (SELECT 1) TO PROGRAM ''touch {folder}/made'''; END $$",
        "CALL nothing()",
        "SET ROLE trojan",
        "CREATE TABLE x (a int)",
        "CREATE TEMP TABLE x (a int)",
        "SELECT 1 AS a INTO x",
        "PREPARE TRANSACTION 'x'",
        "LOAD 'auto_explain'",
        "NOTIFY galaxy_images",
        "LOCK TABLE galaxy_images",
        "VACUUM",
        "/* SELECT */ COMMIT",
        "SELECT 1; COMMIT; COPY (SELECT 1) TO '{folder}/made'",
        "SHOW port; COMMIT; DROP TABLE galaxy_images",
        "EXPLAIN SELECT 1; COMMIT; DROP TABLE galaxy_images",
        "EXPLAIN ANALYZE DELETE FROM galaxy_images",
        "EXPLAIN ANALYZE CREATE TABLE copy AS SELECT 1",
        "EXPLAIN ANALYSE VERBOSE SELECT 1 INTO copy",
        "explain (costs off, ANALYZE on) CREATE MATERIALIZED VIEW copy AS SELECT 1",
        'EXPLAIN ("analyze") CREATE TABLE copy AS SELECT 1',
        "EXPLAIN (ANALYZE /* ) SELECT 1 -- */ ) CREATE TABLE copy AS SELECT 1",
        "EXPLAIN /* */ ANALYZE CREATE TABLE copy AS SELECT 1",
        "SELECT table_to_xml(('theirs' || '')::regclass, true, true, '')",
        "WITH gone AS (DELETE FROM galaxy_images RETURNING 1) SELECT * FROM gone",
        "SELECT * FROM galaxy_images FOR UPDATE",
        "SELECT lo_export(1, '{folder}/made')",
        "SELECT pg_read_file('postgresql.conf')",
        "SELECT \"pg_read_file\"('postgresql.conf')",
        "SELECT pg_catalog.pg_read_file/**/('postgresql.conf')",
        "SELECT U&\"pg\\005fread_file\"('postgresql.conf')",
        "SELECT PG_LS_DIR('.')",
        "SELECT pg_terminate_backend(1)",
        "SELECT pg_reload_conf()",
        "SELECT set_config('role', 'none', true)",
        "SELECT 1 LIMIT (set_config('role', 'none', true) = 'x')::int",
        "SELECT query_to_xml('select pg_re' || 'ad_file(''x'')', true, true, '')",
        "SELECT nextval('numbers')",
        "SELECT pg_notify('galaxy_images', '')",
        "SELECT pg_advisory_lock(1)",
        "SELECT pg_sleep(60)",
        "SELECT changes()",
        'SELECT "odd ""name"()',
        "SELECT own_stable()",
        "SELECT * FROM own_view",
        "SELECT 1::own_domain",
        "SELECT '{1}'::own_domain[]",
        "SELECT * FROM crosstab('SELECT lo_ex' || 'port(1, ''{folder}/made'')::text, 1, 1') AS found (a text, b int)",
        "EXPLAIN ANALYZE SELECT changes()",
        "",
    ],
)
def test_a_superusers_statement_does_nothing_but_read(postgresql: Database, tmp_path: Path, statement: str) -> None:
    os.chmod(tmp_path, 0o777)
    with pytest.raises(DatabaseError):
        run_sql(postgresql, statement.replace("{folder}", str(tmp_path)))
    assert list(tmp_path.iterdir()) == []
    assert run_sql(postgresql, "SELECT count(*) FROM galaxy_images").rows == [(0,)]


@pytest.mark.parametrize(
    ("statement", "first"),
    [
        ("SELECT 1", 1),
        ("(SELECT 1)", 1),
        ("-- why\n/* not */ SELECT computes();", 7),
        ("TABLE galaxy_images", None),
        ("VALUES ('a%b')", "a%b"),
        ("WITH x AS (SELECT 2 AS a) SELECT a FROM x", 2),
        ("SHOW port", "..."),
        ("EXPLAIN SELECT * FROM galaxy_images", "..."),
        ("EXPLAIN ANALYZE SELECT * FROM galaxy_images", "..."),
        ("EXPLAIN (ANALYZE, FORMAT 'text') (SELECT 1)", "..."),
        ("EXPLAIN (SELECT 'analyze')", "..."),
        ("SELECT random() < 2", True),
        ("SELECT object_id, ra, dec, now() FROM galaxy_images WHERE img IS NOT NULL ORDER BY 1", None),
        ("SELECT count(*), max(version()) FROM galaxy_predictions", 0),
    ],
)
def test_a_query_is_answered(postgresql: Database, statement: str, first: object) -> None:
    result = run_sql(postgresql, statement)
    assert result.columns
    if first is None:
        assert result.rows == []
    elif first != "...":
        assert result.rows[0][0] == first


def test_the_refusal_says_how_to_go_on(postgresql: Database) -> None:
    with pytest.raises(DatabaseError, match="changes is VOLATILE.*--write"):
        run_sql(postgresql, "SELECT changes()")
    with pytest.raises(DatabaseError, match="not a query.*--write"):
        run_sql(postgresql, "DROP TABLE galaxy_images")
    assert run_sql(postgresql, "SELECT changes()", write=True).rows == [(1,)]


def test_a_role_runs_its_own_functions_that_compute(cluster, postgresql: Database) -> None:
    with Database(cluster.url("read_only", "trojan")) as database:
        assert run_sql(database, "SELECT own_stable(), one FROM own_view").rows == [(1, 1)]


def test_only_the_rows_that_are_asked_for_are_fetched(postgresql: Database) -> None:
    result = run_sql(postgresql, "SELECT generate_series(1, 1000000000000)", limit=3)
    assert (result.rows, result.cut) == ([(1,), (2,), (3,)], True)


ENDLESS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
    "postgresql": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT 1 FROM n) SELECT count(*) FROM n",
}


def wait_until_the_server_runs_it(database: Database, _: int) -> None:
    endless = """SELECT 1 FROM pg_stat_activity WHERE datname = 'read_only' AND state = 'active'
        AND pid <> pg_backend_pid() AND clock_timestamp() - query_start > interval '0.2 s'"""
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        wait_until(lambda: connection.execute(text(endless)).first() is not None)


def wait_until_it_computes(_: Database, pid: int) -> None:
    def ticks() -> int:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])

    before = ticks()
    wait_until(lambda: ticks() > before + 20)


RUNNING = {"sqlite": wait_until_it_computes, "postgresql": wait_until_the_server_runs_it}

STARTED = """
from galclass.cli import main
from galclass.database import sql

execute = sql._executed

def started(*arguments):
    print("started", flush=True)
    return execute(*arguments)

sql._executed = started
main()
"""


@pytest.mark.parametrize("kind", ENDLESS)
def test_ctrl_c_ends_an_endless_query(kind: str, request: pytest.FixtureRequest) -> None:
    database: Database = request.getfixturevalue(kind)
    process = subprocess.Popen(
        [sys.executable, "-c", STARTED, "sql", ENDLESS[kind], "--database", database.full_url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "started\n"
        RUNNING[kind](database, process.pid)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, errors.strip()) == (130, "Interrupted.")


def test_ctrl_c_in_a_function_is_ctrl_c(sqlite: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sqlite.functions, "scorer", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_sql(sqlite, "SELECT predict_galaxy_class(x'00')")


def test_a_fault_in_a_function_is_no_ctrl_c(sqlite: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ValueError

    monkeypatch.setattr(sqlite.functions, "scorer", broken)
    with pytest.raises(GalclassError):
        run_sql(sqlite, "SELECT predict_galaxy_class(x'00')")
