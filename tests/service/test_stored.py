"""Stored objects: explained by the model that scored them, searched, exported whole, and on the sky."""

from __future__ import annotations

import base64
import io
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pyarrow
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from tiny_model import tiny_model

from galclass.catalog import read_table
from galclass.database import Database, Images, NewImage, Registry, catalog_export, embeddings, score_pending, similar
from galclass.database.model_figures import accuracy_of
from galclass.database.schema import labels
from galclass.database.statements import upsert
from galclass.scoring.variations import masked_neighbours
from galclass.service.routes import catalog_files

URL = "/v1/services/galaxy-class/1.0/"


@pytest.mark.parametrize("end", ["explain", "similar"])
@pytest.mark.parametrize(
    ("object_id", "model", "code"),
    [("nothing", "galaxy@1", "unknown_object"), ("", "galaxy@99", "unknown_model"), ("", "other", "unknown_model")],
)
def test_what_is_not_there_is_named(
    client: TestClient, galaxies: dict[str, bytes], end: str, object_id: str, model: str, code: str
) -> None:
    key = object_id or next(iter(galaxies))
    answer = client.get(f"/v1/images/{key}/{end}", params={"model": model})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, code)


def test_a_stored_object_is_explained_by_the_model_that_is_asked_for(
    client: TestClient, galaxies: dict[str, bytes]
) -> None:
    answers = {}
    for key in galaxies:
        for version in (1, 2):
            body = client.get(f"/v1/images/{key}/explain", params={"model": f"galaxy@{version}"}).json()
            assert body["model"]["version"] == body["prediction"]["model"]["version"] == version
            answers[key, version] = body["predicted_class"]
    stored = client.get("/v1/predictions").json()["predictions"]
    assert {row["object_id"]: row["predicted_class"] for row in stored} == {key: answers[key, 1] for key in galaxies}
    assert any(answers[key, 1] != answers[key, 2] for key in galaxies)


def test_a_stored_object_is_explained_at_its_own_frame(client: TestClient, database: Database, galaxy: bytes) -> None:
    Images(database).add([NewImage("cut", galaxy, frame_px=700)])
    body = client.get("/v1/images/cut/explain", params={"model": "galaxy@1"}).json()
    sent = {"params": {"frame_px": 700}, "content": galaxy, "headers": {"Content-Type": "image/jpeg"}}
    assert body["cutout"] == client.post(URL + "explain", **sent).json()["cutout"]
    whole = client.post(URL + "explain", content=galaxy, headers={"Content-Type": "image/jpeg"}).json()
    assert body["cutout"] != whole["cutout"]


def test_similar_galaxies_of_a_stored_one_leave_it_out_and_set_two_classes_against_each_other(
    client: TestClient, galaxies: dict[str, bytes]
) -> None:
    key = next(iter(galaxies))
    body = client.get(f"/v1/images/{key}/similar", params={"model": "galaxy@2", "count": 9}).json()
    assert sorted(one["object_id"] for one in body["similar"]) == sorted(set(galaxies) - {key})
    first, second = body["contrast"]
    assert first["predicted_class"] != second["predicted_class"]
    for side in (first, second):
        assert {one["predicted_class"] for one in side["nearest"]} <= {side["predicted_class"]}
    assert first["nearest"] or second["nearest"]


def test_galaxies_beyond_those_kept_in_memory_are_compared_too(
    client: TestClient, galaxies: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embeddings, "MAX_POOL", 3)
    monkeypatch.setattr(embeddings, "_PAGE", 2)
    for key in galaxies:
        body = client.get(f"/v1/images/{key}/similar", params={"model": "galaxy@2", "count": 9}).json()
        assert sorted(one["object_id"] for one in body["similar"]) == sorted(set(galaxies) - {key})
        assert (body["compared"], body["lacking"]) == (len(galaxies) - 1, 0)
        found = [one["similarity"] for one in body["similar"]]
        assert found == sorted(found, reverse=True)
        nearest = client.get(f"/v1/images/{key}/similar", params={"model": "galaxy@2", "count": 2}).json()
        assert nearest["similar"] == body["similar"][:2]
        for few, all_ in zip(nearest["contrast"], body["contrast"], strict=True):
            assert few["nearest"] == all_["nearest"][:2]


def test_images_without_an_embedding_are_counted(
    client: TestClient, galaxies: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(similar, "MAX_COMPUTED", 0)
    key = next(iter(galaxies))
    body = client.get(f"/v1/images/{key}/similar", params={"model": "galaxy@2"}).json()
    assert (body["similar"], body["compared"], body["lacking"]) == ([], 0, len(galaxies))


def test_the_variations_change_the_picture_and_are_answered(client: TestClient, galaxies: dict[str, bytes]) -> None:
    key = next(iter(galaxies))
    body = client.get(f"/v1/images/{key}/explain", params={"model": "galaxy@1"}).json()
    kinds = [one["kind"] for one in body["variations"]]
    assert kinds[:8] == ["shift"] * 4 + ["zoom"] * 2 + ["blur", "noise"]
    assert len({one["png"] for one in body["variations"]}) == len(kinds)
    assert body["turning_changes"] is True  # the small model looks at one corner after another
    for one in body["variations"]:
        assert sum(one["probabilities"].values()) == pytest.approx(1, abs=1e-3)
        assert Image.open(io.BytesIO(base64.b64decode(one["png"]))).size == (96, 96)


def test_neighbours_are_masked_and_the_galaxy_in_the_middle_is_not() -> None:
    sky = np.random.default_rng(1).normal(20, 2, (64, 64, 3))
    galaxy = cv2.GaussianBlur(cv2.circle(np.zeros((64, 64, 3)), (32, 32), 7, (200, 200, 200), -1), (0, 0), 2)
    star = cv2.circle(np.zeros((64, 64, 3)), (54, 10), 3, (230, 230, 230), -1)
    alone, both = (np.clip(sky + light, 0, 255).astype(np.uint8) for light in (galaxy, galaxy + star))
    masked = masked_neighbours(both)
    assert masked is not None
    assert masked[10, 54].max() < 30
    assert (masked[20:44, 20:44] == both[20:44, 20:44]).all()
    assert masked_neighbours(alone) is None
    assert masked_neighbours(np.clip(sky, 0, 255).astype(np.uint8)) is None


SKY = "/v1/predictions/sky"
EXPORT = "/v1/predictions/export"


def read_export(client: TestClient, kind: str, tmp_path: Path, **params: object) -> pyarrow.Table:
    answer = client.get(EXPORT, params={"format": kind, **params})
    assert answer.status_code == 200, answer.text
    suffix = {"csv": ".csv", "parquet": ".parquet", "fits": ".fits", "votable": ".vot"}[kind]
    assert answer.headers["content-disposition"] == f'attachment; filename="catalog{suffix}"'
    path = tmp_path / f"catalog{suffix}"
    path.write_bytes(answer.content)
    table = read_table(path)
    assert answer.headers["x-total-count"] == str(table.num_rows)
    return table


@pytest.mark.parametrize("kind", ["csv", "parquet", "fits", "votable"])
def test_every_filtered_row_is_exported_with_label_author_and_time(
    client: TestClient, tokens, galaxies: dict[str, bytes], tmp_path: Path, kind: str
) -> None:
    key = next(iter(galaxies))
    client.post("/v1/labels", json={"object_id": key, "label": "Sb"}, headers=tokens["publisher"])
    whole = read_export(client, kind, tmp_path, sort="-ra").to_pylist()
    page = client.get("/v1/predictions", params={"sort": "-ra"}).json()["predictions"]
    assert [str(row["object_id"]) for row in whole] == [row["object_id"] for row in page]
    labelled = {str(row["object_id"]): row for row in whole}[key]
    assert (labelled["human_label"], labelled["labelled_by"]) == ("Sb", "publisher-of-test")
    assert str(labelled["labelled_at"]).startswith("20")
    assert whole[0]["probability"] == pytest.approx(page[0]["probability"])
    leaf = page[0]["predicted_class"]
    some = read_export(client, kind, tmp_path, **{"class": leaf})
    assert set(some["predicted_class"].to_pylist()) == {leaf}
    assert read_export(client, kind, tmp_path, search="nothing has this").num_rows == 0


def test_an_object_id_may_have_a_slash(client: TestClient, tokens, database: Database, galaxy: bytes) -> None:
    Images(database).add([NewImage("M 51/NGC 5194", galaxy)])
    url = "/v1/images/M%2051%2FNGC%205194"
    assert client.get(url).content == galaxy
    assert client.get(f"{url}/explain").json()["object_id"] == "M 51/NGC 5194"
    assert client.get(f"{url}/similar").json()["similar"]
    label = {"object_id": "M 51/NGC 5194", "label": "pair"}
    assert client.post("/v1/desks/pairs/labels", json=label, headers=tokens["publisher"]).status_code == 201
    undone = client.delete("/v1/desks/pairs/labels/M%2051%2FNGC%205194", headers=tokens["publisher"])
    assert undone.json() == {"object_id": "M 51/NGC 5194"}
    assert client.get("/v1/images/M%2051%2Fother").status_code == 404


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=999999999-", "bytes=a-b", "bytes=0-1,3-4"])
def test_an_export_is_sent_whole_as_parts_of_two_need_not_fit(client: TestClient, asked: str) -> None:
    answer = client.get(EXPORT, headers={"Range": asked})
    assert answer.status_code == 200
    assert answer.headers["accept-ranges"] == "none"
    assert answer.content == client.get(EXPORT).content


def test_an_export_of_more_rows_than_a_page_is_whole(client: TestClient, database: Database, galaxy: bytes) -> None:
    Images(database).add(NewImage(f"many-{n:03}", galaxy) for n in range(560))
    score_pending(database, "galaxy@1")
    text = client.get(EXPORT, params={"search": "MANY-"}).text
    assert len(text.splitlines()) == 561
    assert client.get(EXPORT, params={"search": "y_0"}).text.count("\n") == 1  # a sign of LIKE is a sign


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"format": "xls"}, "format"),
        ({"class": "X"}, "class"),
        ({"sort": "separation"}, "sort"),
        ({"cone": "x"}, "cone"),
    ],
)
def test_a_wrong_export_names_the_parameter(client: TestClient, params: dict[str, str], field: str) -> None:
    for end in (EXPORT, SKY) if "format" not in params else (EXPORT,):
        answer = client.get(end, params=params)
        assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)


def test_a_cone_is_sorted_by_separation_and_says_it(client: TestClient) -> None:
    rows = client.get("/v1/predictions", params={"cone": "02:00:00 +15:00:00 20 deg"}).json()["predictions"]
    distances = [row["separation_arcsec"] for row in rows]
    assert len(rows) == 3
    assert distances == sorted(distances)
    assert rows[0]["separation_arcsec"] == pytest.approx(0, abs=1)
    assert client.get("/v1/predictions").json()["predictions"][0]["separation_arcsec"] is None


def test_an_id_is_found_by_its_own_text_in_any_script(client: TestClient, database: Database, galaxy: bytes) -> None:
    Images(database).add([NewImage("\u00c9TOILE-1", galaxy)])
    score_pending(database, "galaxy@1")
    for text in ("\u00c9TOILE", "toile-1", "\u00c9toile"):
        assert client.get("/v1/predictions", params={"search": text}).json()["total"] == 1, text


def test_object_ids_are_searched_by_any_part(client: TestClient, galaxies: dict[str, bytes]) -> None:
    key = next(iter(galaxies))
    found = client.get("/v1/predictions", params={"search": key[1:]}).json()["predictions"]
    assert key in [row["object_id"] for row in found]
    assert all(key[1:] in row["object_id"] for row in found)


def test_two_labels_of_the_same_moment_are_one_row(client: TestClient, database: Database, galaxies) -> None:
    key = next(iter(galaxies))
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    with database.write() as connection:
        for name, label in (("ann", "Sb"), ("ben", "Sc")):
            row = {"object_id": key, "source": "human", "label": {"class": label}}
            connection.execute(upsert(connection, labels, {**row, "labelled_by": name, "labelled_at": moment}))
    page = client.get("/v1/predictions").json()
    assert page["total"] == len(page["predictions"]) == len(galaxies)
    (row,) = client.get("/v1/predictions", params={"object_id": key}).json()["predictions"]
    assert (row["object_id"], row["human_label"], row["labelled_by"]) == (key, "Sc", "ben")


def test_the_sky_map_has_the_positions_of_the_filtered_rows(client: TestClient, galaxies: dict[str, bytes]) -> None:
    sky = client.get(SKY).json()
    assert sorted(sky["object_id"]) == sorted(galaxies)
    assert sorted(sky["ra"]) == [10.0 * n for n in range(len(galaxies))]
    near = client.get(SKY, params={"cone": "20 10 1 deg"}).json()
    assert (near["ra"], near["dec"]) == ([20.0], [10.0])
    some = client.get(SKY, params={"limit": 3}).json()
    assert (len(some["ra"]), some["total"]) == (3, len(galaxies))


def test_a_cone_of_milliarcseconds_has_its_centre_alone(client: TestClient) -> None:
    near = {
        part: client.get(SKY, params={"cone": f"20 {10 + part / 3.6e6:.10f} 0.003 arcsec"}).json() for part in (2, 4)
    }
    assert (near[2]["total"], near[4]["total"]) == (1, 0)


def test_an_export_beside_another_is_refused_at_once(client: TestClient) -> None:
    with catalog_files._exporting:
        answer = client.get(EXPORT)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "overloaded")
    assert client.get(EXPORT).status_code == 200


@pytest.mark.parametrize("kind", ["fits", "votable"])
def test_a_format_that_is_held_in_memory_has_a_limit(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(catalog_export, "MAX_HELD", 5)
    answer = client.get(EXPORT, params={"format": kind})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "format")
    assert "CSV or Parquet" in answer.json()["error"]["message"]
    assert client.get(EXPORT, params={"format": "csv"}).status_code == 200


def test_a_model_of_debiased_votes_is_measured_by_the_class_that_follows_from_them() -> None:
    shares = {"13 classes": 0.55, "4 groups": 0.7, "galaxies, 13 classes by vote fractions": 0.65}
    tables = {name: {"count": 105, "accuracy": [share, share - 0.1, share + 0.1]} for name, share in shares.items()}
    stated = accuracy_of({"tables": tables})
    assert stated is not None
    assert (stated.table, stated.accuracy) == ("galaxies, 13 classes by vote fractions", 0.65)
    del tables["galaxies, 13 classes by vote fractions"]
    stated = accuracy_of({"tables": tables})
    assert stated is not None
    assert stated.table == "13 classes"


def test_models_state_their_accuracy(client: TestClient, database: Database) -> None:
    metrics = {"tables": {"4 groups": {"count": 30, "accuracy": [0.6, 0.5, 0.7]}, "other": {"accuracy": "?"}}}
    Registry(database).register(tiny_model(2), name="measured", metrics=metrics)
    models = {(one["name"], one["version"]): one["accuracy"] for one in client.get("/v1/models").json()["models"]}
    stated = {"table": "4 groups", "count": 30, "accuracy": 0.6, "low": 0.5, "high": 0.7}
    assert models["measured", 1] == stated
    assert models["galaxy", 1] is None
    assert client.get("/v1/models/measured/1").json()["accuracy"] == stated
