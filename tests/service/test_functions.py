"""Services over code: published, called, batched, refused; and functions that do what they should not."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from openapi_spec_validator import validate
from service.function_code import Publish, call, write_code
from tiny_model import tiny_model

from galclass.config import Config, load_config
from galclass.database import open_database
from galclass.database.jobs.quotas import MAX_IMAGES
from galclass.errors import RequestError
from galclass.scoring import Scorer
from galclass.service.engine import functions
from galclass.service.functions.publish import publish_function
from galclass.service.routes.functions import calls_of
from galclass.service.server.app import create_app


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


@pytest.fixture(scope="module")
def same(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """An app with the function `same`, for tests that change nothing."""
    folder = tmp_path_factory.mktemp("same")
    shutil.copytree(workspace, folder / "workspace")
    config = load_config(None, {"workspace": str(folder / "workspace")})
    with open_database(config.database_url) as database:
        code = [str(write_code(folder / "code"))]
        publish_function(database, config.workspace_path, "same", "hostile:same", "1.0", code=code, deadline_s=20)
    with TestClient(create_app(config), raise_server_exceptions=False) as client:
        yield client


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
def test_wrong_inputs_are_refused_by_name(same: TestClient, body: bytes, field: str) -> None:
    url = "/v1/services/same/1.0/call"
    response = same.post(url, content=body, headers={"Content-Type": "application/json"})
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["field"]) == (422, "invalid", field)
    assert call(same, "same", {"value": 7}).json() == 7


def test_a_number_of_any_length_is_answered_or_refused(same: TestClient) -> None:
    huge = same.post("/v1/services/same/1.0/call", json={"value": 10**4000})
    assert huge.json() == 10**4000 if huge.status_code == 200 else huge.status_code == 422
    assert call(same, "same", {"value": 7}).json() == 7


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


@pytest.mark.parametrize("number", ["1e400", "-1e400", "NaN", "Infinity", "-Infinity", "1" + 400 * "0"])
def test_numbers_that_json_cannot_hold_are_refused(client: TestClient, publish: Publish, number: str) -> None:
    publish("inf", "hostile:not_finite")
    for path, body in (("call", '{"value": %s}'), ("batches", '{"inputs": [{"value": 1.0}, {"value": [%s]}]}')):
        url, headers = f"/v1/services/inf/latest/{path}", {"Content-Type": "application/json"}
        response = client.post(url, content=body % number, headers=headers)
        assert response.status_code == 422, response.text
        error = response.json()["error"]
        assert error["field"] == "value"
        assert error["message"].startswith("a number of value is not finite, or is too large")


def test_values_that_are_not_finite_and_checks_of_the_authors_own(client: TestClient, publish: Publish) -> None:
    publish("inf", "hostile:not_finite")
    response = call(client, "inf", {"value": 1.0})
    assert response.status_code == 500
    assert "its result is inf" in response.json()["error"]["message"]
    publish("table", "hostile:table")
    found = call(client, "table", {"missing": "None"})
    assert found.json() == {"rows": [{"flux": 1.5}, {"flux": None}], "text": "NaN null"}
    error = call(client, "table", {"missing": "nan"}).json()["error"]
    assert error["code"] == "function_failed"
    assert "not finite: rows.1.flux is nan" in error["message"]
    assert "should return None" in error["message"]
    publish("lazy", "hostile:lazy")
    assert call(client, "lazy", {"last": 2.0}).json() == [1.0, 2.0]
    assert "not finite: 1 is inf" in call(client, "lazy", {"last": 0.0}).json()["error"]["message"]
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
    refused = client.post(url, json={"inputs": [1]})
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "inputs.0")


@pytest.mark.parametrize(
    ("body", "code", "what"),
    [
        (b'{"inputs": []}', "invalid", "the list of inputs is empty"),
        (b'{"inputs": [{}, 1]}', "invalid", "the inputs of a call are not an object"),
        (b'{"inputs": [1], "more": 2}', "invalid", "this is not a batch of calls"),
        (b'{"images": []}', "invalid", "this is not a batch of calls"),
        (b'{"inputs": {}}', "invalid", "this is not a batch of calls"),
        (b"[]", "invalid", "this is not a batch of calls"),
        (b'{"inputs": [{"a": 1, "a": 2}]}', "invalid", "the key a comes twice in one object"),
        (b'{"inputs": [%s1]}' % (b"{}," * MAX_IMAGES), "too_many_images", "too many calls in one batch"),
        (b'{"inputs"', "bad_json", "the body is not JSON"),
        (b"\xff", "bad_json", "the body is not JSON"),
    ],
    ids=lambda value: value[:30] if isinstance(value, bytes) else "",
)
def test_what_is_no_batch_of_calls_is_refused(body: bytes, code: str, what: str) -> None:
    with pytest.raises(RequestError, match=what) as caught:
        calls_of(body)
    assert caught.value.code == code


def test_a_call_keeps_its_inputs_to_the_letter_and_has_a_name() -> None:
    named, unnamed = calls_of(b'{"inputs": [{"id": "a", "b": 1.0}, {"\\ud800": null, "id": ""}]}')
    assert (named.object_id, named.data) == ("a", b'{"id": "a", "b": 1.0}')
    assert (unnamed.object_id, unnamed.data) == ("call-2", b'{"\\ud800": null, "id": ""}')


def test_the_processes_of_the_least_recently_called_function_end(
    config: Config, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(functions, "MAX_POOLS", 2)
    for name in ("one", "two", "three"):
        publish(name, "hostile:same")
    app = create_app(config)
    with TestClient(app, raise_server_exceptions=False) as client:
        pools = app.state.service.functions._pools
        assert call(client, "one", {"value": 2}).json() == 2
        (first,) = next(iter(pools.values()))._all
        assert call(client, "two", {"value": 2}).json() == 2
        (second,) = pools[next(key for key in pools if key.startswith("two@"))]._all
        assert call(client, "one", {"value": 2}).json() == 2
        assert call(client, "three", {"value": 2}).json() == 2
        assert (first.is_alive(), second.is_alive(), len(pools)) == (True, False, 2)


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
