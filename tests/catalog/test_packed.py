"""Packed tables: what unpacks to too much is refused, frames to be skipped are no table, nothing is fetched."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import select
import socket
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table

from galclass.catalog import packed, read_catalog
from galclass.catalog.own_table import read_own_table
from galclass.errors import CatalogError

TEXT = b"object_id,label\nJ1,Er\nJ2,Sb\n"


def zstandard(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    found: bytes = sink.getvalue().to_pybytes()
    return found


def zipped(data: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("table", data)
    return sink.getvalue()


PACKERS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstandard}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "SMALL_UNPACKED", 50_000)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("suffix", PACKERS)
def test_text_that_unpacks_to_too_much_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t.csv{suffix}"
    path.write_bytes(PACKERS[suffix](TEXT + b"\n" * 300_000))
    with pytest.raises(CatalogError, match=r"t\.csv.*: it is too large unpacked \(expected at most [\d,]+ bytes"):
        read_catalog(path)
    path.write_bytes(PACKERS[suffix](TEXT + b"\n" * 40_000))
    assert read_catalog(path).num_rows == 2


def test_a_bomb_is_refused_with_the_limit_that_users_have(tmp_path: Path) -> None:
    sink = pa.OSFile(str(tmp_path / "t.csv.zst"), "wb")
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        for _ in range(1 << 10):
            stream.write(b"\n" * (1 << 20))
    assert (tmp_path / "t.csv.zst").stat().st_size < 100_000
    with pytest.raises(CatalogError, match="at most 268,435,456 bytes"):
        read_catalog(tmp_path / "t.csv.zst")


def test_a_packed_file_that_is_large_itself_may_hold_as_many_times_more(tmp_path: Path, small: None) -> None:
    noise = np.random.default_rng(0).integers(0, 10, 20_000)
    rows = "".join(f"J{n},Er\n" for n in noise.cumsum() + np.arange(20_000))
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"object_id,label\n" + rows.encode()))
    assert read_catalog(tmp_path / "t.csv.gz").num_rows == 20_000


@pytest.mark.parametrize("frames", [1, 3])
def test_frames_to_be_skipped_come_before_a_table(tmp_path: Path, frames: int) -> None:
    skipped = b"".join(struct.pack("<II", 0x184D2A50 + n, 5) + b"hello" for n in range(frames))
    (tmp_path / "t.csv.zst").write_bytes(skipped + zstandard(TEXT))
    assert read_catalog(tmp_path / "t.csv.zst")["object_id"].to_pylist() == ["J1", "J2"]


@pytest.mark.parametrize("suffix", PACKERS)
def test_a_file_that_is_cut_off_says_so(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"t.csv{suffix}").write_bytes(PACKERS[suffix](TEXT)[:-9])
    with pytest.raises(CatalogError, match="cannot be unpacked"):
        read_catalog(tmp_path / f"t.csv{suffix}")


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("kind", [("t.fits", "fits"), ("t.vot", "votable"), ("t.ecsv", "ascii.ecsv")])
@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zipped])
def test_what_astropy_unpacks_has_the_same_limit(
    tmp_path: Path, kind: tuple[str, str], pack: Callable[[bytes], bytes]
) -> None:
    name, form = kind
    path = tmp_path / name
    Table({"object_id": [f"J{n}" for n in range(20_000)], "label": ["Er"] * 20_000}).write(path, format=form)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(packed, "MOST_RATIO", 1)
        whole = path.read_bytes()
        assert read_catalog(path).num_rows == 20_000  # a plain file has no limit
        path.write_bytes(pack(whole))
        for read in (read_catalog, read_own_table):
            with pytest.raises(CatalogError, match="too large unpacked"):
                read(path)


@pytest.mark.usefixtures("small")
def test_pages_of_parquet_have_the_same_limit(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    ids = pa.array([f"J{n}" for n in range(100)])
    for length in (100, 100_000):
        table = pa.table({"object_id": ids, "label": ["Er"] * 100, "about": ["x" * length] * 100})
        pq.write_table(table, path, compression="zstd", use_dictionary=False)
        if length == 100:
            assert read_catalog(path).num_rows == 100
    with pytest.raises(CatalogError, match="too large unpacked"):
        read_catalog(path)


def test_a_votable_whose_rows_are_at_an_address_is_refused_and_nobody_is_contacted(tmp_path: Path) -> None:
    path = tmp_path / "t.vot"
    Table({"object_id": ["J1"], "label": ["Er"]}).write(path, format="votable", tabledata_format="binary2")
    text = path.read_text()
    start, end = text.index("<STREAM"), text.index("</STREAM>")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/rows"
        path.write_text(f'{text[:start]}<STREAM encoding="base64" href="{address}">{text[end:]}')
        for read in (read_catalog, read_own_table):
            with pytest.raises(CatalogError, match="another file, which is not fetched"):
                read(path)
        assert not select.select([server], [], [], 0)[0]
