"""Archives that claim or unpack to far more than they are: refused in memory of their own size."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from galclass.bounded_tar import GLOBAL_BYTES, HEADER_BYTES, open_tar
from galclass.bounded_zip import BoundedZip, TooManyMembers, fault_of_sizes

MEMORY = 12 << 20
"""Most memory that reading any of these may take; they unpack to 32 MiB and more."""

LARGE = 32 << 20


@contextmanager
def little_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def members_of(data: bytes) -> list[tuple[str, bytes]]:
    with open_tar(io.BytesIO(data)) as archive:
        found = []
        while (info := archive.next()) is not None:
            member = archive.extractfile(info)
            found.append((info.name, member.read() if member else b""))
        return found


def pax(*records: tuple[str, str]) -> bytes:
    lines = b""
    for key, value in records:
        body = f" {key}={value}\n".encode()
        length = len(body) + 1
        while len(str(length)) + len(body) != length:
            length += 1
        lines += str(length).encode() + body
    return lines


def tar_of(*parts: tuple[bytes, bytes]) -> bytes:
    return b"".join(head + padded(data) for head, data in parts) + bytes(1024)


ZEROS = bytes(LARGE)
GOOD = (header("good.jpg", 4), b"good")
NESTED = [(header("././@LongLink", 5, tarfile.GNUTYPE_LONGNAME), b"name\0")] * 900
GLOBAL = [(header("g", len(data), tarfile.XGLTYPE), data) for n in range(40) for data in [pax((f"k{n}", "v" * 60_000))]]
SPARSE = pax(("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", str(1 << 40)))
OLD_SPARSE = bytearray(header("s.jpg", 512, tarfile.GNUTYPE_SPARSE))

HOSTILE = {
    "a GNU long name": lambda: tar_of((header("././@LongLink", LARGE, tarfile.GNUTYPE_LONGNAME), ZEROS), GOOD),
    "a GNU long link": lambda: tar_of((header("././@LongLink", LARGE, tarfile.GNUTYPE_LONGLINK), ZEROS), GOOD),
    "a PAX header": lambda: tar_of((header("p", LARGE, tarfile.XHDTYPE), ZEROS), GOOD),
    "a Solaris header": lambda: tar_of((header("p", LARGE, tarfile.SOLARIS_XHDTYPE), ZEROS), GOOD),
    "a global header": lambda: tar_of((header("g", LARGE, tarfile.XGLTYPE), ZEROS), GOOD),
    "many global headers": lambda: tar_of(*[part for one in GLOBAL for part in (one, GOOD)]),
    "a long name of which little is there": lambda: header("././@LongLink", 8 << 30, tarfile.GNUTYPE_LONGNAME) + ZEROS,
    "headers in headers": lambda: tar_of(*NESTED, GOOD),
    "a sparse map": lambda: tar_of(
        (header("p", len(SPARSE), tarfile.XHDTYPE), SPARSE),
        (header("s.jpg", LARGE), b"9999999\n" + b"0\n" * (LARGE // 2)),
    ),
    "a sparse file": lambda: tar_of(
        (header("p", len(SPARSE), tarfile.XHDTYPE), SPARSE), (header("s.jpg", 512), b"1\n0\n1\n")
    ),
    "an old sparse file": lambda: tar_of((bytes(OLD_SPARSE), bytes(512))),
    "a length of 5,000 digits": lambda: tar_of((header("p", 5100, tarfile.XHDTYPE), b"9" * 5000 + b" a=b\n"), GOOD),
    "a size that is no number": lambda: tar_of(
        (header("p", len(pax(("size", "-9999"))), tarfile.XHDTYPE), pax(("size", "-9999"))), GOOD, GOOD
    ),
}


def plain(data: bytes) -> bytes:
    return data


@pytest.mark.parametrize("pack", [plain, gzip.compress, bz2.compress, lzma.compress], ids=["tar", "gz", "bz2", "xz"])
@pytest.mark.parametrize("make", [HOSTILE["a GNU long name"], HOSTILE["many global headers"]])
def test_headers_are_bounded_whatever_packs_them(make: Callable[[], bytes], pack: Callable[[bytes], bytes]) -> None:
    data = pack(make())
    with little_memory(), pytest.raises(tarfile.TarError):
        members_of(data)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_tar_takes_no_more_memory_than_its_members(name: str) -> None:
    data = HOSTILE[name]()
    with little_memory(), pytest.raises(tarfile.TarError):
        members_of(data)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_what_is_passed_over_counts_as_unpacked_too(pack: Callable[[bytes], bytes]) -> None:
    data = pack(tar_of((header("other.txt", LARGE), ZEROS), GOOD))
    with little_memory(), pytest.raises(tarfile.TarError, match="bomb"), open_tar(io.BytesIO(data)) as archive:
        list(iter(archive.next, None))


def test_an_xz_that_asks_for_a_large_dictionary_is_refused() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 30, "preset": 0}]
    small = lzma.compress(tar_of(GOOD), filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20}])
    assert members_of(small) == [("good.jpg", b"good")]
    unpacker = lzma.LZMACompressor(filters=[{**filters[0], "dict_size": 1 << 23}])
    data = bytearray(unpacker.compress(tar_of(GOOD)) + unpacker.flush())
    place = data.index(b"\x21\x01\x16")  # the filter, the length of its properties, and 2^23
    data[place + 2] = 36  # 1 GiB
    head = bytes(data[12 : place + 3 + 3])
    data[place + 6 : place + 10] = zlib.crc32(head).to_bytes(4, "little")
    with pytest.raises(tarfile.TarError):
        members_of(bytes(data))


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
@pytest.mark.parametrize("pack", [plain, gzip.compress, bz2.compress, lzma.compress])
def test_an_honest_tar_is_read_whatever_made_it(format: int, pack: Callable[[bytes], bytes]) -> None:
    data = io.BytesIO()
    long = "folder/" * 30 + "é.jpg" if format != tarfile.USTAR_FORMAT else "folder/a.jpg"
    files = {long: b"x" * 100_000, "b.jpg": b"", "c.jpg": b"y"}
    with tarfile.open(fileobj=data, mode="w", format=format) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(content), 1.5 if format == tarfile.PAX_FORMAT else 1
            archive.addfile(info, io.BytesIO(content))
    assert dict(members_of(pack(data.getvalue()))) == files


def test_a_tar_in_several_xz_streams_is_read_whole() -> None:
    data = tar_of(*[(header(f"{n}.jpg", 600), bytes([n]) * 600) for n in range(5)])
    packed = lzma.compress(data[:1000]) + bytes(8) + lzma.compress(data[1000:])
    assert [name for name, _ in members_of(packed)] == [f"{n}.jpg" for n in range(5)]
    with pytest.raises((tarfile.TarError, EOFError)):
        members_of(packed[:-60])


def test_the_bounds_are_far_above_what_real_archives_have() -> None:
    name = "n" * 100_000
    longest = tar_of((header("././@LongLink", len(name) + 1, tarfile.GNUTYPE_LONGNAME), name.encode() + b"\0"), GOOD)
    assert members_of(longest) == [(name, b"good")]
    assert min(HEADER_BYTES, GLOBAL_BYTES) > 3 * 65_536


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


METHODS = pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)


@METHODS
def test_an_honest_zip_is_read_whatever_packs_it(method: int) -> None:
    files = {"a.jpg": b"x" * 300_000 + bytes(range(256)), "b.jpg": b"", "c.jpg": b"y"}
    with BoundedZip(io.BytesIO(zipped(files, method)), max_members=3) as archive:
        for name, content in files.items():
            assert archive.read(name) == content
            with archive.open(name) as member:
                assert b"".join(iter(lambda: member.read(1000), b"")) == content  # noqa: B023  # used at once


@METHODS
def test_a_member_gives_no_more_than_it_says(method: int) -> None:
    data = bytearray(zipped({"a.jpg": ZEROS}, method))
    declared = len(ZEROS).to_bytes(4, "little")
    if method == zipfile.ZIP_STORED:
        data = bytearray(zipped({"a.jpg": b"x" * 5000}, method))
        declared = (5000).to_bytes(4, "little")
    place = data.rindex(b"PK\x01\x02")
    at = data.index(declared, place + 24)
    data[at : at + 4] = (1000).to_bytes(4, "little")
    archive = BoundedZip(io.BytesIO(bytes(data)), max_members=1)
    with little_memory(), pytest.raises((zipfile.BadZipFile, zlib.error)):
        archive.read("a.jpg")


def test_a_table_of_too_many_members_is_refused_before_it_is_read() -> None:
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\x01\x02", 20, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    count = 100_000
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(entry) * count, 0, 0)  # says that there is one
    data = entry * count + end
    tracemalloc.start()
    with pytest.raises(TooManyMembers):
        BoundedZip(io.BytesIO(data), max_members=1000)
    assert tracemalloc.get_traced_memory()[1] < len(data)
    tracemalloc.stop()


def test_a_large_table_of_few_members_is_refused_too() -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for n in range(40):
            archive.writestr(f"{n}" + "n" * 60_000, b"")
    with pytest.raises(TooManyMembers):
        BoundedZip(data, max_members=1000)
    with BoundedZip(data, max_members=10_000) as archive:
        assert len(archive.namelist()) == 40


def test_the_table_of_a_zip64_is_measured_where_it_stands() -> None:
    entries = bytes(4_000_000)
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, len(entries), 0)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 999_999_999, 1)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, 0xFFFFFFFF, 0, 0)
    for shown_size in (0xFFFFFFFF, 0):
        ending = end[:12] + shown_size.to_bytes(4, "little") + end[16:]
        with pytest.raises(zipfile.BadZipFile):
            BoundedZip(io.BytesIO(entries + record + locator + ending), max_members=1000)


def test_members_that_share_their_bytes_are_refused() -> None:
    with zipfile.ZipFile(io.BytesIO(zipped({"a.jpg": bytes(range(256)) * 50}))) as archive:
        members = archive.infolist() * 300  # as in a bomb whose members all point at one kernel
    assert fault_of_sizes(members, 12_000, 200.0) == "members that overlap"


def test_sizes_far_beyond_those_of_images_are_refused() -> None:
    zeros = {f"{n}.jpg": bytes(60_000) for n in range(100)}
    for files, fault in (
        (zeros, "a decompression bomb"),  # small ones, but many
        ({"a.jpg": bytes(3_000_000)}, "a decompression bomb"),
        ({"a.bmp": bytes(500_000), "b.bmp": bytes(500_000)}, None),  # simulated galaxies on a black sky
    ):
        data = zipped(files)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert fault_of_sizes(archive.infolist(), len(data), 50.0) == fault
