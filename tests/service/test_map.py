"""The map over HTTP: places that embeddings give again, sheets of pictures, changes; neighbours; labels of a report."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from galclass.database import Database, Images, NewImage, Registry, embeddings
from galclass.database.embeddings import Embeddings
from galclass.database.galaxy_map import MAX_POINTS, draw_map
from galclass.database.labels import human_labels
from galclass.database.pools import KeptPool, Pools
from galclass.scoring import Scorer
from galclass.scoring.projection import fit_projection

Headers = dict[str, dict[str, str]]


@pytest.fixture
def scorer(database: Database) -> Scorer:
    return Registry(database).get("galaxy@1").scorer()


@pytest.fixture
def filled(database: Database, scorer: Scorer) -> Database:
    """The embeddings of galaxy@1 are there."""
    assert Embeddings(database).fill(scorer) == 10
    return database


def placed(axes: list[dict[str, Any]], vector: Any) -> list[float]:
    """Place an embedding by the axes of a response, as a page does."""
    values = [float(np.dot(axis["weights"], vector)) + axis["offset"] for axis in axes]
    return [float(np.interp(value, axis["values"], axis["places"])) for value, axis in zip(values, axes, strict=True)]


def test_an_empty_map_says_how_much_is_lacking(client: TestClient) -> None:
    found = client.get("/v1/map", params={"model": "galaxy@1"}).json()
    assert (found["stored"], found["embedded"], found["total"], found["object_id"]) == (10, 0, 0, [])
    assert found["axes"] == []
    assert client.get("/v1/map/sheets/0", params={"version": found["version"]}).status_code == 404


def test_objects_beyond_those_that_a_map_is_drawn_from_are_counted(
    client: TestClient, filled: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embeddings, "MAX_POOL", 6)
    found = client.get("/v1/map").json()
    assert (len(found["object_id"]), found["total"], found["stored"]) == (6, 10, 10)


def test_every_object_has_a_place_that_its_embedding_gives_again(
    client: TestClient, filled: Database, galaxies: dict[str, bytes], scorer: Scorer
) -> None:
    found = client.get("/v1/map").json()
    assert sorted(found["object_id"]) == sorted(galaxies)
    assert (found["stored"], found["embedded"], found["total"]) == (10, 10, 10)
    for place, object_id in enumerate(found["object_id"]):
        (prediction,) = scorer.score([galaxies[object_id]])
        assert found["classes"][found["predicted_class"][place]] == prediction.predicted_class
        expected = [found["x"][place], found["y"][place]]
        assert placed(found["axes"], prediction.embedding) == pytest.approx(expected, abs=1e-4)
    assert all(0 <= value <= 1 for value in found["x"] + found["y"])


def test_a_sheet_holds_the_pictures_in_the_order_of_the_map(
    client: TestClient, filled: Database, galaxies: dict[str, bytes]
) -> None:
    found = client.get("/v1/map").json()
    response = client.get("/v1/map/sheets/0", params={"version": found["version"]})
    assert response.headers["content-type"] == "image/jpeg"
    side = found["sheets"]["picture_px"]
    sheet = np.asarray(Image.open(io.BytesIO(response.content)), dtype=float)
    assert sheet.shape == (side, found["sheets"]["across"] * side, 3)
    for place, object_id in enumerate(found["object_id"]):
        whole = Image.open(io.BytesIO(galaxies[object_id])).convert("RGB")
        rim = round(whole.width * (1 - 204 / 424) / 2)
        centre = whole.crop((rim, rim, whole.width - rim, whole.height - rim)).resize(
            (side, side), Image.Resampling.BOX
        )
        drawn = sheet[:, place * side : (place + 1) * side]
        assert np.corrcoef(drawn.ravel(), np.asarray(centre, dtype=float).ravel())[0, 1] > 0.9
    assert not sheet[:, 11 * side :].max() > 20


def test_a_map_is_kept_until_something_changes(client: TestClient, filled: Database, scorer: Scorer) -> None:
    first = client.get("/v1/map")
    again = client.get("/v1/map", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    Images(filled).add([NewImage("odd", b"no image at all"), NewImage("new", _flat_picture())])
    changed = client.get("/v1/map", headers={"If-None-Match": first.headers["etag"]}).json()
    assert (changed["stored"], changed["embedded"], changed["total"]) == (12, 10, 10)
    old = client.get("/v1/map/sheets/0", params={"version": first.json()["version"]})
    assert (old.status_code, old.json()["error"]["field"]) == (409, "version")
    Embeddings(filled).fill(scorer)
    last = client.get("/v1/map").json()
    assert (last["stored"], last["embedded"], last["total"]) == (12, 12, 11)
    assert "odd" not in last["object_id"]


def _flat_picture() -> bytes:
    data = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


@pytest.mark.parametrize("path", ["/v1/map?model=none", "/v1/map/sheets/0?version=x&model=none@3"])
def test_a_model_that_is_not_there_is_named(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.json()["error"]["code"]) == (404, "unknown_model")


@pytest.mark.parametrize("number", ["-1", "79", "0.5", "../../etc/passwd"])
def test_no_sheet_beyond_those_there_can_be(client: TestClient, number: str) -> None:
    assert client.get(f"/v1/map/sheets/{number}", params={"version": "x"}).status_code in (404, 422)


def test_rows_of_before_the_classes_are_computed_again(filled: Database, scorer: Scorer) -> None:
    from galclass.database.schema import embeddings

    with filled.write() as connection:
        connection.execute(embeddings.update().values(predicted_class=None))
    assert Embeddings(filled).progress(scorer.sha256).done == 0
    assert Embeddings(filled).fill(scorer) == 10
    assert all(Embeddings(filled).pool(scorer.sha256).classes)


def test_many_objects_are_thinned_out_evenly() -> None:
    count = MAX_POINTS + 5000
    vectors = np.random.default_rng(1).normal(size=(count, 4)).astype(np.float32)
    ids = tuple(f"{n:06}" for n in range(count))
    kept = KeptPool((), _pool(ids, vectors), {})
    drawn = draw_map(kept, "model")
    assert (drawn.total, len(drawn.object_ids)) == (count, MAX_POINTS)
    numbers = sorted(map(int, drawn.object_ids))
    assert (numbers[0], numbers[-1]) == (0, count - 1)
    assert max(np.diff(numbers)) == 2


def test_embeddings_that_are_no_numbers_are_left_out() -> None:
    vectors = np.random.default_rng(3).normal(size=(20, 4)).astype(np.float32)
    vectors[5, 1], vectors[6] = np.nan, np.inf
    ids = tuple(f"{n:02}" for n in range(20))
    drawn = draw_map(KeptPool((), _pool(ids, vectors), {}), "model")
    assert set(ids) - set(drawn.object_ids) == {"05", "06"}
    assert np.isfinite(drawn.positions).all()
    assert draw_map(KeptPool((), _pool(ids, vectors * np.nan), {}), "model").object_ids == ()


def _pool(ids: tuple[str, ...], vectors: Any) -> Any:
    from galclass.database.embeddings import Pool

    return Pool(ids, vectors, tuple("ab"[n % 2] for n in range(len(ids))), ids)


def test_the_projection_keeps_classes_apart() -> None:
    rng = np.random.default_rng(2)
    classes = [f"c{n % 4}" for n in range(400)]
    noise = rng.normal(size=(400, 30)) * np.r_[np.full(3, 1.0), np.full(27, 8.0)]
    centres = rng.normal(size=(4, 30)) * np.r_[np.full(3, 5.0), np.zeros(27)]
    vectors = (noise + centres[[n % 4 for n in range(400)]]).astype(np.float32)
    places = fit_projection(vectors, classes).place(vectors)
    nearest = [np.argsort(((places - one) ** 2).sum(axis=1))[1] for one in places]
    assert np.mean([classes[n] == classes[m] for n, m in enumerate(nearest)]) > 0.9
    blind = fit_projection(vectors, ["same"] * 400).place(vectors)
    nearest = [np.argsort(((blind - one) ** 2).sum(axis=1))[1] for one in blind]
    assert np.mean([classes[n] == classes[m] for n, m in enumerate(nearest)]) < 0.8


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_or_equal_embeddings_have_finite_places(count: int) -> None:
    places = fit_projection(np.ones((count, 5), np.float32), ["a"] * count).place(np.ones((count, 5), np.float32))
    assert np.isfinite(places).all()
    one = fit_projection(np.arange(count, dtype=np.float32)[:, None], ["a"] * count)
    assert np.isfinite(one.place(np.array([[9.0]], np.float32))).all()


def test_similar_reads_the_table_and_fills_what_it_lacks(
    client: TestClient, database: Database, galaxies: dict[str, bytes], scorer: Scorer
) -> None:
    key = next(iter(galaxies))
    found = client.get(f"/v1/images/{key}/similar", params={"model": "galaxy@1", "count": 9}).json()["similar"]
    assert len(found) == 9
    store = Embeddings(database)
    assert store.progress(scorer.sha256).complete
    assert store.fill(scorer) == 0
    pool = Pools(database).get(scorer.sha256)
    cosines = dict(zip(pool.pool.object_ids, pool.directions @ pool.directions[pool.rows[key]], strict=True))
    assert [one["object_id"] for one in found] == sorted(set(galaxies) - {key}, key=lambda other: -cosines[other])


LABELS = {"author": "Ada Lovelace", "labels": []}


def send(client: TestClient, header: dict[str, str], *labels: tuple[str, str, datetime], **changed: Any) -> Any:
    shaped = [{"object_id": key, "label": label, "labelled_at": at.isoformat()} for key, label, at in labels]
    return client.post("/v1/labels/report", json=LABELS | {"labels": shaped} | changed, headers=header)


def test_labels_of_a_report_keep_author_and_time_and_count_up(
    client: TestClient, tokens: Headers, database: Database, galaxies: dict[str, bytes]
) -> None:
    first, second, *_ = galaxies
    at = datetime(2026, 11, 1, 12, tzinfo=UTC)
    later = at + timedelta(hours=1)
    header = tokens["publisher"]
    sent = send(client, header, (first, "Sb", at), (second, "A", at), ("elsewhere", "Er", at))
    assert sent.status_code == 200, sent.text
    assert sent.json() == {
        "labelled_by": "Ada Lovelace (report)", "stored": 2, "same": 0, "older": 0, "unknown": ["elsewhere"],
    }  # fmt: skip
    again = send(client, header, (first, "Sb", at), (second, "Sc", later), (first, "Er", at - timedelta(days=1)))
    assert {name: again.json()[name] for name in ("stored", "same", "older")} == {"stored": 1, "same": 1, "older": 1}
    labels = {one.object_id: (one.label, one.labelled_by, one.labelled_at) for one in human_labels(database)[0]}
    author = "Ada Lovelace (report)"
    assert labels == {first: ("Sb", author, at), second: ("Sc", author, later)}


def test_a_clock_that_is_ahead_cannot_lock_a_label(
    client: TestClient, tokens: Headers, database: Database, galaxies: dict[str, bytes]
) -> None:
    key = next(iter(galaxies))
    assert send(client, tokens["publisher"], (key, "Sb", datetime(2999, 1, 1, tzinfo=UTC))).json()["stored"] == 1
    assert human_labels(database)[0][0].labelled_at <= datetime.now(UTC)


@pytest.mark.parametrize(
    "changed",
    [
        {"author": ""}, {"author": "a" * 61}, {"author": "a\nb"}, {"author": " a"}, {"labels": []}, {"labels": None},
        {"labels": [{"object_id": "a", "label": "ring", "labelled_at": "2026-01-01T00:00:00Z"}]},
        {"labels": [{"object_id": "a", "label": "Sb", "labelled_at": "yesterday"}]},
        {"labels": [{"object_id": "a", "label": "Sb", "labelled_at": "2026-01-01T00:00:00"}]},
        {"labels": [{"object_id": "a", "label": "Sb", "labelled_at": "9999-12-31T23:59:59-23:59"}]},
        {"labels": [{"object_id": "a", "label": "Sb", "labelled_at": "0001-01-01T00:00:00+23:59"}]},
        {"labels": [{"object_id": "", "label": "Sb", "labelled_at": "2026-01-01T00:00:00Z"}]},
        {"labels": [{"object_id": "a", "label": "Sb", "labelled_at": "2026-01-01T00:00:00Z"}] * 301},
        {"more": 1},
    ],
)  # fmt: skip
def test_bad_report_labels_are_refused(client: TestClient, tokens: Headers, changed: dict[str, Any]) -> None:
    assert send(client, tokens["publisher"], ("a", "Sb", datetime.now(UTC)), **changed).status_code == 422


@pytest.mark.parametrize(("role", "status"), [("", 401), ("reader", 403)])
def test_only_publishers_bring_report_labels(client: TestClient, tokens: Headers, role: str, status: int) -> None:
    assert send(client, tokens.get(role, {}), ("a", "Sb", datetime.now(UTC))).status_code == status
