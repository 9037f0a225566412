"""What is installed into a server: its text, what it needs, and what is said where that is missing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from galclass.database import Database, open_database
from galclass.database.procedure import check_server, first_writable, install_procedure, procedure_sql
from galclass.errors import DatabaseError, RegistryError


def test_text_for_other_schemas_is_quoted() -> None:
    sql = procedure_sql(schema='we"ird', packages=Path("/opt/it's/site-packages"))
    assert 'FUNCTION "we""ird".predict_galaxy_class(' in sql
    assert 'site.addsitedir("/opt/it\'s/site-packages")' in sql
    with pytest.raises(RegistryError):
        procedure_sql(model="x'; DROP TABLE y; --")


def test_what_is_missing_is_named_with_the_way_to_mend_it(cluster, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    cluster.execute("CREATE ROLE plain LOGIN")
    with Database(cluster.url("postgres", "plain")) as database, pytest.raises(DatabaseError) as caught:
        install_procedure(database, packages=closed)
    assert "superuser" in str(caught.value)
    assert "closed to others" in str(caught.value)


def test_packages_that_anyone_may_replace_are_not_run_by_the_server(cluster, tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    assert first_writable(folder) == folder
    with Database(cluster.url("postgres")) as database:
        finding = next(one for one in check_server(database, packages=folder) if "may write" in one.what)
        assert not finding.ok
        folder.chmod(0o755)
        finding = next(one for one in check_server(database, packages=folder) if "may write" in one.what)
        assert finding.ok


def test_sqlite_needs_no_installing(tmp_path: Path) -> None:
    with open_database(tmp_path / "x.db") as database, pytest.raises(DatabaseError, match="On SQLite every connection"):
        install_procedure(database)


def test_all_that_is_kept_of_the_routines_before_is_used() -> None:
    sql = procedure_sql()
    (columns,) = re.findall(r"CREATE TEMP TABLE galclass_before .*?SELECT (.*?)\nFROM", sql, re.DOTALL)
    names = [re.findall(r"\w+", column)[-1] for column in columns.split(",")]
    assert "owner" in names
    assert [name for name in names if f"one.{name}" not in sql] == []


def test_the_t_sql_text_is_the_one_that_was_reviewed() -> None:
    import galclass

    golden = (Path(__file__).parent / "golden" / "tsql.sql").read_text()
    assert procedure_sql("tsql").replace(galclass.__version__, "VERSION") == golden
    assert golden.startswith("-- GENERATED, NOT RUN AGAINST A SERVER")
    for word in ("galaxyModels", "sp_execute_external_script", "@InputData", "@InputParameter", "WITH RESULT SETS"):
        assert word in golden


def test_a_server_that_cannot_load_galclass_is_told_why(cluster) -> None:
    with open_database(cluster.create_database("wrong_packages"), migrate=True) as database:
        if not check_server(database)[0].ok:
            pytest.skip("PL/Python is not installed: make test-deps")
        with pytest.raises(DatabaseError, match="must be Python 3"):
            install_procedure(database, packages=Path("/usr/share"))


def test_the_decode_limit_is_part_of_the_functions_text() -> None:
    assert ", SD, 0.5)" in procedure_sql(max_decode_s=0.5)
    assert ", SD, 1.0)" in procedure_sql()
