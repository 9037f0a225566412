"""Models that attack the database's users: refused by `register`, and where a row was inserted past it."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import psycopg
import pytest
from hostile_models import endless_loop, external, model, scaled, slow, weight
from sqlalchemy import text
from tiny_model import tiny_model, tiny_signature

from galclass.database import Database, Images, NewImage, Registry, Services, open_database, score_pending
from galclass.database.doctor import examine
from galclass.database.procedure import check_server, install_procedure
from galclass.database.publish import publish
from galclass.database.schema import model_alias_log, model_aliases, models
from galclass.database.sqlite_functions import SqlScoring
from galclass.database.types import now
from galclass.errors import ModelError


def insert_past_register(database: Database, name: str, value: bytes, sha256: str | None = None) -> None:
    """Insert a row and a production alias with SQL, as any role with the right may."""
    row = {"name": name, "version": 1, "value": value, "sha256": sha256 or hashlib.sha256(value).hexdigest()}
    row |= {"signature": tiny_signature().to_dict(), "metrics": {}, "card": "", "created_at": now(), "created_by": "x"}
    alias = {"name": name, "alias": "production", "version": 1, "set_at": now(), "set_by": "x"}
    with database.write() as connection:
        connection.execute(models.insert().values(**row))
        connection.execute(model_aliases.insert().values(**alias))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda g: external(weight(g, "w2"), "global/1260"), "external data"),
        (endless_loop, "operator 'Loop'"),
        (scaled("probabilities", 900), "not probabilities"),
        (scaled("embedding", float("nan")), "not finite"),
    ],
)
def test_register_refuses_and_keeps_nothing(database: Database, change, match: str) -> None:
    with pytest.raises(ModelError, match=match):
        Registry(database).register(model(change))
    assert Registry(database).list() == []


def test_rows_inserted_past_register_are_refused_by_everyone_who_opens_them(filled: Database) -> None:
    insert_past_register(filled, "reader", model(lambda g: external(weight(g, "w2"), "/etc/passwd")))
    with pytest.raises(ModelError, match="external data"):
        Registry(filled).get("reader").scorer()
    with pytest.raises(ModelError, match="external data"):
        Registry(filled).verify("reader")
    with pytest.raises(ModelError, match="external data"):
        score_pending(filled, "reader")


def test_what_was_inserted_past_register_is_tried_before_it_is_published(filled: Database) -> None:
    insert_past_register(filled, "rude", model(scaled("probabilities", 900)))
    with pytest.raises(ModelError, match="not probabilities"):
        publish(filled, "rude", "rude@1", "1.0")
    with pytest.raises(ModelError, match="not probabilities"):
        Registry(filled).alias("rude", "candidate", 1)
    assert Services(filled).list("rude") == []
    assert Registry(filled).points_at("rude", "candidate") is None


def test_no_alias_goes_back_to_a_model_that_is_older_than_the_checks(filled: Database) -> None:
    insert_past_register(filled, "rude", model(scaled("probabilities", 900)))
    services, registry = Services(filled), Registry(filled)
    services.publish("rude", "1.0", "rude", 1)
    with filled.write() as connection:  # as it was moved when nothing was checked
        connection.execute(
            model_alias_log.insert().values(name="rude", alias="production", new_version=1, set_at=now(), set_by="x")
        )
    registry.register(tiny_model(), name="rude")
    services.publish("rude", "1.1", "rude", 2)
    for move in (
        lambda: registry.rollback("rude"),
        lambda: services.rollback("rude"),
        lambda: services.alias("rude", "latest", "1.0"),
        lambda: services.alias("rude", "stable", "1.0"),
    ):
        with pytest.raises(ModelError, match="not probabilities"):
            move()
    assert registry.points_at("rude", "production") == 2
    assert services.get("rude").version == "1.1"


def test_a_model_that_was_never_tried_is_tried_when_it_is_opened(filled: Database) -> None:
    insert_past_register(filled, "rude", model(scaled("probabilities", 900)))
    with pytest.raises(ModelError, match="rude@1: it returns values that are not finite or not probabilities"):
        Registry(filled).get("rude").scorer()


def test_a_signature_row_nested_too_deeply_is_an_error(database: Database) -> None:
    insert_past_register(database, "deep", tiny_model())
    nested = "[" * 3000 + "]" * 3000
    with database.write() as connection:
        if database.dialect == "sqlite":
            connection.execute(text("DROP TRIGGER galaxy_models_are_immutable"))
            connection.execute(text("UPDATE galaxy_models SET signature = :nested"), {"nested": nested})
        else:
            connection.execute(text("ALTER TABLE galaxy_models DISABLE TRIGGER USER"))
            connection.execute(text("UPDATE galaxy_models SET signature = CAST(:nested AS jsonb)"), {"nested": nested})
    with pytest.raises(ModelError, match="nested too deeply"):
        Registry(database).get("deep")


def test_the_doctor_names_models_that_fail_and_says_what_to_do(database: Database, url: str) -> None:
    Registry(database).register(tiny_model())
    insert_past_register(database, "loop", model(endless_loop))
    insert_past_register(database, "loud", model(scaled("probabilities", 900)))
    found = {finding.what: finding for finding in examine(url)}
    assert found["model galaxy@1"].ok
    for name in ("loop", "loud"):
        finding = found[f"model {name}@1"]
        assert not finding.ok
        assert f"galclass models delete {name}@1" in finding.mend
        assert "point production at another version" in finding.mend


@pytest.mark.parametrize("order", [("honest", "liar"), ("liar", "honest")])
def test_bytes_under_the_sha256_of_another_model_answer_for_nobody(tmp_path: Path, order: tuple[str, str]) -> None:
    path = tmp_path / "x.db"
    with open_database(path) as database:
        honest = Registry(database).register(tiny_model(1), name="honest")
        insert_past_register(database, "liar", tiny_model(2), sha256=honest.sha256)
    for name in order:
        scoring = SqlScoring(path, name)
        if name == "liar":
            with pytest.raises(ModelError, match="differ from those that were registered"):
                scoring.scorer()
        else:
            assert scoring.scorer().model.name == "honest"
        scoring.close()


@pytest.fixture(scope="module")
def server(cluster, packages, galaxies: dict[str, bytes]) -> Database:
    """A PostgreSQL database with the functions, a role that may predict and one that may insert models."""
    with open_database(cluster.create_database("hostile_models"), migrate=True) as database:
        if not check_server(database)[0].ok:
            pytest.skip("PL/Python is not installed: make test-deps")
        Registry(database).register(tiny_model())
        Images(database).add(NewImage(key, data) for key, data in list(galaxies.items())[:3])
        install_procedure(database, packages=packages)
        with database.write() as connection:
            connection.exec_driver_sql(
                "CREATE ROLE ordinary LOGIN; GRANT SELECT, INSERT ON galaxy_models, galaxy_model_aliases TO ordinary;"
                "GRANT SELECT ON galaxy_images TO ordinary; GRANT CREATE ON SCHEMA public TO ordinary;"
                "GRANT EXECUTE ON FUNCTION predict_galaxy_class, predict_galaxies TO ordinary"
            )
        yield database


@pytest.fixture
def ordinary(cluster, server: Database):
    with psycopg.connect(cluster.url("hostile_models", "ordinary"), autocommit=True) as connection:
        yield connection


QUERY = "SELECT predict_galaxy_class(img, %s) FROM galaxy_images LIMIT 1"


def test_an_ordinary_role_reads_no_file_of_the_cluster(cluster, server: Database, ordinary) -> None:
    """The attack that worked: the back end runs in the data folder, and global/1260 holds the passwords."""
    assert (cluster.data / "global" / "1260").stat().st_size >= 8 * 13 * 4
    with Database(cluster.url("hostile_models", "ordinary")) as database:
        insert_past_register(database, "thief", model(lambda g: external(weight(g, "w2"), "global/1260")))
    with pytest.raises(psycopg.Error, match="external data"):
        ordinary.execute(QUERY, ("thief",))
    assert ordinary.execute(QUERY, ("galaxy",)).fetchone()[0]


def test_a_timeout_is_honoured_while_a_graph_runs(server: Database, ordinary) -> None:
    insert_past_register(server, "slow", model(slow(300, 1000)))
    ordinary.execute(QUERY, ("galaxy",))  # loads what the functions need
    ordinary.execute("SET statement_timeout = '1s'")
    started = time.monotonic()
    with pytest.raises(psycopg.errors.QueryCanceled):
        ordinary.execute(QUERY, ("slow",))
    assert time.monotonic() - started < 8  # the graph takes half a minute
    ordinary.execute("RESET statement_timeout")
    assert ordinary.execute(QUERY, ("galaxy",)).fetchone()[0]
    with server.write() as connection:
        connection.exec_driver_sql("DELETE FROM galaxy_model_aliases WHERE name = 'slow'")
        connection.exec_driver_sql("DELETE FROM galaxy_models WHERE name = 'slow'")


def test_a_schema_of_the_callers_shadows_nothing(server: Database, ordinary, cluster) -> None:
    """Temporary tables and a search_path of one's own change neither what is scored nor what waits."""
    ordinary.execute("CREATE TEMP TABLE galaxy_models AS SELECT * FROM public.galaxy_models WHERE false")
    ordinary.execute("CREATE TEMP TABLE galaxy_model_aliases AS SELECT * FROM public.galaxy_model_aliases WHERE false")
    ordinary.execute("SET search_path = pg_temp, public")
    assert ordinary.execute("SELECT count(*) FROM predict_galaxies('public.galaxy_images')").fetchone() == (3,)
    with psycopg.connect(cluster.url("hostile_models"), autocommit=True) as admin:
        admin.execute("CREATE TEMP TABLE galaxy_score_queue AS SELECT * FROM public.galaxy_score_queue WHERE false")
        admin.execute("SET search_path = pg_temp")
        admin.execute("INSERT INTO public.galaxy_images (object_id, added_at) VALUES ('shadow', now())")
        try:
            waiting = admin.execute("SELECT count(*) FROM public.galaxy_score_queue WHERE object_id = 'shadow'")
            assert waiting.fetchone()[0] >= 1
            assert admin.execute("SELECT count(*) FROM pg_temp.galaxy_score_queue").fetchone() == (0,)
        finally:
            admin.execute("DELETE FROM public.galaxy_images WHERE object_id = 'shadow'")
            admin.execute("DELETE FROM public.galaxy_score_queue WHERE object_id = 'shadow'")


def test_the_procedure_uses_the_catalogs_functions(server: Database, cluster) -> None:
    with psycopg.connect(cluster.url("hostile_models"), autocommit=True) as admin:
        admin.execute(
            "CREATE SCHEMA evil; "
            "CREATE FUNCTION evil.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT NULL::timestamptz'"
        )
        admin.execute("CREATE TABLE evil.few AS SELECT object_id, img FROM public.galaxy_images LIMIT 2")
        admin.execute("SET search_path = evil, pg_catalog, public")
        admin.execute("CALL public.predict_galaxy_class_batch(source => 'few')")
        assert admin.execute("SHOW search_path").fetchone() == ("evil, pg_catalog, public",)
        assert admin.execute("SELECT count(*) FROM public.galaxy_predictions").fetchone() == (2,)


def test_every_function_of_ours_has_a_fixed_search_path(server: Database) -> None:
    with server.read() as connection:
        rows = connection.execute(text(
            "SELECT proname, prosecdef, array_to_string(proconfig, ',') FROM pg_proc "
            "WHERE pronamespace = 'public'::regnamespace AND proname LIKE '%galax%'"
        )).all()  # fmt: skip
    assert len(rows) == 10
    for name, definer, settings in rows:
        assert not definer
        assert name == "predict_galaxy_class_batch" or settings == "search_path=pg_catalog, pg_temp"


def test_the_doctor_names_who_may_insert_models(server: Database) -> None:
    finding = next(one for one in examine(server.full_url) if one.what == "roles that may insert models")
    assert finding.ok
    assert finding.found == "ordinary, postgres"
    with server.write() as connection:
        connection.exec_driver_sql("GRANT INSERT ON galaxy_models TO PUBLIC")
    try:
        finding = next(one for one in examine(server.full_url) if one.what == "roles that may insert models")
        assert not finding.ok
    finally:
        with server.write() as connection:
            connection.exec_driver_sql("REVOKE INSERT ON galaxy_models FROM PUBLIC")
