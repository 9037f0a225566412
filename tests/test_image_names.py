from __future__ import annotations

import unicodedata

import pytest

from galclass.image_names import base_name, is_junk, object_id_of, suffix_of


@pytest.mark.parametrize(
    ("name", "object_id"),
    [
        ("J1.5", "J1.5"),
        ("J1.6.jpg", "J1.6"),
        ("J1.5.JPG", "J1.5"),
        ("J1.5.JpEg", "J1.5"),
        ("a/b.c/587.jfif", "587"),
        ("images\\587.png", "587"),
        ("587.tar", "587.tar"),
        ("587.", "587."),
        (".jpg", ".jpg"),
        ("SDSS J100028.66+021221.2.png", "SDSS J100028.66+021221.2"),
        ("587722981742084144.0.jpg", "587722981742084144.0"),
        ("plain", "plain"),
        ("x.jpg.png", "x.jpg"),
        ("", ""),
    ],
)
def test_only_one_image_suffix_is_dropped(name: str, object_id: str) -> None:
    assert object_id_of(name) == object_id


def test_decomposed_names_are_composed() -> None:
    composed = "M\u00e9chain 1"
    assert object_id_of(unicodedata.normalize("NFD", composed) + ".jpg") == composed


def test_suffixes_are_lower_case_and_of_the_last_part() -> None:
    assert suffix_of("a.b/C.JPG") == ".jpg"
    assert suffix_of("a.b/C") == ""
    assert suffix_of(".jpg") == ""
    assert base_name("a\\b/c.jpg") == "c.jpg"


@pytest.mark.parametrize(
    ("name", "junk"),
    [
        ("__MACOSX/a.jpg", True),
        ("x/__MACOSX/._a.jpg", True),
        ("x/._a.jpg", True),
        ("x\\._a.jpg", True),
        ("a.jpg", False),
    ],
)
def test_what_macos_adds_is_junk(name: str, junk: bool) -> None:
    assert is_junk(name) is junk
