"""POST predict: every way to send an image, and every way to get it wrong."""

from __future__ import annotations

import csv
import io
from base64 import b64encode

import cv2
import numpy as np
import pyarrow.parquet
import pytest
from fastapi.testclient import TestClient
from fits_builders import as_file, drawn
from image_builders import bmp, empty_scans, random_jpeg
from tiny_model import tiny_model

from galclass.database import Database, Images, Registry, Services
from galclass.database.images import NewImage
from galclass.morphology import CLASSES
from galclass.scoring import ROW_COLUMNS

URL = "/v1/services/galaxy-class/1.0/predict"
JPEG = {"Content-Type": "image/jpeg"}
VOTES = ("smooth-or-featured_smooth", "bar_no")
TABLE_COLUMNS = [*ROW_COLUMNS, *(f"{name}_debiased{bound}" for name in VOTES for bound in ("", "_low", "_high"))]


def publish_with_votes(database: Database) -> None:
    """Publish galaxy-class 2.0, whose model gives vote fractions."""
    model = Registry(database).register(tiny_model(5, votes=VOTES), aliases=())
    Services(database).publish("galaxy-class", "2.0", "galaxy", model.version)


def refusal(response) -> dict[str, str | None]:
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message", "field"}
    assert "Traceback" not in response.text
    return body["error"]


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"", "image/jpeg", 400, "no_image"),
        (b"hello", "image/jpeg", 422, "not_an_image"),
        (b"<svg onload=alert(1)>", "image/svg+xml", 422, "not_an_image"),
        (b"hello", "text/plain", 415, "unsupported_type"),
        (b"a=1", "application/x-www-form-urlencoded", 415, "unsupported_type"),
        (b"hello", "", 415, "unsupported_type"),
        (b"{", "application/json", 400, "bad_json"),
        (b"[" * 1_500, "application/json", 400, "bad_json"),
        (b"[" * 100_000, "application/json", 413, "too_many_images"),
        (b'{"images": [' + b"[]," * 2_000 + b"[]]}", "application/json", 413, "too_many_images"),
        (b'{"object_ids": ["1"]}', "application/json", 422, "invalid"),
        (b"\xff\xfe", "application/json", 400, "bad_json"),
        (b"[]", "application/json", 422, "invalid"),
        (b"{}", "application/json", 422, "invalid"),
        (b'{"img": 5}', "application/json", 422, "invalid"),
        (b'{"img": "***"}', "application/json", 400, "bad_base64"),
        ('{"img": "é"}'.encode(), "application/json", 400, "bad_base64"),
        (b'{"img": ""}', "application/json", 400, "no_image"),
        (b'{"id": 587722981742084144, "img": "AAAA"}', "application/json", 422, "invalid"),
        (b'{"id": "a\\u0000b", "img": "AAAA"}', "application/json", 422, "invalid"),
        (b'{"img": "AAAA", "model": "x"}', "application/json", 422, "invalid"),
        (b'{"images": []}', "application/json", 400, "no_image"),
        (b'{"images": [{"img": "AAAA"}, 7]}', "application/json", 422, "invalid"),
        (b"--x--", "multipart/form-data; boundary=x", 400, "no_image"),
        (b"hello", "multipart/form-data", 400, "bad_multipart"),
        (b"hello", "multipart/form-data; boundary=x", 400, "bad_multipart"),
        (
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--',
            "multipart/form-data; boundary=x",
            400,
            "no_image",
        ),
        (
            b'--x\r\nContent-Disposition: form-data; name="a"; filename="g.jpg"\r\n\r\n\xff\xd8\xff',
            "multipart/form-data; boundary=x",
            400,
            "incomplete_body",
        ),
    ],
)
def test_a_bad_body_is_refused_with_its_code(
    client: TestClient, body: bytes, content_type: str, status: int, code: str
) -> None:
    response = client.post(URL, content=body, headers={"Content-Type": content_type} if content_type else {})
    assert (response.status_code, refusal(response)["code"]) == (status, code)


def test_a_truncated_image_is_refused(client: TestClient, galaxy: bytes) -> None:
    response = client.post(URL, content=galaxy[: len(galaxy) // 2], headers=JPEG)
    assert response.status_code == 422
    assert refusal(response)["field"] == "img"


def test_an_unknown_service_is_not_found(client: TestClient, galaxy: bytes) -> None:
    for path in ("/v1/services/nothing/1.0/predict", "/v1/services/galaxy-class/9.9/predict"):
        response = client.post(path, content=galaxy, headers=JPEG)
        assert (response.status_code, refusal(response)["code"]) == (404, "unknown_service")


def test_a_wrong_parameter_names_itself(client: TestClient, galaxy: bytes) -> None:
    response = client.post(URL, params={"frame_px": "many"}, content=galaxy, headers=JPEG)
    assert (response.status_code, refusal(response)["field"]) == (422, "frame_px")


def test_a_body_over_the_limit_is_refused_before_it_is_read(client: TestClient) -> None:
    response = client.post(URL, content=b"x" * (32 * 1024 * 1024 + 1), headers=JPEG)
    assert (response.status_code, refusal(response)["code"]) == (413, "body_too_large")


def test_an_encoded_body_is_refused(client: TestClient, galaxy: bytes) -> None:
    response = client.post(URL, content=galaxy, headers={**JPEG, "Content-Encoding": "gzip"})
    assert (response.status_code, refusal(response)["field"]) == (415, "Content-Encoding")


def test_too_many_images_are_refused(client: TestClient) -> None:
    response = client.post(URL, json={"images": [{"img": "AAAA"}] * 257})
    assert (response.status_code, refusal(response)["code"]) == (413, "too_many_images")
    files = [("image", (f"{n}.jpg", b"x", "image/jpeg")) for n in range(257)]
    assert client.post(URL, files=files).status_code == 413


def test_raw_multipart_and_json_give_the_same_record(client: TestClient, galaxy: bytes) -> None:
    raw = client.post(URL, params={"object_id": "587722981742084144"}, content=galaxy, headers=JPEG)
    form = client.post(URL, files={"image": ("C:\\sky\\587722981742084144.jpg", galaxy, "image/jpeg")})
    coded = client.post(URL, json={"id": "587722981742084144", "img": b64encode(galaxy).decode()})
    assert raw.status_code == 200
    record = raw.json()
    assert record == form.json() == coded.json()
    assert record["object_id"] == "587722981742084144"
    assert list(record["probabilities"]) == list(CLASSES)
    assert sum(record["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert record["predicted_class"] == max(record["probabilities"], key=record["probabilities"].get)
    assert record["model"]["name"] == "galaxy"
    assert record["model"]["version"] == 1


def test_several_images_keep_their_order_and_a_faulty_one_has_an_error(
    client: TestClient, galaxies: dict[str, bytes]
) -> None:
    files = [("image", (f"{key}.jpg", data, "image/jpeg")) for key, data in galaxies.items()]
    files.insert(1, ("image", ("bad.jpg", b"no image", "image/jpeg")))
    answer = client.post(URL, files=files)
    assert answer.status_code == 200
    records = answer.json()["predictions"]
    keys = list(galaxies)
    assert [record["object_id"] for record in records] == [keys[0], "bad", *keys[1:]]
    assert [("error" in record) for record in records] == [False, True, *[False] * 9]
    assert records[1]["error"]["code"] == "not_an_image"


def test_embeddings_are_given_on_request(client: TestClient, galaxy: bytes) -> None:
    assert "embedding" not in client.post(URL, content=galaxy, headers=JPEG).json()
    with_embedding = client.post(URL, params={"embedding": "true"}, content=galaxy, headers=JPEG).json()
    assert len(with_embedding["embedding"]) == 8


def test_a_map_of_where_the_model_looked_is_given_on_request(client: TestClient, galaxies: dict[str, bytes]) -> None:
    (key, galaxy), *rest = galaxies.items()
    plain = client.post(URL, content=galaxy, headers=JPEG)
    mapped = client.post(URL, params={"saliency": "true"}, content=galaxy, headers=JPEG)
    assert "saliency" not in plain.json()
    assert mapped.headers["etag"] != plain.headers["etag"]
    explained = client.post(URL.replace("predict", "explain"), content=galaxy, headers=JPEG).json()
    assert mapped.json() == {**plain.json(), "saliency": explained["saliency"]}
    files = [("image", (f"{key}.jpg", galaxy)), ("image", ("bad.jpg", b"no image"))]
    records = client.post(URL, params={"saliency": "true"}, files=files).json()["predictions"]
    assert ["saliency" in record for record in records] == [True, False]
    many = [("image", (f"{n}.jpg", galaxy)) for n in range(9)]
    refused = client.post(URL, params={"saliency": "true"}, files=many)
    assert (refused.status_code, refusal(refused)["code"]) == (413, "too_many_images")


def test_a_declared_frame_gives_another_cutout(client: TestClient, galaxy: bytes) -> None:
    plain = client.post(URL, content=galaxy, headers=JPEG).json()
    declared = client.post(URL, params={"frame_px": 600}, content=galaxy, headers=JPEG).json()
    assert plain["probabilities"] != declared["probabilities"]


def test_a_frame_smaller_than_the_file_is_refused(client: TestClient, galaxy: bytes) -> None:
    refused = client.post(URL, params={"frame_px": 100}, content=galaxy, headers=JPEG)
    assert (refused.status_code, refusal(refused)["code"]) == (422, "frame_too_small")


def test_csv_and_parquet_by_accept(client: TestClient, galaxies: dict[str, bytes]) -> None:
    files = [("image", (f"{key}.jpg", data, "image/jpeg")) for key, data in galaxies.items()]
    text = client.post(URL, files=files, headers={"Accept": "text/csv"})
    rows = list(csv.DictReader(io.StringIO(text.text)))
    assert [row["object_id"] for row in rows] == list(galaxies)
    data = client.post(URL, files=files, headers={"Accept": "application/vnd.apache.parquet"})
    table = pyarrow.parquet.read_table(io.BytesIO(data.content))
    assert table.column_names == list(rows[0])
    assert table["object_id"].to_pylist() == list(galaxies)
    refused = client.post(URL, files=files, headers={"Accept": "image/png"})
    assert (refused.status_code, refusal(refused)["code"]) == (406, "not_acceptable")


@pytest.mark.parametrize("order", [(b"no image", None), (None, b"no image"), (b"no image", b"no image")])
def test_a_faulty_image_changes_no_column_of_a_table(client: TestClient, database: Database, galaxy, order) -> None:
    publish_with_votes(database)
    files = [("image", (f"{place}.jpg", data or galaxy, "image/jpeg")) for place, data in enumerate(order)]
    url = URL.replace("1.0", "2.0")
    text = client.post(url, files=files, headers={"Accept": "text/csv"}).text
    rows = list(csv.DictReader(io.StringIO(text), restkey="too many", restval="too few"))
    assert list(rows[0]) == TABLE_COLUMNS
    assert [row["error"] != "" for row in rows] == [data is not None for data in order]
    data = client.post(url, files=files, headers={"Accept": "application/vnd.apache.parquet"}).content
    table = pyarrow.parquet.read_table(io.BytesIO(data))
    assert table.column_names == TABLE_COLUMNS
    assert {str(table.schema.field(name).type) for name in TABLE_COLUMNS[-6:]} == {"double"}
    for place, faulty in enumerate(order):
        assert (table["smooth-or-featured_smooth_debiased_low"][place].as_py() is None) == (faulty is not None)


def test_the_etag_depends_on_image_model_and_options_alone(client: TestClient, galaxies: dict[str, bytes]) -> None:
    first, second = list(galaxies.values())[:2]
    etag = client.post(URL, content=first, headers=JPEG).headers["etag"]
    assert client.post(URL, content=first, headers=JPEG).headers["etag"] == etag
    assert client.post(URL, content=second, headers=JPEG).headers["etag"] != etag
    assert client.post(URL, params={"frame_px": 424}, content=first, headers=JPEG).headers["etag"] != etag


def test_a_matching_etag_saves_the_scoring(client: TestClient, galaxy: bytes) -> None:
    etag = client.post(URL, content=galaxy, headers=JPEG).headers["etag"]
    again = client.post(URL, content=galaxy, headers={**JPEG, "If-None-Match": etag})
    assert (again.status_code, refusal(again)["code"], again.headers["etag"]) == (412, "not_changed", etag)
    other = client.post(URL, content=galaxy, headers={**JPEG, "If-None-Match": '"other"'})
    assert other.status_code == 200


def test_the_cutout_is_a_png_of_what_explain_shows(client: TestClient, galaxy: bytes) -> None:
    url = URL.replace("predict", "cutout")
    found = client.post(url, content=galaxy, headers=JPEG)
    assert found.headers["content-type"] == "image/png"
    explained = client.post(URL.replace("predict", "explain"), content=galaxy, headers=JPEG).json()
    assert b64encode(found.content).decode() == explained["cutout"]
    assert client.post(url, content=galaxy, headers=JPEG, params={"frame_px": 900}).content != found.content
    two = client.post(url, files=[("a", ("1.jpg", galaxy)), ("a", ("2.jpg", galaxy))])
    assert two.json()["error"]["code"] == "too_many_images"
    bad = client.post(url, content=b"no image", headers=JPEG)
    assert bad.status_code == 422
    assert client.post(url.replace("1.0", "9.0"), content=galaxy, headers=JPEG).status_code == 404


def test_explain_shows_cutout_saliency_and_eight_views(client: TestClient, galaxy: bytes) -> None:
    answer = client.post(URL.replace("predict", "explain"), content=galaxy, headers=JPEG)
    assert answer.status_code == 200
    body = answer.json()
    assert len(body["views"]) == 8
    assert body["predicted_class"] == client.post(URL, content=galaxy, headers=JPEG).json()["predicted_class"]
    two = client.post(URL.replace("predict", "explain"), files=[("a", ("1.jpg", galaxy)), ("a", ("2.jpg", galaxy))])
    assert (two.status_code, refusal(two)["code"]) == (413, "too_many_images")
    bad = client.post(URL.replace("predict", "explain"), content=b"x", headers=JPEG)
    assert (bad.status_code, refusal(bad)["code"]) == (422, "not_an_image")


def test_similar_galaxies_leave_the_image_itself_out(client: TestClient, galaxies: dict[str, bytes]) -> None:
    (own, data), *_ = galaxies.items()
    answer = client.post(URL.replace("predict", "similar"), params={"count": 3}, content=data, headers=JPEG)
    found = answer.json()["similar"]
    assert len(found) == 3
    assert own not in [one["object_id"] for one in found]
    similarities = [one["similarity"] for one in found]
    assert similarities == sorted(similarities, reverse=True)
    assert client.get("/" + found[0]["image"]).status_code == 200
    bad = client.post(URL.replace("predict", "similar"), content=b"x", headers=JPEG)
    assert (bad.status_code, refusal(bad)["code"]) == (422, "not_an_image")


def test_a_galaxy_stored_later_is_found_as_similar(
    client: TestClient, galaxies: dict[str, bytes], database: Database
) -> None:
    (_, data), *_ = galaxies.items()
    _, again = cv2.imencode(".png", cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))

    def nearest() -> dict[str, object]:
        answer = client.post(URL.replace("predict", "similar"), params={"count": 1}, content=data, headers=JPEG)
        return answer.json()["similar"][0]

    assert nearest()["object_id"] != "again"
    Images(database).add([NewImage("again", again.tobytes())])
    assert nearest()["object_id"] == "again"


def test_urls_are_refused_unless_the_configuration_allows_hosts(client: TestClient) -> None:
    answer = client.post(URL, json={"id": "1", "url": "https://127.0.0.1/secret"})
    assert (answer.status_code, refusal(answer)["code"]) == (422, "url_refused")


def test_a_wrong_method_names_every_right_one(client: TestClient) -> None:
    answer = client.put("/v1/services")
    assert (answer.status_code, refusal(answer)["code"], answer.headers["allow"]) == (
        405,
        "method_not_allowed",
        "GET, POST",
    )


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (empty_scans(1000, 1000, 6000), "too_costly"),
        (empty_scans(1000, 1000, 6000, marker=0xC9), "unsupported"),
        (bmp(b"\1\5\0\0" * 1000 + b"\0\1", 1000, 1000, 8, packing=1, palette=bytes(1024)), "unsupported"),
        (random_jpeg(64, 64, ((1, 1),) * 3)[:-2], "truncated"),
        (cv2.imencode(".png", np.full((64, 64, 3), 9, np.uint8))[1].tobytes(), "no_content"),
    ],
)
def test_an_image_that_costs_too_much_or_shows_nothing_is_refused(client: TestClient, data: bytes, code: str) -> None:
    response = client.post(URL, content=data, headers=JPEG)
    assert response.status_code == 422
    assert refusal(response)["code"] == code


@pytest.mark.parametrize("kind", ["application/fits", "image/fits", "application/octet-stream"])
def test_fits_has_media_types_of_its_own(client: TestClient, kind: str) -> None:
    data = as_file(drawn())
    found = client.post(URL, content=data, headers={"Content-Type": kind})
    assert found.status_code == 200, found.text
    part = client.post(URL, files=[("picture", ("a.fits", data, kind))])
    assert part.status_code == 200, part.text
    assert found.json()["probabilities"]
