"""Vote fractions in the database: the table, the view, exports, functions in the server, and databases of before."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from database.cluster import as_server
from sqlalchemy import event, text
from tiny_model import tiny_model, tiny_raw_model

from galclass.catalog import read_table
from galclass.cli import cli
from galclass.database import Database, Images, NewImage, Registry, open_database, run_sql, score_pending
from galclass.database.doctor import examine
from galclass.database.export import export_predictions
from galclass.database.procedure import check_server, install_procedure
from galclass.database.services import Services
from galclass.errors import DatabaseError
from galclass.morphology import QUESTIONS
from galclass.scoring import Scorer

FIXTURES = Path(__file__).parent.parent / "fixtures" / "databases"
STEMS = tuple(column for question in QUESTIONS.values() for column in question.columns)
FIRST = STEMS[0]
RAW = [f"{stem}_raw{bound}" for stem in STEMS for bound in ("", "_low", "_high")]
DEBIASED = [name.replace("_raw", "_debiased") for name in RAW]


@pytest.fixture
def mixed(database: Database, galaxies: dict[str, bytes]) -> Database:
    """Predictions of a model without votes (galaxy@1) and of one with raw ones (galaxy@2), one image broken."""
    Images(database).add([NewImage(key, galaxies[key]) for key in sorted(galaxies)[:3]])
    Images(database).add([NewImage("broken", b"x")])
    for model in (tiny_model(), tiny_raw_model()):
        Registry(database).register(model)
        score_pending(database)
    return database


def expected(galaxies: dict[str, bytes]) -> dict[str, tuple[float, float, float]]:
    key = sorted(galaxies)[0]
    (answer,) = Scorer(tiny_raw_model()).score([galaxies[key]], object_ids=[key])
    return dict(answer.raw_vote_fractions)


def test_the_worker_keeps_votes_and_null_where_there_are_none(mixed: Database, galaxies: dict[str, bytes]) -> None:
    query = "SELECT object_id, model_version, vote_fractions, raw_vote_fractions FROM galaxy_predictions"
    rows = {(row[0], row[1]): row[2:] for row in run_sql(mixed, query).rows}
    assert len(rows) == 8
    assert all(rows[key] == (None, None) for key in rows if key[1] == 1 or key[0] == "broken")
    votes = rows[sorted(galaxies)[0], 2][1]
    votes = json.loads(votes) if isinstance(votes, str) else votes
    assert votes == {stem: pytest.approx(values, abs=1e-5) for stem, values in expected(galaxies).items()}


def test_the_view_has_a_column_for_every_vote(mixed: Database, galaxies: dict[str, bytes]) -> None:
    found = run_sql(mixed, "SELECT * FROM galaxy_predictions_flat ORDER BY model_version, object_id", limit=None)
    assert list(found.columns)[-223:] == [*DEBIASED, *RAW, "probabilities"]
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
    assert [row["object_id"] for row in rows if row[f"{FIRST}_raw"] is not None] == sorted(galaxies)[:3]
    votes = expected(galaxies)
    row = next(row for row in rows if row["model_version"] == 2 and row["object_id"] == sorted(galaxies)[0])
    for stem, values in votes.items():
        assert [row[f"{stem}_raw{bound}"] for bound in ("", "_low", "_high")] == pytest.approx(values, abs=1e-5)
    assert row["predicted_er" if "predicted_er" in row else "predicted_Er"] is not None


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".fits", ".vot"])
def test_exports_have_votes_after_all_other_columns(
    mixed: Database, galaxies: dict[str, bytes], tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"p{suffix}"
    export_predictions(mixed, path)
    table = {".parquet": pq.read_table, ".csv": pyarrow.csv.read_csv}.get(suffix, read_table)(path)
    assert table.column_names[-223:] == ["_healpix_29", *DEBIASED, *RAW]
    rows = [row for row in table.to_pylist() if row["model_version"] == 2]
    row = next(row for row in rows if str(row["object_id"]).strip() == sorted(galaxies)[0])
    values = [row[f"{FIRST}_raw{bound}"] for bound in ("", "_low", "_high")]
    assert values == pytest.approx(expected(galaxies)[FIRST], abs=1e-5)
    empty = [row for row in table.to_pylist() if row["model_version"] == 1]
    assert all(row[f"{FIRST}_raw"] is None or row[f"{FIRST}_raw"] != row[f"{FIRST}_raw"] for row in empty)


def test_an_export_of_one_model_has_only_its_columns(mixed: Database, tmp_path: Path) -> None:
    export_predictions(mixed, tmp_path / "one.parquet", model="galaxy@1")
    assert pq.read_table(tmp_path / "one.parquet").column_names[-1] == "_healpix_29"
    with mixed.write() as connection:
        connection.execute(text("DELETE FROM galaxy_predictions WHERE object_id <> 'broken'"))
    export_predictions(mixed, tmp_path / "none.parquet")
    assert pq.read_table(tmp_path / "none.parquet").column_names[-1] == "_healpix_29"


RAW_VOTES_OF_ONE = (
    "UPDATE galaxy_predictions SET raw_vote_fractions = :votes WHERE object_id = :key AND model_version = 2"
)


def change(database: Database, sql: str, **values: object) -> None:
    with database.write() as connection:
        connection.execute(text(sql), values)


@pytest.mark.parametrize("registered", [True, False])
def test_an_export_has_all_votes_though_some_rows_have_fewer(
    mixed: Database, galaxies: dict[str, bytes], tmp_path: Path, registered: bool
) -> None:
    few = json.dumps({FIRST: [0.5, 0.4, 0.6]})
    for key in sorted(galaxies)[:3:2]:  # whichever end is read first
        change(mixed, RAW_VOTES_OF_ONE, votes=few, key=key)
    if not registered:
        change(mixed, "UPDATE galaxy_predictions SET model_name = 'gone'")
    export_predictions(mixed, tmp_path / "p.parquet")
    table = pq.read_table(tmp_path / "p.parquet")
    assert table.column_names[-222:] == [*DEBIASED, *RAW]
    assert [table[name].null_count for name in (f"{FIRST}_raw", f"{STEMS[1]}_raw")] == [8 - 3, 8 - 1]


def test_votes_that_no_column_is_for_are_an_error_and_not_left_out(
    mixed: Database, galaxies: dict[str, bytes], tmp_path: Path
) -> None:
    votes = json.dumps({FIRST: [0.5, 0.4, 0.6], "t99_other_a99_answer": [0.5, 0.4, 0.6]})
    key = sorted(galaxies)[1]
    change(mixed, RAW_VOTES_OF_ONE, votes=votes, key=key)
    for suffix in (".parquet", ".fits"):
        with pytest.raises(DatabaseError, match=f"object_id {key}.*t99_other_a99_answer"):
            export_predictions(mixed, tmp_path / f"p{suffix}")
    assert [name for name in os.listdir(tmp_path) if "p." in name] == []


def test_columns_and_rows_of_an_export_are_of_one_moment(
    database: Database, galaxies: dict[str, bytes], tmp_path: Path
) -> None:
    Images(database).add([NewImage(key, galaxies[key]) for key in sorted(galaxies)[:3]])
    Registry(database).register(tiny_model())
    score_pending(database)
    with open_database(database.full_url) as other:

        def score_meanwhile(_1: object, _2: object, statement: str, *_: object) -> None:
            if "galaxy_predictions.probabilities" in statement and len(Registry(other).list("galaxy")) == 1:
                Registry(other).register(tiny_raw_model())
                score_pending(other)

        event.listen(database.engine, "before_cursor_execute", score_meanwhile)
        assert export_predictions(database, tmp_path / "one.parquet").rows == 3
        event.remove(database.engine, "before_cursor_execute", score_meanwhile)
    assert export_predictions(database, tmp_path / "two.parquet").rows == 6
    assert pq.read_table(tmp_path / "two.parquet").column_names[-222:] == [*DEBIASED, *RAW]


def test_functions_of_sqlite_give_raw_votes(tmp_path: Path, galaxies: dict[str, bytes]) -> None:
    with open_database(tmp_path / "x.db") as database:
        Registry(database).register(tiny_raw_model())
        Images(database).add([NewImage(key, data) for key, data in list(galaxies.items())[:2]])
        query = "SELECT img, predict_galaxy_json(img), predict_galaxy_class(img) FROM galaxy_images"
        for img, record, name in run_sql(database, query).rows:
            (answer,) = Scorer(tiny_raw_model(), version=1).score([img], object_ids=[""])
            assert json.loads(record) == answer.as_json()
            assert name == answer.predicted_class


def test_a_sqlite_file_of_the_version_before_migrates_and_answers(tmp_path: Path) -> None:
    path = shutil.copy(FIXTURES / "c2cd255.sqlite", tmp_path / "old.db")
    with open_database(f"sqlite:///{path}") as database:
        check_migrated(database)
        query = "SELECT predict_galaxy_json(img) FROM galaxy_images WHERE object_id = '10074'"
        record = json.loads(run_sql(database, query).rows[0][0])
        assert (record["predicted_class"], record["model"]["version"]) == ("Sb", 1)
        assert "raw_vote_fractions" not in record
    assert all(finding.ok for finding in examine(f"sqlite:///{path}"))


def check_migrated(database: Database) -> None:
    """Old rows stand as they were, without votes; a model of either format scores on."""
    old = "SELECT object_id, model_version, predicted_class, predicted_group, error FROM galaxy_predictions"
    rows = {row[:2]: row[2:] for row in run_sql(database, f"{old} WHERE vote_fractions IS NULL").rows}
    assert len(rows) == 12
    assert rows["10074", 1] == ("Sb", "Spiral", None)
    assert rows["102373", 2] == ("SBc", "BarredSpiral", None)
    assert rows["broken", 1][2].startswith("truncated")
    assert Registry(database).resolve("galaxy").version == 1
    assert Services(database).list()[0].model_version == 1
    assert score_pending(database, "galaxy@1").scored == 0
    Registry(database).register(tiny_raw_model())
    assert score_pending(database).scored == 6
    query = "SELECT count(*) FROM galaxy_predictions WHERE raw_vote_fractions IS NOT NULL AND model_version = 3"
    assert run_sql(database, query).rows[0][0] == 5
    Registry(database).rollback("galaxy")
    assert run_sql(database, "SELECT count(*) FROM galaxy_labels").rows[0][0] == 2


@pytest.fixture
def dumped(cluster) -> Iterator[str]:
    """The URL of a database restored from the dump of the version before, functions and grants included."""
    url = cluster.create_database("dumped")
    with Database(url) as database:
        if not check_server(database)[0].ok:
            pytest.skip("PL/Python is not installed: make test-deps")
    cluster.execute("DO $$ BEGIN CREATE ROLE astronomer LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    sql = (FIXTURES / "c2cd255.postgresql.sql").read_bytes()
    place = ["-h", str(cluster.folder), "-p", str(cluster.port), "-U", "postgres", "-d", "dumped"]
    psql = as_server([str(cluster.programs / "psql"), *place, "-q", "-v", "ON_ERROR_STOP=1", "-f", "-"])
    subprocess.run(psql, input=sql, check=True, capture_output=True, cwd="/")
    yield url
    cluster.execute("DROP DATABASE dumped WITH (FORCE)")


def granted(connection: psycopg.Connection) -> list[tuple[str, str]]:
    query = """SELECT p.proname, a.grantee::regrole::text || CASE WHEN a.is_grantable THEN '*' ELSE '' END
        FROM pg_proc p, aclexplode(p.proacl) a
        WHERE proname LIKE 'predict_galax%' AND a.grantee <> p.proowner ORDER BY 1, 2"""
    return connection.execute(query).fetchall()


def test_a_postgresql_dump_of_the_version_before_migrates_and_answers(
    dumped: str, cluster, packages: Path, galaxies: dict[str, bytes]
) -> None:
    with pytest.raises(DatabaseError, match="migrate"), open_database(dumped):
        pass
    with open_database(dumped, migrate=True) as database:
        check_migrated(database)
        with psycopg.connect(cluster.url("dumped"), autocommit=True) as superuser:
            superuser.execute("GRANT EXECUTE ON FUNCTION predict_galaxies TO PUBLIC")
            superuser.execute("GRANT EXECUTE ON FUNCTION predict_galaxy_json TO astronomer WITH GRANT OPTION")
            before = granted(superuser)
            assert len(before) == 6
            assert [finding.what for finding in examine(dumped) if "older version" in finding.found]
            install_procedure(database, packages=packages)
            assert granted(superuser) == before
            assert not [finding.what for finding in examine(dumped) if "older version" in finding.found]
    with psycopg.connect(cluster.url("dumped", "astronomer"), autocommit=True) as astronomer:
        rows = astronomer.execute("SELECT * FROM predict_galaxies(model => 'galaxy@3') ORDER BY object_id").fetchall()
        assert [len(row[-1]) if row[-1] else None for row in rows] == [37] * 5 + [None]
        old = astronomer.execute("SELECT * FROM predict_galaxies() ORDER BY object_id").fetchall()
        assert all(row[-1] is None for row in old)
        assert set(old[0][-2]) == {STEMS[0], STEMS[5]}
        astronomer.execute("INSERT INTO galaxy_predictions SELECT * FROM galaxy_predictions WHERE false")
        answer = Scorer(tiny_raw_model(), name="galaxy", version=3).score(
            [next(iter(galaxies.values()))], object_ids=[""]
        )
        record = astronomer.execute(
            "SELECT predict_galaxy_json(%s, 'galaxy@3')", (next(iter(galaxies.values())),)
        ).fetchone()
        assert set(json.loads(record[0])) == set(answer[0].as_json())


def test_the_procedure_writes_votes_and_asks_for_the_migration(dumped: str, cluster, packages: Path) -> None:
    with Database(dumped) as database, psycopg.connect(cluster.url("dumped"), autocommit=True) as superuser:
        install_procedure(database, packages=packages)
        with pytest.raises(psycopg.Error, match="of an older version"):
            superuser.execute("CALL predict_galaxy_class_batch()")
        database.migrate()
        Registry(database).register(tiny_raw_model())
        superuser.execute("CALL predict_galaxy_class_batch()")
        by_procedure = (
            "SELECT object_id, vote_fractions, raw_vote_fractions FROM galaxy_predictions WHERE model_version = 3"
        )
        written = superuser.execute(f"{by_procedure} ORDER BY object_id").fetchall()
        superuser.execute("DELETE FROM galaxy_predictions WHERE model_version = 3")
        score_pending(database)
        assert superuser.execute(f"{by_procedure} ORDER BY object_id").fetchall() == written
        assert sum(row[2] is not None for row in written) == 5


@pytest.mark.parametrize("tag", ["CREATE PROCEDURE", "GRANT"])
def test_a_failure_halfway_leaves_the_old_functions(dumped: str, cluster, packages: Path, tag: str) -> None:
    with psycopg.connect(cluster.url("dumped"), autocommit=True) as superuser:
        texts = "SELECT proname, prosrc, pg_get_function_result(oid) FROM pg_proc WHERE proname LIKE 'predict_gal%'"
        texts += " ORDER BY proname"
        before, grants = superuser.execute(texts).fetchall(), granted(superuser)
        superuser.execute(
            "CREATE FUNCTION stop() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'halfway'; END $$;"
            f"CREATE EVENT TRIGGER halfway ON ddl_command_end WHEN TAG IN ('{tag}') EXECUTE FUNCTION stop()"
        )
        with Database(dumped) as database, pytest.raises(DatabaseError, match=r"are unchanged.*halfway"):
            install_procedure(database, packages=packages)
        assert superuser.execute(texts).fetchall() == before
        assert granted(superuser) == grants


def test_a_view_on_the_old_function_is_named_and_nothing_changes(dumped: str, cluster, packages: Path) -> None:
    with psycopg.connect(cluster.url("dumped"), autocommit=True) as superuser, Database(dumped) as database:
        superuser.execute("CREATE VIEW mine AS SELECT object_id FROM predict_galaxies()")
        with pytest.raises(DatabaseError, match=r"view mine.*must be dropped first"):
            install_procedure(database, packages=packages)
        assert len(granted(superuser)) == 5
        assert os.path.isdir(packages)


def test_the_printed_text_keeps_grants_when_psql_runs_it(dumped: str, cluster) -> None:
    with Database(dumped) as database:
        database.migrate()
    printed = CliRunner().invoke(cli, ["db", "install-procedure", "--dry-run", "--database", dumped])
    with psycopg.connect(cluster.url("dumped"), autocommit=True) as superuser:
        before = granted(superuser)
        place = ["-h", str(cluster.folder), "-p", str(cluster.port), "-U", "postgres", "-d", "dumped"]
        psql = as_server([str(cluster.programs / "psql"), *place, "-q", "-v", "ON_ERROR_STOP=1", "-f", "-"])
        subprocess.run(psql, input=printed.output.encode(), check=True, capture_output=True, cwd="/")
        assert granted(superuser) == before
        query = "SELECT pg_get_function_result('predict_galaxies'::regproc)"
        assert "raw_vote_fractions" in superuser.execute(query).fetchone()[0]
