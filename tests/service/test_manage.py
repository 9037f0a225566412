"""Services and models over HTTP: who may change them, and that a change is seen at once."""

from __future__ import annotations

import hashlib
import time

import pytest
from fastapi.testclient import TestClient
from hostile_models import model, scaled
from tiny_model import tiny_signature

from galclass.database import Database, Registry, Services, Tokens
from galclass.database.schema import models
from galclass.database.types import now

NEW = {"name": "galaxy-class", "version": "2.0", "model": "galaxy@2", "description": "better"}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/services", NEW),
        ("PUT", "/v1/services/galaxy-class/aliases/latest", {"version": "1.0"}),
        ("POST", "/v1/services/galaxy-class/rollback", None),
        ("DELETE", "/v1/services/galaxy-class/1.0", None),
        ("POST", "/v1/labels", {"object_id": "1", "label": "Sb"}),
    ],
)
def test_a_change_needs_a_token_of_enough_role(client: TestClient, tokens, method: str, path: str, body) -> None:
    assert client.request(method, path, json=body).status_code == 401
    assert client.request(method, path, json=body, headers=tokens["reader"]).status_code == 403
    unknown = client.request(method, path, json=body, headers={"Authorization": "Bearer nonsense"})
    assert (unknown.status_code, unknown.headers["www-authenticate"]) == (401, "Bearer")
    basic = client.request(method, path, json=body, headers={"Authorization": "Basic YTpi"})
    assert basic.json()["error"]["code"] == "unauthorized"


def test_only_an_admin_deletes(client: TestClient, tokens) -> None:
    path = "/v1/services/galaxy-class/1.0"
    assert client.delete(path, headers=tokens["publisher"]).status_code == 403
    assert client.delete(path, headers=tokens["admin"]).status_code == 200
    assert client.get(path).status_code == 404


def test_a_version_never_changes(client: TestClient, tokens) -> None:
    other = {**NEW, "version": "1.0"}
    answer = client.post("/v1/services", json=other, headers=tokens["publisher"])
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
    assert client.get("/v1/services/galaxy-class/1.0").json()["model"]["version"] == 1


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"model": "nothing"}, 404, "model"),
        ({"model": "galaxy@99"}, 404, "model"),
        ({"model": "a b"}, 422, "model"),
        ({"name": "../etc"}, 422, "name"),
        ({"version": "latest"}, 422, "version"),
        ({"surprise": 1}, 422, "surprise"),
    ],
)
def test_a_wrong_publication_names_the_field(client: TestClient, tokens, change, status: int, field: str) -> None:
    answer = client.post("/v1/services", json={**NEW, **change}, headers=tokens["publisher"])
    assert (answer.status_code, answer.json()["error"]["field"]) == (status, field)


@pytest.fixture
def rude(database) -> None:
    """A model inserted past the checks, rude@1, whose probabilities are of up to 900."""
    value = model(scaled("probabilities", 900))
    row = {"value": value, "sha256": hashlib.sha256(value).hexdigest(), "metrics": {}, "card": "", "created_by": "x"}
    with database.write() as connection:
        row["signature"] = tiny_signature().to_dict()
        connection.execute(models.insert().values(name="rude", version=1, created_at=now(), **row))


def test_a_model_that_was_never_tried_is_tried_when_it_is_published(client: TestClient, rude, tokens) -> None:
    answer = client.post("/v1/services", json={**NEW, "model": "rude@1"}, headers=tokens["publisher"])
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["field"]) == (422, "unsound_model", "model")


def test_a_model_that_was_never_tried_is_not_made_live(client: TestClient, rude, database, tokens, galaxy) -> None:
    Services(database).publish("galaxy-class", "0.9", "rude", 1, aliases=("old",))
    Services(database).publish("galaxy-class", "1.1", "rude", 1)  # as it was done before the checks: latest moves
    Services(database).publish("galaxy-class", "1.2", "galaxy", 2)
    for answer in (
        client.put("/v1/services/galaxy-class/aliases/new", json={"version": "0.9"}, headers=tokens["publisher"]),
        client.post("/v1/services/galaxy-class/rollback", headers=tokens["publisher"]),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "unsound_model")
    assert client.get("/v1/services/galaxy-class/latest").json()["version"] == "1.2"
    headers = {"Content-Type": "image/jpeg"}
    refused = client.post("/v1/services/galaxy-class/old/predict", content=galaxy, headers=headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "model")
    assert client.post("/v1/services/galaxy-class/latest/predict", content=galaxy, headers=headers).status_code == 200


def test_publish_move_and_roll_back_take_effect_at_once_and_are_logged(client: TestClient, tokens, galaxy) -> None:
    def answering() -> int:
        path = "/v1/services/galaxy-class/latest/predict"
        return client.post(path, content=galaxy, headers={"Content-Type": "image/jpeg"}).json()["model"]["version"]

    assert answering() == 1
    made = client.post("/v1/services", json=NEW, headers=tokens["publisher"])
    assert (made.status_code, made.json()["aliases"]) == (201, ["latest"])
    assert answering() == 2
    assert client.post("/v1/services/galaxy-class/rollback", headers=tokens["publisher"]).json()["version"] == "1.0"
    assert answering() == 1
    again = client.post("/v1/services/galaxy-class/rollback", headers=tokens["publisher"])
    assert again.json()["error"]["code"] == "conflict"
    moved = client.put("/v1/services/galaxy-class/aliases/latest", json={"version": "2.0"}, headers=tokens["publisher"])
    assert moved.json()["version"] == "2.0"
    assert answering() == 2
    events = client.get("/v1/services/galaxy-class/log").json()["events"]
    assert [event["action"] for event in events][-4:] == ["publish", "alias", "rollback", "alias"]
    assert {event["by"] for event in events[-4:]} == {"publisher-of-test"}


def test_a_change_by_another_process_is_seen_within_a_second(client, database: Database, galaxy, later) -> None:
    path = "/v1/services/galaxy-class/latest/predict"
    headers = {"Content-Type": "image/jpeg"}
    assert client.post(path, content=galaxy, headers=headers).json()["model"]["version"] == 1
    Services(database).publish("galaxy-class", "2.0", "galaxy", 2)
    later(1.0)
    assert client.post(path, content=galaxy, headers=headers).json()["model"]["version"] == 2
    assert client.post(path.replace("latest", "2.0"), content=galaxy, headers=headers).status_code == 200
    Services(database).alias("galaxy-class", "latest", "1.0")
    Services(database).delete("galaxy-class", "2.0")
    later(1.0)
    assert client.post(path.replace("latest", "2.0"), content=galaxy, headers=headers).status_code == 404


def test_a_revoked_token_is_refused_within_a_second(client: TestClient, database: Database, later) -> None:
    made = Tokens(database)
    headers = {"Authorization": f"Bearer {made.create('publisher', 'p')}"}
    assert client.post("/v1/services/galaxy-class/rollback", headers=headers).status_code == 409
    made.revoke(made.list()[-1].id)
    later(1.0)
    assert client.post("/v1/services/galaxy-class/rollback", headers=headers).status_code == 401


def test_lists_and_details(client: TestClient) -> None:
    (service,) = client.get("/v1/services").json()["services"]
    assert (service["name"], service["version"], service["aliases"]) == ("galaxy-class", "1.0", ["latest"])
    assert client.get("/v1/services", params={"name": "other"}).json() == {"services": []}
    assert client.get("/v1/services/galaxy-class/latest").json() == service
    models = client.get("/v1/models").json()["models"]
    assert [(model["name"], model["version"], model["aliases"]) for model in models] == [
        ("galaxy", 1, ["production"]),
        ("galaxy", 2, []),
    ]
    detail = client.get("/v1/models/galaxy/production")
    assert detail.json()["metrics"] == {"accuracy": 0.5}
    assert detail.json()["card"] == "A tiny model."
    assert detail.json()["signature"]["input"]["size_px"] == 32
    same = client.get("/v1/models/galaxy/production", headers={"If-None-Match": detail.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    assert client.get("/v1/models/galaxy/9").json()["error"]["code"] == "unknown_model"
    assert client.get("/v1/models/galaxy/a b").status_code == 404


@pytest.mark.parametrize("version", ["99999999999999999999", "9223372036854775808", "4294967296", "1" * 60])
def test_a_version_that_no_database_holds_is_unknown(client: TestClient, version: str) -> None:
    for path in (f"/v1/models/galaxy/{version}", f"/v1/predictions?model=galaxy@{version}"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_model")


def test_capabilities_and_openapi_of_one_service(client: TestClient) -> None:
    capabilities = client.get("/v1/services/galaxy-class/1.0/capabilities").json()
    assert capabilities["groups"]["Artifact"] == ["A"]
    document = client.get("/v1/services/galaxy-class/1.0/openapi.json").json()
    assert (document["info"]["title"], document["info"]["version"]) == ("galaxy-class", "1.0")
    assert "/v1/services/galaxy-class/1.0/predict" in document["paths"]
    assert not any("{" in path for path in document["paths"])


def test_with_closed_reading_even_a_prediction_needs_a_token(config, database: Database, galaxy: bytes) -> None:
    from dataclasses import replace

    from galclass.service.server.app import create_app

    closed = replace(config, serve=replace(config.serve, open_reading=False))
    headers = {"Content-Type": "image/jpeg"}
    with TestClient(create_app(closed)) as client:
        path = "/v1/services/galaxy-class/1.0/predict"
        assert client.post(path, content=galaxy, headers=headers).status_code == 401
        assert client.get("/v1/services").status_code == 401
        assert client.get("/healthz").status_code == 200
        headers["Authorization"] = f"Bearer {Tokens(database).create('reader')}"
        assert client.post(path, content=galaxy, headers=headers).status_code == 200


def test_too_many_requests_are_told_to_wait(config) -> None:
    from dataclasses import replace

    from galclass.service.server.app import create_app

    limited = replace(config, serve=replace(config.serve, requests_per_minute=3))
    with TestClient(create_app(limited)) as client:
        statuses = [client.get("/v1/services").status_code for _ in range(4)]
        refused = client.get("/v1/services")
    assert statuses == [200, 200, 200, 429]
    assert refused.headers["retry-after"] == "1"


def test_unknown_tokens_are_limited_by_address_and_those_who_have_one_are_not(
    config, tokens, monkeypatch, later
) -> None:
    from dataclasses import replace

    from galclass.service.server.app import create_app

    readings: list[float] = []
    valid = Tokens.valid

    def counted(self: Tokens):
        readings.append(time.monotonic())
        return valid(self)

    monkeypatch.setattr(Tokens, "valid", counted)
    limited = replace(config, serve=replace(config.serve, requests_per_minute=3))
    with TestClient(create_app(limited)) as client:
        assert client.get("/v1/services", headers=tokens["reader"]).status_code == 200
        guesses = [{"Authorization": f"Bearer guess-{n}"} for n in range(90)]
        statuses = [client.get("/v1/services", headers=guess).status_code for guess in guesses]
        assert statuses == [401] * 3 + [429] * 87
        took = readings[-1] - readings[0]
        assert len(readings) <= 4 + took / 0.5 + 1  # one for each guess within the rate, then two a second
        assert client.get("/v1/services").status_code == 200  # without a token from the same address
        assert client.get("/v1/services", headers=tokens["publisher"]).status_code == 200  # not seen before the guesses
        later(1.0)  # until the tokens have to be read again
        assert client.get("/v1/services", headers=tokens["reader"]).status_code == 200


def test_a_token_is_known_as_soon_as_it_is_made_and_no_longer_once_revoked(client, database, later) -> None:
    def status(secret: str) -> int:
        return client.get("/v1/services", headers={"Authorization": f"Bearer {secret}"}).status_code

    first, guess = Tokens(database).create("reader"), "galclass_" + "0" * 64
    assert [status(first), status(guess)] == [200, 401]
    second = Tokens(database).create("reader")
    assert status(second) == 200
    Tokens(database).revoke(Tokens(database).list()[0].id)
    later(1.0)
    assert [status(first), status(second)] == [401, 200]


def test_registering_more_models_than_are_kept_loaded_still_answers(database: Database, client, galaxy) -> None:
    from tiny_model import tiny_model

    for seed in range(2, 8):
        info = Registry(database).register(tiny_model(seed), aliases=())
        Services(database).publish("many", f"{seed}.0", "galaxy", info.version)
        path = f"/v1/services/many/{seed}.0/predict"
        answer = client.post(path, content=galaxy, headers={"Content-Type": "image/jpeg"})
        assert answer.json()["model"]["version"] == info.version
