from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import text
from tiny_model import tiny_model

from galclass.database import Database, Registry, Services, Tokens
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
    with pytest.raises(RegistryError, match="already, with another model"):
        services.publish("galaxy-class", "1.0", "galaxy", 2)
    assert len(services.log()) == 2


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
    with pytest.raises(RegistryError, match="no such service"):
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
