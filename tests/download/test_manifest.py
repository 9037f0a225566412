"""Manifests: every fault at once, then what they give."""

from __future__ import annotations

from pathlib import Path

import pytest

from galclass.download import known_sources, read_manifest
from galclass.download.manifest import BUNDLED, SAMPLE, find_source
from galclass.errors import DownloadError


def write(folder: Path, text: str) -> Path:
    path = folder / "sources.toml"
    path.write_text(text)
    return path


def test_all_faults_are_named_at_once(tmp_path) -> None:
    path = write(
        tmp_path,
        """
        [mine]
        titel = "x"
        frame_px = "424"
        [mine.files.images]
        url = "gopher://x/images.zip"
        sha256 = "abc"
        [mine.files.catalog]
        bytes = 5
        [empty]
        """,
    )
    with pytest.raises(DownloadError) as raised:
        read_manifest(path)
    text = str(raised.value)
    for fault in (
        "did you mean 'title'",
        "frame_px: expected int",
        "unknown scheme 'gopher'",
        "64 hexadecimal",
        "has no url",
        "empty: has no",
    ):
        assert fault in text


def test_two_files_of_one_name_are_a_fault(tmp_path) -> None:
    path = write(tmp_path, '[a.files.images]\nurl = "https://x/a.zip"\n[a.files.more]\nurl = "https://y/a.zip"\n')
    with pytest.raises(DownloadError, match=r"two files are called 'a\.zip'"):
        read_manifest(path)


@pytest.mark.parametrize("text", ["not toml [", "\udcff"])
def test_what_is_no_toml_is_an_error(text, tmp_path) -> None:
    (tmp_path / "sources.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DownloadError, match="not valid TOML"):
        read_manifest(tmp_path / "sources.toml")
    with pytest.raises(DownloadError, match="manifest not found"):
        read_manifest(tmp_path / "missing.toml")


def test_an_unknown_source_says_which_there_are() -> None:
    with pytest.raises(DownloadError, match="'galaxy_zoo_2'"):
        find_source("galaxy_zoo2")


def test_relative_urls_are_relative_to_the_manifest(tmp_path) -> None:
    path = write(tmp_path, '[a.files.images]\nurl = "sub/images.zip"\n[a.files.more]\nurl = "folder/"\n')
    files = read_manifest(path)["a"].files
    assert [file.url for file in files] == [
        (tmp_path / "sub/images.zip").as_uri(),
        (tmp_path / "folder").as_uri() + "/",
    ]
    assert [file.is_folder for file in files] == [False, True]
    assert [file.name for file in files] == ["images.zip", "folder"]


def test_a_users_source_wins_over_a_bundled_one(tmp_path) -> None:
    path = write(tmp_path, '[galaxy_zoo_2]\ntitle = "mine"\n[galaxy_zoo_2.files.images]\nurl = "s3://b/a.zip"\n')
    sources = known_sources(path)
    assert sources["galaxy_zoo_2"].title == "mine"
    assert "sample" in sources


@pytest.mark.parametrize("path", [BUNDLED, SAMPLE])
def test_every_bundled_source_says_what_may_be_done_with_it(path) -> None:
    for source in read_manifest(path).values():
        assert source.title
        assert source.licence
        assert source.citation
        assert source.homepage
        assert {file.role for file in source.files} >= {"catalog"}
