"""Tables for people and for pipes: an id is an id, whatever the width."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result
from rich.console import Console
from rich.table import Table

from galclass.cli import cli, main
from galclass.cli.tables import show_table
from galclass.database import Images, NewImage, open_database

ID = "587729387686002878"
LONG = "a_file_name_longer_than_a_third_of_the_terminal.jpg"


def shown(width: int, first: str) -> str:
    table = Table("object_id", "class", "what it is", "probability", "flags")
    table.add_row(first, "Sb", "a spiral galaxy [with] a bar " * 4, "0.123", "unlike_training_data")
    text = io.StringIO()
    show_table(table, Console(file=text, width=width, markup=False))
    return text.getvalue()


def test_ids_stay_in_one_piece_on_a_narrow_terminal() -> None:
    assert ID in shown(80, ID)
    assert "…" not in shown(80, ID)


def test_a_name_too_long_for_a_terminal_goes_on_in_the_next_line() -> None:
    text = shown(80, LONG)
    cells = "".join(line.split("│")[1].strip() for line in text.splitlines() if line.startswith("│"))
    assert cells == LONG
    assert "…" not in text


@pytest.fixture
def sql(tmp_path: Path):
    """Run `galclass sql` on a database of one image, with a narrow terminal's width."""
    with open_database(tmp_path / "galclass.db") as database:
        Images(database).add([NewImage(ID, b"x", ra=180.0)])

    def run(*words: str) -> Result:
        return CliRunner(env={"COLUMNS": "40"}).invoke(cli, ["sql", *words, "--workspace", str(tmp_path)])

    return run


def test_a_pipe_gets_every_cell_whole(sql) -> None:
    done = sql("select object_id, sha256, sha256 || sha256 as twice, '[b]' as sign from galaxy_images")
    assert f"│ {ID} │" in done.output
    assert "[b]" in done.output
    assert len(done.output.splitlines()) == 5


def test_rows_go_to_a_file(sql, tmp_path: Path) -> None:
    query = "select object_id, img, ra, dec from galaxy_images union all select 'b', x'01ff', 1, null"
    assert (
        f"2 rows written to {tmp_path}/rows.csv"
        in sql(query, "--output", f"{tmp_path}/rows.csv", "--limit", "1").output
    )
    with (tmp_path / "rows.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["object_id", "img", "ra", "dec"],
            [ID, "78", "180.0", ""],
            ["b", "01ff", "1", ""],
        ]
    assert sql("select object_id, img from galaxy_images", "--output", f"{tmp_path}/rows.parquet").exit_code == 0
    assert pyarrow.parquet.read_table(tmp_path / "rows.parquet").to_pylist() == [{"object_id": ID, "img": b"x"}]


@pytest.mark.parametrize(
    ("query", "name", "message"),
    [
        ("select 1", "rows.xlsx", "unknown format"),
        ("select 1 as a union all select 'text'", "rows.parquet", "column a: values of several types"),
        ("select 1 as a, 2 as b, 3 as a", "rows.parquet", "several columns have one name (got a). Give each a name"),
    ],
)
def test_what_cannot_be_written_leaves_nothing(sql, tmp_path: Path, query: str, name: str, message: str) -> None:
    done = sql(query, "--output", str(tmp_path / "new" / name))
    assert done.exit_code == 1
    assert message in str(done.exception)
    assert not list((tmp_path / "new").glob("*"))


STEERING = "a\x1b[2Jb\x07\x9b\u202ec"
STEERING_SHOWN = "a\\x1b[2Jb\\x07\\x9b\\u202ec"


def test_a_table_shows_what_would_steer_the_terminal() -> None:
    assert STEERING_SHOWN in shown(200, STEERING)


def test_columns_and_cells_of_a_statement_steer_no_terminal(sql) -> None:
    done = sql("select char(27) || '[31m' as \"x\x1b[2J\", 'é — \u202e' as y")
    assert "\x1b" not in done.output
    assert "\u202e" not in done.output
    assert "\\x1b[31m" in done.output
    assert "x\\x1b[2J" in done.output
    assert "é — \\u202e" in done.output


def test_names_of_files_and_errors_steer_no_terminal(tmp_path: Path, monkeypatch, capsys) -> None:
    (tmp_path / f"{STEERING}.jpg").write_bytes(b"no image")
    for words in (["predict", str(tmp_path)], ["images", "add", str(tmp_path), "--database", str(tmp_path / "x.db")]):
        monkeypatch.setattr(sys, "argv", ["galclass", *words])
        with pytest.raises(SystemExit):
            main()
    monkeypatch.setattr(sys, "argv", ["galclass", "predict", str(tmp_path / "\x1bnone")])
    with pytest.raises(SystemExit):
        main()
    written = "".join(capsys.readouterr())
    assert "\x1b[2J" not in written
    assert "\x1bnone" not in written
    assert written.count(STEERING_SHOWN) >= 2
