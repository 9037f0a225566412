"""Services over code: published, called, batched, refused; and functions that do what they should not."""

from __future__ import annotations

import base64
import importlib.util
import json
import marshal
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient
from openapi_spec_validator import validate
from sqlalchemy import text
from tiny_model import tiny_model

from galclass.cli import cli
from galclass.config import Config
from galclass.database import Database, Registry, Services
from galclass.errors import GalclassError, RegistryError, RequestError, ServiceError
from galclass.scoring import Scorer
from galclass.service.functions.facts import FunctionFacts
from galclass.service.functions.publish import APPROVALS, approve, approved, publish_function
from galclass.service.server.app import create_app

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

HOSTILE = '''
"""Functions that do what they should not."""
import os, sys, time, threading, subprocess
from typing import Annotated, Any
from pydantic import BaseModel, Field, field_validator

leaked = []

def same(value: int) -> int:
    return value

def loops(value: int) -> int:
    while True:
        pass

def spawns(path: str) -> int:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    open(path, "w").write(str(child.pid))
    time.sleep(600)
    return 0

def crashes(value: int) -> int:
    os.kill(os.getpid(), 11)
    return value

def leaves(value: int) -> int:
    sys.exit("hunter2")

def prints(value: int) -> int:
    print("hunter2" * 100_000)
    sys.stderr.write("hunter2" * 100_000)
    os.write(1, b"hunter2")
    sys.stdout.flush()
    return value

def leaks(mib: int) -> int:
    leaked.append(bytearray(mib << 20))
    return len(leaked)

def raises(value: int) -> int:
    raise RuntimeError("password=hunter2")

def lies(value: int) -> int:
    return "hunter2"

def huge(value: int) -> str:
    return "x" * (33 << 20)

def not_finite(value: float) -> float:
    return float("inf")

class Checked(BaseModel):
    name: str
    count: Annotated[int, Field(ge=0, le=10)]

    @field_validator("name")
    @classmethod
    def known(cls, value):
        if value == "crash":
            raise RuntimeError("hunter2")
        raise ValueError("hunter2 is the only name")

def checked(item: Checked, tags: list[str] = []) -> dict[str, Any]:
    return {"item": item.name, "tags": tags}

def environment() -> list[str]:
    return sorted(os.environ)

def no_annotation(value) -> int:
    return value

def no_return(value: int):
    return value

def no_type(value: threading.Lock) -> int:
    return 0

async def waits(value: int) -> int:
    return value
'''


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A folder with the module `hostile` and the package `tidy`."""
    folder = tmp_path / "code"
    (folder / "tidy").mkdir(parents=True)
    (folder / "hostile.py").write_text(HOSTILE)
    (folder / "tidy" / "__init__.py").write_text(
        "from tidy.more import FACTOR\ndef times(value: int) -> int:\n    return value * FACTOR\n"
    )
    (folder / "tidy" / "more.py").write_text("FACTOR = 2\n")
    return folder


Publish = Callable[..., Any]


@pytest.fixture
def publish(config: Config, database: Database, code: Path) -> Publish:
    def published(name: str, function: str, version: str = "1.0", **options: Any) -> Any:
        options = {"code": [str(code), str(EXAMPLES)], "deadline_s": 20, **options}
        return publish_function(database, config.workspace_path, name, function, version, **options)

    return published


def call(client: TestClient, name: str, inputs: Any, version: str = "latest") -> Any:
    return client.post(f"/v1/services/{name}/{version}/call", json=inputs)


def test_the_demos_function_is_a_service(client: TestClient, publish: Publish, galaxies: dict[str, bytes]) -> None:
    images = list(galaxies.items())
    example = {"id": images[0][0], "img": base64.b64encode(images[0][1]).decode()}
    record = publish(
        "apiPredictGalaxyClass", "galaxy_service:apiPredictGalaxyClass", models={"": "galaxy@1"}, examples=[example]
    ).service
    assert record.function == "galaxy_service:apiPredictGalaxyClass"
    expected = Scorer(tiny_model(0)).score([data for _, data in images], object_ids=[key for key, _ in images])
    for (key, data), answer in zip(images, expected, strict=True):
        for img in (base64.b64encode(data).decode(), data.hex()):
            (row,) = call(client, "apiPredictGalaxyClass", {"id": key, "img": img}).json()
            assert (row["specobjid"], row["predClass"]) == (key, answer.predicted_group)
            assert row["predicted_class"] == answer.predicted_class
            assert row["probability"] == pytest.approx(max(answer.probabilities), abs=1e-5)
    document = client.get("/v1/services/apiPredictGalaxyClass/latest/openapi.json").json()
    validate(document)
    post = document["paths"]["/v1/services/apiPredictGalaxyClass/1.0/call"]["post"]
    media = post["requestBody"]["content"]["application/json"]
    assert media["schema"]["required"] == ["id", "img"]
    assert media["examples"]["example1"]["value"] == example
    shown = post["responses"]["200"]["content"]["application/json"]["examples"]["example1"]["value"]
    assert shown[0]["predClass"] == expected[0].predicted_group
    assert not any(path.endswith("/predict") for path in document["paths"])


def test_smooth_with_high_confidence_else_a_person(client: TestClient, publish: Publish, galaxies) -> None:
    publish("sure-or-ask", "galaxy_service:sure_or_ask", models={"model": "galaxy@1"})
    kinds = set()
    for answer, data in zip(Scorer(tiny_model(0)).score(list(galaxies.values())), galaxies.values(), strict=True):
        smooth = sum(answer.probabilities[:3])
        found = call(client, "sure-or-ask", {"img": data.hex(), "at_least": 0.5}).json()
        assert found["smooth"] == pytest.approx(smooth, abs=1e-5)
        assert found["answer"] == ("smooth" if smooth >= 0.5 and not answer.flags else "ask a person")
        kinds.add(found["answer"])
    broken = call(client, "sure-or-ask", {"img": base64.b64encode(b"no image").decode()}).json()
    assert (broken["answer"], broken["reason"]) == ("ask a person", "not_an_image")
    assert call(client, "sure-or-ask", {"img": "", "at_least": 0.2}).json()["error"]["field"] == "at_least"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"value": "5"}', "value"),
        (b'{"value": true}', "value"),
        (b'{"value": 1.5}', "value"),
        (b'{"value": null}', "value"),
        (b"{}", "value"),
        (b'{"value": 1, "more": 2}', "more"),
        (b'{"value": 1, "value": 2}', "value"),
        (b"[1]", "body"),
        (b"", "body"),
        (b"\xff\xfe", "body"),
        (b'{"value": 1', "body"),
        (b"[" * 200_000, "body"),
        (b'{"value": NaN}', "value"),
    ],
)
def test_wrong_inputs_are_refused_by_name(client: TestClient, publish: Publish, body: bytes, field: str) -> None:
    publish("same", "hostile:same")
    url = "/v1/services/same/1.0/call"
    response = client.post(url, content=body, headers={"Content-Type": "application/json"})
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["field"]) == (422, "invalid", field)
    huge = client.post(url, json={"value": 10**4000})
    assert huge.json() == 10**4000 if huge.status_code == 200 else huge.status_code == 422
    assert call(client, "same", {"value": 7}).json() == 7


def test_a_function_that_loops_is_killed_at_its_deadline(client: TestClient, publish: Publish, tmp_path: Path) -> None:
    publish("loops", "hostile:loops", deadline_s=0.3)
    response = call(client, "loops", {"value": 1})
    assert (response.status_code, response.json()["error"]["code"]) == (504, "function_deadline")
    publish("spawns", "hostile:spawns", deadline_s=3)
    assert call(client, "spawns", {"path": str(tmp_path / "pid")}).status_code == 504
    pid = int((tmp_path / "pid").read_text())
    state = Path(f"/proc/{pid}/stat")
    for _ in range(200):  # what it started is killed with it
        if not state.exists() or state.read_text().split()[2] == "Z":
            break
        time.sleep(0.01)
    else:
        pytest.fail("the child of a killed function lives")


@pytest.mark.parametrize("function", ["crashes", "leaves", "raises", "lies", "huge"])
def test_what_fails_says_nothing_of_itself_and_the_next_call_is_answered(
    client: TestClient, publish: Publish, function: str
) -> None:
    publish("bad", f"hostile:{function}")
    publish("same", "hostile:same")
    for _ in range(2):
        response = call(client, "bad", {"value": 1})
        assert (response.status_code, response.json()["error"]["code"]) == (500, "function_failed")
        assert "hunter2" not in response.text
        assert "Traceback" not in response.text
        assert call(client, "same", {"value": 3}).json() == 3


def test_what_a_function_prints_does_not_get_into_the_way(client: TestClient, publish: Publish) -> None:
    publish("prints", "hostile:prints")
    assert [call(client, "prints", {"value": n}).json() for n in (1, 2)] == [1, 2]


def test_a_function_that_leaks_is_refused_memory_and_starts_anew(client: TestClient, publish: Publish) -> None:
    publish("leaks", "hostile:leaks", memory_mib=1024)
    found = [call(client, "leaks", {"mib": 300}) for _ in range(8)]
    codes = [one.status_code for one in found]
    assert 500 in codes
    assert codes[codes.index(500) + 1] == 200
    assert found[codes.index(500) + 1].json() == 1  # a new process: nothing is kept
    assert "memory" in found[codes.index(500)].json()["error"]["message"]


def test_values_that_are_not_finite_and_checks_of_the_authors_own(client: TestClient, publish: Publish) -> None:
    publish("inf", "hostile:not_finite")
    assert call(client, "inf", {"value": 1.0}).json() is None
    publish("checked", "hostile:checked")
    for name, status in (("other", 422), ("crash", 500)):
        response = call(client, "checked", {"item": {"name": name, "count": 1}})
        assert response.status_code == status
        assert "hunter2" not in response.text
    refused = call(client, "checked", {"item": {"name": "x", "count": 11}}).json()["error"]
    assert "item.count" in refused["message"]


def test_the_process_gets_no_secrets_of_the_server(
    client: TestClient, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GALCLASS_DATABASE", "postgresql://me:hunter2@host/db")
    monkeypatch.setenv("PGPASSWORD", "hunter2")
    publish("environment", "hostile:environment")
    names = call(client, "environment", {}).json()
    assert not [name for name in names if name.startswith(("GALCLASS", "PG"))]


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("hostile:no_annotation", "the parameter value has no annotation"),
        ("hostile:no_return", "the return value has no annotation"),
        ("hostile:no_type", "a type cannot be read from JSON"),
        ("hostile:waits", "no plain function"),
        ("hostile:nothing", "has no nothing"),
        ("hostile:leaked", "it is no function"),
        ("nowhere:same", "there is no module"),
        ("hostile.same", "no import path"),
        ("../hostile:same", "no import path"),
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


def test_code_is_never_taken_over_http(client: TestClient, tokens) -> None:
    body = {"name": "x", "version": "1.0", "model": "galaxy@1", "function": "os:system"}
    response = client.post("/v1/services", json=body, headers=tokens["admin"])
    assert response.status_code == 422


def test_a_function_and_a_model_point_to_each_others_routes(
    client: TestClient, publish: Publish, galaxy: bytes
) -> None:
    publish("same", "hostile:same")
    image = client.post("/v1/services/same/1.0/predict", content=galaxy, headers={"Content-Type": "image/jpeg"})
    assert (image.status_code, image.json()["error"]["code"]) == (409, "is_function")
    other = call(client, "galaxy-class", {"value": 1})
    assert (other.status_code, other.json()["error"]["code"]) == (409, "no_function")
    assert client.post("/v1/services/same/1.0/call", content=b"{}").status_code == 415
    shown = client.get("/v1/services/same/1.0").json()
    assert shown["model"] is None
    assert shown["function"]["path"] == "hostile:same"
    facts = client.get("/v1/services/same/1.0/capabilities").json()
    assert facts["inputs"]["properties"]["value"] == {"title": "Value", "type": "integer"}


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


def test_a_batch_of_calls_keeps_their_order_and_their_faults(client: TestClient, publish: Publish) -> None:
    publish("same", "hostile:same")
    url = "/v1/services/same/1.0/batches"
    inputs = [{"value": 1}, {"value": "two"}, {"value": 3}]
    job = client.post(url, json={"inputs": inputs}).json()
    for _ in range(600):
        page = client.get(f"/v1/jobs/{job['id']}/results").json()
        if page["next"] is None:
            break
        time.sleep(0.05)
    assert [record.get("result") for record in page["predictions"]] == [1, None, 3]
    assert page["predictions"][1]["error"]["code"] == "invalid"
    assert page["state"] == "done"
    table = client.get(f"/v1/jobs/{job['id']}/results", headers={"Accept": "text/csv"})
    assert table.status_code == 406
    for body in ({"inputs": []}, {"inputs": [1]}, {"images": []}, [], {"inputs": {}}):
        assert client.post(url, json=body).status_code == 422


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
    assert done.output == "publish: times 1.0 published, answered by tidy:times\n"
    (code / "tidy" / "more.py").write_text("FACTOR = 5\n")
    assert CliRunner().invoke(cli, [*common, *function]).exit_code == 1
    done = CliRunner().invoke(cli, [*common, *function, "--confirm"])
    assert done.output == "publish: times 1.1 published, answered by tidy:times\n"
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


def test_no_process_outlives_the_app(config: Config, publish: Publish) -> None:
    publish("same", "hostile:same")
    app = create_app(config)
    with TestClient(app, raise_server_exceptions=False) as client:
        assert call(client, "same", {"value": 2}).json() == 2
        (pool,) = app.state.service.functions._pools.values()
        (process,) = pool._all
        os.kill(process._child.pid, signal.SIGKILL)  # it may die by itself: the next call starts another
        process._child.wait()
        assert call(client, "same", {"value": 3}).json() == 3
        (process,) = pool._all
        assert process.is_alive()
    assert not process.is_alive()
