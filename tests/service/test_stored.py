"""Explanations of stored objects by the model that scored them, and what may change an answer."""

from __future__ import annotations

import base64
import io

import cv2
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from galclass.database import Database, Images, NewImage
from galclass.service.variations import masked_neighbours

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
