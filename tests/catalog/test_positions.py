"""Positions: degrees from numbers and sexagesimal text, under the names that surveys give them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from galclass.catalog import CatalogColumns, CatalogReport, read_catalog
from galclass.catalog.positions import degrees_of
from galclass.errors import CatalogError


@pytest.mark.parametrize(
    ("text", "hours", "degrees"),
    [
        ("180.5", True, 180.5),
        ("1e2", True, 100.0),
        ("12:00:01.5", True, 180.00625),
        ("12 00 01.5", True, 180.00625),
        ("12h00m01.5s", True, 180.00625),
        ("12h 00m 01.5s", False, 180.00625),
        ("12h30m", True, 187.5),
        ("12 30", True, 187.5),
        ("-00 10 22", False, -(10 / 60 + 22 / 3600)),
        ("-00:10:22", False, -(10 / 60 + 22 / 3600)),
        ("\u221200d10m22s", False, -(10 / 60 + 22 / 3600)),
        ("+15\u00b030\u203200\u2033", False, 15.5),
        ("180d30m00s", True, 180.5),
        (" -90:00:00 ", False, -90.0),
        ("10 59 60.0", False, 11.0),
    ],
)
def test_sexagesimal_text_becomes_degrees(text, hours, degrees) -> None:
    assert degrees_of(text, hours=hours) == pytest.approx(degrees, abs=1e-12)


@pytest.mark.parametrize("text", ["x", "12:60:00", "12:00:61", "12:-3:00", "1:2:3:4", "12::00", "", "h", "12h"])
def test_other_text_is_no_position(text) -> None:
    with pytest.raises(ValueError):
        degrees_of(text, hours=True)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.floats(-90, 90), st.sampled_from([" ", ":", "dms", "hms"]))
def test_what_astropy_writes_is_read_back(degrees, style) -> None:
    from astropy.coordinates import Angle

    unit = "hourangle" if style == "hms" else "deg"
    written = Angle(degrees, "deg").to_string(unit, sep=style if len(style) == 1 else "fromunit", precision=6)
    assert degrees_of(written, hours=False) == pytest.approx(degrees, abs=1e-8)


@pytest.mark.parametrize(
    ("ra", "dec"),
    [("ra", "dec"), ("RA", "Dec"), ("RAJ2000", "DEJ2000"), ("_RAJ2000", "_DEJ2000"), ("RA_ICRS", "DE_ICRS")],
)
def test_the_usual_names_become_ra_and_dec(ra, dec, tmp_path) -> None:
    (tmp_path / "c.csv").write_text(f"id,label,{ra},{dec}\n1,Er,00 00 00.41,-00 10 22\n2,Er,,\n")
    table = read_catalog(tmp_path / "c.csv")
    assert table["ra"].to_pylist() == [pytest.approx(0.41 / 240), None]
    assert table["dec"].to_pylist() == [pytest.approx(-0.17277777), None]


def test_other_names_can_be_told(tmp_path) -> None:
    (tmp_path / "c.csv").write_text("id,label,x,y\n1,Er,12:00:00,0.5\n2,Er,13:00:00,1.5\n")
    table = read_catalog(tmp_path / "c.csv", columns=CatalogColumns(ra="X", dec="y"))
    assert table.select(["ra", "dec"]).to_pylist() == [{"ra": 180.0, "dec": 0.5}, {"ra": 195.0, "dec": 1.5}]
    with pytest.raises(CatalogError, match="columns are missing: z"):
        read_catalog(tmp_path / "c.csv", columns=CatalogColumns(ra="x", dec="z"))


def test_a_row_without_a_position_among_good_ones_is_a_named_reject(tmp_path) -> None:
    rows = "1,Er,10,5\n2,Er,11,-999\n3,Er,12,6\n4,Er,361,7\n5,Er,n/a,7\n6,Er,14,8\n"
    (tmp_path / "c.csv").write_text("id,label,ra,dec\n" + rows)
    report = CatalogReport()
    assert read_catalog(tmp_path / "c.csv", report=report)["object_id"].to_pylist() == ["1", "3", "5", "6"]
    assert [(fault.code, fault.row, fault.reason) for fault in report.rejects] == [
        ("bad_position", 2, "dec is -999; expected -90 to 90 deg"),
        ("bad_position", 4, "ra is 361; expected 0 to 360 deg"),
    ]
    (tmp_path / "c.csv").write_text("id,label,ra,dec\n1,Er,10:00:00,5\n2,Er,10:00:00,5\n3,Er,somewhere,5\n")
    report = CatalogReport()
    assert read_catalog(tmp_path / "c.csv", report=report).num_rows == 2
    assert report.rejects[0].reason == "ra is 'somewhere'; expected degrees or sexagesimal"


def test_a_column_of_other_text_is_an_error_with_the_bad_value(tmp_path) -> None:
    (tmp_path / "c.csv").write_text('id,label,ra,dec\n1,Er,180.5,1\n2,Er,"180,5",1\n3,Er,"181,5",1\n')
    with pytest.raises(CatalogError, match=r"ra is text such as '180,5'; .* \(row 2\)"):
        read_catalog(tmp_path / "c.csv")


def test_right_ascensions_that_may_be_hours_are_remarked(tmp_path) -> None:
    path, report = tmp_path / "c.csv", CatalogReport()
    path.write_text("object_id,ra,dec\n" + "".join(f"a{n},{n},{n}\n" for n in range(24)))
    assert len(read_catalog(path, report=report, any_label=True)) == 24
    assert report.remarks == ("every ra of 24 rows is below 24: hours must be multiplied by 15 first",)
    path.write_text("object_id,ra,dec\n" + "".join(f"a{n},{n + 1},{n}\n" for n in range(24)))
    other = CatalogReport()
    read_catalog(path, report=other, any_label=True)
    assert other.remarks == ()


def test_decimal_commas_are_named(tmp_path) -> None:
    path = tmp_path / "c.csv"
    path.write_text("object_id;ra;dec\na;180,5;2,25\n")
    with pytest.raises(
        CatalogError, match="ra is text such as '180,5'; expected degrees or sexagesimal with a decimal"
    ):
        read_catalog(path, any_label=True)
