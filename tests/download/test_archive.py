"""Archives and folders: what is refused, then what is read."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from galclass.download import ArchiveLimits, iter_images, unpack
from galclass.errors import ArchiveError


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
@pytest.mark.parametrize("name", ["../evil.jpg", "/etc/evil.jpg", "a/../../evil.jpg", "..\\evil.jpg", "C:/evil.jpg"])
def test_a_name_that_points_outside_is_refused(make, name, tmp_path) -> None:
    path = make(tmp_path / "a.bin", {"good.jpg": b"x", name: b"x"})
    with pytest.raises(ArchiveError, match="points outside"):
        list(iter_images(path))
    with pytest.raises(ArchiveError, match="points outside"):
        unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.part").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@MAKERS
def test_a_name_that_comes_twice_is_refused(make, tmp_path) -> None:
    path = make(tmp_path / "a.bin", {"images/1.jpg": b"x", "images//1.JPG": b"y"})
    with pytest.raises(ArchiveError, match="comes twice"):
        list(iter_images(path))


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
    with pytest.raises(ArchiveError, match="no such"):
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
