"""The label desk over HTTP: labels, undoing, the queue, two people at once, hostile names, a head as a model."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from galclass.database import Database, Registry
from galclass.database.desk_labels import MAX_CLASSES, give_label
from galclass.database.embeddings import Embeddings
from galclass.database.labels import human_labels
from galclass.database.training import training_sources
from galclass.scoring.fitted_ids import base_unknown, split_fitted
from galclass.scoring.heads import fit_head
from galclass.service.engine.filling import Filling

Headers = dict[str, dict[str, str]]
DESK = "/v1/desks/rings"


@pytest.fixture
def filled(database: Database) -> Database:
    """The embeddings of galaxy@1 are there."""
    assert Embeddings(database).fill(Registry(database).get("galaxy@1").scorer()) == 10
    return database


def give(client: TestClient, header: dict[str, str], object_id: str, label: str | None, desk: str = DESK) -> Any:
    return client.post(f"{desk}/labels", json={"object_id": object_id, "label": label}, headers=header)


def ask(client: TestClient, header: dict[str, str], **query: Any) -> Any:
    answer = client.get(DESK, params={"target": "ring", **query}, headers=header)
    assert answer.status_code == 200, answer.text
    return answer.json()


def label_all(client: TestClient, header: dict[str, str], galaxies: dict[str, bytes], count: int = 10) -> None:
    for n, key in enumerate(list(galaxies)[:count]):
        assert give(client, header, key, "ring" if n % 2 else "no ring").status_code == 201


@pytest.mark.parametrize("role", ["", "reader"])
def test_only_publishers_change_anything(
    client: TestClient, tokens: Headers, galaxies: dict[str, bytes], role: str
) -> None:
    key, header = next(iter(galaxies)), tokens.get(role, {})
    expected = 403 if role else 401
    assert give(client, header, key, "ring").status_code == expected
    assert client.delete(f"{DESK}/labels/{key}", headers=header).status_code == expected
    assert client.post("/v1/embeddings", headers=header).status_code == expected
    assert client.post(f"{DESK}/model", json={"model": "galaxy", "name": "r"}, headers=header).status_code == expected
    assert client.get("/v1/desks", headers=header).json() == {"desks": []}


@pytest.mark.parametrize(
    "label",
    ["", " ring", "r" * 41, "a|b", "ri\nng", "ri\u202eng", "\x00", "ring\u200b", 7, ["ring"]],
)
def test_hostile_class_names_are_refused(
    client: TestClient, tokens: Headers, galaxies: dict[str, bytes], label: Any
) -> None:
    answer = give(client, tokens["publisher"], next(iter(galaxies)), label)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid")


def test_a_class_in_another_spelling_is_refused(
    client: TestClient, tokens: Headers, galaxies: dict[str, bytes]
) -> None:
    first, second, *_ = galaxies
    assert give(client, tokens["publisher"], first, "M\u00e9duse").status_code == 201
    assert give(client, tokens["publisher"], second, "Me\u0301duse").json()["label"] == "M\u00e9duse"
    answer = give(client, tokens["publisher"], second, "m\u00e9duse")
    assert answer.status_code == 422
    assert "another spelling" in answer.json()["error"]["message"]


@pytest.mark.usefixtures("filled")
def test_a_head_is_fitted_once_for_the_same_labels(
    client: TestClient, tokens: Headers, galaxies: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    fits = []

    def counted(*given: Any, **options: Any) -> Any:
        fits.append(given)
        return fit_head(*given, **options)

    monkeypatch.setattr("galclass.database.label_desk.fit_head", counted)
    label_all(client, tokens["publisher"], galaxies, 8)
    for _ in range(3):
        ask(client, tokens["publisher"])
    assert len(fits) == 1
    assert give(client, tokens["publisher"], next(iter(galaxies)), "ring").status_code == 201
    ask(client, tokens["publisher"])
    assert len(fits) == 2


@pytest.mark.parametrize("desk", ["", "a b", "../x", "x" * 65, "<b>", "desk:x"])
def test_hostile_desks_are_refused(client: TestClient, tokens: Headers, desk: str) -> None:
    answer = client.post(f"/v1/desks/{desk}/labels", json={"object_id": "a", "label": "b"}, headers=tokens["admin"])
    assert answer.status_code in (404, 405, 422)


def test_names_that_only_look_hostile_are_kept_as_they_are(
    client: TestClient, tokens: Headers, galaxies: dict[str, bytes]
) -> None:
    names = ["<img src=x onerror=alert(1)>", "Ring 环 🪐", "=1+1", "constructor"]
    for key, name in zip(galaxies, names, strict=False):
        assert give(client, tokens["publisher"], key, name).json()["label"] == name
    (desk,) = client.get("/v1/desks").json()["desks"]
    assert set(desk["counts"]) == set(names)


def test_a_desk_has_a_limit_of_classes(
    client: TestClient, tokens: Headers, galaxies: dict[str, bytes], database: Database
) -> None:
    keys = list(galaxies)
    for n in range(MAX_CLASSES):
        give_label(database, "rings", keys[n % 10], f"class {n}", f"person {n}")
    refused = give(client, tokens["publisher"], keys[0], "one more")
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "invalid")
    assert "too many classes" in refused.json()["error"]["message"]
    assert give(client, tokens["publisher"], keys[0], "class 3").status_code == 201


def test_unknown_objects_long_notes_and_other_fields_are_refused(
    client: TestClient, tokens: Headers, galaxies: dict[str, bytes]
) -> None:
    assert give(client, tokens["publisher"], "nothing", "ring").status_code == 404
    key = next(iter(galaxies))
    for extra in ({"note": "n" * 501}, {"note": "\x07"}, {"by": "someone else"}):
        body = {"object_id": key, "label": "ring", **extra}
        assert client.post(f"{DESK}/labels", json=body, headers=tokens["publisher"]).status_code == 422
    body = {"object_id": key, "label": "ring", "note": "faint,\nlook again"}
    assert client.post(f"{DESK}/labels", json=body, headers=tokens["publisher"]).json()["note"] == body["note"]


def test_the_same_object_twice_is_one_label_and_undo_takes_it_back(
    client: TestClient, tokens: Headers, galaxies: dict[str, bytes], filled: Database
) -> None:
    key, header = next(iter(galaxies)), tokens["publisher"]
    give(client, header, key, "no ring")
    give(client, header, key, "ring")
    state = ask(client, header)
    assert (state["counts"]["ring"], [one["label"] for one in state["mine"]]) == (1, ["ring"])
    assert client.delete(f"{DESK}/labels/{key}", headers=tokens["admin"]).status_code == 404  # another person's
    assert client.delete(f"{DESK}/labels/{key}", headers=header).status_code == 200
    assert client.delete(f"{DESK}/labels/{key}", headers=header).status_code == 404
    assert ask(client, header)["mine"] == []


def test_what_cannot_be_told_is_learnt_by_nobody_and_does_not_come_again(
    client: TestClient, tokens: Headers, galaxies: dict[str, bytes], filled: Database
) -> None:
    key, header = next(iter(galaxies)), tokens["publisher"]
    give(client, header, key, None)
    state = ask(client, header, count=50)
    assert (state["untold"], sum(state["counts"].values())) == (1, 0)
    assert key not in [one["object_id"] for one in state["queue"]]
    assert len(state["queue"]) == 9


def test_the_queue_holds_each_object_once_and_skipped_ones_last(
    client: TestClient, tokens: Headers, galaxies: dict[str, bytes], filled: Database
) -> None:
    header = tokens["publisher"]
    label_all(client, header, galaxies, 8)
    left = list(galaxies)[8:]
    assert sorted(one["object_id"] for one in ask(client, header)["queue"]) == sorted(left)
    assert [one["object_id"] for one in ask(client, header, skipped=left[0])["queue"]] == [left[1]]
    assert sorted(one["object_id"] for one in ask(client, header, skipped=left)["queue"]) == sorted(left)
    label_all(client, header, galaxies)
    assert ask(client, header)["queue"] == []


def test_two_people_get_different_objects_and_a_draw_is_disputed(
    client: TestClient, tokens: Headers, galaxies: dict[str, bytes], filled: Database
) -> None:
    one, other = tokens["publisher"], tokens["admin"]
    first, second = list(galaxies)[:2]
    give(client, one, first, "ring")
    give(client, other, first, "no ring")
    give(client, other, second, "no ring")
    queues = [{row["object_id"] for row in ask(client, header, count=4)["queue"]} for header in (one, other)]
    assert queues[0]
    assert queues[1]
    assert not queues[0] & queues[1]
    assert first not in queues[0] | queues[1]
    assert ask(client, one)["disputed"] == 1


def test_many_labels_at_once_are_all_kept(client: TestClient, tokens: Headers, galaxies: dict[str, bytes]) -> None:
    people = (tokens["publisher"], tokens["admin"])
    threads = [
        threading.Thread(target=give, args=(client, header, key, "ring")) for header in people for key in galaxies
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (desk,) = client.get("/v1/desks").json()["desks"]
    assert desk["counts"] == {"ring": 10}
    assert desk["people"] == ["admin-of-test", "publisher-of-test"]


def test_the_estimate_says_too_few_below_ten(
    client: TestClient, tokens: Headers, galaxies: dict[str, bytes], filled: Database
) -> None:
    header = tokens["publisher"]
    assert ask(client, header)["estimate"] is None
    label_all(client, header, galaxies)
    estimate = ask(client, header)["estimate"]
    assert estimate["lacking"] == {"no ring": 5, "ring": 5}
    assert estimate["precision"] is None


def test_the_ranked_list_needs_labels_and_then_holds_everything(
    client: TestClient, tokens: Headers, galaxies: dict[str, bytes], filled: Database
) -> None:
    header = tokens["publisher"]
    refused = client.get(f"{DESK}/ranking", params={"target": "ring"})
    assert refused.status_code == 409
    assert "too few labels" in refused.json()["error"]["message"]
    label_all(client, header, galaxies)
    ranked = client.get(f"{DESK}/ranking", params={"target": "ring"}).json()
    values = [one["probability"] for one in ranked["objects"]]
    assert ranked["total"] == 10
    assert values == sorted(values, reverse=True)
    assert {one["label"] for one in ranked["objects"]} == {"ring", "no ring"}


def test_a_head_is_registered_and_published_and_never_takes_the_name_of_other_classes(
    client: TestClient, tokens: Headers, galaxies: dict[str, bytes], filled: Database
) -> None:
    header = tokens["publisher"]
    body = {"model": "galaxy@1", "name": "rings", "service": "ring-finder"}
    assert client.post(f"{DESK}/model", json=body, headers=header).status_code == 409
    label_all(client, header, galaxies)
    taken = client.post(f"{DESK}/model", json={**body, "name": "galaxy"}, headers=header)
    assert (taken.status_code, taken.json()["error"]["message"]) == (409, "a model of other classes has this name")
    saved = client.post(f"{DESK}/model", json=body, headers=header)
    assert saved.status_code == 201, saved.text
    made = saved.json()
    assert (made["name"], made["version"], made["classes"]) == ("rings", 1, ["no ring", "ring"])
    assert made["service_version"] == "1.0"
    assert made["accuracy"] is None
    record = Registry(filled).get("rings@1")
    key, data = next(iter(galaxies.items()))
    vectors = np.stack([one.embedding for one in Registry(filled).get("galaxy@1").scorer().score([data])])
    (answer,) = record.scorer().score([data], object_ids=[key])
    assert answer.embedding is not None
    assert np.allclose(answer.embedding, vectors[0], atol=1e-5)
    assert record.signature is not None
    kept = record.signature.trained
    assert split_fitted(kept, galaxies) == (set(galaxies), set())
    assert base_unknown(kept)  # the tiny model records no ids
    assert client.get("/v1/models/rings/1").json()["card"].startswith("A head of the label desk 'rings'")
    assert Registry(filled).points_at("rings", "production") == 1
    give(client, header, key, "ring")
    give(client, header, list(galaxies)[1], "ring")
    later = client.post(f"{DESK}/model", json={**body, "service": None}, headers=header).json()
    assert later["version"] == 2
    assert "`galclass models alias rings production 2`" in later["limits"][-1]
    assert Registry(filled).points_at("rings", "production") == 1


def test_labels_of_the_galaxy_zoo_desk_are_those_of_the_page(
    client: TestClient, tokens: Headers, galaxies: dict[str, bytes], filled: Database
) -> None:
    header, desk, (key, other, *_) = tokens["publisher"], "/v1/desks/galaxy-zoo", list(galaxies)
    assert give(client, header, key, "ring", desk).status_code == 422
    give(client, header, key, "Sb", desk)
    assert [(one.object_id, one.label) for one in human_labels(filled)[0]] == [(key, "Sb")]
    give(client, header, other, None, desk)
    assert len(human_labels(filled)[0]) == 1
    give(client, header, key, None, desk)
    assert human_labels(filled) == ([], 0)


def test_training_never_reads_labels_of_own_classes(
    client: TestClient, tokens: Headers, galaxies: dict[str, bytes], database: Database, config: Any
) -> None:
    first, second = list(galaxies)[:2]
    body = {"object_id": first, "label": "Sb", "note": "a note is no vote"}
    client.post("/v1/desks/galaxy-zoo/labels", json=body, headers=tokens["publisher"])
    give(client, tokens["publisher"], first, "ring")
    give(client, tokens["publisher"], second, "ring")
    import pyarrow.parquet as pq

    (source,) = training_sources(database, config)
    assert pq.read_table(source.catalog).column("label").to_pylist() == ["Sb"]


def test_embeddings_are_computed_in_the_background_once(
    client: TestClient, tokens: Headers, database: Database
) -> None:
    assert client.get("/v1/embeddings").json()["done"] == 0
    assert client.post("/v1/embeddings", headers=tokens["publisher"]).status_code == 202
    thread = client.app.state.service.filling._thread  # type: ignore[attr-defined]
    thread.join(30)
    state = client.get("/v1/embeddings").json()
    assert state == {"total": 10, "done": 10, "failed": 0, "running": False}
    assert client.post("/v1/embeddings", headers=tokens["publisher"]).json()["running"] is False
    assert Embeddings(database).fill(Registry(database).get("galaxy@1").scorer()) == 0


def test_one_model_is_filled_at_a_time(database: Database) -> None:
    filling, gate = Filling(Embeddings(database)), threading.Event()

    def scorer() -> Any:
        gate.wait(30)
        return Registry(database).get("galaxy@1").scorer()

    assert filling.start("a", scorer)
    assert filling.start("a", scorer)
    assert not filling.start("b", scorer)
    gate.set()
    assert filling.stop(30)
    assert not filling.start("a", scorer)


def test_a_query_of_the_desk_is_checked(client: TestClient) -> None:
    for query in ({}, {"target": "a|b"}, {"target": "ring", "model": "galaxy@99"}, {"target": "ring", "count": 1000}):
        assert client.get(DESK, params=query).status_code in (404, 422)


def test_a_label_says_what_it_replaced_and_keeps_the_note(
    client: TestClient, tokens: Headers, galaxies: dict[str, bytes]
) -> None:
    key, header = next(iter(galaxies)), tokens["publisher"]
    body = {"object_id": key, "label": "ring", "note": "faint"}
    assert client.post(f"{DESK}/labels", json=body, headers=header).json()["replaced"] is None
    changed = give(client, header, key, "no ring").json()
    assert changed["note"] == "faint"
    assert (changed["replaced"]["label"], changed["replaced"]["note"]) == ("ring", "faint")
    assert client.post(f"{DESK}/labels", json=body | {"note": ""}, headers=header).json()["note"] == ""
