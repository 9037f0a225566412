"""Members of a zip read at their place: faults first, then the same bytes as zipfile gives."""

from __future__ import annotations

import os
import zipfile
import zlib
from pathlib import Path

import pytest

from galclass.cutouts.headers import MAX_BYTES
from galclass.image_files import ZipPlace, list_images, read_member

LONG = "a/" * 90 + "x.jpg"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("stored.jpg", b"stored bytes" * 50)
        file.writestr("deflated.jpg", b"deflated" * 500, zipfile.ZIP_DEFLATED)
        file.writestr(LONG, b"long name" * 9)
        file.writestr("readme.txt", b"no image")
    return path


def places(archive: Path) -> dict[str, ZipPlace]:
    return {entry.name: entry.place for entry in list_images(archive) if entry.place is not None}


def read(archive: Path, place: ZipPlace) -> bytes:
    descriptor = os.open(archive, os.O_RDONLY)
    try:
        return read_member(descriptor, place, MAX_BYTES)
    finally:
        os.close(descriptor)


def test_a_place_without_a_member_is_refused(archive: Path) -> None:
    with pytest.raises(zipfile.BadZipFile, match="no member"):
        read(archive, places(archive)["stored.jpg"]._replace(offset=5))
    with pytest.raises(zipfile.BadZipFile, match="no member"):
        read(archive, places(archive)["stored.jpg"]._replace(offset=archive.stat().st_size))


def test_damaged_bytes_are_refused(archive: Path) -> None:
    place = places(archive)["stored.jpg"]
    data = bytearray(archive.read_bytes())
    data[place.offset + 60] ^= 1
    archive.write_bytes(data)
    with pytest.raises(zipfile.BadZipFile, match="CRC"):
        read(archive, place)


def test_damaged_packing_is_refused(archive: Path) -> None:
    place = places(archive)["deflated.jpg"]
    data = bytearray(archive.read_bytes())
    data[place.offset + 42 : place.offset + 46] = b"\xff\xff\xff\xff"
    archive.write_bytes(data)
    with pytest.raises(zlib.error):
        read(archive, place)


def test_a_member_that_swells_is_cut_one_byte_after_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x.jpg", bytes(MAX_BYTES + 1000))
        info = file.getinfo("x.jpg")
    place = ZipPlace(info.header_offset, info.compress_size, info.CRC, zipfile.ZIP_DEFLATED)
    assert len(read(path, place)) == MAX_BYTES + 1


def test_the_bytes_are_those_that_zipfile_gives(archive: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        for name, place in places(archive).items():
            assert read(archive, place) == file.read(name)
    assert list(places(archive)) == ["stored.jpg", "deflated.jpg", LONG]
