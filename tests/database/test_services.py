from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import event, text
from tiny_model import tiny_model

from galclass.database import Database, Registry, Services, Tokens
from galclass.database.migrate import known_migrations, split_statements
from galclass.database.publish import publish
from galclass.errors import DatabaseError, RegistryError


@pytest.fixture
def services(database: Database) -> Iterator[Services]:
    """Services of a database with two model versions."""
    for seed in (1, 2):
        Registry(database).register(tiny_model(seed))
    return Services(database)


def test_publishing_moves_latest_and_keeps_the_versions_before(services: Services) -> None:
    services.publish("galaxy-class", "1.0", "galaxy", 1, "first", "me")
    services.publish("galaxy-class", "1.1", "galaxy", 2, "second", "me")
    assert services.get("galaxy-class").version == services.get("galaxy-class", "latest").version == "1.1"
    assert services.get("galaxy-class", "1.0").model_version == 1
    assert [record.version for record in services.list()] == ["1.0", "1.1"]


def test_a_version_never_changes(services: Services) -> None:
    services.publish("galaxy-class", "1.0", "galaxy", 1)
    services.publish("galaxy-class", "1.0", "galaxy", 1)
    with pytest.raises(RegistryError, match="already published with another model"):
        services.publish("galaxy-class", "1.0", "galaxy", 2)
    assert len(services.log()) == 2


def test_a_deleted_version_comes_back_with_its_own_model_only(services: Services, database: Database) -> None:
    services.publish("galaxy-class", "1.0", "galaxy", 1)
    services.publish("galaxy-class", "1.1", "galaxy", 2)
    services.delete("galaxy-class", "1.0")
    with pytest.raises(RegistryError, match="belonged to another model before it was deleted"):
        services.publish("galaxy-class", "1.0", "galaxy", 2)
    assert services.get("galaxy-class").version == "1.1"
    again = publish(database, "galaxy-class", "galaxy@1", "1.0")
    assert (again.service.version, again.service.model_version, again.new) == ("1.0", 1, True)
    services.alias("galaxy-class", "latest", "1.1")
    services.delete("galaxy-class", "1.0")
    services.delete("galaxy-class", "1.1")
    assert services.published("galaxy-class").keys() == {"1.0", "1.1"}
    raised = publish(database, "galaxy-class", "galaxy@2", "1.0", next_version=True)
    assert (raised.service.version, raised.service.model_version) == ("1.1", 2)


def test_a_version_deleted_before_the_log_kept_models_is_not_given_again(services: Services, database: Database):
    services.publish("galaxy-class", "1.0", "galaxy", 1)
    services.delete("galaxy-class", "1.0")
    with database.write() as connection:
        connection.execute(text("UPDATE galaxy_service_log SET model_sha256 = NULL"))
    with pytest.raises(RegistryError, match="before it was deleted"):
        services.publish("galaxy-class", "1.0", "galaxy", 1)


def test_the_migration_fills_in_the_models_of_versions_that_stand(services: Services, database: Database) -> None:
    services.publish("galaxy-class", "1.0", "galaxy", 1)
    (step,) = [step for step in known_migrations(database.dialect) if step.id == 4]
    statements = split_statements(step.sql)
    with database.write() as connection:
        before = connection.scalar(text("SELECT model_sha256 FROM galaxy_service_log WHERE action = 'publish'"))
        connection.execute(text("ALTER TABLE galaxy_service_log DROP COLUMN model_sha256"))
        for statement in statements:
            connection.execute(text(statement))
        after = connection.scalar(text("SELECT model_sha256 FROM galaxy_service_log WHERE action = 'publish'"))
    assert before == after == Registry(database).resolve("galaxy@1").sha256


@pytest.mark.parametrize("alias", ["1.1", "2", "1.0-rc1"])
def test_an_alias_is_nothing_that_could_be_a_version(services: Services, alias: str) -> None:
    services.publish("galaxy-class", "1.0", "galaxy", 1)
    with pytest.raises(RegistryError):
        services.alias("galaxy-class", alias, "1.0")
    with pytest.raises(RegistryError):
        services.publish("galaxy-class", "1.1", "galaxy", 2, aliases=(alias,))
    assert [record.version for record in services.list()] == ["1.0"]


@pytest.mark.parametrize(
    ("name", "version", "model"), [("a/b", "1.0", 1), ("fine", "latest", 1), ("fine", "../1", 1), ("fine", "1.0", 9)]
)
def test_odd_names_and_unknown_models_are_refused(services: Services, name: str, version: str, model: int) -> None:
    with pytest.raises(RegistryError):
        services.publish(name, version, "galaxy", model)
    assert services.list() == []


def test_rollback_and_aliases(services: Services) -> None:
    for version, model in (("1.0", 1), ("1.1", 2), ("1.2", 1)):
        services.publish("galaxy-class", version, "galaxy", model)
    assert services.rollback("galaxy-class").version == "1.1"
    assert services.rollback("galaxy-class").version == "1.0"
    with pytest.raises(RegistryError, match="no earlier"):
        services.rollback("galaxy-class")
    services.alias("galaxy-class", "stable", "1.2")
    assert services.get("galaxy-class", "stable").version == "1.2"
    assert [event.action for event in services.log("galaxy-class")].count("rollback") == 2


def test_deleting_what_an_alias_points_at_is_refused_while_others_stand(services: Services) -> None:
    services.publish("galaxy-class", "1.0", "galaxy", 1)
    services.publish("galaxy-class", "1.1", "galaxy", 2)
    with pytest.raises(RegistryError, match="alias latest"):
        services.delete("galaxy-class", "1.1")
    services.delete("galaxy-class", "1.0")
    services.delete("galaxy-class", "1.1")
    with pytest.raises(RegistryError, match="unknown service"):
        services.get("galaxy-class")


def test_tokens_are_shown_once_and_kept_hashed(database: Database) -> None:
    tokens = Tokens(database)
    token = tokens.create("publisher", "for the night run")
    found = tokens.verify(token)
    assert found is not None
    assert (found.role, found.label) == ("publisher", "for the night run")
    with database.read() as connection:
        assert token not in str(connection.execute(text("SELECT * FROM galaxy_tokens")).all())


@pytest.mark.parametrize("token", ["", "galclass_", "galclass_" + "0" * 64, "é"])
def test_an_unknown_token_is_nobody(database: Database, token: str) -> None:
    assert Tokens(database).verify(token) is None


def test_a_revoked_token_is_nobody_and_stays_in_the_list(database: Database) -> None:
    tokens = Tokens(database)
    token = tokens.create("reader")
    revoked = tokens.revoke(tokens.list()[0].id)
    assert revoked.revoked_at is not None
    assert tokens.verify(token) is None
    assert len(tokens.list()) == 1


def test_an_unknown_role_or_number_is_an_error(database: Database) -> None:
    with pytest.raises(DatabaseError, match="unknown role"):
        Tokens(database).create("emperor")
    with pytest.raises(DatabaseError, match="no token 7"):
        Tokens(database).revoke(7)


def test_listing_takes_one_statement_however_many_versions_there_are(services: Services, database: Database) -> None:
    for minor in range(4):
        services.publish("galaxy-class", f"1.{minor}", "galaxy", 1 + minor % 2)
    services.alias("galaxy-class", "stable", "1.3")
    statements: list[str] = []

    def count(connection: object, cursor: object, statement: str, *rest: object) -> None:
        statements.append(statement)

    event.listen(database.engine, "before_cursor_execute", count)
    records, infos = services.list(), Registry(database).list()
    event.remove(database.engine, "before_cursor_execute", count)
    assert len([one for one in statements if one.lstrip().startswith("SELECT")]) == 2, statements
    assert [(one.version, one.aliases) for one in records] == [
        *(("1.0", ()), ("1.1", ()), ("1.2", ())),
        ("1.3", ("latest", "stable")),
    ]
    assert [(one.version, one.aliases) for one in infos] == [(1, ()), (2, ("production",))]
    assert [one.model_sha256 for one in records] == [infos[n % 2].sha256 for n in range(4)]
