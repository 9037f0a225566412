"""FITS, VOTable and ECSV as astronomers' tools write them: several tables, columns of no use, masks, pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.io.votable import from_table
from astropy.io.votable.tree import VOTableFile
from astropy.table import MaskedColumn, Table

from galclass import extras
from galclass.catalog import CatalogColumns, CatalogReport, read_catalog, read_table, write_table
from galclass.errors import CatalogError, ExtraError

STARS = Table({"hip": [1, 2, 3], "vmag": [1.0, 2.0, 3.0]})
GALAXIES = Table({"objid": [587722981741363294, 2], "label": ["Er", "Sb"]})


@pytest.fixture(params=["c.fits", "c.vot"])
def several(request, tmp_path) -> Path:
    path = tmp_path / request.param
    if path.suffix == ".fits":
        parts = [fits.PrimaryHDU(np.zeros((4, 4))), fits.table_to_hdu(STARS), fits.table_to_hdu(GALAXIES)]
        parts[1].name, parts[2].name = "STARS", "GALAXIES"
        fits.HDUList(parts).writeto(path)
    else:
        file = VOTableFile()
        for name, table in (("STARS", STARS), ("GALAXIES", GALAXIES)):
            resource = from_table(table).resources[0]
            resource.tables[0].name = name
            file.resources.append(resource)
        file.to_xml(str(path))
    return path


def test_of_several_tables_the_first_is_read_and_the_others_are_named(several) -> None:
    with pytest.raises(CatalogError, match=r"in table 1 \(STARS\) of 1 \(STARS\), 2 \(GALAXIES\): choose with"):
        read_catalog(several)


@pytest.mark.parametrize("wanted", ["2", "GALAXIES", "galaxies"])
def test_another_table_can_be_chosen(several, wanted) -> None:
    report = CatalogReport()
    table = read_catalog(several, columns=CatalogColumns(table=wanted), report=report)
    assert table["object_id"].to_pylist() == ["587722981741363294", "2"]
    assert report.remarks == ("read table 2 (GALAXIES) of 1 (STARS), 2 (GALAXIES)",)


def test_a_table_that_is_not_there_is_named_with_those_that_are(several, tmp_path) -> None:
    with pytest.raises(CatalogError, match=r"no .* '7' .*expected 1 \(STARS\), 2 \(GALAXIES\)"):
        read_catalog(several, columns=CatalogColumns(table="7"))
    (tmp_path / "c.csv").write_text("id,label\n1,Er\n")
    with pytest.raises(CatalogError, match="holds only one table"):
        read_catalog(tmp_path / "c.csv", columns=CatalogColumns(table="2"))


def test_a_picture_is_no_table_and_half_a_file_no_catalog(tmp_path) -> None:
    fits.PrimaryHDU(np.zeros((4, 4))).writeto(tmp_path / "picture.fits")
    with pytest.raises(CatalogError, match=r"a FITS file without a table .*got an image"):
        read_catalog(tmp_path / "picture.fits")
    Table({"objid": np.arange(10_000), "label": ["Er"] * 10_000}).write(tmp_path / "c.fits")
    whole = (tmp_path / "c.fits").read_bytes()
    (tmp_path / "c.fits").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CatalogError, match="incomplete|cannot be read"):
        read_catalog(tmp_path / "c.fits")


def test_columns_of_no_use_are_left_out_and_an_id_among_them_is_named(tmp_path) -> None:
    table = Table({"objid": [1, 2], "label": ["Er", "Sb"], "flux": np.ones((2, 3)), "wave": np.array([1j, 2j])})
    table.write(tmp_path / "c.fits")
    assert read_catalog(tmp_path / "c.fits").column_names == ["object_id", "asset_id", "label"]
    with pytest.raises(
        CatalogError, match=r"columns are missing: flux \(.*not usable here: flux \(list\), wave \(complex\)"
    ):
        read_catalog(tmp_path / "c.fits", columns=CatalogColumns(id="flux"))


def test_masked_values_are_missing(tmp_path) -> None:
    ids = MaskedColumn([1, 2, 3], mask=[False, True, False])
    votes = MaskedColumn([0.5, 0.5, 0.5], mask=[False, False, True])
    labels = MaskedColumn(["Er", "Sb", "x"], mask=[False, False, True])
    table = Table({"objid": ids, "label": labels, "t01_smooth_or_features_a01_smooth_debiased": votes})
    for name, kind in (("c.fits", "fits"), ("c.vot", "votable"), ("c.ecsv", "ascii.ecsv")):
        table.write(tmp_path / name, format=kind)
        report = CatalogReport()
        found = read_catalog(tmp_path / name, "generic", report=report)
        assert found["object_id"].to_pylist() == ["1", "3"]
        assert found["label"].to_pylist() == ["Er", None]
        assert found["t01_smooth_or_features_a01_smooth_debiased"].to_pylist() == [0.5, None]
        assert [fault.code for fault in report.rejects] == ["no_id"]


def test_text_of_a_fits_file_that_is_no_utf8_is_named_by_its_row(tmp_path) -> None:
    column = fits.Column("objid", "8A", array=np.array([b"M51", b"M\xe9chain"]))
    fits.BinTableHDU.from_columns([column]).writeto(tmp_path / "c.fits")
    with pytest.raises(CatalogError, match=r"column objid, row 2: bytes that are not UTF-8"):
        read_catalog(tmp_path / "c.fits")


# nested columns of Parquet and Arrow


def test_pictures_in_a_table_are_not_read_and_the_id_beside_them_is_found(tmp_path) -> None:
    pictures = [{"bytes": b"x", "path": f"{number}.jpg"} for number in (1, 2)]
    table = pa.table({"image": pictures, "id_str": ["1", "2"], "label": ["Er", "Sb"], "z": [[0.1], [0.2]]})
    pq.write_table(table, tmp_path / "c.parquet")
    pyarrow.feather.write_feather(table, tmp_path / "c.feather")
    for name in ("c.parquet", "c.feather"):
        report = CatalogReport()
        found = read_catalog(tmp_path / name, report=report)
        assert found.to_pylist()[0] == {"object_id": "1", "asset_id": "1", "label": "Er"}
        assert report.columns == ("id_str", "label", "image (not read: struct)", "z (not read: several values per row)")


def test_without_an_id_the_error_lists_the_columns_and_the_option(tmp_path) -> None:
    pq.write_table(pa.table({"image": [{"bytes": b"x"}], "nr": ["1"]}), tmp_path / "c.parquet")
    with pytest.raises(
        CatalogError, match=r"got nr; not usable here: image \(struct\)\)\. Name the column of ids with id_column"
    ):
        read_catalog(tmp_path / "c.parquet")


def test_columns_that_come_twice_in_parquet_are_named(tmp_path) -> None:
    twice = pa.Table.from_arrays([pa.array(["1"]), pa.array(["2"])], names=["id", "id"])
    pq.write_table(twice, tmp_path / "c.parquet")
    with pytest.raises(CatalogError, match="duplicate columns: id"):
        read_catalog(tmp_path / "c.parquet")


def test_a_column_with_a_dot_in_its_name_is_one_column(tmp_path) -> None:
    pq.write_table(pa.table({"id": ["1"], "label": ["Er"], "a.b": [5]}), tmp_path / "c.parquet")
    assert read_catalog(tmp_path / "c.parquet")["a.b"].to_pylist() == [5]


def test_galaxy_zoo_of_the_hub_gives_votes_and_clean_classes(tmp_path) -> None:
    smooth = {"smooth-or-featured-gz2_smooth": 18, "smooth-or-featured-gz2_featured-or-disk": 1}
    smooth |= {"smooth-or-featured-gz2_artifact": 1, "how-rounded-gz2_round": 17, "how-rounded-gz2_in-between": 1}
    smooth |= {"how-rounded-gz2_cigar": 0, "disk-edge-on-gz2_yes": 0, "disk-edge-on-gz2_no": 1}
    unclear = dict.fromkeys(smooth, 3)
    unasked = dict.fromkeys(smooth, 0)
    rows = [{"id_str": str(number)} | votes for number, votes in enumerate((smooth, unclear, unasked))]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "c.parquet")
    report = CatalogReport()
    table = read_catalog(tmp_path / "c.parquet", report=report)
    assert table["label"].to_pylist() == ["completely_round_smooth", None, None]
    assert report.notes["no_clean_class"] == 1
    assert report.stopped == {"t01_smooth_or_features": 1}
    assert table["t07_rounded_a16_completely_round_count"].to_pylist() == [17, 3, 0]
    assert table["t07_rounded_a16_completely_round_fraction"].to_pylist() == [
        pytest.approx(17 / 18),
        pytest.approx(1 / 3),
        None,
    ]


def test_campaigns_of_the_hub_side_by_side(tmp_path) -> None:
    names = ["smooth-or-featured-{}_smooth", "smooth-or-featured-{}_featured-or-disk", "smooth-or-featured-{}_artifact"]
    dr5 = dict(zip([name.format("dr5") for name in names], (9, 1, 0), strict=True))
    dr8 = dict(zip([name.format("dr8") for name in names], (1, 7, 0), strict=True))
    zeros = dict.fromkeys([*dr5, *dr8], 0)
    pq.write_table(
        pa.Table.from_pylist([{"id_str": "a"} | zeros | dr5, {"id_str": "b"} | zeros | dr8]), tmp_path / "c.parquet"
    )
    report = CatalogReport()
    table = read_catalog(tmp_path / "c.parquet", report=report)
    assert table["label"].to_pylist() == ["smooth", "features"]
    assert report.stopped == {"t02_edgeon": 1, "t07_rounded": 1}
    assert table["t01_smooth_or_features_a01_smooth_count"].to_pylist() == [9, 1]


def test_each_galaxy_of_mixed_campaigns_is_counted_by_its_own_campaign(tmp_path) -> None:
    first = ["smooth-or-featured-{}_smooth", "smooth-or-featured-{}_featured-or-disk", "smooth-or-featured-{}_artifact"]
    rows: list[dict[str, object]] = []
    for name, gz2, dr5 in (("decals", 0, (9, 1, 0)), ("unclean gz2", 3, (0, 0, 0)), ("nobody", 0, (0, 0, 0))):
        votes = {name.format("gz2"): gz2 for name in first} | {"how-rounded-gz2_round": gz2, "disk-edge-on-gz2_yes": 0}
        rows.append({"id_str": name} | votes | dict(zip([one.format("dr5") for one in first], dr5, strict=True)))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "c.parquet")
    report = CatalogReport()
    assert read_catalog(tmp_path / "c.parquet", report=report)["label"].to_pylist() == ["smooth", None, None]
    assert report.stopped == {"t01_smooth_or_features": 1, "t07_rounded": 1}
    assert report.notes["no_clean_class"] == 1


@pytest.mark.parametrize("form", ["tabledata", "binary2"])
def test_texts_of_a_votable_that_are_missing_are_none(form, tmp_path) -> None:
    table = Table(
        {
            "object_id": MaskedColumn(["a", "bb", "c", "d"], mask=[0, 1, 0, 0]),
            "number": MaskedColumn([1, 2, 3, 4], mask=[0, 1, 0, 0]),
            "list": np.ones((4, 2)),
            "label": MaskedColumn(["Er", "Sb", "Ei", "Ec"], mask=[0, 0, 1, 0]),
        }
    )
    table.write(tmp_path / "c.vot.gz" if form == "tabledata" else tmp_path / "c.vot", format="votable",
                tabledata_format=form)  # fmt: skip
    report = CatalogReport()
    found = read_catalog(next(tmp_path.iterdir()), report=report)
    assert found.select(["object_id", "label"]).to_pylist() == [
        {"object_id": "a", "label": "Er"},
        {"object_id": "c", "label": None},
        {"object_id": "d", "label": "Ec"},
    ]
    assert [(fault.code, fault.row) for fault in report.rejects] == [("no_id", 2)]


def test_texts_of_any_length_in_fits_are_text(tmp_path) -> None:
    columns = [
        fits.Column("id", "PA()", array=np.array(["NGC 1", "b"], dtype=object)),
        fits.Column("label", "2A", array=["Er", "Sb"]),
    ]
    fits.BinTableHDU.from_columns(columns).writeto(tmp_path / "c.fits")
    assert read_catalog(tmp_path / "c.fits")["object_id"].to_pylist() == ["NGC 1", "b"]


def test_whole_numbers_among_texts_are_ids(tmp_path) -> None:
    ids = np.array([587722981742084144, "b"], dtype=object)
    Table({"id": ids, "label": ["Er", "Sb"]}).write(tmp_path / "c.ecsv")
    assert read_catalog(tmp_path / "c.ecsv")["object_id"].to_pylist() == ["587722981742084144", "b"]


def test_tables_of_one_name_are_told_apart_by_number(tmp_path) -> None:
    parts = [fits.BinTableHDU(Table({"id": [number], "label": ["Er"]}), name="X") for number in (1, 2)]
    fits.HDUList([fits.PrimaryHDU(), *parts]).writeto(tmp_path / "c.fits")
    with pytest.raises(CatalogError, match=r"several tables are named X \(got 1 \(X\), 2 \(X\)\). Choose by number"):
        read_catalog(tmp_path / "c.fits", columns=CatalogColumns(table="X"))
    assert read_catalog(tmp_path / "c.fits", columns=CatalogColumns(table="2"))["object_id"].to_pylist() == ["2"]


def test_a_table_of_a_votable_is_chosen_by_its_id_too(tmp_path) -> None:
    rows = "<FIELD name='id' datatype='long'/><DATA><TABLEDATA><TR><TD>{}</TD></TR></TABLEDATA></DATA>"
    tables = [f"<TABLE ID='t{n}' name='odd name {n}'>{rows.format(n)}</TABLE>" for n in (1, 2)]
    (tmp_path / "c.vot").write_text(f"<VOTABLE version='1.3'><RESOURCE>{''.join(tables)}</RESOURCE></VOTABLE>")
    for wanted in ("t2", "odd name 2", "2"):
        table = read_catalog(tmp_path / "c.vot", columns=CatalogColumns(table=wanted))
        assert table["object_id"].to_pylist() == ["2"]


def test_tables_need_astropy_and_no_healpix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.fits"
    write_table(pa.table({"object_id": ["1"], "label": ["Er"]}), path)
    found = extras.find_spec
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "astropy_healpix" else found(name))
    assert read_table(path).num_rows == 1
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "astropy" else found(name))
    with pytest.raises(ExtraError, match=r"needs the extra astro .got no astropy."):
        read_table(path)
