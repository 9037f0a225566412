"""`galclass publish`, `services` and `tokens`, and the stage `publish`, on a real workspace."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import pytest
from click.testing import CliRunner

from galclass.cli import cli
from galclass.config import Config
from galclass.database import Database, Registry, Services, Tokens
from galclass.database.publish import publish_stage, raised
from galclass.errors import RegistryError
from galclass.service.http.logs import JsonFormatter
from galclass.service.server.run import addresses, server_options


def run(config: Config, *arguments: str) -> str:
    result = CliRunner().invoke(cli, [*arguments, "--workspace", config.workspace], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_an_unknown_model_or_service_is_an_error_that_says_what_is_there(config: Config) -> None:
    with pytest.raises(RegistryError, match="one of galaxy"):
        run(config, "publish", "new", "--model", "nothing", "--version", "1.0")
    with pytest.raises(RegistryError, match="one of 1.0"):
        run(config, "services", "show", "galaxy-class", "9.0")
    with pytest.raises(RegistryError, match="already published with another model"):
        run(config, "publish", "galaxy-class", "--model", "galaxy@2", "--version", "1.0")


def test_publish_update_roll_back_alias_and_delete(config: Config, database: Database) -> None:
    assert "galaxy-class 2.0 published, served by galaxy@2" in run(
        config, "publish", "galaxy-class", "--model", "galaxy@2", "--version", "2.0"
    )
    assert "2.0 is already published" in run(
        config, "publish", "galaxy-class", "--model", "galaxy@2", "--version", "2.0"
    )
    assert "galaxy-class 1.0 (latest)" in run(config, "services", "rollback", "galaxy-class")
    assert "galaxy-class 2.0 (latest)" in run(config, "services", "alias", "galaxy-class", "latest", "2.0")
    assert "galaxy-class 2.1 published, served by galaxy@1" in run(
        config, "services", "update", "galaxy-class", "--model", "galaxy@1", "--version", "2.1"
    )
    assert "galaxy-class 1.0 deleted" in run(config, "services", "delete", "galaxy-class", "1.0")
    listed = run(config, "services", "list")
    assert "2.0" in listed
    assert "2.1" in listed
    assert "rollback latest: 2.0 -> 1.0" in run(config, "services", "show", "galaxy-class")
    assert {record.version for record in Services(database).list()} == {"2.0", "2.1"}


def test_tokens_are_shown_once_and_can_be_revoked(config: Config, database: Database) -> None:
    secret = run(config, "tokens", "create", "--role", "publisher", "--label", "alice").strip()
    assert Tokens(database).verify(secret).label == "alice"
    listed = run(config, "tokens", "list")
    assert "alice" in listed
    assert secret not in listed
    run(config, "tokens", "revoke", str(Tokens(database).list()[0].id))
    assert Tokens(database).verify(secret) is None


def test_the_stage_publishes_once_and_takes_the_next_version_for_a_new_model(
    config: Config, database: Database
) -> None:
    assert str(publish_stage(config)) == "publish: galaxy-class 1.0 is already published, served by galaxy@1"
    Registry(database).alias("galaxy", "production", 2)
    assert str(publish_stage(config)) == "publish: galaxy-class 1.1 published, served by galaxy@2"
    assert str(publish_stage(config)) == "publish: galaxy-class 1.1 is already published, served by galaxy@2"
    assert len(Services(database).list()) == 2


def test_the_next_version_raises_the_last_number() -> None:
    assert [raised(version) for version in ("1.0", "1.9", "2", "1.0rc")] == ["1.1", "1.10", "3", "1.0rc.1"]


def test_the_server_listens_on_loopback_unless_told_otherwise(config: Config) -> None:
    assert server_options(config)["host"] == "127.0.0.1"
    assert addresses(config) == ("http://127.0.0.1:8000/", "http://127.0.0.1:8000/docs")
    everywhere = replace(config, serve=replace(config.serve, host="0.0.0.0", port=80))
    assert addresses(everywhere)[0] == "http://127.0.0.1:80/"
    assert server_options(config)["proxy_headers"] is False


def test_a_log_line_is_json_with_known_fields_only() -> None:
    record = logging.makeLogRecord({"msg": "request", "status": 200, "authorization": "Bearer secret", "body": b"x"})
    line = JsonFormatter().format(record)
    assert '"status": 200' in line
    assert "secret" not in line
    assert "body" not in line


def test_no_character_of_a_request_ends_a_log_line_early() -> None:
    hostile = "".join(map(chr, range(32))) + "\x7f\x85\u2028\u2029\x1b[2J é"
    line = JsonFormatter().format(logging.makeLogRecord({"msg": hostile, "path": hostile, "client": hostile}))
    assert len(line.splitlines()) == 1
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["path"] == hostile


def test_a_database_that_cannot_be_opened_is_told_before_any_process_starts(config: Config) -> None:
    from galclass.errors import DatabaseError
    from galclass.service.server.run import serve

    with pytest.raises(DatabaseError, match="is not a database URL"):
        serve(replace(config, database="://nothing", serve=replace(config.serve, workers=2)))
