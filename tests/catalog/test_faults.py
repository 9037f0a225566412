"""What can be wrong with a catalog: each fault is found and named."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from galclass.catalog import CatalogColumns, CatalogReport, read_catalog, read_table, write_table
from galclass.config import load_config
from galclass.errors import CatalogError
from galclass.prepare.stage import prepare

ID = "587722981741363294"
OTHER = "587722981741363323"


def write(folder: Path, text: str, name: str = "c.csv") -> Path:
    (folder / name).write_text(text)
    return folder / name


@pytest.mark.parametrize(
    "ids",
    [
        ["5.87722981741363e+17", "5.87722981741364e+17"],
        ["5.87722981741363E17", "1"],
        ["587722981741363294.0", "587722981741363323.0"],
        ["587722981741363200", "587722981741363328", "587722981741363456"],  # float64 steps of 128
        ["587722981741363000", "587722981741364000", "587722981741365000"],  # a spreadsheet's 15 digits
    ],
)
def test_ids_that_lost_digits_as_floats_are_named(ids, tmp_path) -> None:
    path = write(tmp_path, "dr7objid,label\n" + "".join(f"{each},Er\n" for each in ids))
    with pytest.raises(CatalogError, match="lost digits.*text or 64-bit integers"):
        read_catalog(path)


def test_a_float_id_column_of_parquet_is_refused_where_it_lost_digits(tmp_path) -> None:
    pq.write_table(pa.table({"dr7objid": [5.877229e17], "label": ["Er"]}), tmp_path / "a.parquet")
    with pytest.raises(CatalogError, match="lost digits"):
        read_catalog(tmp_path / "a.parquet")
    pq.write_table(pa.table({"objid": [100143.0, None], "label": ["Er", "Er"]}), tmp_path / "b.parquet")
    report = CatalogReport()
    assert read_catalog(tmp_path / "b.parquet", report=report)["object_id"].to_pylist() == ["100143"]
    assert [fault.code for fault in report.rejects] == ["no_id"]


def test_short_ids_with_a_decimal_point_are_mended_and_counted(tmp_path) -> None:
    report = CatalogReport()
    table = read_catalog(write(tmp_path, "asset_id,label\n68.0,Er\n393.0,Ei\n"), report=report)
    assert table["object_id"].to_pylist() == ["68", "393"]
    assert report.notes["repaired_ids"] > 0


def test_integer_ids_of_parquet_stay_exact(tmp_path) -> None:
    pq.write_table(pa.table({"dr7objid": pa.array([int(ID)], pa.int64()), "label": ["Er"]}), tmp_path / "a.parquet")
    assert read_catalog(tmp_path / "a.parquet")["object_id"].to_pylist() == [ID]


def test_all_missing_columns_are_named_with_the_nearest(tmp_path) -> None:
    path = write(tmp_path, "dr7objd,gz2clas,specobjid\n1,Er,2\n")
    with pytest.raises(CatalogError, match=r"dr7objid \(did you mean dr7objd\?\), gz2class \(did you mean gz2clas\?\)"):
        read_catalog(path, "zoo2MainSpecz")
    with pytest.raises(CatalogError, match="columns are missing: object_id"):
        read_catalog(write(tmp_path, "foo,bar\n1,2\n"))
    with pytest.raises(CatalogError, match="klass"):
        read_catalog(write(tmp_path, "id,class\n1,Er\n"), columns=CatalogColumns(label="klass"))


@pytest.mark.parametrize("format", ["kaggle", "zoo2MainSpecz", "gz2_hart16", "gz1", "gz_decals", "efigi"])
def test_every_format_says_what_it_lacks(format, tmp_path) -> None:
    with pytest.raises(CatalogError, match="columns are missing"):
        read_catalog(write(tmp_path, "foo,bar\n1,2\n"), format)


def test_faulty_rows_are_all_named_at_once(tmp_path) -> None:
    text = f"object_id,label\n{OTHER},Ei\n{ID},Er\n{OTHER},SBc\n{ID},Er\n,Er\n7,banana\n"
    with pytest.raises(CatalogError) as raised:
        read_catalog(write(tmp_path, text))
    for words in (
        "5 faulty rows",
        f"duplicate_id (1): row 4: {ID} occurs twice",
        f"two_classes (2): row 1: {OTHER} is 'Ei' in row 1 and 'SBc' in row 3",
        "no_id (1): row 5",
        "unknown_label (1): row 6: unknown label 'banana'",
    ):
        assert words in str(raised.value)


def test_with_a_report_faulty_rows_are_left_out_and_counted(tmp_path) -> None:
    text = f"object_id,label\n{ID},\n{ID},Er\n{OTHER},banana\n"
    report = CatalogReport()
    table = read_catalog(write(tmp_path, text), report=report)
    assert table.to_pylist() == [{"object_id": ID, "asset_id": ID, "label": "Er"}]
    assert [(fault.code, fault.row, fault.object_id) for fault in report.rejects] == [
        ("unknown_label", 3, OTHER),
        ("duplicate_id", 1, ID),
    ]
    assert str(report) == "left out: 1 duplicate_id, 1 unknown_label; notes: none"


def test_an_object_of_two_classes_has_none(tmp_path) -> None:
    report = CatalogReport()
    text = "object_id,label\n1,Er\n2,Sb\n1,\n1,Sb\n1,Er\n"
    assert read_catalog(write(tmp_path, text), report=report)["object_id"].to_pylist() == ["2"]
    assert [(fault.code, fault.row) for fault in report.rejects] == [("two_classes", row) for row in (1, 3, 4, 5)]
    assert {fault.reason for fault in report.rejects} == {"1 is 'Er' in row 1 and 'Sb' in row 4"}


def test_rows_that_are_left_out_count_for_nothing_else(tmp_path) -> None:
    name = "t01_smooth_or_features_a01_smooth_debiased"
    report = CatalogReport()
    rows = "1,0.9\n2,90\n2,0.9\n,0.9\n"  # the second 2 has no double that counts
    table = read_catalog(write(tmp_path, f"object_id,{name}\n{rows}"), report=report)
    assert table["object_id"].to_pylist() == ["1", "2"]
    assert [(fault.code, fault.row) for fault in report.rejects] == [("bad_votes", 2), ("no_id", 4)]
    assert report.stopped == {"t07_rounded": 2}


def test_an_object_without_a_file_in_the_mapping_is_named(tmp_path) -> None:
    catalog = write(
        tmp_path, f"dr7objid,gz2_class,t01_smooth_or_features_a01_smooth_debiased\n{ID},Er,1\n{OTHER},Ei,1\n"
    )
    mapping = write(tmp_path, f"objid,sample,asset_id\n{ID},original,68\n", "m.csv")
    with pytest.raises(CatalogError, match=r"no_asset_id \(1\): row 2: the mapping has no file"):
        read_catalog(catalog, mapping=mapping)
    report = CatalogReport()
    assert read_catalog(catalog, mapping=mapping, report=report)["asset_id"].to_pylist() == ["68"]


def test_votes_that_are_missing_are_null_and_counted(tmp_path) -> None:
    column = "t01_smooth_or_features_a01_smooth_debiased"
    path = write(tmp_path, f"dr7objid,gz2_class,{column}\n1,Er,0.5\n2,Ei,\n3,Ec,NaN\n")
    report = CatalogReport()
    assert read_catalog(path, report=report)[column].to_pylist() == [0.5, None, None]
    assert report.notes == {"nan_votes": 2}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("50", "look like percentages"),
        ("-0.5", "outside"),
        ("500", "outside"),
        ("x", "column t01_smooth_or_features_a01_smooth_debiased, row 2: not a number .*'x'"),
    ],
)
def test_votes_that_are_no_fractions_are_refused(value, words, tmp_path) -> None:
    column = "t01_smooth_or_features_a01_smooth_debiased"
    with pytest.raises(CatalogError, match=words):
        read_catalog(write(tmp_path, f"dr7objid,gz2_class,{column}\n1,Er,0.5\n2,Ei,{value}\n"))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["x,-5,3"], "ra is text such as 'x'"),
        (["361,5,3"], "ra runs from 361 to 361; expected 0 to 360 deg"),
        (["5,91,3"], "dec runs from"),
        ([f"{n / 10},{n / 100},3" for n in range(30)], "look like radians"),
        ([f"{n * 10},{n},0.001" for n in range(3)], "looks like degrees; expected arcsec"),
    ],
)
def test_wrong_units_are_named(rows, words, tmp_path) -> None:
    text = "id,ra,dec,petroR90_r\n" + "".join(f"{n},{row}\n" for n, row in enumerate(rows))
    with pytest.raises(CatalogError, match=words):
        read_catalog(write(tmp_path, text))


@pytest.mark.parametrize("suffix", ["fits", "vot"])
def test_units_of_the_file_are_believed(suffix, tmp_path) -> None:
    from astropy import units
    from astropy.table import Table

    table = Table({"id": ["a"], "ra": [3.0] * units.hourangle if suffix == "fits" else [3.0] * units.rad, "dec": [1.0]})
    if suffix == "fits":
        table["ra"].unit = units.rad
    table.write(tmp_path / f"c.{suffix}", format="votable" if suffix == "vot" else "fits")
    with pytest.raises(CatalogError, match="ra is in rad; expected deg"):
        read_catalog(tmp_path / f"c.{suffix}")


@pytest.mark.parametrize("name", ["c.csv", "c.csv.gz", "c.parquet", "c.fits", "c.vot"])
@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n\x00\xff\xfe"])
def test_a_file_that_is_not_what_it_says_is_an_error(name, content, tmp_path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CatalogError, match=name):
        read_catalog(tmp_path / name)


def test_missing_and_unknown_files_are_errors(tmp_path) -> None:
    with pytest.raises(CatalogError, match="table not found"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(CatalogError, match="not a table by its name"):
        read_table(tmp_path / "none.docx")
    with pytest.raises(CatalogError, match="unknown catalog format"):
        read_catalog(write(tmp_path, "id\n1\n"), "hart")
    with pytest.raises(CatalogError, match="duplicate columns: id"):
        read_catalog(write(tmp_path, "id,id\n1,2\n"))


def test_a_missing_column_is_shown_with_the_columns_of_the_file_alone(tmp_path) -> None:
    with pytest.raises(CatalogError, match=r"object_id \(got thing, kind\)"):
        read_catalog(write(tmp_path, "thing,kind\n1,Sb\n"))


def test_a_failed_write_leaves_the_old_file(tmp_path) -> None:
    path = write_table(pa.table({"a": [1]}), tmp_path / "t.csv")
    with pytest.raises(pa.ArrowInvalid):
        write_table(pa.table({"a": pa.array([{"x": 1}])}), path)
    assert path.read_text() == '"a"\n1\n'
    assert [each.name for each in tmp_path.iterdir()] == ["t.csv"]


def test_a_type_guessed_from_the_first_rows_may_be_wrong(tmp_path) -> None:
    padding = "x" * 1000
    rows = "".join(f"{n},{n},{padding}\n" for n in range(20_000))
    path = write(tmp_path, "object_id,remark,padding\n" + rows + "last,word,x\n")
    assert read_table(path)["remark"].to_pylist()[-1] == "word"


def test_vote_columns_are_float32_and_nan_free(tmp_path) -> None:
    path = write(
        tmp_path,
        "dr7objid,gz2_class,t02_edgeon_a04_yes_fraction,t01_smooth_or_features_a01_smooth_fraction\n1,Er,1,1\n",
    )
    table = read_catalog(path)
    assert table["t02_edgeon_a04_yes_fraction"].type == pa.float32()
    assert not np.isnan(table["t02_edgeon_a04_yes_fraction"].to_numpy()).any()


def test_a_row_with_a_bad_position_does_not_take_its_twin_along(tmp_path) -> None:
    path = tmp_path / "c.csv"
    path.write_text("objid,label,ra,dec\n1,Er,900,1\n1,Er,10,1\n2,Er,1,1\n3,Er,1,1\n")
    report = CatalogReport()
    table = read_catalog(path, report=report)
    assert table.select(["object_id", "ra"]).to_pylist() == [
        {"object_id": "1", "ra": 10.0}, {"object_id": "2", "ra": 1.0}, {"object_id": "3", "ra": 1.0}
    ]  # fmt: skip
    assert [(fault.code, fault.row) for fault in report.rejects] == [("bad_position", 1)]


def test_an_object_at_two_places_has_none(tmp_path) -> None:
    path = tmp_path / "c.csv"
    path.write_text(
        "object_id,ra,dec\na,10,2\na,50,20\nb,359.9999,80\nb,0.0001,80\nc,1,2\nc,,\na,10,2\nd,1,89\nd,1,89.01\n"
    )
    report = CatalogReport()
    assert read_catalog(path, report=report, any_label=True)["object_id"].to_pylist() == ["b", "c"]
    assert [(fault.code, fault.row) for fault in report.rejects] == [
        *(("two_positions", row) for row in (1, 2, 7, 8, 9)),
        *(("duplicate_id", row) for row in (4, 6)),
    ]
    assert report.rejects[0].reason == "a has different positions in row 1 and row 2"


def test_a_table_that_is_no_file_is_refused_and_never_waited_for(tmp_path) -> None:
    os.mkfifo(tmp_path / "c.csv")
    (tmp_path / "f.csv").mkdir()
    said = {"c.csv": "is a pipe, socket or device: save the table as a file", "f.csv": "is a folder"}
    for name, words in said.items():
        with pytest.raises(CatalogError, match=words):
            read_catalog(tmp_path / name)
        config = {
            "workspace": str(tmp_path / "w"),
            "prepare.images": str(tmp_path),
            "prepare.catalog": str(tmp_path / name),
        }
        with pytest.raises(CatalogError, match=words):
            prepare(load_config(None, config), progress=False)
