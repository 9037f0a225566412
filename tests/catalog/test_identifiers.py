"""Ids of every type are read back as they were written, or refused; never as other ids."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from astropy.table import MaskedColumn, Table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from galclass.catalog import CatalogColumns, CatalogReport, read_catalog
from galclass.catalog.identifiers import ids_as_text
from galclass.errors import CatalogError

LONG = [587722981741363294, 587722981741363323, 18446744073709551615]


def read(column: pa.Array) -> list[str | None]:
    return ids_as_text(column, "table", CatalogReport()).to_pylist()


@pytest.mark.parametrize(
    ("column", "ids"),
    [
        (pa.array(LONG, pa.uint64()), [str(one) for one in LONG]),
        (pa.array([-5, None, 7]), ["-5", None, "7"]),
        (pa.array([2**53 - 1.0, None]), ["9007199254740991", None]),
        (pa.array(np.array([2**24 - 1], "f4")), ["16777215"]),
        (pa.array(np.array([2**11 - 1], "f2")), ["2047"]),
        (pa.array([Decimal(LONG[0])], pa.decimal128(38, 10)), [str(LONG[0])]),
        (pa.array([Decimal(LONG[2]), None], pa.decimal256(60, 2)), [str(LONG[2]), None]),
        (pa.array([Decimal("5E+3")], pa.decimal128(10, -3)), ["5000"]),
        (pa.array(["007", " 8 ", "\ufeff9", "a\0\0", ""]).cast(pa.string_view()), ["007", "8", "9", "a", None]),
        (pa.array(["007"], pa.large_string()), ["007"]),
        (pa.chunked_array([["a", "b"], ["a"]]).dictionary_encode(), ["a", "b", "a"]),
        (pa.array([b"ab\0\0", b"cd  ", None], pa.binary(4)), ["ab", "cd", None]),
        (pa.array([b"M 51"], pa.binary_view()), ["M 51"]),
        (pa.array(["1234e507", "12E5", "1e5"]), ["1234e507", "12E5", "1e5"]),
        (pa.array(["nan", "None", "<NA>", "x", "NA", "-", "#N/A"]), [None, None, None, "x", None, None, None]),
        (pa.DictionaryArray.from_arrays([1, 0, None], pa.array(["a", "b"], pa.string_view())), ["b", "a", None]),
        (pa.DictionaryArray.from_arrays([0, 0], pa.array([b"a"], pa.binary_view())), ["a", "a"]),
        (pa.RunEndEncodedArray.from_arrays(pa.array([2], pa.int32()), pa.array([LONG[0]])), [str(LONG[0])] * 2),
        (pa.array([bytes(range(16)), None], pa.uuid()), ["00010203-0405-0607-0809-0a0b0c0d0e0f", None]),
        (pa.array(["68.0", "1234."]), ["68", "1234"]),
        (pa.array([f'="{LONG[0]}"', f"'{LONG[1]}", "'a'"]), [str(LONG[0]), str(LONG[1]), "'a'"]),
        (pa.nulls(2), [None, None]),
    ],
)
def test_ids_of_every_type(column, ids) -> None:
    assert read(column) == ids


@pytest.mark.parametrize(
    "column",
    [
        pa.array([2.0**53]),
        pa.array(np.array([2**24], "f4")),
        pa.array(np.array([2**11], "f2")),
        pa.array([1.5]),
        pa.array([float("inf")]),
        pa.array([Decimal("1.50")]),
        pa.array(["5.877e+17"]),
        pa.array(["587e-2"]),
        pa.array(["5.877e17"]),
        pa.array([".5"]),
        pa.array(["1234567890123456.0"]),
        pa.array([True]),
        pa.array([{"a": "1"}]),
        pa.array([["1"]]),
        pa.array([b"\xe9"], pa.binary()),
        pa.array([-587722981741363200, -587722981741363328, -587722981741363456]),
    ],
)
def test_what_is_no_exact_id_is_refused(column) -> None:
    with pytest.raises(CatalogError, match="^table"):
        read(column)


def test_float32_ids_of_fits_and_parquet_are_refused_by_the_column(tmp_path) -> None:
    ids = np.array([59012341, 59012347, 59012353], "f4")
    Table({"id": ids, "label": ["Er", "Sc", "Sb"]}).write(tmp_path / "c.fits")
    pq.write_table(pa.table({"id": ids, "label": ["Er", "Sc", "Sb"]}), tmp_path / "c.parquet")
    for name in ("c.fits", "c.parquet"):
        with pytest.raises(CatalogError, match=rf"{name}, column id: ids went through .*59012340 of type float"):
            read_catalog(tmp_path / name)


@pytest.mark.parametrize("spelling", ["Object_ID", "ID", "nr", "NR"])
def test_leading_zeros_stay_whatever_the_spelling_of_the_column(spelling, tmp_path) -> None:
    (tmp_path / "c.csv").write_text(f"{spelling},label\n007,Er\n008,Er\n")
    table = read_catalog(tmp_path / "c.csv", columns=CatalogColumns(id=spelling.swapcase()))
    assert table["object_id"].to_pylist() == ["007", "008"]


@pytest.mark.parametrize("header", ["ID,id,label", "id , ID,label", "objid,label,Label"])
def test_columns_that_differ_in_case_only_come_twice(header, tmp_path) -> None:
    (tmp_path / "c.csv").write_text(f"{header}\n1,2,Er\n")
    with pytest.raises(CatalogError, match="duplicate columns: .* differ in case only"):
        read_catalog(tmp_path / "c.csv")


def test_columns_of_no_use_may_differ_in_case(tmp_path) -> None:
    (tmp_path / "c.csv").write_text("id,label,g,G\n1,Er,1.5,2.5\n")
    assert read_catalog(tmp_path / "c.csv").select(["g", "G"]).to_pylist() == [{"g": 1.5, "G": 2.5}]


def test_names_with_dots_are_different_objects_everywhere(tmp_path) -> None:
    (tmp_path / "c.csv").write_text("name,label\nJ1.5,Er\nJ1.6,Sb\nJ1.7,Sb\n")
    (tmp_path / "m.csv").write_text("objid,asset_id\nJ1.5,J1.5\nJ1.6,a/J1.6.JPG\nJ1.7,x.1\n")
    table = read_catalog(tmp_path / "c.csv", mapping=tmp_path / "m.csv")
    assert table["asset_id"].to_pylist() == ["J1.5", "J1.6", "x.1"]
    (tmp_path / "f.csv").write_text("name,label,file\nJ1.5,Er,p/J1.5\nJ1.6,Sb,J1.6.png\nJ1.7,Sb,J1.7.fits.jpg\n")
    assert read_catalog(tmp_path / "f.csv")["asset_id"].to_pylist() == ["J1.5", "J1.6", "J1.7.fits"]


def test_ids_are_joined_in_composed_form_and_keep_their_spelling(tmp_path) -> None:
    composed, decomposed = "M\u00e9chain", "Me\u0301chain"
    (tmp_path / "c.csv").write_text(f"name,label\n{decomposed},Er\n")
    (tmp_path / "m.csv").write_text(f"objid,asset_id\n{composed},{decomposed}1\n")
    row = read_catalog(tmp_path / "c.csv", mapping=tmp_path / "m.csv").to_pylist()[0]
    assert (row["object_id"], row["asset_id"]) == (decomposed, composed + "1")
    (tmp_path / "d.csv").write_text(f"name,label\n{decomposed},Er\n{composed},Er\n")
    report = CatalogReport()
    assert read_catalog(tmp_path / "d.csv", report=report).num_rows == 1
    assert [fault.code for fault in report.rejects] == ["duplicate_id"]


def test_a_table_of_files_names_its_objects(tmp_path) -> None:
    for name in ("filename", "image", "file_name"):
        (tmp_path / "c.csv").write_text(f"{name},label\nimages/J1.5.jpg,Er\n00123.PNG,Sb\n,Er\n")
        report = CatalogReport()
        table = read_catalog(tmp_path / "c.csv", report=report)
        assert table["object_id"].to_pylist() == table["asset_id"].to_pylist() == ["J1.5", "00123"]
        assert [fault.code for fault in report.rejects] == ["no_id"]


def test_what_a_mapping_does_not_use_is_counted(tmp_path) -> None:
    (tmp_path / "c.csv").write_text("name,label\na,Er\nb,Sb\n")
    (tmp_path / "m.csv").write_text("objid,asset_id\na,1\na,2\nb,3\nb,3\nz,4\n")
    report = CatalogReport()
    table = read_catalog(tmp_path / "c.csv", mapping=tmp_path / "m.csv", report=report)
    assert table["asset_id"].to_pylist() == ["1", "3"]
    assert report.notes == {"mapping_repeats": 2, "mapping_conflicts": 1, "unused_mapping_rows": 1}


def test_columns_of_the_prepared_index_do_not_clash(tmp_path) -> None:
    (tmp_path / "c.csv").write_text("id,label,source,row,sha256,z\n1,Er,sdss,7,abc,0.1\n")
    table = read_catalog(tmp_path / "c.csv")
    assert table.column_names == [
        *("object_id", "asset_id", "label"),
        *("catalog_source", "catalog_row", "catalog_sha256", "z"),
    ]


# what writers make of ids: read back alike, or an error

INTEGERS = st.integers(0, 2**64 - 1)
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=8)
IDS = st.one_of(st.lists(INTEGERS, min_size=1, max_size=4, unique=True), st.lists(NAMES, min_size=1, max_size=4))


def written(path: Path, kind: str, ids: list[object]) -> None:
    """Write a table of ids and one label in the way of one library."""
    label = ["Er"] * len(ids)
    texts = [str(one) for one in ids]
    if kind == "pandas.csv":
        pd.DataFrame({"id": ids, "label": label}).to_csv(path, index=False)
    elif kind == "pandas.gaps.csv":
        pd.DataFrame({"id": [*ids, None], "label": [*label, "Er"]}).to_csv(path, index=False)
    elif kind == "pandas.parquet":
        pd.DataFrame({"id": ids, "label": label}).to_parquet(path)
    elif kind == "pandas.category.parquet":
        pd.DataFrame({"id": pd.Categorical(texts), "label": label}).to_parquet(path)
    elif kind == "view.feather":  # what polars writes
        pyarrow.feather.write_feather(pa.table({"id": pa.array(texts, pa.string_view()), "label": label}), path)
    elif kind == "category.arrow":  # what polars makes of a category
        values = pa.DictionaryArray.from_arrays(np.arange(len(texts)), pa.array(texts, pa.string_view()))
        table = pa.table({"id": values, "label": label})
        with pa.ipc.new_stream(str(path), table.schema) as stream:  # as datasets of Hugging Face are stored
            stream.write_table(table)
    elif kind in ("f2.parquet", "f4.parquet", "f8.parquet"):
        pq.write_table(pa.table({"id": np.array(ids, kind[:2]), "label": label}), path)
    elif kind == "decimal.parquet":
        values = pa.array([Decimal(one) for one in ids], pa.decimal128(38, 4))
        pq.write_table(pa.table({"id": values, "label": label}), path)
    elif kind == "binary.parquet":
        width = max(len(text.encode()) for text in texts) + 2
        padded = pa.array([text.encode().ljust(width, b"\0") for text in texts], pa.binary(width))
        pq.write_table(pa.table({"id": padded, "label": label}), path)
    elif kind in ("f4.fits", "f8.fits"):
        Table({"id": np.array(ids, ">" + kind[:2]), "label": label}).write(path)
    elif kind == "int.fits":
        Table({"id": np.array(ids, np.uint64), "label": label}).write(path)
    elif kind == "masked.vot":
        mask = [False] * len(ids) + [True]
        column = MaskedColumn([*[int(str(one)) for one in ids], 0], mask=mask, dtype=np.int64)
        Table({"id": column, "label": [*label, "Er"]}).write(path, format="votable")
    else:
        Table({"id": texts, "label": label}).write(path, format={"vot": "votable", "ecsv": "ascii.ecsv"}[kind])


ANY = [
    "pandas.csv",
    "pandas.parquet",
    "pandas.category.parquet",
    "view.feather",
    "category.arrow",
    "binary.parquet",
    "vot",
    "ecsv",
]
NUMBERS = ["pandas.gaps.csv", "f2.parquet", "f4.parquet", "f8.parquet", "decimal.parquet", "f4.fits", "f8.fits"]
NUMBERS += ["int.fits", "masked.vot"]


@pytest.mark.parametrize("kind", [*ANY, *NUMBERS])
@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")
@settings(max_examples=12, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_writer_makes_another_id(kind, tmp_path, data) -> None:
    small = st.lists(st.integers(0, 2**15), min_size=1, max_size=4, unique=True)
    signed = st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=4, unique=True)
    ids = data.draw(
        IDS if kind in ANY else signed if kind == "masked.vot" else st.one_of(small, IDS.filter(_are_numbers))
    )
    path = tmp_path / f"c.{kind.rsplit('.', 1)[-1]}"
    path.unlink(missing_ok=True)
    written(path, kind, ids)
    try:
        found = read_catalog(path, report=CatalogReport())["object_id"].to_pylist()
    except CatalogError as error:
        found = "lost digits" in str(error) or not _are_numbers(ids)
    if found is True:
        return
    assert found == list(dict.fromkeys(_as_read(one) for one in ids if _as_read(one) is not None))


def _are_numbers(ids: list[object]) -> bool:
    return all(isinstance(one, int) for one in ids)


def _as_read(one: object) -> str | None:
    """Return the id as the rules read it: without a spreadsheet's marks; blank words are no ids."""
    return ids_as_text(pa.array([str(one)]), "", CatalogReport()).to_pylist()[0]
