from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from galclass.image_names import base_name, file_stem_of, is_junk, object_id_of, suffix_of


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
        ("a.jpg ", "a"),
        ("a.tif\t", "a"),
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


@pytest.mark.parametrize(
    ("object_id", "stem"),
    [
        ("M 51/NGC 5194", "M 51%2FNGC 5194"),
        ("..", "%2E."),
        ("50%", "50%25"),
        ("%2F", "%252F"),
        ("CON", "%43ON"),
        ("NUL.1", "%4EUL.1"),
        ("com1 .x", "%63om1 .x"),
        ("lpt\u00b9", "%6Cpt\u00b9"),
        ("CONIN$", "%43ONIN$"),
        ("NULL", "NULL"),
        ("com10.5", "com10.5"),
        ("NGC1.fits", "NGC1.fits"),
        ("a:b*c?", "a%3Ab%2Ac%3F"),
        ("J0842+24.1", "J0842+24.1"),
        ("x" * 241, None),
        ("\u00e9" * 121, None),
        ("", None),
    ],
)
def test_an_object_id_is_a_safe_file_name(object_id: str, stem: str | None) -> None:
    assert file_stem_of(object_id) == stem
    assert stem is None or object_id_of(f"{stem}.jpg") == object_id


@pytest.mark.parametrize("name", ["a%20b", "50%", "100%25x%", "%2f", "%zz", "a%C3%A9", "x%2E", "a%41", "Ab%43", "%4e"])
def test_a_name_that_file_stem_of_never_makes_is_kept(name: str) -> None:
    assert object_id_of(f"{name}.jpg") == name


def test_names_that_differ_in_case_only_are_kept_apart() -> None:
    taken: set[str] = set()
    for object_id in ("abc", "ABC", "aBc", "Abc"):
        stem = file_stem_of(object_id, taken)
        assert stem is not None
        assert stem.casefold() not in taken
        assert object_id_of(f"{stem}.jpg") == object_id
        taken.add(stem.casefold())
    assert file_stem_of("07", {"07"}) is None  # no letter to spell otherwise


def test_a_device_of_windows_that_has_its_plain_name_is_read() -> None:
    assert object_id_of("NUL.1.jpg") == "NUL.1"


def test_two_names_of_users_own_files_are_two_ids() -> None:
    assert len({object_id_of(f"{name}.jpg") for name in ("aA", "a%41", "AA", "A%41")}) == 4


@settings(max_examples=300, derandomize=True, deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.text("aA%/.41F2:", max_size=8),
    st.integers(0, 3),
)
def test_every_file_name_reads_back_as_its_object_id(object_id: str, rivals: int) -> None:
    taken: set[str] = set()
    for _ in range(rivals + 1):
        stem = file_stem_of(object_id, taken)
        assert stem is None or object_id_of(f"folder/{stem}.jpg") == unicodedata.normalize("NFC", object_id)
        taken |= {stem.casefold()} if stem else set()
