"""Tables in and out: round trips through every kind, checked with astropy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from astropy.table import Table

from galclass.catalog import read_catalog, read_table, write_table

KINDS = ["t.csv", "t.csv.gz", "t.parquet", "t.fits", "t.vot"]


@pytest.fixture
def table() -> pa.Table:
    return pa.table(
        {
            "object_id": ["587722981741363294", "J0842+24", "PGC 1"],
            "label": ["Er", None, "SBc2m(r)"],
            "ra": [180.5, 0.0, 359.999],
            "votes": pa.array([0.1, None, 0.9], pa.float32()),
            "count": pa.array([1, None, -3], pa.int64()),
            "good": pa.array([True, False, True]),
            "prediction_set": pa.array([["Sb", "Sc"], [], ["Er"]]),
        }
    )


@pytest.mark.parametrize("name", KINDS)
def test_a_round_trip_keeps_ids_numbers_and_nulls(name, table, tmp_path) -> None:
    back = read_table(write_table(table, tmp_path / name))
    assert back.column_names == table.column_names
    assert back["object_id"].to_pylist() == table["object_id"].to_pylist()
    assert back["label"].to_pylist() == ["Er", None, "SBc2m(r)"]
    assert back["ra"].to_pylist() == [180.5, 0.0, 359.999]
    assert back["votes"].to_pylist() == [pytest.approx(0.1), None, pytest.approx(0.9)]
    assert back["count"].to_pylist() == [1, None, -3]
    assert [bool(value) for value in back["good"].to_pylist()] == [True, False, True]
    flat = [["Sb", "Sc"], [], ["Er"]] if name == "t.parquet" else ["Sb|Sc", None, "Er"]
    assert back["prediction_set"].to_pylist() == flat


@pytest.mark.parametrize(("name", "format"), [("t.fits", "fits"), ("t.vot", "votable"), ("t.csv", "ascii.csv")])
def test_astropy_reads_what_we_write(name, format, table, tmp_path) -> None:
    astropy_table = Table.read(write_table(table, tmp_path / name), format=format)
    assert [str(value).strip() for value in astropy_table["object_id"]][0] == "587722981741363294"
    assert np.allclose(np.asarray(astropy_table["ra"], float), [180.5, 0.0, 359.999])
    if format != "ascii.csv":
        assert str(astropy_table["ra"].unit) == "deg"


@pytest.mark.parametrize(("name", "format"), [("t.fits", "fits"), ("t.vot", "votable"), ("t.csv", "ascii.csv")])
def test_we_read_what_astropy_writes(name, format, tmp_path) -> None:
    astropy_table = Table(
        {
            "dr7objid": np.array([587722981741363294, 587722981741363323], np.int64),
            "gz2_class": ["Er", "SBc2m"],
            "t01_smooth_or_features_a01_smooth_debiased": [0.75, np.nan],
        }
    )
    astropy_table.write(tmp_path / name, format=format)
    table = read_catalog(tmp_path / name)
    assert table["object_id"].to_pylist() == ["587722981741363294", "587722981741363323"]
    assert table["label"].to_pylist() == ["Er", "SBc2m"]
    assert table["t01_smooth_or_features_a01_smooth_debiased"].to_pylist() == [0.75, None]


@pytest.mark.parametrize("name", KINDS)
def test_a_real_catalog_survives_every_kind(name, sample_folder, tmp_path) -> None:
    table = read_catalog(sample_folder / "gz2_hart16.csv", mapping=sample_folder / "gz2_filename_mapping.csv").slice(
        0, 50
    )
    back = read_catalog(write_table(table, tmp_path / name), "generic")
    assert back["object_id"].to_pylist() == table["object_id"].to_pylist()
    assert back["asset_id"].to_pylist() == table["asset_id"].to_pylist()
    assert back["label"].to_pylist() == table["label"].to_pylist()
    column = "t05_bulge_prominence_a11_just_noticeable_debiased"
    np.testing.assert_allclose(back[column].to_numpy(), table[column].to_numpy(), rtol=1e-6)


def test_a_byte_order_mark_and_windows_lines_are_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("object_id,label\r\n1,Er\r\n".encode("utf-8-sig"))
    assert read_catalog(tmp_path / "t.csv")["label"].to_pylist() == ["Er"]


def test_quoted_header_names_are_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('"object_id","label","a,b"\n"1","Er","x,y"\n')
    assert read_table(tmp_path / "t.csv").column_names == ["object_id", "label", "a,b"]
