"""Archives and folders: what is refused, then what is read."""

from __future__ import annotations

import gzip
import io
import tarfile
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest

from galclass.errors import ArchiveError
from galclass.image_files import ArchiveLimits, find_images, iter_images, list_images, unpack


def make_zip(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def make_tar(path: Path, members: dict[str, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


MAKERS = pytest.mark.parametrize("make", [make_zip, make_tar])


@MAKERS
@pytest.mark.parametrize(
    "name",
    [
        "../evil.jpg",
        "/etc/evil.jpg",
        "a/../../evil.jpg",
        "..\\evil.jpg",
        "C:/evil.jpg",
        "c:\\evil.jpg",
        "\\\\host\\evil.jpg",
    ],
)
def test_a_name_that_points_outside_is_refused(make, name, tmp_path) -> None:
    path = make(tmp_path / "a.bin", {"good.jpg": b"x", name: b"x"})
    with pytest.raises(ArchiveError, match="points outside"):
        list(iter_images(path))
    with pytest.raises(ArchiveError, match="points outside"):
        unpack(path, tmp_path / "out")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.bin"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@MAKERS
def test_a_name_that_comes_twice_is_refused(make, tmp_path) -> None:
    path = make(tmp_path / "a.bin", {"images/1.jpg": b"x", "images//1.jpg": b"y"})
    with pytest.raises(ArchiveError, match="2 members of this name"):
        list(iter_images(path))
    other_case = make(tmp_path / "b.bin", {"images/1.jpg": b"x", "images/1.JPG": b"y"})
    assert dict(iter_images(other_case)) == {"images/1.jpg": b"x", "images/1.JPG": b"y"}
    for archive in (path, other_case):
        with pytest.raises(ArchiveError, match="occurs twice"):
            unpack(archive, tmp_path / "out")


def test_a_zip_bomb_is_refused(tmp_path) -> None:
    path = make_zip(tmp_path / "bomb.zip", {"1.jpg": bytes(50_000_000)}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 100_000
    with pytest.raises(ArchiveError, match="decompression bomb"):
        list(iter_images(path))


def test_a_tar_bomb_is_refused(tmp_path) -> None:
    path = make_tar(tmp_path / "bomb.tar.gz", {f"{n}.jpg": bytes(10_000_000) for n in range(5)})
    with pytest.raises(ArchiveError, match="decompression bomb"):
        list(iter_images(path))


def test_members_that_overlap_are_refused(tmp_path) -> None:
    path = make_zip(tmp_path / "a.zip", {"1.jpg": b"x" * 100, "2.jpg": b"y" * 100})
    data = bytearray(path.read_bytes())
    second = data.rfind(b"PK\x01\x02")
    data[second + 42 : second + 46] = (0).to_bytes(4, "little")  # the second entry points at the first's bytes
    path.write_bytes(bytes(data))
    with pytest.raises(ArchiveError, match=r"overlap|damaged"):
        list(iter_images(path))


@MAKERS
@pytest.mark.parametrize(
    ("limits", "what"),
    [
        (ArchiveLimits(member_bytes=99), "too large"),
        (ArchiveLimits(total_bytes=150), "too many bytes"),
        (ArchiveLimits(members=1), "too many members"),
    ],
)
def test_limits_are_kept(make, limits, what, tmp_path) -> None:
    path = make(tmp_path / "a.bin", {"1.jpg": b"x" * 100, "2.jpg": b"y" * 100})
    with pytest.raises(ArchiveError, match=what):
        list(iter_images(path, limits=limits))


def test_a_link_is_refused(tmp_path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        info = tarfile.TarInfo("1.jpg")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(ArchiveError, match="link"):
        list(iter_images(tmp_path / "a.tar"))
    link = zipfile.ZipInfo("1.jpg")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(ArchiveError, match="link"):
        list(iter_images(tmp_path / "a.zip"))


@pytest.mark.parametrize("share", [0.3, 0.7, 0.999])
@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_truncated_archive_is_an_error(kind, share, sample_folder, tmp_path) -> None:
    images = {name: data for name, data in list(iter_images(sample_folder / "images_gz2.zip"))[:20]}
    path = (make_zip if kind == "zip" else make_tar)(tmp_path / f"a.{kind}", images)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ArchiveError, match="damaged or not an archive"):
        list(iter_images(path))


def test_a_flipped_bit_is_an_error(tmp_path) -> None:
    path = make_zip(tmp_path / "a.zip", {"1.jpg": b"x" * 1000})
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(ArchiveError, match="CRC"):
        list(iter_images(path))


@pytest.mark.parametrize("content", [b"", b"<html>not here</html>"])
def test_what_is_no_archive_is_an_error(content, tmp_path) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(ArchiveError, match="damaged or not an archive"):
        list(iter_images(tmp_path / "a.zip"))
    with pytest.raises(ArchiveError, match="not found"):
        list(iter_images(tmp_path / "missing.zip"))


@MAKERS
def test_a_failed_unpack_leaves_nothing(make, tmp_path) -> None:
    path = make(tmp_path / "a.bin", {"1.jpg": b"x", "2.jpg": b"y" * 100})
    with pytest.raises(ArchiveError):
        unpack(path, tmp_path / "out", limits=ArchiveLimits(member_bytes=10))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bin"]


def test_folder_zip_and_tar_give_the_same_images(sample_folder, tmp_path) -> None:
    archive = sample_folder / "images_gz2.zip"
    assert unpack(archive, tmp_path / "images") == 703
    from_zip = dict(iter_images(archive))
    make_tar(tmp_path / "images.tar.gz", from_zip)
    assert from_zip == dict(iter_images(tmp_path / "images")) == dict(iter_images(tmp_path / "images.tar.gz"))
    with pytest.raises(ArchiveError, match="exists"):
        unpack(archive, tmp_path / "images")


def test_only_wanted_images_are_given_and_junk_never(tmp_path) -> None:
    members = {"images/1.jpg": b"1", "images/2.jpg": b"2", "__MACOSX/._1.jpg": b"junk", "images/._2.jpg": b"junk"}
    path = make_zip(tmp_path / "a.zip", {**members, "readme.txt": b"text"})
    assert [name for name, _ in iter_images(path)] == ["images/1.jpg", "images/2.jpg"]
    assert [name for name, _ in iter_images(path, wanted=lambda name: "2" in name)] == ["images/2.jpg"]


def test_one_image_is_a_source_of_one(tmp_path) -> None:
    (tmp_path / "m31.JPG").write_bytes(b"x")
    assert list(iter_images(tmp_path / "m31.JPG")) == [("m31.JPG", b"x")]


def raw_zip(path: Path, names: list[bytes], extra: bytes = b"") -> Path:
    """Write a zip whose members have these bytes as names, without the UTF-8 flag."""
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(len(names)):
            info = zipfile.ZipInfo(f"{number:0{len(names[number])}d}")
            info.extra = extra
            archive.writestr(info, names[number])
    data = path.read_bytes()
    for number, name in enumerate(names):
        data = data.replace(f"{number:0{len(name)}d}".encode(), name)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("Méchain/é.jpg".encode(), "Méchain/é.jpg"),  # as macOS writes it
        ("é_1.jpg".encode("cp437"), "é_1.jpg"),  # as DOS and Windows do
        (b"win\\dows\\1.jpg", "win/dows/1.jpg"),
        (b"10:00:28+02:12.jpg", "10:00:28+02:12.jpg"),
    ],
)
def test_names_are_read_as_they_were_meant(raw: bytes, name: str, tmp_path: Path) -> None:
    path = raw_zip(tmp_path / "a.zip", [raw])
    assert [entry.name for entry in list_images(path)] == [name]
    assert dict(iter_images(path)) == {name: raw}


def test_the_unicode_extra_field_names_a_member(tmp_path: Path) -> None:
    raw = "schl\u00fcssel.jpg".encode("latin-1")  # neither UTF-8 nor meant as code page 437
    body = b"\1" + zlib.crc32(raw).to_bytes(4, "little") + "schlüssel.jpg".encode()
    field = (0x7075).to_bytes(2, "little") + len(body).to_bytes(2, "little") + body
    assert [entry.name for entry in list_images(raw_zip(tmp_path / "a.zip", [raw], field))] == ["schlüssel.jpg"]


def test_a_folder_of_windows_is_no_file(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {"pictures\\": b"", "pictures\\1.jpg": b"x"})
    assert (list_images(path).seen, dict(iter_images(path))) == (1, {"pictures/1.jpg": b"x"})


def test_a_tar_that_ends_with_a_zip_is_a_tar(tmp_path: Path) -> None:
    inside = make_zip(tmp_path / "in.zip", {"2.jpg": b"y"}).read_bytes()
    path = make_tar(tmp_path / "a.tar", {"1.jpg": b"x", "in.zip": inside}, "w")
    assert zipfile.is_zipfile(path)  # what zipfile takes it for
    assert dict(iter_images(path)) == {"1.jpg": b"x"}
    assert str(list_images(path).skipped) == "1 archives inside (in.zip): name them explicitly to read them"


def test_an_image_without_suffix_that_holds_the_end_of_a_zip_is_an_image(tmp_path: Path) -> None:
    data = b"\xff\xd8\xff" + bytes(50) + b"PK\5\6" + bytes(18)
    (tmp_path / "survey_17").write_bytes(data)
    assert zipfile.is_zipfile(tmp_path / "survey_17")
    assert list(iter_images(tmp_path / "survey_17")) == [("survey_17", data)]


def test_a_self_extracting_zip_is_a_zip(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {"1.jpg": b"x"})
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"more"
    (tmp_path / "a.exe").write_bytes(b"MZ" + bytes(500) + path.read_bytes())
    assert dict(iter_images(tmp_path / "a.exe")) == {"1.jpg": b"x"}


def test_several_archives_and_folders_are_one_list(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.jpg").write_bytes(b"x")
    paths = [
        tmp_path / "in",
        make_zip(tmp_path / "a.zip", {"2.jpg": b"y"}),
        make_tar(tmp_path / "b.tgz", {"3.jpg": b"z"}),
    ]
    found = list(find_images(paths))
    assert [image.object_id for image in found] == ["1", "2", "3"]
    assert str(found[1]) == f"{tmp_path}/a.zip/2.jpg"


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_tar_whose_header_claims_much_is_refused_in_little_memory(pack, tmp_path: Path) -> None:
    long = tarfile.TarInfo("././@LongLink")
    long.type, long.size = tarfile.GNUTYPE_LONGNAME, 32 << 20
    path = tmp_path / "long.tar"
    path.write_bytes(pack(long.tobuf(tarfile.GNU_FORMAT) + bytes(long.size) + bytes(1024)))
    tracemalloc.start()
    with pytest.raises(ArchiveError, match="headers of one member"):
        list(iter_images(path))
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("a.7z", b"7z\xbc\xaf\x27\x1c" + bytes(40), "a 7z archive"),
        ("a.zip", b"Rar!\x1a\x07\x01\0" + bytes(40), "a RAR archive"),
        ("a.jpg.gz", gzip.compress(b"\xff\xd8\xff" + bytes(2000), mtime=0), "a single packed file"),
        ("a.tar.gz", gzip.compress(b"no tar" * 400, mtime=0)[:-9], None),
    ],
)
def test_another_kind_of_archive_is_named(tmp_path, name: str, content: bytes, what: str | None) -> None:
    (tmp_path / name).write_bytes(content)
    said = rf"this is {what} \(expected a zip or tar\)\. Unpack it" if what else "damaged or not an archive"
    with pytest.raises(ArchiveError, match=said):
        list(iter_images(tmp_path / name))
