"""A user's catalog with our columns: every row, column, unit and description of it is still there."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from astropy.io import fits
from astropy.table import Table
from click.testing import CliRunner
from database.joining import IDS, images_of_rows, join, mine
from tiny_model import tiny_model

from galclass.cli import cli
from galclass.database import Images, NewImage, Registry, open_database, score_pending
from galclass.database.export import predictions_by_id
from galclass.database.sky import healpix_column
from galclass.joined import join_rows


@pytest.fixture
def folder(tmp_path: Path, galaxies: dict[str, bytes]) -> Path:
    return images_of_rows(tmp_path, galaxies)


@pytest.mark.parametrize("name", ["c.fits", "c.fits.gz", "c.ecsv", "c.vot"])
def test_a_table_of_astronomers_keeps_everything(folder: Path, tmp_path: Path, name: str) -> None:
    table, source, output = mine(), tmp_path / name, tmp_path / "out" / name
    kind = {"c.vot": "votable", "c.ecsv": "ascii.ecsv"}.get(name, "fits")
    table.write(source, format=kind)
    before = Table.read(source, format=kind, **({"hdu": 1} if kind == "fits" else {}))
    done = join(folder, source, output)
    assert done.exit_code == 3, done.output
    assert "5 rows = 4 with a prediction + 1 without (1 no_image)" in done.output
    assert "1 images match no row" in done.output
    assert "the new ones are galclass_error" in done.output
    after = Table.read(output, format=kind, **({"hdu": 1} if kind == "fits" else {}))
    assert after.colnames[: len(before.colnames)] == before.colnames
    for column in before.colnames:
        assert after[column].dtype == before[column].dtype
        assert after[column].unit == before[column].unit
        assert np.array_equal(np.ma.getmaskarray(after[column]), np.ma.getmaskarray(before[column]))
        assert repr(list(after[column])) == repr(list(before[column]))
        assert after[column].description == before[column].description
    assert list(after["objid"]) == IDS
    assert after["predicted_Sb"].dtype.kind == "f"
    assert np.isnan(float(np.ma.filled(after["predicted_Sb"], np.nan)[4]))
    assert after["predicted_class"].description.startswith("class where")
    for key in ("SURVEY",) if kind != "votable" else ():
        assert after.meta[key] == "mine"
    if kind != "votable":
        assert "GCMODEL" in after.meta


def test_other_hdus_of_a_fits_file_stay(folder: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "c.fits", tmp_path / "out.fits"
    primary = fits.PrimaryHDU(np.ones((3, 3)))
    primary.header["OBSERVER"] = "me"
    second = fits.table_to_hdu(Table({"x": [1]}))
    first = fits.table_to_hdu(mine())
    first.columns.change_unit("flux", "nanomaggies/h")
    first.header["TCOMM2"] = "as the survey says"
    fits.HDUList([primary, first, second]).writeto(source)
    assert join(folder, source, output).exit_code == 3
    with fits.open(output) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "GALAXIES", ""]
        assert hdus[0].header["OBSERVER"] == "me"
        assert hdus[0].data.sum() == 9
        assert (hdus[1].header["TUNIT2"], hdus[1].header["TCOMM2"]) == ("nanomaggies/h", "as the survey says")
        assert hdus[2].data["x"].tolist() == [1]
    assert join(folder, source, tmp_path / "other.fits", "--table", "GALAXIES").exit_code == 3


def test_parquet_is_read_by_pandas_with_what_it_had(folder: Path, tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"objid": pd.array(IDS, "Int64"), "flags": ["x"] * 5, "when": pd.to_datetime(["2020-01-01"] * 5)}
    )
    frame["part"] = [[1, 2], [], [3], [4], [5]]
    frame.to_parquet(tmp_path / "c.parquet")
    done = join(folder, tmp_path / "c.parquet", tmp_path / "out.parquet", "--embedding")
    assert done.exit_code == 3, done.output
    after = pd.read_parquet(tmp_path / "out.parquet")
    pd.testing.assert_frame_equal(after[frame.columns], pd.read_parquet(tmp_path / "c.parquet"))
    assert "galclass_flags" in after
    assert after["embedding"][0].dtype == np.float32
    schema = pyarrow.parquet.read_schema(tmp_path / "out.parquet")
    assert b"GCSHA256" in schema.metadata
    assert schema.field("predicted_class").metadata[b"description"].startswith(b"class where")


def test_cells_of_csv_stay_as_they_were_written(folder: Path, tmp_path: Path) -> None:
    lines = ["objid,note,x", *(f'{key},"=1+1, ""a""  ",1.50' for key in IDS)]
    (tmp_path / "c.csv").write_text("\n".join(lines) + "\n")
    assert join(folder, tmp_path / "c.csv", tmp_path / "out.csv").exit_code == 3
    after = pd.read_csv(tmp_path / "out.csv", dtype=str, keep_default_na=False)
    assert after["objid"].tolist() == list(map(str, IDS))
    assert set(after["note"]) == {'=1+1, "a"  '}
    assert set(after["x"]) == {"1.50"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.csv", 'objid;flux;note\n587722981742084144;"1,5";a\n3;"2,5";b\n'),
        ("c.csv", "objid\tflux\tnote\n587722981742084144\t1,5\ta\n3\t2,5\tb\n"),
        ("c.tsv", "objid\tflux\tnote\n587722981742084144\t1,5\ta\n3\t2,5\tb\n"),
        ("c.csv", '# of the survey\nobjid,flux,note\n587722981742084144,"1,5",a\n# more\n3,"2,5",b\n'),
        ("c.csv", 'sep=;\nobjid;flux;note\n587722981742084144;"1,5";a\n3;"2,5";b\n'),
    ],
    ids=["semicolons", "tabs", "tsv", "comments", "sep"],
)
def test_cells_are_found_whatever_separates_them(folder: Path, tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    done = join(folder, tmp_path / name, tmp_path / "out.csv")
    assert done.exit_code == 0
    assert ("2 comment lines (with # in front) of the table were left out" in done.output) == ("#" in text)
    sign = next(sign for sign in (";", "\t", ",") if sign in text.splitlines()[1])
    after = pd.read_csv(tmp_path / "out.csv", dtype=str, sep="," if name == "c.tsv" else sign)
    expected = [["587722981742084144", "1,5", "a"], ["3", "2,5", "b"]]
    assert after[["objid", "flux", "note"]].to_numpy().tolist() == expected
    assert after["object_id"].tolist() == ["587722981742084144", "3"]


def test_a_cell_with_a_carriage_return_stays_one_cell(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_bytes(b'objid,note\n3,"a\rb"\n')
    assert join(folder, tmp_path / "c.csv", tmp_path / "out.csv").exit_code == 0
    with (tmp_path / "out.csv").open(newline="") as file:
        assert [row[:2] for row in csv.reader(file)] == [["objid", "note"], ["3", "a\rb"]]


@pytest.mark.parametrize("output", ["out.parquet", "out.csv", "out.vot", "out.ecsv", "out.fits"])
def test_a_fits_table_can_become_another_kind(folder: Path, tmp_path: Path, output: str) -> None:
    mine().write(tmp_path / "c.fits")
    done = join(folder, tmp_path / "c.fits", tmp_path / output)
    assert done.exit_code == 3, done.output
    if output.endswith(".parquet"):
        table = pyarrow.parquet.read_table(tmp_path / output)
        assert table["objid"].to_pylist() == IDS
        assert table["count"].to_pylist()[0] is None
        assert table.schema.field("flux").metadata[b"unit"] == b"Jy"
        assert len(table["spectrum"][0].as_py()) == 6


@pytest.mark.parametrize("output", ["out.fits", "out.vot", "out.ecsv", "out.csv"])
def test_a_parquet_table_can_become_another_kind(folder: Path, tmp_path: Path, output: str) -> None:
    table = pa.table({"objid": IDS, "x": pa.array([1, None, 3, 4, 5]), "t": ["a", None, "c", "d", "e"]})
    pyarrow.parquet.write_table(table, tmp_path / "c.parquet")
    done = join(folder, tmp_path / "c.parquet", tmp_path / output)
    assert done.exit_code == 3, done.output


def test_a_table_without_rows_stays_one(folder: Path, tmp_path: Path) -> None:
    mine(0).write(tmp_path / "c.fits")
    done = join(folder, tmp_path / "c.fits", tmp_path / "out.fits")
    assert done.exit_code == 0, done.output
    assert len(Table.read(tmp_path / "out.fits")) == 0


def test_what_cannot_be_joined_is_said_before_anything_is_scored(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("objid,x\nelsewhere,1\n")
    for output, more, told in [
        ("out.xlsx", (), "not a table by its name"),
        ("out.txt", (), "tables cannot be written in this format"),
        ("c.csv", (), "--output would replace"),
        ("out.csv", (), "no row of the catalog has an image"),
        ("out.csv", ("--id-column", "nothing"), "nothing"),
    ]:
        done = join(folder, tmp_path / "c.csv", tmp_path / output, *more)
        assert done.exit_code in (1, 2), done.output
        assert told in (done.output + str(done.exception)), done.output
    assert not (tmp_path / "out.csv").exists()
    (tmp_path / "c.csv").write_text("objid,x\n3,1,2\n")
    assert "differ in their number of columns" in str(join(folder, tmp_path / "c.csv", tmp_path / "o.csv").exception)


def test_two_images_of_one_row_are_named(folder: Path, tmp_path: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / "3.png").write_bytes((folder / "3.jpg").read_bytes())
    (tmp_path / "c.csv").write_text("objid\n3\n587722981742084144\n")
    assert join(folder, tmp_path / "c.csv", tmp_path / "out.csv").exit_code == 3
    errors = pd.read_csv(tmp_path / "out.csv")["error"]
    assert errors[0].startswith("several_images")
    assert "3.png" in errors[0]


def test_the_database_joins_the_same_way(folder: Path, tmp_path: Path) -> None:
    common = ["--database", f"sqlite:///{tmp_path}/g.db"]
    for words in (
        ["models", "register", str(tmp_path / "tiny.onnx"), "--name", "tiny"],
        ["images", "add", str(folder)],
    ):
        assert CliRunner().invoke(cli, [*words, *common]).exit_code == 0
    assert CliRunner().invoke(cli, ["score", "--model", "tiny", *common]).exit_code == 0
    mine().write(tmp_path / "c.fits")
    done = CliRunner().invoke(
        cli, ["db", "export", str(tmp_path / "o.fits"), "--catalog", str(tmp_path / "c.fits"), *common]
    )
    assert done.exit_code == 3, done.output
    assert "5 rows = 4 with a prediction + 1 without (1 no_prediction)" in done.output
    assert list(Table.read(tmp_path / "o.fits", hdu=1)["objid"]) == IDS


@pytest.mark.parametrize("name", ["o.fits", "o.vot", "o.ecsv", "o.parquet", "o.csv"])
def test_the_database_joins_healpix_indices_with_all_their_digits(folder: Path, tmp_path: Path, name: str) -> None:
    output, database = tmp_path / name, open_database(f"sqlite:///{tmp_path}/g.db", migrate=True)
    Registry(database).register(tiny_model(), name="tiny")
    Images(database).add([NewImage(path.stem, path.read_bytes()) for path in folder.iterdir() if path.stem == "3"])
    placed = folder / f"{IDS[0]}.jpg"
    Images(database).add([NewImage(placed.stem, placed.read_bytes(), ra=150.0, dec=2.0)])
    score_pending(database, model="tiny@1")
    table = pa.table({"objid": [str(IDS[0]), "3", "absent"]})
    pyarrow.parquet.write_table(table, tmp_path / "c.parquet")
    join_rows(tmp_path / "c.parquet", predictions_by_id(database), output)
    if name.endswith((".parquet", ".csv")):
        read = pyarrow.parquet.read_table if name == "o.parquet" else pyarrow.csv.read_csv
        found = read(output)["_healpix_29"].to_pylist()
    else:
        kinds = {"o.fits": "fits", "o.vot": "votable", "o.ecsv": "ascii.ecsv"}
        found = Table.read(output, format=kinds[name])["_healpix_29"].tolist()
    (index,) = healpix_column([150.0], [2.0])
    assert index is not None
    assert index > 2**53
    assert found == [index, None, None]


SURVEY = """<?xml version="1.0" encoding="UTF-8"?>
<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">
 <INFO name="queryURL" value="http://survey/query"/>
 <COOSYS ID="H_2000" system="ICRS" epoch="2000"/>
 <RESOURCE name="mine"><PARAM name="release" datatype="char" arraysize="*" value="DR7"/>
  <TABLE name="galaxies">
   <PARAM name="limit" datatype="float" unit="mag" value="17.5"/>
   <FIELD name="objid" ucd="meta.id;meta.main" datatype="char" arraysize="*"/>
   <FIELD name="RAJ2000" ID="ra_id" ucd="pos.eq.ra" ref="H_2000" datatype="double" unit="deg"/>
   <FIELD name="n" datatype="int"><VALUES null="-99"/></FIELD>
   <GROUP name="position"><FIELDref ref="ra_id"/></GROUP>
   <DATA><TABLEDATA><TR><TD>3</TD><TD>10.5</TD><TD>7</TD></TR><TR><TD>0009</TD><TD/><TD>-99</TD></TR></TABLEDATA></DATA>
  </TABLE>
 </RESOURCE>
 <RESOURCE><TABLE name="other"><FIELD name="z" datatype="float"/>
  <DATA><TABLEDATA><TR><TD>1</TD></TR></TABLEDATA></DATA></TABLE></RESOURCE>
</VOTABLE>
"""


def test_a_votable_keeps_its_names_other_tables_and_what_it_says(folder: Path, tmp_path: Path) -> None:
    from astropy.io.votable import parse

    (tmp_path / "c.vot").write_text(SURVEY)
    first = tmp_path / "first.vot"
    assert join(folder, tmp_path / "c.vot", first).exit_code == 3
    for source, output, prefix in ((tmp_path / "c.vot", first, ""), (first, tmp_path / "again.vot", "galclass_")):
        join(folder, source, output)
        tree = parse(output, verify="exception")
        mine, other = tree.iter_tables()
        assert [field.name for field in mine.fields][:3] == ["objid", "RAJ2000", "n"]
        assert f"{prefix}predicted_Er" in [field.name for field in mine.fields]
        assert (mine.fields[1].ucd, mine.fields[1].ref, str(mine.fields[1].unit)) == ("pos.eq.ra", "H_2000", "deg")
        assert len({field.ID for field in mine.fields}) == len(mine.fields)
        assert [(info.name, info.value) for info in tree.infos] == [("queryURL", "http://survey/query")]
        assert (tree.coordinate_systems[0].ID, tree.resources[0].params[0].value) == ("H_2000", "DR7")
        assert (mine.params[0].value, mine.groups[0].name, other.name) == (17.5, "position", "other")
        assert [info.value for info in mine.infos if info.name == "GCMODEL"] == ["galaxy@0"]
        assert list(mine.array["objid"]) == ["3", "0009"]
        assert mine.array["n"].mask.tolist() == [False, True]
    assert join(folder, first, tmp_path / "packed.vot.gz").exit_code == 3
    assert len(Table.read(tmp_path / "packed.vot.gz", format="votable", table_id=0)) == 2


def test_texts_of_any_length_become_a_column_of_fits(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "c.vot").write_text(SURVEY)
    assert join(folder, tmp_path / "c.vot", tmp_path / "out.fits").exit_code == 3
    table = Table.read(tmp_path / "out.fits")
    assert table["objid"].tolist() == ["3", "0009"]
    assert str(table["RAJ2000"].unit) == "deg"


@pytest.mark.parametrize("output", ["out.fits", "out.vot", "out.ecsv", "out.parquet"])
def test_numbers_of_a_csv_file_are_numbers_where_columns_have_types(folder: Path, tmp_path: Path, output: str) -> None:
    cells = ["0003,1.5,7,0071,+1,12345678901234567.5,1e-3", "3,,,12,2,1.0,nan", "9,-2,9007199254740993,1,3,2,.5"]
    (tmp_path / "c.csv").write_text("\n".join(["objid,ra,n,zeros,plus,long,e", *cells]) + "\n")
    assert join(folder, tmp_path / "c.csv", tmp_path / output).exit_code == 3
    if output.endswith(".parquet"):
        table = pyarrow.parquet.read_table(tmp_path / output)
        found = {name: table[name].to_pylist() for name in table.column_names}
    else:
        astro = Table.read(tmp_path / output, **({"format": "votable"} if output.endswith("vot") else {}))
        found = {name: astro[name].tolist() for name in astro.colnames}
    assert found["objid"] == ["0003", "3", "9"]
    assert (found["ra"][0], found["ra"][2]) == (1.5, -2)
    assert found["ra"][1] is None or np.isnan(found["ra"][1])
    assert found["n"] == [7, None, 9007199254740993]
    assert found["zeros"] == ["0071", "12", "1"]
    assert found["plus"][0] == 1
    assert found["long"][0] == "12345678901234567.5"
    assert found["e"][2] == 0.5


def test_a_column_that_a_format_cannot_hold_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("objid,name\n3,Galaxie \u00e9\n", encoding="utf-8")
    error = str(join(folder, tmp_path / "c.csv", tmp_path / "out.fits").exception)
    assert "out.fits, column name: this table cannot be written as fits" in error
    assert "Write .ecsv, .vot or .parquet, or leave the column out" in error
    wide = Table({"objid": [3], "z": np.array([1 + 2j])})
    wide.write(tmp_path / "c.ecsv")
    error = str(join(folder, tmp_path / "c.ecsv", tmp_path / "out.parquet").exception)
    assert "out.parquet, column z: this table cannot be written as parquet" in error
    assert not list(tmp_path.glob("out.*"))


def test_paths_beyond_ascii_are_escaped_in_fits(folder: Path, tmp_path: Path) -> None:
    (folder / "gal\u00e9").mkdir()
    (folder / "3.jpg").rename(folder / "gal\u00e9" / "3.jpg")
    (tmp_path / "c.csv").write_text("objid\n3\n")
    assert join(folder, tmp_path / "c.csv", tmp_path / "out.fits").exit_code == 0
    assert Table.read(tmp_path / "out.fits")["file"][0].endswith("/gal\\xe9/3.jpg")


@pytest.mark.parametrize(
    ("name", "output", "sign", "comma", "said"),
    [
        ("c.csv", "out.csv", ";", True, "semicolons between the columns, with decimal commas, as the table is"),
        ("c.csv", "out.csv", ";", False, "semicolons between the columns, as the table is"),
        ("c.csv", "out.csv", "\t", False, "tabs between the columns, as the table is"),
        ("c.csv", "out.tsv", ";", True, "tabs between the columns, with decimal commas (the table: semicolons)"),
        ("c.tsv", "out.tsv", "\t", False, ""),
        ("c.csv", "out.csv", "|", False, "vertical bars between the columns, as the table is"),
        ("c.tsv", "out.csv", "\t", False, ""),
        ("c.dat", "out.csv", " ", False, "commas between the columns (the table: spaces)"),
        ("c.csv", "out.parquet", ";", True, "fractions with decimal commas stay text"),
        ("c.csv", "out.csv", ",", False, ""),
    ],
)
def test_the_new_table_has_the_separator_and_decimal_sign_of_the_users(
    folder: Path, tmp_path: Path, name: str, output: str, sign: str, comma: bool, said: str
) -> None:
    flux = "1,5" if comma else "1.5"
    rows = [["objid", "flux", "name"], [str(IDS[0]), flux, "a"], [str(IDS[1]), flux, "b"]]
    (tmp_path / name).write_text("".join(sign.join(row) + "\n" for row in rows))
    done = join(folder, tmp_path / name, tmp_path / output)
    assert done.exit_code == 0, done.output
    assert said in done.output
    assert ("between the columns" in done.output) == ("between" in said)
    if output.endswith(".parquet"):
        return
    written = "\t" if output.endswith(".tsv") else sign if name.endswith(".csv") else ","
    with (tmp_path / output).open(newline="") as file:
        header, first, _ = csv.reader(file, delimiter=written)
    assert first[:3] == rows[1]
    share = first[header.index("predicted_Er")]
    assert ("," in share, "." in share) == (comma, not comma)
    assert 0 <= float(share.replace(",", ".")) <= 1
