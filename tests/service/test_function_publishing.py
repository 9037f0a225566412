"""Functions as services: what is published, confirmed, kept and refused; versions and the command."""

from __future__ import annotations

import importlib.util
import json
import marshal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient
from service.function_code import Publish, call
from sqlalchemy import text
from tiny_model import tiny_model

from galclass.cli import cli
from galclass.config import Config
from galclass.database import Database, Registry, Services
from galclass.errors import GalclassError, RegistryError, RequestError, ServiceError
from galclass.service.functions.code import hash_files
from galclass.service.functions.facts import FunctionFacts
from galclass.service.functions.publish import APPROVALS, approve, approved
from galclass.service.server.app import create_app


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("hostile:no_annotation", "the parameter value has no annotation"),
        ("hostile:no_return", "the return value has no annotation"),
        ("hostile:no_type", "a type cannot be read from JSON"),
        ("hostile:waits", "not a plain function"),
        ("hostile:nothing", "has no nothing"),
        ("hostile:leaked", "it is not a function"),
        ("nowhere:same", "there is no module"),
        ("hostile.same", "not an import path"),
        ("../hostile:same", "not an import path"),
    ],
)
def test_what_is_no_service_is_not_published(publish: Publish, database: Database, function: str, reason: str) -> None:
    with pytest.raises(GalclassError, match=reason):
        publish("bad", function)
    assert Services(database).list("bad") == []


def test_models_have_to_fit_the_parameters(publish: Publish) -> None:
    with pytest.raises(ServiceError, match="expected model=MODEL, got none"):
        publish("ask", "galaxy_service:sure_or_ask")
    with pytest.raises(ServiceError, match="expected none"):
        publish("same", "hostile:same", models={"": "galaxy@1"})
    with pytest.raises(RegistryError):
        publish("ask", "galaxy_service:sure_or_ask", models={"model": "nothing"})
    with pytest.raises(RequestError, match="invalid|Input should"):
        publish("same", "hostile:same", examples=[{"value": "x"}])


def test_other_code_is_refused_alone_and_confirmed_as_the_next_version(
    config: Config, publish: Publish, code: Path, database: Database
) -> None:
    publish("tidy", "tidy:times", requirements=["pydantic"])
    publish("same", "hostile:same")
    assert not publish("tidy", "tidy:times", requirements=["pydantic"]).new
    (code / "tidy" / "more.py").write_text("FACTOR = 3\n")
    with TestClient(create_app(config), raise_server_exceptions=False) as client:
        response = call(client, "tidy", {"value": 2})
        assert (response.status_code, response.json()["error"]["code"]) == (503, "function_refused")
        assert "tidy/more.py is not the one that was published" in response.json()["error"]["message"]
        assert call(client, "same", {"value": 2}).json() == 2
        with pytest.raises(RegistryError, match="different code"):
            publish("tidy", "tidy:times", requirements=["pydantic"])
        second = publish("tidy", "tidy:times", requirements=["pydantic"], confirm=True)
        assert (second.service.version, second.new) == ("1.1", True)
        again = publish("tidy", "tidy:times", requirements=["pydantic"], confirm=True)
        assert (again.service.version, again.new) == ("1.1", False)
        assert call(client, "tidy", {"value": 2}, "1.1").json() == 6
        assert call(client, "tidy", {"value": 2}, "1.0").status_code == 503
    (code / "tidy" / "new.txt").write_text("x")
    with TestClient(create_app(config), raise_server_exceptions=False) as client:
        assert "tidy/new.txt is new" in call(client, "tidy", {"value": 2}, "1.1").json()["error"]["message"]
        (code / "tidy" / "new.txt").unlink()
    Services(database).alias("tidy", "latest", "1.0")
    (code / "tidy" / "more.py").write_text("FACTOR = 2\n")
    with TestClient(create_app(config), raise_server_exceptions=False) as client:
        assert call(client, "tidy", {"value": 2}).json() == 4


def test_an_upgraded_requirement_and_a_compiled_file_do_not_pass(
    config: Config, publish: Publish, code: Path, database: Database
) -> None:
    publish("tidy", "tidy:times", requirements=["pydantic"])
    record = Services(database).get("tidy")
    assert record.code is not None
    cached = code / "tidy" / "__pycache__"
    cached.mkdir(exist_ok=True)
    other = compile("FACTOR = 9", str(code / "tidy" / "more.py"), "exec")
    source = code / "tidy" / "more.py"
    facts = source.stat()
    head = (
        importlib.util.MAGIC_NUMBER
        + bytes(4)
        + int(facts.st_mtime).to_bytes(4, "little")
        + facts.st_size.to_bytes(4, "little")
    )
    Path(importlib.util.cache_from_source(str(source))).write_bytes(head + marshal.dumps(other))
    with TestClient(create_app(config), raise_server_exceptions=False) as client:
        assert call(client, "tidy", {"value": 2}).json() == 4  # not 18: sources alone are run


def test_a_row_that_was_not_published_here_runs_nothing(config: Config, publish: Publish, database: Database) -> None:
    publish("same", "hostile:same")
    approvals = config.workspace_path / APPROVALS
    kept = approvals.read_text()
    approvals.unlink()
    with TestClient(create_app(config), raise_server_exceptions=False) as client:
        error = call(client, "same", {"value": 2}).json()["error"]
        assert error["code"] == "function_refused"
        assert "not published from this server's workspace" in error["message"]
    approvals.write_text(kept)
    with database.write() as connection:
        forged = json.dumps({**(Services(database).get("same").code or {}), "function": "os:system"})
        connection.execute(text("UPDATE galaxy_services SET code = :code WHERE name = 'same'"), {"code": forged})
    with TestClient(create_app(config), raise_server_exceptions=False) as client:
        assert "its row is damaged" in call(client, "same", {"value": 2}).json()["error"]["message"]


def test_what_is_published_at_once_is_all_approved(tmp_path: Path) -> None:
    made = [FunctionFacts("a:b", {"a.py": str(n)}, "3.11", {}, {}, {}, {}) for n in range(40)]
    with ThreadPoolExecutor(40) as threads:
        list(threads.map(lambda facts: approve(tmp_path / "work", facts, tmp_path), made))
    assert set(approved(tmp_path / "work")) == {facts.sha256 for facts in made}


def test_a_neighbour_of_a_lone_module_is_not_part_of_it(publish: Publish, code: Path) -> None:
    (code / "lone.py").write_text("import helper_of_lone\ndef f(value: int) -> int:\n    return helper_of_lone.X\n")
    (code / "helper_of_lone.py").write_text("X = 1\n")
    with pytest.raises(RequestError, match="cannot be imported"):
        publish("lone", "lone:f")


def test_every_model_of_a_function_is_kept(database: Database) -> None:
    services, registry = Services(database), Registry(database)
    registry.register(tiny_model(2), aliases=())
    models = {f"scorer_{number}": {"name": "galaxy", "version": number, "sha256": "0" * 64} for number in (1, 2)}
    services.publish("both", "1.0", "galaxy", 1, code={"function": "m:f", "sha256": "1" * 64, "models": models})
    with pytest.raises(RegistryError, match="it is in use.*service both@1.0"):
        registry.delete("galaxy@2")
    registry.delete("galaxy@3")
    services.delete("both", "1.0")
    registry.delete("galaxy@2")


def test_versions_of_functions_are_managed_like_those_of_models(
    publish: Publish, database: Database, code: Path
) -> None:
    publish("same", "hostile:same")
    publish("same", "hostile:prints", "1.1")
    services = Services(database)
    assert services.rollback("same").version == "1.0"
    services.alias("same", "stable", "1.1")
    services.alias("same", "stable", "1.0")
    services.delete("same", "1.1")
    with pytest.raises(RegistryError, match="before it was deleted"):
        publish("same", "hostile:loops", "1.1")
    assert publish("same", "hostile:prints", "1.1").new


def test_the_command_publishes_a_function(config: Config, code: Path, tmp_path: Path) -> None:
    example = tmp_path / "example.json"
    example.write_text('{"value": 4}')
    common = ["publish", "times", "--version", "1.0", "--workspace", str(config.workspace_path)]
    function = ["--function", "tidy:times", "--code", str(code), "--example", str(example), "--requires", "pydantic"]
    done = CliRunner().invoke(cli, [*common, *function])
    assert done.output == "publish: times 1.0 published, served by tidy:times\n"
    (code / "tidy" / "more.py").write_text("FACTOR = 5\n")
    assert CliRunner().invoke(cli, [*common, *function]).exit_code == 1
    done = CliRunner().invoke(cli, [*common, *function, "--confirm"])
    assert done.output == "publish: times 1.1 published, served by tidy:times\n"
    for wrong in (
        ["--confirm", "--model", "galaxy"],
        [],
        ["--deadline", "3", "--model", "galaxy"],
        ["--model", "a", "--model", "b"],
    ):
        assert CliRunner().invoke(cli, [*common, *wrong]).exit_code == 2


def test_the_defaults_in_the_help_are_those_of_the_code() -> None:
    from galclass.cli import services as commands
    from galclass.service.functions import facts

    assert (commands.DEADLINE_S, commands.MEMORY_MIB) == (facts.DEADLINE_S, facts.MEMORY_MIB)


def test_linked_files_and_folders_of_a_module_are_hashed_once_and_loops_end(tmp_path: Path) -> None:
    outside, module = tmp_path / "outside", tmp_path / "code" / "module"
    for folder in (outside, module / "inner", module / "__pycache__"):
        folder.mkdir(parents=True)
        (folder / "m.py").touch()
    (module / "__init__.py").touch()
    (module / "linked.py").symlink_to(module / "inner" / "m.py")
    for name, target in {"far": outside, "near": module / "inner", "up": tmp_path, "gone": tmp_path / "none"}.items():
        (module / name).symlink_to(target)
    found = hash_files(tmp_path / "code", "module")
    assert sorted(found) == [f"module/{name}" for name in ("__init__.py", "far/m.py", "inner/m.py", "linked.py")]
