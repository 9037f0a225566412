"""Multipart uploads: every part becomes one record or is refused by name, whatever wrote the body."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from base64 import b64encode
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from service.live import live_server
from uploads_of_clients import CLIENTS

from galclass.client import uploads
from galclass.errors import RequestError
from galclass.image_names import object_id_of
from galclass.service.http.errors import STATUS
from galclass.service.http.image_inputs import UPLOAD_SUFFIX, id_of_file
from galclass.service.http.inputs import parse_inputs

PREDICT = "/v1/services/galaxy-class/1.0/predict"
FORM = {"Content-Type": "multipart/form-data; boundary=B"}
IMAGE = b'Content-Disposition: form-data; name="image"'


def form(*parts: tuple[bytes, bytes]) -> bytes:
    """A body with the boundary B from (headers, data) of its parts."""
    return b"".join(b"--B\r\n" + head + b"\r\n\r\n" + data + b"\r\n" for head, data in parts) + b"--B--\r\n"


def named(filename: bytes, data: bytes = b"x", more: bytes = b"") -> tuple[bytes, bytes]:
    return IMAGE + b'; filename="' + filename + b'"' + more, data


def field(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    return b'Content-Disposition: form-data; name="' + name + b'"', value


def ids(body: bytes, content_type: str = FORM["Content-Type"], **options: object) -> list[str]:
    return [image.object_id for image in parse_inputs(body, content_type, max_images=8, **options).images]


TWO = form(named(b"a.jpg", b"1"), named(b"b.jpg", b"2"))
ENCODING = b"\r\nContent-Transfer-Encoding: "


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        (form(named(b"1.jpg"), field(b"note", b"hello")), "no_image", "part 2 ('note')"),
        (form(named(b"1.jpg"), field(b"frame_px", b"424")), "no_image", "part 2 ('frame_px')"),
        (form(field(b"object_id", b"1")), "no_image", "no part is a file"),
        (form(named(b"")[:1] + (b"",)), "no_image", "part 1 ('image'): no file was chosen"),
        (form(named(b"1.jpg"), field(b"object_id", b"1"), field(b"object_id", b"2")), "invalid", "object_id"),
        (form(named(b"1.jpg"), field(b"object_id", b"\xff")), "invalid", "part 2 ('object_id')"),
        (form(named(b"1.jpg"), field(b"object_id", b"")), "invalid", "it is empty"),
        (form((b"Content-Type: image/jpeg", b"x")), "bad_multipart", "part 1: it has no Content-Disposition"),
        (form((IMAGE + b"; filename=a.jpg\r\n" + IMAGE, b"x")), "bad_multipart", "two headers content-disposition"),
        (form(named(b'a.jpg"; filename="b.jpg')), "bad_multipart", "two values of its file name"),
        (form((IMAGE + b"; filename*=koi8-r''%c1.jpg", b"x")), "bad_multipart", "UTF-8 or ISO-8859-1"),
        (form((IMAGE + b"; filename*=UTF-8''%ff.jpg", b"x")), "bad_multipart", "part 1: the file name is not UTF-8"),
        (form(named(b"a\x01b.jpg")), "invalid", "part 1 ('image'): its file name is not an object id: character 2"),
        (form(named(b"x" * 201 + b".jpg")), "invalid", "201 characters"),
        (form(named(b"a.jpg", more=b"\r\nContent-Type: multipart/mixed; boundary=C")), "unsupported_type", "part 1"),
        (form(named(b"a.jpg", more=ENCODING + b"uuencode")), "unsupported_type", "part 1"),
        (form(named(b"a.jpg", more=ENCODING + b"base64", data=b"***")), "bad_base64", "part 1"),
        (form(named(b"a.jpg", more=b"\r\nContent-Encoding: gzip")), "unsupported_type", "part 1"),
        (form(named(b"a.zip", b"PK\x03\x04")), "unsupported_type", "part 1 ('image'): it is a zip archive"),
        (form(named(b"a.jpg"), named(b"b.jpg", more=b"\r\nX: " + b"y" * 5000)), "bad_multipart", "part 2"),
        (form(named(b"a.jpg"), named(b"b.jpg", more=b"\r\nX: y" * 30)), "bad_multipart", "part 2"),
        (form((IMAGE + b";\r\n filename=a.jpg", b"x")), "bad_multipart", "part 1"),
        (form((IMAGE + b"; filename=a.jpg" + b"; a=b" * 40, b"x")), "bad_multipart", "too many parameters"),
        (TWO[:-6], "incomplete_body", "before its last boundary"),
        (TWO + TWO, "bad_multipart", "boundary lines that divide no parts"),
        (TWO.replace(b"\r\n", b"\n"), "bad_multipart", "CR"),
        (TWO.replace(b"1\r\n--B", b"1\n--B"), "bad_multipart", "CR LF"),
        (b"nothing --B of it", "bad_multipart", "begins no line"),
        (form(*[named(b"a.jpg")] * 9), "too_many_images", "at most 8"),
        (form(*[field(b"object_id", b"1")] * 40), "too_many_images", "at most 32"),
    ],
)
def test_what_is_no_image_is_refused_by_the_parts_name(body: bytes, code: str, says: str) -> None:
    with pytest.raises(RequestError) as caught:
        ids(body)
    assert caught.value.code == code
    assert 400 <= STATUS[code] < 500
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (form((IMAGE + b"; filename*=UTF-8''%e2%82%ac%20J1.5.jpg", b"x"), named(b"2.jpg")), ["€ J1.5", "2"]),
        (form((IMAGE + b"; filename=e.jpg; filename*=ISO-8859-1'de'%E9.jpg", b"x")), ["é"]),
        (form((IMAGE + b"; filename*0*=UTF-8''%e2%82%ac; filename*1=b.jpg", b"x")), ["€b"]),
        (form(named(b"\xe9.jpg"), named("é.jpg".encode()), named("e\u0301.jpg".encode())), ["é"] * 3),
        (form(named(b"C:\\sky\\J1.5.jpg"), named(b"../../J1.6.PNG"), named(b"J1.7")), ["J1.5", "J1.6", "J1.7"]),
        (form(named(b'a\\"b;c.jpg'), named(b"d%22e.jpg"), (IMAGE + b"; filename=f.g.jpg", b"")),
         ['a"b;c', 'd"e', "f.g"]),
        (form((IMAGE, b"x"), named(b"", b"x"), (field(b"f", b"")[0] + b"\r\nContent-Type: image/png", b"x")),
         ["image-1", "image-2", "image-3"]),
        (form(field(b"object_id", b"7"), named(b"1.jpg"), field(b"object_id", b" 8 "), named(b"2.jpg")), ["7", "8"]),
        (form((b"Content-Disposition: attachment; filename=a.jpg", b"x")), ["a"]),
        (form(named(b"a.jpg"), named(b"a.jpg")), ["a", "a"]),
        (b"a preamble\r\n" + TWO + b"an epilogue", ["a", "b"]),
        (b"\r\n\r\n" + TWO, ["a", "b"]),
        (TWO.replace(b"--B\r\n", b"--B \t\r\n"), ["a", "b"]),
        (form(named("Bild 3.01\u202fPM.png".encode())), ["Bild 3.01\u202fPM"]),
        (form(named(b"J1.jpg.img"), named(b"J1.5.img")), ["J1.jpg", "J1.5"]),
    ],
)  # fmt: skip
def test_every_file_is_found_under_its_id(body: bytes, expected: list[str]) -> None:
    assert ids(body) == expected


@pytest.mark.parametrize(
    ("encoding", "sent"), [(b"base64", b"aGFs\r\nbG8="), (b"Quoted-Printable", b"hal=\r\nlo"), (b"8bit", b"hallo")]
)
def test_a_transfer_encoding_is_undone(encoding: bytes, sent: bytes) -> None:
    body = form(named(b"a.jpg", sent, ENCODING + encoding))
    assert parse_inputs(body, FORM["Content-Type"], max_images=1).images[0].data == b"hallo"


@pytest.mark.parametrize(
    "content_type",
    [
        'multipart/form-data; boundary="B"',
        "multipart/form-data; charset=utf-8; Boundary=B",
        "MULTIPART/FORM-DATA;boundary=B",
    ],
)
def test_the_boundary_may_be_quoted_and_other_parameters_stand_beside_it(content_type: str) -> None:
    assert ids(TWO, content_type) == ["a", "b"]


def test_an_id_of_the_query_names_one_image_and_no_two() -> None:
    assert ids(form(named(b"a.jpg")), object_id="J1.5") == ["J1.5"]
    with pytest.raises(RequestError, match="object_id names one image"):
        ids(TWO, object_id="J1.5")


def test_client_and_service_agree_on_the_name_of_an_upload() -> None:
    assert uploads._SUFFIX == UPLOAD_SUFFIX
    for name in ("J1.5", "J1.jpg", "587722981742084144", "a.img"):
        assert id_of_file(name + UPLOAD_SUFFIX, 0) == name


_LETTERS = st.characters(codec="utf-8", categories=("L", "N", "P", "S", "M", "Zs"), exclude_characters="/\\%")
_NAMES = st.builds(
    lambda stem, suffix: stem + suffix,
    st.text(_LETTERS, min_size=1, max_size=20),
    st.sampled_from(["", ".jpg", ".JPEG", ".png", ".tif", ".5"]),
)


_FILES = st.binary(max_size=40).filter(lambda data: not data.startswith(b"PK"))  # an archive is refused by name


@pytest.mark.parametrize("client", sorted(CLIENTS))
@settings(max_examples=60, derandomize=True, deadline=None)
@given(files=st.lists(st.tuples(_NAMES, _FILES), min_size=1, max_size=4))
def test_whatever_client_wrote_it_each_file_is_one_image_in_order(client: str, files: list[tuple[str, bytes]]) -> None:
    body, content_type = CLIENTS[client](files)
    found = parse_inputs(body, content_type, max_images=8).images
    assert [image.object_id for image in found] == [object_id_of(name) for name, _ in files]
    assert [image.data for image in found] == [data for _, data in files]


_PARTS = st.one_of(
    st.builds(lambda n: named(b"%d.jpg" % n), st.integers(0, 99)),
    st.builds(lambda n: (IMAGE + b"; filename*=UTF-8''%%c3%%a9%d.jpg" % n, b"x"), st.integers(0, 99)),
    st.just((IMAGE, b"x")),
    st.just(named(b"")),
    st.just((IMAGE + b'; filename=""', b"")),
    st.just(field(b"note", b"x")),
    st.just((b"X-Nothing: 1", b"x")),
    st.just(named(b"a.jpg", b"??", ENCODING + b"base64")),
)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(parts=st.lists(_PARTS, min_size=1, max_size=6))
def test_a_body_gives_an_image_for_each_part_or_names_one(parts: list[tuple[bytes, bytes]]) -> None:
    try:
        found = parse_inputs(form(*parts), FORM["Content-Type"], max_images=8).images
    except RequestError as error:
        number = int(error.field.split()[1])
        head, data = parts[number - 1]
        assert b"note" in head or b"X-Nothing" in head or not data or data == b"??"
    else:
        assert len(found) == len(parts)


def test_a_part_with_an_extended_name_alone_is_scored(client: TestClient, galaxy: bytes) -> None:
    body = form(named(b"1.jpg", galaxy), (IMAGE + b"; filename*=UTF-8''%e2%82%ac%20rates.jpg", galaxy))
    records = client.post(PREDICT, content=body, headers=FORM).json()["predictions"]
    assert [record["object_id"] for record in records] == ["1", "€ rates"]
    assert all(record["predicted_class"] for record in records)


def test_an_empty_file_is_an_error_of_its_own_and_not_the_stored_image(
    client: TestClient, galaxies: dict[str, bytes]
) -> None:
    key, data = next(iter(galaxies.items()))
    body = form(named(key.encode() + b".jpg", b""), named(b"other.jpg", data))
    records = client.post(PREDICT, content=body, headers=FORM).json()["predictions"]
    assert [record.get("error", {}).get("code") for record in records] == ["empty", None]
    json_body = {"images": [{"id": key, "img": ""}, {"id": "other", "img": b64encode(data).decode()}]}
    assert [one.get("error", {}).get("code") for one in client.post(PREDICT, json=json_body).json()["predictions"]] == [
        "empty",
        None,
    ]
    job = client.post(PREDICT.replace("predict", "batches"), content=body, headers=FORM).json()
    assert (job["total"], job["skipped"]) == (2, [])
    until = time.monotonic() + 20
    while client.get(f"/v1/jobs/{job['id']}").json()["state"] != "done" and time.monotonic() < until:
        time.sleep(0.02)
    results = client.get(f"/v1/jobs/{job['id']}/results").json()["predictions"]
    assert [record.get("error", {}).get("code") for record in results] == ["empty", None]


@pytest.mark.parametrize("end", ["explain", "similar", "batches", "predict"])
def test_no_route_passes_a_part_over(client: TestClient, galaxy: bytes, end: str) -> None:
    body = form(named(b"1.jpg", galaxy), field(b"note", b"x"))
    refused = client.post(PREDICT.replace("predict", end), content=body, headers=FORM)
    assert (refused.status_code, refused.json()["error"]["field"]) == (400, "part 2 ('note')")


def test_curl_and_a_real_server(workspace: Path, galaxies: dict[str, bytes], tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl")
    shutil.copytree(workspace, tmp_path / "workspace")
    names = ["J1.5.jpg", "M 51;é.png", 'qu"ote.jpeg']
    for name, data in zip(names, galaxies.values(), strict=False):
        (tmp_path / name).write_bytes(data)
    quoted = [name.replace("\\", "\\\\").replace('"', '\\"') for name in names]
    forms = [part for name in quoted for part in ("-F", f'image=@"{tmp_path}/{name}"')]
    with live_server(tmp_path / "workspace") as server:
        command = ["curl", "-sS", *forms, "-H", "Accept: application/json", server.url + PREDICT]
        answer = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert [record["object_id"] for record in json.loads(answer)["predictions"]] == ["J1.5", "M 51;é", 'qu"ote']
