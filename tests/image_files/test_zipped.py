"""Members of a zip read at their location: faults first, then the same bytes as zipfile gives."""

from __future__ import annotations

import os
import zipfile
import zlib
from pathlib import Path

import pytest

from galclass.cutouts.headers import MAX_BYTES
from galclass.image_files import ZipLocation, list_images, read_member

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


def locations(archive: Path) -> dict[str, ZipLocation]:
    return {entry.name: entry.location for entry in list_images(archive) if entry.location is not None}


def read(archive: Path, location: ZipLocation) -> bytes:
    descriptor = os.open(archive, os.O_RDONLY)
    try:
        return read_member(descriptor, location, MAX_BYTES)
    finally:
        os.close(descriptor)


def test_a_place_without_a_member_is_refused(archive: Path) -> None:
    with pytest.raises(zipfile.BadZipFile, match="no member"):
        read(archive, locations(archive)["stored.jpg"]._replace(offset=5))
    with pytest.raises(zipfile.BadZipFile, match="no member"):
        read(archive, locations(archive)["stored.jpg"]._replace(offset=archive.stat().st_size))


def test_damaged_bytes_are_refused(archive: Path) -> None:
    location = locations(archive)["stored.jpg"]
    data = bytearray(archive.read_bytes())
    data[location.offset + 60] ^= 1
    archive.write_bytes(data)
    with pytest.raises(zipfile.BadZipFile, match="CRC"):
        read(archive, location)


def test_damaged_packing_is_refused(archive: Path) -> None:
    location = locations(archive)["deflated.jpg"]
    data = bytearray(archive.read_bytes())
    data[location.offset + 42 : location.offset + 46] = b"\xff\xff\xff\xff"
    archive.write_bytes(data)
    with pytest.raises(zlib.error):
        read(archive, location)


def test_a_member_that_swells_is_cut_one_byte_after_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x.jpg", bytes(MAX_BYTES + 1000))
        info = file.getinfo("x.jpg")
    location = ZipLocation(info.header_offset, info.compress_size, info.CRC, zipfile.ZIP_DEFLATED)
    assert len(read(path, location)) == MAX_BYTES + 1


def test_the_bytes_are_those_that_zipfile_gives(archive: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        for name, location in locations(archive).items():
            assert read(archive, location) == file.read(name)
    assert list(locations(archive)) == ["stored.jpg", "deflated.jpg", LONG]
