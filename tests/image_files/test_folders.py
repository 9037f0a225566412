"""Folders: links and loops, what cannot be listed or read, names that are no UTF-8, and files that vanish meanwhile."""

from __future__ import annotations

import os
import socket
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from galclass.errors import ArchiveError
from galclass.image_files import Skipped, find_images, iter_images, list_images

NOBODY = 65534


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that every user reaches."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextmanager
def bound_by_permissions() -> Iterator[None]:
    """Work as nobody where the tests run as root, whom no permission binds."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


def names_of(folder: Path) -> list[str]:
    return [entry.name for entry in list_images(folder)]


def test_a_folder_that_cannot_be_listed_is_an_error_and_one_inside_a_fault(shared: Path) -> None:
    write(shared, "in/good/1.jpg", "in/shut/2.jpg")
    (shared / "in" / "shut").chmod(0)
    with bound_by_permissions():
        listing = list_images(shared / "in")
        images = {str(image): image.fault for image in find_images([shared / "in"])}
        with pytest.raises(ArchiveError, match=r"cannot be listed.*Permission denied"):
            list_images(shared / "in" / "shut")
    assert [entry.name for entry in listing] == ["good/1.jpg"]
    assert [(fault.name, fault.code) for fault in listing.faults] == [("shut", "unreadable")]
    assert "Permission denied" in listing.faults[0].reason
    assert images[str(shared / "in" / "shut")] == listing.faults[0]


def test_a_file_that_cannot_be_read_is_told_and_the_rest_is_read(shared: Path) -> None:
    write(shared, "1.jpg", "2.jpg", "3.jpg")
    (shared / "2.jpg").chmod(0)
    told: list[tuple[str, str]] = []
    with bound_by_permissions():
        read = dict(iter_images(shared, unreadable=lambda fault: told.append((fault.name, fault.reason))))
        with pytest.raises(PermissionError):
            list(iter_images(shared))
    assert sorted(read) == ["1.jpg", "3.jpg"]
    assert told == [("2.jpg", "Permission denied")]


def test_a_file_that_vanishes_after_it_was_listed_is_told(tmp_path: Path) -> None:
    write(tmp_path, "1.jpg", "2.jpg")
    listing = list_images(tmp_path)
    (tmp_path / "1.jpg").unlink()
    told: list[str] = []
    read = dict(iter_images(tmp_path, listing=listing, unreadable=lambda fault: told.append(fault.name)))
    assert (list(read), told) == (["2.jpg"], ["1.jpg"])


def test_links_are_followed_once_and_loops_are_harmless(tmp_path: Path) -> None:
    write(tmp_path, "in/a/1.jpg", "in/b/2.jpg", "away/3.jpg", "away/deep/4.jpg", "beside/no.jpg")
    links = {"a/back": "..", "a/up": "../..", "b/self": "self", "more": "../away", "again": "../away", "to_a": "a"}
    links |= {"deep": "../away/deep", "../away/in": "../in"}
    for name, target in links.items():
        (tmp_path / "in" / name).symlink_to(target)
    listing = list_images(tmp_path / "in")
    assert {Path(entry.name).name for entry in listing} == {"1.jpg", "2.jpg", "3.jpg", "4.jpg"}
    assert len(listing) == 4
    assert listing.seen == 4 + listing.skipped.total
    assert listing.skipped.counts["repeated"] >= 5


def test_a_file_through_two_links_is_one_and_a_link_under_another_id_is_read(tmp_path: Path) -> None:
    write(tmp_path, "in/all/1.jpg", "in/all/2.jpg", "away/3.jpg")
    for name, target in {
        "best/1.jpg": "../all/1.jpg",
        "best/m31.jpg": "../all/2.jpg",
        "x/3.jpg": "../../away/3.jpg",
        "y/3.jpg": "../../away/3.jpg",
    }.items():
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).symlink_to(target)
    listing = list_images(tmp_path / "in")
    assert [entry.name for entry in listing] == ["all/1.jpg", "all/2.jpg", "best/m31.jpg", "x/3.jpg"]
    assert str(listing.skipped) == "2 seen before under another path (best/1.jpg, y/3.jpg)"


def test_a_folder_of_links_alone_keeps_all_its_images(tmp_path: Path) -> None:
    write(tmp_path, *(f"store/{number}.jpg" for number in range(5)))
    (tmp_path / "picks").mkdir()
    for number in range(5):
        (tmp_path / "picks" / f"{number}.jpg").symlink_to(tmp_path / "store" / f"{number}.jpg")
    assert names_of(tmp_path / "picks") == [f"{number}.jpg" for number in range(5)]


def test_pipes_and_sockets_are_never_opened(tmp_path: Path) -> None:
    write(tmp_path, "1.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link.jpg").symlink_to("pipe.jpg")
    with socket.socket(socket.AF_UNIX) as held:
        held.bind(os.fsencode(os.path.relpath(tmp_path / "s.png")))
        listing = list_images(tmp_path)
    assert [entry.name for entry in listing] == ["1.jpg"]
    assert sorted(fault.name for fault in listing.faults) == ["link.jpg", "pipe.jpg", "s.png"]
    assert listing.seen == 5


def test_names_that_differ_only_in_bytes_that_are_no_utf8_are_told_apart_or_told(tmp_path: Path) -> None:
    for name in (b"odd\xe8.jpg", b"odd\xe9.jpg"):
        with open(os.fsencode(tmp_path) + b"/" + name, "wb") as file:
            file.write(name)
    listing = list_images(tmp_path)
    assert (len(listing), [fault.code for fault in listing.faults]) == (1, ["unclear_name"])
    assert len(list(find_images([tmp_path]))) == 2


def test_odd_names_are_read(tmp_path: Path) -> None:
    names = [
        "a:b.jpg",
        "win\\dows.jpg",
        "x.jpg/y.PNG",
        " .jpg",
        unicodedata.normalize("NFD", "é.jpg"),
        "J1.5.jpg",
        "-n.bmp",
    ]
    write(tmp_path, *names)
    assert sorted(names_of(tmp_path)) == sorted(names)
    found = {image.name: image.object_id for image in find_images([tmp_path])}
    assert [found[name] for name in names] == ["a:b", "dows", "y", " ", "é", "J1.5", "-n"]


def test_what_is_named_twice_comes_once(tmp_path: Path) -> None:
    write(tmp_path, "in/1.jpg", "in/2.jpg")
    skipped = Skipped()
    named = [tmp_path / "in" / "1.jpg", tmp_path / "in", tmp_path / "in" / ".." / "in" / "2.jpg"]
    assert [Path(image.path).name for image in find_images(named, skipped=skipped)] == ["1.jpg", "2.jpg"]
    assert skipped.counts["repeated"] == 2


def test_pictures_beside_an_image_of_their_name_are_not_lost(tmp_path: Path) -> None:
    write(tmp_path, "1.jpg", "1.jxl", "2.tif", "2.webp", "3.HEIC")
    listing = list_images(tmp_path)
    assert listing.lost() == ["2.tif", "3.HEIC"]
    assert str(listing.skipped) == "4 in unsupported formats (1.jxl, 2.tif, 2.webp, ...): save them as PNG or JPEG"


def test_fits_files_are_images_packed_or_not(tmp_path: Path) -> None:
    names = ["1.fits", "2.FIT", "3.fits.gz", "4.fits.fz", "5.fz", "6.fts.GZ"]
    write(tmp_path, *names, "7.gz", "8.txt.gz")
    listing = list_images(tmp_path)
    assert sorted(entry.name for entry in listing) == sorted(names)
    assert [image.object_id for image in find_images([tmp_path / "3.fits.gz"])] == ["3"]
    assert listing.skipped.counts["archive"] == 2
