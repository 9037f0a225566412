"""How a table of text is written, read off its cells, and cells that must come back as they were."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from galclass.catalog import read_table
from galclass.catalog.dialect import COMMAS, Dialect, write_cells
from galclass.catalog.generic import CatalogColumns
from galclass.catalog.own_table import read_own_table


@pytest.mark.parametrize(
    ("columns", "comma"),
    [
        ([["0,031", "1,2"], ["a", "b"]], True),
        ([["0,031", "NA"], ["1.234", "12.345.678"]], True),  # thousands
        ([["12,5", "3,7"], ["0.031", "1.2"]], False),  # pairs beside decimal points
        ([["0.031", "1.2"]], False),
        ([["1,5e-3"]], True),
        ([["a, b", "1,5"]], False),  # words
        ([["7", "8"], [""]], False),
    ],
)
def test_decimal_commas_are_those_of_columns_of_numbers(columns: list[list[str]], comma: bool) -> None:
    assert Dialect.of(";", columns) == Dialect(";", comma)
    assert Dialect.of(",", columns) == COMMAS


def test_ids_with_a_comma_make_no_decimal_comma(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('objid;n\n"12,5";1\n"3,7";2\n')
    table = read_own_table(tmp_path / "t.csv", CatalogColumns(id="objid"))
    assert table.dialect == Dialect(";", False)


def test_a_first_cell_that_begins_like_a_comment_stays_a_row(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    write_cells(pa.table({"id": ["#1", "2"], "n": ["a", "b"]}), pa.table({"p": [0.5, None]}), path, COMMAS)
    assert read_table(path).column("id").to_pylist() == ["#1", "2"]
