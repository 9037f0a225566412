"""Images, examples, stored predictions and labels over HTTP."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from fastapi.testclient import TestClient

from galclass.config import Config
from galclass.database import Database, Images, NewImage, score_pending
from galclass.database.schema import images
from galclass.label_words import classes_of, label_words


def test_an_image_comes_back_as_it_was_added(client: TestClient, galaxies: dict[str, bytes]) -> None:
    key, data = next(iter(galaxies.items()))
    answer = client.get(f"/v1/images/{key}")
    assert (answer.content, answer.headers["content-type"]) == (data, "image/jpeg")
    same = client.get(f"/v1/images/{key}", headers={"If-None-Match": answer.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")


def test_an_image_replaced_with_sql_is_another_response(
    client: TestClient, database: Database, galaxies: dict[str, bytes]
) -> None:
    key, *others = list(galaxies)[:3]
    tags = [client.get(f"/v1/images/{key}").headers["etag"]]
    for other in others:
        with database.write() as connection:
            connection.execute(images.update().where(images.c.object_id == key).values(img=galaxies[other]))
        answer = client.get(f"/v1/images/{key}", headers={"If-None-Match": ", ".join(tags)})
        assert (answer.status_code, answer.content) == (200, galaxies[other])
        assert "max-age=60" in answer.headers["cache-control"]
        tags.append(answer.headers["etag"])


def test_an_unknown_image_is_not_found_and_no_path_is_followed(client: TestClient) -> None:
    for key in ("nothing", "..%2F..%2Fetc%2Fpasswd", "%00", "x" * 200):
        answer = client.get(f"/v1/images/{key}")
        assert answer.status_code == 404
        assert set(answer.json()) == {"error"}


def test_bytes_that_are_no_picture_are_never_shown_as_a_document(client: TestClient, database: Database) -> None:
    Images(database).add([NewImage("evil", b"<script>alert(1)</script>")])
    answer = client.get("/v1/images/evil")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_without_a_prepared_workspace_there_are_no_examples(client: TestClient) -> None:
    assert client.get("/v1/examples").json() == {"examples": []}


def write_index(config: Config, **columns: list[object]) -> None:
    folder = Path(config.workspace) / "prepared"
    folder.mkdir()
    pyarrow.parquet.write_table(pyarrow.table(columns), folder / "index.parquet")


def test_examples_are_drawn_in_the_proportions_of_the_test_split(
    config: Config, galaxies, client: TestClient, database: Database
) -> None:
    keys = list(galaxies)
    write_index(
        config,
        object_id=[*keys, "not stored"],
        label=["Sb2m"] * 2 + ["Sb"] * 4 + ["Er"] * 3 + ["merger", "A"],
        split=["test"] * 9 + ["train", "test"],
        t01_smooth_or_features_a01_smooth_debiased=[0.25] * 11,
        t01_smooth_or_features_a02_features_or_disk_debiased=[float("nan")] * 11,
        t07_rounded_a16_completely_round_debiased=[0.0] * 11,
        t07_rounded_a17_in_between_debiased=[0.0] * 11,
        t02_edgeon_a04_yes_debiased=[0.0] * 11,
        t02_edgeon_a05_no_debiased=[1.0] * 11,
    )
    draws = [client.get("/v1/examples", params={"draw": n, "count": 3}).json()["examples"] for n in (0, 1, 2, 0)]
    assert [sorted(one["classes"][0] for one in examples) for examples in draws] == [["Er", "Sb", "Sb"]] * 4
    assert draws[0] == draws[3]
    assert len({tuple(one["object_id"] for one in examples) for examples in draws}) > 1
    every = client.get("/v1/examples").json()["examples"]
    assert {one["frame_px"] for one in every} == {None}
    with database.write() as connection:
        connection.execute(images.update().where(images.c.object_id == keys[0]).values(frame_px=700))
    frames = {one["object_id"]: one["frame_px"] for one in client.get("/v1/examples").json()["examples"]}
    assert {key for key, frame in frames.items() if frame == 700} == {keys[0]}
    assert sorted(one["object_id"] for one in every) == sorted(keys[:9])
    texts = {one["label"]: one["text"] for one in every}
    assert texts["Sb2m"] == "spiral with obvious bulge, 2 arms, medium winding"
    assert client.get("/" + every[0]["image"]).status_code == 200


def test_questions_that_were_put_to_nobody_have_no_votes(config: Config, galaxies, client: TestClient) -> None:
    write_index(
        config,
        object_id=list(galaxies)[:1],
        label=["Sb"],
        split=["test"],
        t01_smooth_or_features_a01_smooth_debiased=[0.25],
        t01_smooth_or_features_a02_features_or_disk_debiased=[float("nan")],
        t07_rounded_a16_completely_round_debiased=[0.0],
        t07_rounded_a17_in_between_debiased=[0.0],
        t02_edgeon_a04_yes_debiased=[0.0],
        t02_edgeon_a05_no_debiased=[1.0],
    )
    (example,) = client.get("/v1/examples").json()["examples"]
    answered = {"t01_smooth_or_features_a01_smooth": 0.25, "t02_edgeon_a04_yes": 0.0, "t02_edgeon_a05_no": 1.0}
    assert example["votes"] == answered


@pytest.mark.parametrize(
    ("label", "text", "classes"),
    [
        ("SBc1t(r)", "barred spiral with just noticeable bulge, 1 arm, tight winding, ring", ["SBc"]),
        ("Ser", "edge-on disk, rounded bulge", ["Se"]),
        ("Sc+l", "spiral with just noticeable bulge, more than 4 arms, loose winding", ["Sc"]),
        ("Ei(m)", "in-between smooth, merger", ["Ei"]),
        ("smooth", "smooth", ["Er", "Ei", "Ec"]),
        ("star_or_artifact", "star or artifact", ["A"]),
        ("merger", "merger", []),
        ("strange thing", "strange thing", []),
    ],
)
def test_labels_are_put_in_words(label: str, text: str, classes: list[str]) -> None:
    assert (label_words(label), list(classes_of(label))) == (text, classes)


def test_predictions_are_paged_and_sorted(client: TestClient, galaxies: dict[str, bytes]) -> None:
    first = client.get("/v1/predictions", params={"page_size": 4}).json()
    last = client.get("/v1/predictions", params={"page_size": 4, "page": 3}).json()
    assert (first["total"], len(first["predictions"]), len(last["predictions"])) == (10, 4, 2)
    for sort in ("probability", "-probability", "class", "-scored_at", "ra", "uncertainty"):
        rows = client.get("/v1/predictions", params={"sort": sort}).json()["predictions"]
        assert len(rows) == 10
        if sort == "-probability":
            values = [row["probability"] for row in rows]
            assert values == sorted(values, reverse=True)
    assert {row["object_id"] for row in rows} == set(galaxies)
    assert all(row["probability"] == row["probabilities"][row["predicted_class"]] for row in rows)


@pytest.mark.parametrize("sort", ["uncertainty", "-uncertainty", "probability", "-probability", "class", "-class"])
def test_failed_images_come_last_in_either_order(client: TestClient, database: Database, sort: str) -> None:
    Images(database).add([NewImage("0-failed", b"no image", ra=1.0, dec=1.0)])
    score_pending(database, "galaxy@1")
    rows = client.get("/v1/predictions", params={"sort": sort}).json()["predictions"]
    assert [row["object_id"] for row in rows if row["probability"] is None] == ["0-failed"]
    assert rows[-1]["object_id"] == "0-failed"


def test_predictions_are_filtered_by_class_group_and_certainty(client: TestClient) -> None:
    every = client.get("/v1/predictions").json()["predictions"]
    leaf, group = every[0]["predicted_class"], every[0]["predicted_group"]
    for params, wanted in (
        ({"class": leaf}, [row for row in every if row["predicted_class"] == leaf]),
        ({"group": group}, [row for row in every if row["predicted_group"] == group]),
        ({"min_probability": 0.5}, [row for row in every if row["probability"] >= 0.5]),
    ):
        assert client.get("/v1/predictions", params=params).json()["predictions"] == wanted


def test_a_cone_finds_what_is_inside_also_across_ra_zero(client: TestClient) -> None:
    def inside(cone: str) -> list[float]:
        return [
            row["ra"]
            for row in client.get("/v1/predictions", params={"cone": cone, "sort": "ra"}).json()["predictions"]
        ]

    assert inside("20,10,1") == [20.0]
    assert inside("359.5,0,1") == [0.0]
    assert inside("15,7.5,8") == [10.0, 20.0]
    assert inside("200,-80,1") == []
    assert len(inside("0,0,180")) == 10


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"cone": "1,2"}, "cone"),
        ({"cone": "a,b,c"}, "cone"),
        ({"cone": "nan,0,1"}, "cone"),
        ({"cone": "400,0,1"}, "cone"),
        ({"sort": "img; drop table"}, "sort"),
        ({"class": "X"}, "class"),
        ({"group": "X"}, "group"),
        ({"page": 0}, "page"),
        ({"page_size": 100_000}, "page_size"),
        ({"min_probability": "nan"}, "min_probability"),
        ({"model": "a b"}, "model"),
    ],
)
def test_a_wrong_query_names_the_parameter(client: TestClient, params, field: str) -> None:
    answer = client.get("/v1/predictions", params=params)
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)


def test_predictions_as_csv_and_parquet(client: TestClient) -> None:
    text = client.get("/v1/predictions", headers={"Accept": "text/csv"})
    rows = list(csv.DictReader(io.StringIO(text.text)))
    assert (len(rows), text.headers["x-total-count"]) == (10, "10")
    data = client.get("/v1/predictions", headers={"Accept": "application/vnd.apache.parquet"})
    assert pyarrow.parquet.read_table(io.BytesIO(data.content)).num_rows == 10


def test_an_empty_page_has_the_columns_and_types_of_a_full_one(client: TestClient) -> None:
    def asked(kind: str, **params: object) -> bytes:
        return client.get("/v1/predictions", headers={"Accept": kind}, params=params).content

    full, empty = (asked("text/csv", page=page).splitlines()[0] for page in (1, 2))
    assert full == empty
    parquet = "application/vnd.apache.parquet"
    tables = [pyarrow.parquet.read_table(io.BytesIO(asked(parquet, page=page))) for page in (1, 2)]
    assert tables[0].schema == tables[1].schema
    assert str(tables[0].schema.field("human_label").type) == "string"


def test_a_label_is_stored_with_who_and_when_and_replaced_by_the_next(client: TestClient, tokens, galaxies) -> None:
    key = next(iter(galaxies))
    for label in ("Sb", "SBb"):
        made = client.post("/v1/labels", json={"object_id": key, "label": label}, headers=tokens["publisher"])
        assert (made.status_code, made.json()["labelled_by"]) == (201, "publisher-of-test")
    client.post("/v1/labels", json={"object_id": key, "label": "Er"}, headers=tokens["admin"])
    labels = client.get("/v1/labels", params={"object_id": key}).json()
    assert [(one["label"], one["labelled_by"]) for one in labels] == [
        ("Er", "admin-of-test"),
        ("SBb", "publisher-of-test"),
    ]
    every = client.get("/v1/predictions").json()
    assert every["total"] == 10
    assert {row["object_id"]: row["human_label"] for row in every["predictions"]}[key] == "Er"
    assert client.get("/v1/predictions", params={"unlabelled": True}).json()["total"] == 9


def test_labels_come_in_pages_that_say_how_many_there_are(client: TestClient, tokens, galaxies) -> None:
    for key in list(galaxies)[:3]:
        client.post("/v1/labels", json={"object_id": key, "label": "Sb"}, headers=tokens["publisher"])
    every = client.get("/v1/labels")
    pages = [client.get("/v1/labels", params={"limit": 2, "offset": offset}) for offset in (0, 2)]
    total = len(every.json())
    assert total >= 3
    assert {one.headers["x-total-count"] for one in (every, *pages)} == {str(total)}
    assert [len(page.json()) for page in pages] == [2, min(2, total - 2)]
    assert pages[0].json() + pages[1].json() == every.json()[:4]
    for wrong in ({"limit": 0}, {"limit": 10_001}, {"offset": -1}, {"offset": 2**40}):
        assert client.get("/v1/labels", params=wrong).status_code == 422


def test_a_label_must_be_a_class_of_a_stored_object(client: TestClient, tokens, galaxies) -> None:
    wrong = client.post("/v1/labels", json={"object_id": next(iter(galaxies)), "label": "X"}, headers=tokens["admin"])
    assert (wrong.status_code, wrong.json()["error"]["field"]) == (422, "label")
    missing = client.post("/v1/labels", json={"object_id": "nothing", "label": "Sb"}, headers=tokens["admin"])
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "unknown_object")


def test_the_page_loads_only_its_own_files(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert client.get("/..%2Fservice%2Fapp.py").status_code == 404
    assert client.get("/../service/server/app.py").status_code == 404


def test_the_docs_need_no_other_host(client: TestClient) -> None:
    page = client.get("/docs")
    assert "http://" not in page.text
    assert "https://" not in page.text
    for name in ("swagger-ui-bundle.js", "swagger-ui.css", "docs.js", "favicon.png"):
        assert client.get(f"/docs/assets/{name}").status_code == 200
    assert client.get("/docs/assets/other.js").status_code == 404


def test_health_readiness_and_metrics(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"ok": True}
    assert client.get("/readyz").json() == {"ok": ["database", "service galaxy-class@1.0"], "failing": {}}
    text = client.get("/metrics").text
    assert 'galclass_requests_total{method="GET",route="/readyz",status="200"} 1.0' in text
