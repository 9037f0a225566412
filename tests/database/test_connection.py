from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from galclass.database import Database, open_database
from galclass.database.connection import translated
from galclass.database.migrate import known_migrations, split_statements
from galclass.database.schema import metadata
from galclass.errors import DatabaseError


@pytest.mark.parametrize("url", ["mysql://host/db", "nonsense://"])
def test_another_database_is_refused(url: str) -> None:
    with pytest.raises(DatabaseError):
        Database(url)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"this is no database, although it is long enough" * 50)
    with pytest.raises(DatabaseError, match=r"x\.db"):
        open_database(tmp_path / "x.db")


def test_a_password_is_never_shown() -> None:
    assert "secret" not in Database("postgresql://me:secret@localhost/galaxies").url


def test_an_unreachable_server_is_an_error_of_ours() -> None:
    with pytest.raises(DatabaseError, match="localhost"):
        open_database("postgresql://nobody@localhost:1/none")


def test_migrating_twice_does_nothing(url: str) -> None:
    with open_database(url, migrate=True) as database:
        assert database.migrate() == []
        assert database.missing_migrations() == []


def test_an_old_postgresql_schema_asks_for_a_migration(cluster) -> None:
    url = cluster.create_database("not_migrated")
    with pytest.raises(DatabaseError, match="galclass db migrate"):
        open_database(url)


def test_a_newer_schema_is_refused(url: str) -> None:
    with open_database(url, migrate=True) as database:
        with database.write() as connection:
            connection.execute(text("INSERT INTO schema_migrations VALUES (9999, 'future', 'then')"))
        with pytest.raises(DatabaseError, match="newer galclass"):
            database.migrate()


def test_the_tables_in_code_are_the_tables_in_the_database(database: Database) -> None:
    found = inspect(database.engine)
    assert set(metadata.tables) == set(found.get_table_names())
    for table in metadata.tables.values():
        columns = {column["name"]: column for column in found.get_columns(table.name)}
        assert list(columns) == [column.name for column in table.columns]
        keys = found.get_pk_constraint(table.name)["constrained_columns"]
        assert set(keys) == {column.name for column in table.primary_key.columns}
        for column in table.columns:
            if column.name not in keys:
                assert columns[column.name]["nullable"] == column.nullable, f"{table.name}.{column.name}"


def test_migrations_are_numbered_without_gaps_and_some_are_for_one_database_only() -> None:
    steps = {dialect: [step.id for step in known_migrations(dialect)] for dialect in ("sqlite", "postgresql")}
    assert all(ids == sorted(set(ids)) for ids in steps.values())
    every = set(steps["sqlite"]) | set(steps["postgresql"])
    assert every == set(range(1, len(every) + 1))


def test_statements_are_split_outside_functions_and_triggers() -> None:
    for dialect in ("sqlite", "postgresql"):
        for step in known_migrations(dialect):
            for statement in split_statements(step.sql):
                assert statement.startswith(("CREATE ", "ALTER ", "UPDATE ", "INSERT ", "DELETE ", "DROP "))


def test_a_failed_migration_leaves_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from galclass.database import migrate

    good = migrate.known_migrations
    broken = migrate.Migration(2, "broken", "CREATE TABLE fine (a INTEGER);\nCREATE NONSENSE;\n")
    monkeypatch.setattr(migrate, "known_migrations", lambda dialect: (good(dialect)[0], broken))
    database = Database(url)
    with pytest.raises(DatabaseError):
        database.migrate()
    assert inspect(database.engine).get_table_names() == []
    database.close()


def test_models_cannot_be_changed_by_other_tools_either(filled: Database) -> None:
    with pytest.raises(DatabaseError, match="insert-only"), filled.write() as connection:
        connection.execute(text("UPDATE galaxy_models SET card = 'better'"))


def test_sqlite_is_in_wal_mode_and_foreign_keys_hold(tmp_path: Path) -> None:
    with open_database(tmp_path / "galclass.db") as database:
        with database.read() as connection:
            assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
        with pytest.raises(DatabaseError, match="FOREIGN KEY"), database.write() as connection:
            connection.execute(text("INSERT INTO galaxy_model_aliases VALUES ('a', 'b', 1, 'now', 'me')"))
    with sqlite3.connect(tmp_path / "galclass.db") as plain:
        assert plain.execute("SELECT count(*) FROM schema_migrations").fetchone()[0] == len(known_migrations("sqlite"))
    plain.close()


def test_a_database_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    with open_database(tmp_path / "d.db") as database, database.read() as connection:
        connection.exec_driver_sql("PRAGMA query_only = ON")
        with pytest.raises(DatabaseError, match="copy it into a folder"), translated("d.db"):
            connection.exec_driver_sql("CREATE TABLE mine (a)")
