"""Names inside zip archives: each file is an image under its id, or is named as left out or refused."""

from __future__ import annotations

import io
import zipfile

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from galclass.errors import RequestError
from galclass.image_names import object_id_of
from galclass.service.http.archives import ArchiveImages, read_zip

BATCHES = "/v1/services/galaxy-class/latest/batches"


def zipped(files: list[tuple[str, bytes]]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in files:
            archive.writestr(name, content)
    return data.getvalue()


def read(files: list[tuple[str, bytes]]) -> ArchiveImages:
    return read_zip(zipped(files), 100, 1_000_000)


@pytest.mark.parametrize(
    ("name", "says"), [("x" * 201 + ".jpg", "201 characters"), ("a\x01b.jpg", "U+0001"), ("a\u202eb.jpg", "U+202E")]
)
def test_a_name_that_is_no_id_is_refused_by_name(name: str, says: str) -> None:
    with pytest.raises(RequestError, match="file 2") as caught:
        read([("ok.jpg", b"x"), (name, b"x")])
    assert says in str(caught.value)


def test_a_damaged_or_encrypted_file_or_one_packed_otherwise_is_named() -> None:
    whole = zipped([("first.jpg", b"x" * 50), ("second.jpg", b"y" * 50)])
    with pytest.raises(RequestError, match=r"file 2 \('second.jpg'\): it is damaged"):
        read_zip(whole.replace(b"y" * 50, b"z" * 50), 10, 1000)
    flagged = bytearray(whole)
    place = flagged.rindex(b"PK\x01\x02") + 8  # of the second file, in the directory
    flagged[place] |= 1
    with pytest.raises(RequestError, match=r"file 2 \('second.jpg'\): it is encrypted"):
        read_zip(bytes(flagged), 10, 1000)
    packed = bytearray(whole)
    packed[packed.rindex(b"PK\x01\x02") + 10] = 9
    with pytest.raises(RequestError, match=r"file 2 \('second.jpg'\): the member is packed with deflate64, .* zip it"):
        read_zip(bytes(packed), 10, 1000)


def test_what_systems_add_is_left_out_by_name_and_all_else_is_there() -> None:
    files = ["J1.5.jpg", "sky\\J1.6.png", "__MACOSX/._J1.5.jpg", "._x.jpg", ".DS_Store", "sub/Thumbs.db", "README.txt"]
    found = read([*((name, b"x") for name in [*files, ".hidden.jpg"]), ("sub/", b""), ("win\\", b"")])
    assert [image.object_id for image in found.images] == ["J1.5", "J1.6", "README.txt", ".hidden"]
    assert found.skipped == files[2:6]


def test_a_name_that_macos_wrote_in_utf8_without_saying_so_is_read() -> None:
    whole = zipped([("galaxié.jpg", b"x")])
    for sign in (b"PK\x03\x04", b"PK\x01\x02"):
        place = whole.index(sign) + (6 if sign == b"PK\x03\x04" else 8)
        whole = whole[: place + 1] + bytes([whole[place + 1] & ~0x08]) + whole[place + 2 :]
    assert [image.object_id for image in read_zip(whole, 10, 1000).images] == ["galaxié"]


_LETTERS = st.characters(codec="utf-8", categories=("L", "N", "P", "S"), exclude_characters="/\\")
_SUFFIXES = st.sampled_from(["", ".jpg", ".5", ".PNG"])
_NAMES = st.builds(lambda stem, suffix: "a" + stem + suffix, st.text(_LETTERS, max_size=20), _SUFFIXES)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@settings(max_examples=80, derandomize=True, deadline=None)
@given(files=st.lists(st.tuples(_NAMES, st.binary(max_size=30)), min_size=1, max_size=6))
def test_each_file_is_one_image_under_its_id_in_order(files: list[tuple[str, bytes]]) -> None:
    found = read(files).images
    assert [(image.object_id, image.data) for image in found] == [(object_id_of(name), data) for name, data in files]


@pytest.mark.parametrize("kind", ["application/zip", "application/x-zip-compressed", "application/octet-stream"])
def test_a_batch_says_what_it_left_out(client: TestClient, galaxy: bytes, kind: str) -> None:
    body = zipped([("J1.5.jpg", galaxy), ("__MACOSX/._J1.5.jpg", b"x"), ("empty.jpg", b"")])
    job = client.post(BATCHES, params={"start": "false"}, content=body, headers={"Content-Type": kind}).json()
    assert (job["total"], job["skipped_count"], job["skipped"]) == (2, 1, ["__MACOSX/._J1.5.jpg"])
    more = client.post(f"/v1/jobs/{job['id']}/images", content=body, headers={"Content-Type": kind}).json()
    assert (more["total"], more["skipped_count"]) == (4, 1)
