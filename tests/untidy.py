"""A folder as users have them, and the same in a zip and a tar: images among links, junk and odd names."""

from __future__ import annotations

import io
import os
import tarfile
import unicodedata
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

JUNK = b"\0\5\26\7\0\2\0\0"


@dataclass
class Untidy:
    """A folder or archive, and what is right for the files in it.

    Attributes
    ----------
    path : Path
    files : int
        All that is there: each is read, rejected or skipped.
    ids : list of str
        Object ids of the images that can be read, as `predict` has them.
    twins : list of str
        Those of them that share a picture with another object.
    rejected : dict of str to str
        File -> code.
    skipped : dict of str to int
        By kind.
    lost : list of str
        Pictures that are not read and have no image of the same id.
    """

    path: Path
    files: int = 0
    ids: list[str] = field(default_factory=list)
    twins: list[str] = field(default_factory=list)
    rejected: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)


def members(galaxies: list[bytes]) -> tuple[dict[str, bytes], Untidy]:
    """Return files that a folder and an archive can hold."""
    picture = cv2.imdecode(np.frombuffer(galaxies[0], np.uint8), cv2.IMREAD_COLOR)
    png, bmp = (cv2.imencode(suffix, picture)[1].tobytes() for suffix in (".png", ".bmp"))
    good = {f"g{number}.jpg": data for number, data in enumerate(galaxies[1:9])}
    good |= {"deep/J1.5.jpg": galaxies[9], "deep/J1.6.jpg": galaxies[10], "deep/UP.JPG": galaxies[11]}
    good |= {"deep/a.jfif": galaxies[12], "deep/b.jpe": galaxies[13], "M 51: core.jpg": galaxies[14]}
    good |= {unicodedata.normalize("NFD", "Mèchain 1.jpg"): galaxies[15]}
    twins = {"twin.jpg": galaxies[1], "deep/one.png": png, "deep/other.bmp": bmp}
    bad = {"page.jpg": b"<html>gone</html>", "deep/empty.png": b""}
    other = {
        "m.tif": b"II*\0" + bytes(40),
        "w.WebP": b"RIFF\0\0\0\0WEBP",
        "g0.jxl": b"\xff\x0a" + bytes(20),
        "survey_17": galaxies[16],
    }
    junk = {"._g1.jpg": JUNK, "__MACOSX/deep/._J1.5.jpg": JUNK, ".DS_Store": JUNK, ".cache/g2.jpg": galaxies[3]}
    rest = {"notes.txt": b"text", "README": b"text", "deep/more.zip": b"PK\5\6" + bytes(18), "deep/v1.2": b"text"}
    found = Untidy(Path())
    found.ids = sorted(
        unicodedata.normalize("NFC", name.rpartition("/")[2].rpartition(".")[0]) for name in (good | twins)
    )
    found.twins = ["g0", "one", "other", "twin"]
    found.rejected = {"page.jpg": "not_an_image", "deep/empty.png": "empty"}
    found.skipped = {"other_format": 3, "no_suffix": 1, "system": 2, "hidden": 1, "archive": 1, "other": 4}
    found.lost = ["m.tif", "w.WebP", "survey_17"]
    every = good | twins | bad | other | junk | rest
    found.files = len(every)
    return every, found


def folder(path: Path, galaxies: list[bytes]) -> Untidy:
    """Write the folder: links, a pipe and a name that is no UTF-8 besides."""
    every, found = members(galaxies)
    for name, data in every.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    away = path.with_name(path.name + "_away")
    away.mkdir()
    (away / "linked.jpg").write_bytes(galaxies[17])
    (away / "up").symlink_to("..")  # to the folder that holds both
    (path / "more").symlink_to(away)
    (path / "again").symlink_to(away)
    (path / "back").symlink_to(path)
    (path / "picks").mkdir()
    (path / "picks" / "g1.jpg").symlink_to("../g1.jpg")  # the same file under the same id
    (path / "gone.jpg").symlink_to("nowhere.jpg")
    os.mkfifo(path / "pipe.jpg")
    with open(os.fsencode(path) + b"/odd\xe9.jpg", "wb") as file:
        file.write(galaxies[18])
    found.path = path
    found.ids = sorted([*found.ids, "linked", "odd\ufffd"])
    found.rejected |= {"gone.jpg": "unreadable", "pipe.jpg": "unreadable"}
    found.skipped |= {"repeated": 4}
    found.files += 8
    return found


def zipped(path: Path, galaxies: list[bytes]) -> Untidy:
    """Write the zip: a name with backslashes, one that comes twice, an encrypted and a linked member besides."""
    every, found = members(galaxies)
    with zipfile.ZipFile(path, "w") as archive:
        for number, (name, data) in enumerate(every.items()):
            methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
            archive.writestr(name, data, methods[number % 4])
        archive.writestr("win\\dows.jpg", galaxies[17])
        archive.writestr("twice.jpg", galaxies[18])
        archive.writestr("./twice.jpg", galaxies[19])
        archive.writestr("secret.jpg", galaxies[20])
        archive.writestr("packed.jpg", galaxies[21])
        link = zipfile.ZipInfo("link.jpg")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "g1.jpg")
    _patch(path, b"secret.jpg", flag=1)
    _patch(path, b"packed.jpg", method=9)
    found.path = path
    found.ids = sorted([*found.ids, "dows"])
    found.rejected |= {"twice.jpg": "repeated_name", "secret.jpg": "encrypted"}
    found.rejected |= {"packed.jpg": "unsupported_packing", "link.jpg": "link"}
    found.files += 6
    return found


def tarred(path: Path, galaxies: list[bytes]) -> Untidy:
    """Write the tar (packed by its suffix): links, a device, and a name that occurs twice besides."""
    every, found = members(galaxies)
    mode = {".gz": "w:gz", ".bz2": "w:bz2", ".xz": "w:xz"}.get(path.suffix, "w")
    with tarfile.open(path, mode, format=tarfile.PAX_FORMAT) as archive:
        for name, data in every.items():
            _add(archive, f"./{name}", data)
        _add(archive, "long/" * 60 + "name.jpg", galaxies[17])
        _add(archive, "twice.jpg", galaxies[18])
        _add(archive, "twice.jpg", galaxies[19])
        for name, kind in (("soft.jpg", tarfile.SYMTYPE), ("hard.jpg", tarfile.LNKTYPE), ("dev.jpg", tarfile.CHRTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "g1.jpg"
            archive.addfile(info)
    found.path = path
    found.ids = sorted([*found.ids, "name"])
    found.rejected |= {"twice.jpg": "repeated_name", "soft.jpg": "link", "hard.jpg": "link", "dev.jpg": "link"}
    found.files += 6
    return found


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def _patch(path: Path, name: bytes, *, flag: int = 0, method: int | None = None) -> None:
    """Change flags and packing of a member in its two headers."""
    data = bytearray(path.read_bytes())
    for signature, at in ((b"PK\3\4", 30), (b"PK\1\2", 46)):
        start = data.find(name)
        while bytes(data[start - at : start - at + 4]) != signature:
            start = data.find(name, start + 1)
        field_at = start - at + (6 if at == 30 else 8)
        data[field_at] |= flag
        if method is not None:
            data[field_at + 2] = method
    path.write_bytes(data)
