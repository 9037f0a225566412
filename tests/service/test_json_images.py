"""JSON bodies: how images are written as text, and what is said of everything else."""

from __future__ import annotations

import json
import time
from base64 import b64encode, urlsafe_b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from galclass.client.uploads import with_ids
from galclass.errors import RequestError, ServiceError
from galclass.service.http.inputs import Inputs, parse_inputs
from galclass.service.http.json_images import parse_json

JPEG = b"\xff\xd8\xff\xfb\xef\xbe 0123456789"


def read(body: object, **options: object) -> Inputs:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return parse_inputs(data, "application/json", max_images=8, **options)


@pytest.mark.parametrize(
    ("img", "says"),
    [
        ("***", "character 1"),
        ("galaxy.jpg", "character 7"),
        ("é", "character 1"),
        ("AAAAA", "cut off after 5"),
        ("AAAA=AAA", "after an equals sign"),
        ("AAA===", "more than two"),
        ("%2F9j%2F", "percent-encoded"),
        ("b'/9j/'", "Python bytes literal"),
        ("https://example.org/a.jpg", 'Send it as "url"'),
        ("blob:https://x", "inside a browser"),
        ("data:image/jpeg,%ff%d8", "not base64"),
        ("0xabc", "hexadecimal"),
        ("0xzz", "hexadecimal"),
    ],
)
def test_text_that_is_no_image_is_told_what_it_is(img: str, says: str) -> None:
    with pytest.raises(RequestError) as caught:
        read({"images": [{"img": "AAAA"}, {"img": img}]})
    assert (caught.value.code, caught.value.field) == ("bad_base64", "images.1.img")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ([{"img": "AAAA"}], "body", "a list"),
        ("text", "body", "text"),
        (5, "body", "a number"),
        ({"images": {"img": "AAAA"}}, "images", "an object"),
        ({"images": None}, "images", "null"),
        ({"images": ["AAAA"]}, "images.0", "text"),
        ({"images": [["AAAA"]]}, "images.0", "a list"),
        ({"images": [{"img": "AAAA"}], "frame_px": 4}, "frame_px", "unknown key"),
        ({"images": [{"img": "AAAA"}], "img": "AAAA"}, "img", "unknown key"),
        ({"img": "AAAA", "url": "https://x"}, "url", "both"),
        ({"img": "AAAA", "model": 1}, "model", "unknown key 'model'"),
        ({"images": [{"img": "AAAA", "ID": "1"}]}, "images.0.ID", "unknown key"),
        ({"object_ids": ["1"]}, "object_ids", "batch"),
        (b'{"id": "a", "id": "b", "img": "AAAA"}', "id", "comes twice"),
        (b'{"img": "AAAA", "img": "AAAB"}', "img", "comes twice"),
        ({"img": None}, "img", "null"),
        ({"img": [255, 216]}, "img", "a list"),
        ({"img": {"b64": "AAAA"}}, "img", "an object"),
        ({"img": 5.5}, "img", "a number with a decimal point"),
        ({"id": 587722981742084144, "img": "AAAA"}, "id", "in quotes"),
        ({"id": 5.877e17, "img": "AAAA"}, "id", "decimal point or an exponent"),
        (b'{"id": NaN, "img": "AAAA"}', "id", "decimal point or an exponent"),
        ({"id": True, "img": "AAAA"}, "id", "true or false"),
        ({"id": None, "img": "AAAA"}, "id", "null"),
        ({"id": "", "img": "AAAA"}, "id", "empty"),
        ({"id": "a\nb", "img": "AAAA"}, "id", "U+000A"),
        ({"id": "a\ud800", "img": "AAAA"}, "id", "U+D800"),
        ({"id": "x" * 201, "img": "AAAA"}, "id", "201 characters"),
    ],
)
def test_what_is_wrong_is_named_with_what_came(body: object, field: str, says: str) -> None:
    with pytest.raises(RequestError) as caught:
        read(body)
    assert (caught.value.code, caught.value.field) == ("invalid", field)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"images": [True], "foo": 1}, "foo"),
        ({"object_ids": [5], "images": []}, "images"),
        ({"images": [{"id": 5, "foo": 1}, {"bar": 1}]}, "images.0.foo"),
        ({"images": [{"id": 5}]}, "images.0.img"),
        ({"images": [{"img": "AAAA", "url": "https://x", "ID": "1"}]}, "images.0.ID"),
        ({"images": [{"img": "AAAA"}, {"id": "", "url": 5}]}, "images.1.id"),
    ],
)
def test_of_several_faults_the_outermost_and_first_is_named(body: object, field: str) -> None:
    with pytest.raises(RequestError) as caught:
        read(body, stored=True)
    assert caught.value.field == field


def test_of_very_many_keys_the_repeated_one_is_found_soon() -> None:
    keys = b",".join(b'"%d":1' % number for number in (*range(40_000), 39_999))
    started = time.process_time()
    with pytest.raises(RequestError, match="the key 39999 comes twice"):
        parse_json(b"{" + keys + b"}", 10_000)
    assert time.process_time() - started < 5  # each compared with all others took half a minute


def test_a_repeated_key_is_refused_where_something_is_changed(client, tokens) -> None:
    body = b'{"object_id": "1", "label": "Sb", "label": "Sc"}'
    headers = {**tokens["publisher"], "Content-Type": "application/json"}
    refused = client.post("/v1/labels", content=body, headers=headers)
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "label")


def test_stored_objects_stand_alone_and_are_text() -> None:
    with pytest.raises(RequestError, match="unknown key 'images'"):
        read({"object_ids": ["1"], "images": [{"img": "AAAA"}]}, stored=True)
    with pytest.raises(RequestError) as caught:
        read({"object_ids": ["1", 2.0]}, stored=True)
    assert caught.value.field == "object_ids.1"
    assert [image.stored for image in read({"object_ids": ["1", "2"]}, stored=True).images] == [True, True]


_VARIANTS = {
    "plain": lambda data: b64encode(data).decode(),
    "URL-safe, no padding": lambda data: urlsafe_b64encode(data).decode().rstrip("="),
    "line breaks": lambda data: "\r\n".join(b64encode(data).decode()[n : n + 7] for n in range(0, 4 * len(data), 7)),
    "data URL": lambda data: "data:image/jpeg;base64," + b64encode(data).decode(),
    "data URL with a charset": lambda data: "Data:image/png;charset=utf-8;BASE64," + b64encode(data).decode(),
    "0x": lambda data: "0x" + data.hex().upper(),
    "PostgreSQL's hex": lambda data: "\\x" + data.hex(),
}


@pytest.mark.parametrize("variant", sorted(_VARIANTS))
@settings(max_examples=30, derandomize=True, deadline=None)
@given(data=st.binary(min_size=1, max_size=60))
def test_each_way_to_write_bytes_is_read(variant: str, data: bytes) -> None:
    assert read({"id": "J1.5.jpg", "img": _VARIANTS[variant](data)}).images[0].data == data


@pytest.mark.parametrize("magic", [b"\xff\xd8\xff\xe0", b"\x89PNG\r\n", b"BM\x36\x00"])
@settings(max_examples=20, derandomize=True, deadline=None)
@given(data=st.binary(max_size=60))
def test_bare_hexadecimal_digits_of_an_image_are_read_as_such(magic: bytes, data: bytes) -> None:
    for text in ((magic + data).hex(), (magic + data).hex().upper()):
        assert read({"img": text}).images[0].data == magic + data


_LETTERS = st.characters(codec="utf-8", categories=("L", "N", "P", "S"))
_ITEMS = st.tuples(st.text(_LETTERS, min_size=1, max_size=20), st.binary(min_size=1))


@settings(max_examples=60, derandomize=True, deadline=None)
@given(items=st.lists(_ITEMS, min_size=1, max_size=8))
def test_a_list_gives_each_image_under_its_id_in_order(items: list[tuple[str, bytes]]) -> None:
    found = read({"images": [{"id": name, "img": b64encode(data).decode()} for name, data in items]}).images
    assert [(image.object_id, image.data) for image in found] == items


def test_the_client_sends_no_float_as_an_id() -> None:
    assert [name for name, _ in with_ids([b"x", b"y"], [587722981742084144, "J1.5"])] == ["587722981742084144", "J1.5"]
    with pytest.raises(ServiceError, match="not an object id"):
        list(with_ids([b"x"], [5.877e17]))


def test_the_client_names_files_by_the_one_rule(tmp_path) -> None:
    for name in ("J1.5", "J1.6.jpg", "J1.7.JPEG"):
        (tmp_path / name).write_bytes(b"x")
    found = [name for name, _ in with_ids([tmp_path / name for name in ("J1.5", "J1.6.jpg", "J1.7.JPEG")], None)]
    assert found == ["J1.5", "J1.6", "J1.7"]
