from __future__ import annotations

import os
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet as parquet
import pytest
from tiny_model import tiny_model

from galclass.catalog import read_table
from galclass.database import Database, Images, NewImage, Registry, score_pending
from galclass.database.export import export_predictions
from galclass.database.sky import healpix_column
from galclass.errors import DatabaseError
from galclass.scoring import ROW_COLUMNS


@pytest.fixture
def scored(filled: Database, galaxies: dict[str, bytes]) -> Database:
    """Seventy-one predictions: one with a position, one with an error."""
    Images(filled).add([NewImage("placed", next(iter(galaxies.values())), ra=180.0, dec=45.0)])
    Images(filled).add([NewImage("broken", b"x")])
    score_pending(filled)
    return filled


def test_parquet_has_the_columns_of_the_contract_and_positions(scored: Database, tmp_path: Path) -> None:
    summary = export_predictions(scored, tmp_path / "out" / "p.parquet")
    table = parquet.read_table(tmp_path / "out" / "p.parquet")
    assert table.column_names == [*ROW_COLUMNS, "ra", "dec", "_healpix_29"]
    assert summary.rows == table.num_rows == 72
    rows = {row["object_id"]: row for row in table.to_pylist()}
    assert rows["broken"]["error"].startswith("not_an_image")
    assert rows["broken"]["predicted_Er"] is None
    assert rows["placed"]["_healpix_29"] == healpix_column([180.0], [45.0])[0]
    assert rows["broken"]["_healpix_29"] is None
    assert len(rows["placed"]["model_sha256"]) == 64
    assert os.listdir(tmp_path / "out") == ["p.parquet"]


@pytest.mark.parametrize("suffix", [".csv", ".fits", ".vot"])
def test_other_formats_hold_the_same_ids_as_text(scored: Database, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"p{suffix}"
    assert export_predictions(scored, path).rows == 72
    options = pyarrow.csv.ConvertOptions(column_types={"object_id": "string"})
    table = pyarrow.csv.read_csv(path, convert_options=options) if suffix == ".csv" else read_table(path)
    ids = [str(value).strip() for value in table["object_id"].to_pylist()]
    assert sorted(ids) == sorted(one.object_id for one in Images(scored).list(limit=100))


def test_one_model_can_be_chosen(scored: Database, tmp_path: Path) -> None:
    Registry(scored).register(tiny_model(2))
    score_pending(scored)
    assert export_predictions(scored, tmp_path / "all.parquet").rows == 144
    export_predictions(scored, tmp_path / "one.parquet", model="galaxy@2")
    assert set(parquet.read_table(tmp_path / "one.parquet")["model_version"].to_pylist()) == {2}


def test_nothing_to_export_gives_a_file_with_columns(database: Database, tmp_path: Path) -> None:
    export_predictions(database, tmp_path / "none.parquet")
    assert parquet.read_table(tmp_path / "none.parquet").num_rows == 0


def test_another_format_is_an_error(database: Database, tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="unknown format"):
        export_predictions(database, tmp_path / "p.xlsx")


def test_healpix_indices_are_nested() -> None:
    from astropy import units
    from astropy_healpix import HEALPix

    ra, dec = [0.0, 180.0, 359.0, 12.3], [0.0, 45.0, -89.0, 4.5]
    coarse = HEALPix(8, order="nested").lonlat_to_healpix(ra * units.deg, dec * units.deg)
    assert [index >> 2 * (29 - 3) for index in healpix_column(ra, dec) if index is not None] == list(coarse)
