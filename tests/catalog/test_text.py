"""Tables of text as people save them: comments, separators, encodings, quotes, rows of odd length."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from galclass.catalog import CatalogReport, read_catalog, read_table
from galclass.errors import CatalogError

ROWS = [
    {"object_id": "007", "asset_id": "007", "label": "Er"},
    {"object_id": "1234e507", "asset_id": "1234e507", "label": "Sb"},
]


def write(folder: Path, data: str | bytes, name: str = "c.csv") -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.csv", "#Table1\nobjid,label\n007,Er\n1234e507,Sb\n"),  # SkyServer
        ("c.csv", "\n\n# made by me, in 2020\n#\nobjid,label\n007,Er\n\n# more\n1234e507,Sb\n#end\n"),
        ("c.csv", "#objid,label\n007,Er\n1234e507,Sb\n"),
        ("c.csv", "# a note\n# objid , label\n007,Er\n1234e507,Sb\n"),
        ("c.csv", "objid;label\n007;Er\n1234e507;Sb\n"),
        ("c.csv", "objid\tlabel\n007\tEr\n1234e507\tSb\n"),
        ("c.csv", "objid|label\n007|Er\n1234e507|Sb\n"),
        ("c.csv", "sep=;\nobjid;label\n007;Er\n1234e507;Sb\n"),
        ("c.tsv", "objid\tlabel\n007\tEr\n1234e507\tSb\n"),
        ("c.tsv", "objid,label\n007,Er\n1234e507,Sb\n"),
        ("c.txt", "objid,label\n007,Er\n1234e507,Sb\n"),
        ("c.txt", "# objid label\n007 Er\n1234e507   Sb\n"),
        ("c.dat", "objid label\n  007  Er\n# no\n1234e507 Sb\n"),
        ("c.csv", "objid,label,\n007,Er,\n1234e507,Sb,\n"),
        ("c.csv", "objid,label\n007,Er,\n1234e507,Sb,\n"),
        ("c.csv", "objid,label\r\n007,Er\r\n1234e507,Sb\r\n"),
        ("c.csv", "objid,label\r007,Er\r1234e507,Sb\r"),
        ("c.csv", "objid,label\n007,Er\nobjid,label\n1234e507,Sb\n"),
        ("c.csv", '"objid","label"\n"007","Er"\n"1234e507","Sb"\n'),
        ("c.csv", "objid,label\n007,Er\n   \n\t\n1234e507,Sb\n \n"),
        ("c.tsv", "objid\tlabel\n007\tEr\n   \n1234e507\tSb\n"),
        ("c.csv", " objid , label \n 007 , Er \n 1234e507 , Sb \n"),
    ],
)
def test_a_table_is_read_however_it_is_laid_out(name, text, tmp_path) -> None:
    assert read_catalog(write(tmp_path, text, name)).to_pylist() == ROWS


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-32"])
def test_a_byte_order_mark_says_the_encoding(encoding, tmp_path) -> None:
    mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(encoding, b"")
    data = mark + "objid,label,name\n007,Er,Méchain\n1234e507,Sb,x\n".encode(encoding)
    assert read_catalog(write(tmp_path, data))["name"].to_pylist() == ["Méchain", "x"]
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress(data))
    assert read_catalog(tmp_path / "c.csv.gz")["name"].to_pylist() == ["Méchain", "x"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            "objid,label,name\n1,Er,x\n2,Er,Méchain\n".encode("latin-1"),
            r"line 3: a line is not in UTF-8 .*Méchain.*iconv",
        ),
        ("objid,label,Entdeckt für\n1,Er,x\n".encode("latin-1"), r"line 1: a line is not in UTF-8"),
        (("objid,label\n" + "1,Er\n" * 40 + "2,é\n").encode("latin-1"), r"line 42: a line is not in UTF-8"),
        ("objid,label\n1,Er\n2,Sb\n".encode("utf-16-le"), r"line 1: this looks like UTF-16 .*Save it as UTF-8"),
        (b"\xff\xfeo\0b\0j", "damaged UTF-16"),
        (b"", "the table is empty"),
        (b"\n\n  \n", "the table is empty"),
        (b"#\n#\n", "the table is empty"),
        (b"objid,label\n", "the table has no rows"),
        (b"# objid,label\n", "the table has no rows"),
        (
            b"objid,label\n1,Er\n2,Er,Sb\n",
            r"line 3: a row and the header differ in their number of columns .*expected 2, got 3",
        ),
        (b"objid,label\n1,Er\n2\n", r"line 3: a row and the header differ .*expected 2, got 1"),
        (b'objid,label,remark\n1,Er,"a\nb"\n2,Er\n', r"line 4: a row and the header differ .*expected 3, got 2"),
        (b'objid,label\n1,Er\n2,"Sb\n3,Er\n4,Er\n', r"line 3: unterminated quoted cell"),
        (b'objid,label,remark\n1,Er,"a\n2,Sb,b\n3,Ei,"c\n', r"line 2: unterminated quoted cell: .*expected after"),
        (b"objid,label\n" + b"1,Er\n" * 2000 + b"x\0y,Er\n", r"line 2002: this is not text"),
        ("id,label\n1,Er\n".encode("utf-16-le"), "UTF-16 without a byte order mark"),
        (b"A note\nobjid,label\n1,Er\n", r"line 2: .* the header .*'A note' .*Put \"#\" in front"),
        (b"PK\3\4" + bytes(40), "a zip archive or a spreadsheet"),
        (b"<!DOCTYPE html><p>gone", "a web page"),
        (b"PAR1" + bytes(40), "a Parquet file"),
        (b"PAR1\x15\x04\x15\x0a", "a Parquet file"),
        (b"ARROW1\0\0", "an Arrow file"),
        (b"SIMPLE  =                    T / FITS", "a FITS file"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b"SQLite format 3\0", "an SQLite database"),
        (b"7z\xbc\xaf\x27\x1c", "a packed file"),
        (b"BZh91AY&SY", "cannot be unpacked"),
        (b"\xfd7zXZ\0" + bytes(9), "cannot be unpacked"),
        (b"\x28\xb5\x2f\xfd" + bytes(9), "cannot be unpacked"),
        (b"%PDF-1.7\n", "a PDF file"),
        (b"\xd0\xcf\x11\xe0", "a spreadsheet"),
        (b"\xef\xbb\xbf<html>", "a web page"),
        (b' [\n {"objid": 1}]', "this is JSON"),
        (b"\x1f\x8b\x08" + bytes(7) + b"\xff" * 9, "cannot be unpacked"),
        (b'{"objid": 1}\n', "this is JSON"),
        (b"objid,label,label\n1,Er,Er\n", "duplicate columns: label"),
        (b"objid;label,a\n1;Er,a\n", None),
        (b"objid\tlabel;x\n1\tEr;y\n", r"the separator is unclear .*'\\t' and ';'"),
        (b"\x89PNG\0\0", "not text"),
        (b"objid,label\n1," + b"E" * 200_000 + b"\n", "the first rows cannot be read: field larger"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(data, words, tmp_path) -> None:
    path = write(tmp_path, data)
    if words is None:  # a comma fits as well, and is what the name says
        assert read_table(path).column_names == ["objid;label", "a"]
        return
    with pytest.raises(CatalogError, match=words) as raised:
        read_catalog(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize(
    "name", ["par1", "PAR1_flux", "arrow1", "FEA1", "SIMPLE  =", "{a}", "<html", "BZh9", "[OIII]", "<?xmlid", "%PDF-"]
)
def test_a_column_may_be_called_as_another_kind_of_file_begins(name, tmp_path) -> None:
    table = read_catalog(write(tmp_path, f"{name},objid,label\n5,007,Er\n6,8,Sb\n"))
    assert table[name].to_pylist() == [5, 6]
    assert table["object_id"].to_pylist() == ["007", "8"]


def test_comments_and_repeated_headers_among_the_rows_are_counted(tmp_path) -> None:
    report = CatalogReport()
    text = "objid,label\n1,Er\n# a, b\n#Table2\nobjid,label\n2,Er\n"
    assert read_catalog(write(tmp_path, text), report=report)["object_id"].to_pylist() == ["1", "2"]
    assert report.notes == {"comment_lines": 2, "repeated_headers": 1}
    assert report.remarks == ("2 comment lines among the rows left out", "1 repeated header lines left out")


def test_a_line_break_in_quotes_is_part_of_its_cell(tmp_path) -> None:
    remarks = "".join(f'{number},Er,"one\n#two {number}"\n' for number in range(50_000))
    table = read_catalog(write(tmp_path, 'objid,label,"a\nremark"\n' + remarks))
    assert table.num_rows == 50_000
    assert table["a\nremark"][49_999].as_py() == "one\n#two 49999"


@pytest.mark.parametrize("between", ["\n", "  \n", "# a note\n", "\n# a note\n \n"])
def test_quotes_in_the_middle_of_a_cell_are_kept_whatever_stands_between_rows(between, tmp_path) -> None:
    text = f'objid,label,size\n1,Er,5" wide\n{between}2,Er,"a"b\n{between}3,Er,"c\n\n#d"\n'
    assert read_catalog(write(tmp_path, text))["size"].to_pylist() == ['5" wide', "ab", "c\n\n#d"]


def test_quotes_in_the_middle_of_a_cell_are_kept(tmp_path) -> None:
    text = 'objid,label,size\n1,Er,5"\n2,Er,6\n'
    assert read_catalog(write(tmp_path, text))["size"].to_pylist() == ['5"', "6"]


def test_unnamed_columns_are_kept_when_they_hold_something(tmp_path) -> None:
    table = read_table(write(tmp_path, ",objid,label\n0,5,Er\n1,6,Er\n"))
    assert table.column_names == ["column_1", "objid", "label"]


@pytest.mark.parametrize(
    ("name", "words"), [("c.xlsx", "save it as CSV"), ("c.h5", "save it as CSV"), ("c.json", "not a table")]
)
def test_other_files_say_what_is_read(name, words, tmp_path) -> None:
    with pytest.raises(CatalogError, match=re.compile(words, re.IGNORECASE)):
        read_catalog(write(tmp_path, "x", name))


def test_the_bad_value_is_named_not_the_first_good_one(tmp_path) -> None:
    name = "t01_smooth_or_features_a01_smooth_debiased"
    path = write(tmp_path, f"objid,label,{name}\n1,Er,0.5\n2,Er,n/a\n3,Er,half\n")
    with pytest.raises(CatalogError, match=rf"column {name}, row 3: not a number \(got 'half'\)"):
        read_catalog(path)
    path = write(tmp_path, f"objid;label;{name}\n1;Er;0,5\n")
    with pytest.raises(CatalogError, match=r"got '0,5'\). Write numbers with a decimal point"):
        read_catalog(path)


def test_marks_round_a_columns_name_are_no_part_of_it(tmp_path) -> None:
    text = "\ufeff\ufeffobjid,\u00a0label\u00a0\n1,Er\n"
    assert read_catalog(write(tmp_path, text))["label"].to_pylist() == ["Er"]


def test_comments_between_spaces_are_counted(tmp_path) -> None:
    report = CatalogReport()
    path = tmp_path / "c.txt"
    path.write_text("objid label\n1a Er\n#2a Sb\n # note\n3a Sc\n")
    assert read_catalog(path, report=report)["object_id"].to_pylist() == ["1a", "3a"]
    assert report.notes == {"comment_lines": 2}


@pytest.mark.parametrize("end", ["3a,Sc,x\n", '3a,"Sc\n'])
def test_a_faulty_line_has_the_number_that_an_editor_shows(tmp_path, end: str) -> None:
    path = write(tmp_path, "# notes\nobjid,label\n1a,Er\n# a\nobjid,label\n  \n2a,Sb\n" + end)
    with pytest.raises(CatalogError, match=f"{path}, line 8: "):
        read_catalog(path)


def zstandard(data: bytes) -> bytes:
    return bytes(pa.Codec("zstd").compress(data, asbytes=True))


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress), (".zst", zstandard)],
)
@pytest.mark.parametrize(("name", "sign"), [("c.csv", ","), ("c.tsv", "\t"), ("c.dat", " "), ("c.txt", ";")])
def test_packed_tables_are_read(
    tmp_path: Path, name: str, sign: str, suffix: str, pack: Callable[[bytes], bytes]
) -> None:
    text = "object_id,label\n587722981742084144,ring\n3,none\n".replace(",", sign).encode()
    path = tmp_path / (name.upper() + suffix)
    for data in (pack(text), pack(text[:20]) + pack(text[20:])):  # as `cat a.bz2 b.bz2` and parallel packers write it
        path.write_bytes(data)
        assert read_table(path)["object_id"].to_pylist() == ["587722981742084144", "3"]
    path.write_bytes(pack(text)[:-5])
    with pytest.raises(CatalogError, match="cannot be unpacked"):
        read_table(path)


@pytest.mark.parametrize("name", ["c.fits.bz2", "c.parquet.zst", "c.ecsv.gz", "c.csv.zip", "c.csv.7z", "c.tar.gz"])
def test_other_packed_tables_are_to_be_unpacked(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(CatalogError, match="Unpack it"):
        read_table(tmp_path / name)
