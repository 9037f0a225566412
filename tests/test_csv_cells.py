"""One rule for text in CSV files: no spreadsheet runs it, and it reads back as it was."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert
from tiny_model import tiny_signature

from galclass.catalog import read_table, write_table
from galclass.csv_cells import CsvRows, guarded, guarded_table, unguarded, unguarded_table
from galclass.database import Registry, open_database
from galclass.database.export import export_predictions
from galclass.database.rows import write_rows
from galclass.database.schema import images
from galclass.database.score import score_pending
from galclass.database.types import now
from galclass.scoring import ImageFault, ModelId, Prediction
from galclass.scoring.output import PredictionFile
from galclass.service.http.outputs import csv_bytes

FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "\u00a0=1", "\ufeff=1"]
FORMULAS += ["'=1", "''=1", "-e1", "＝1", "-", "--", "=", "-1-2", "\tx", "-12:30:00=1"]  # noqa: RUF001
PLAIN = [
    "-12",
    "+3.5",
    "-1e5",
    "-.5",
    "-05:12:33.1",
    "+12 30 15",
    "J1.5",
    "587722981742084144",
    "'quoted'",
    "",
    "a=b",
    "'",
]
PLAIN += ["-", "+"]
RUN_BY_A_SPREADSHEET = tuple("=+-@＝＋－＠")  # noqa: RUF001


def is_run(cell: str) -> bool:
    """Say whether a spreadsheet would look at a cell as a formula, as the lists of such attacks have it."""
    bare = cell.lstrip("".join(map(chr, range(33))) + "\u00a0\u200b\ufeff")
    return bare.startswith(RUN_BY_A_SPREADSHEET) and bare not in PLAIN


@pytest.mark.parametrize("text", [text for text in FORMULAS if text not in PLAIN])
def test_a_formula_gets_an_apostrophe_and_loses_it(text: str) -> None:
    assert guarded(text) == "'" + text
    assert unguarded(guarded(text)) == text


@pytest.mark.parametrize("text", PLAIN)
def test_numbers_declinations_and_ids_stay_as_they_are(text: str) -> None:
    assert guarded(text) == unguarded(text) == text


def test_what_is_no_text_stays_as_it_is() -> None:
    assert [guarded(value) for value in (-5, -1.5, None, True)] == [-5, -1.5, None, True]


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.text(st.sampled_from("'=+-@\t\r\n a1.:é\u00a0\ufeff"), max_size=8))
def test_every_text_reads_back(text: str) -> None:
    assert unguarded(guarded(text)) == text
    table = pa.table({"x" + text: [text, None, "plain"]})
    assert unguarded_table(guarded_table(table)).equals(table)
    sink = io.StringIO(newline="")
    CsvRows(sink, ["id", text]).write([text, None])
    rows = list(csv.reader(io.StringIO(sink.getvalue(), newline="")))
    assert [[unguarded(cell) for cell in row] for row in rows] == [["id", text], [text, ""]]


def predictions_file(folder: Path, texts: list[str]) -> Path:
    path = folder / "predictions.csv"
    with PredictionFile(path, tiny_signature(vote_columns=("=votes",))) as file:
        for text in texts:
            file.write(text, Prediction(text, ModelId("galaxy", 1, "0" * 64), error=ImageFault("empty", text)))
    return path


def answer_of_the_service(folder: Path, texts: list[str]) -> Path:
    path = folder / "answer.csv"
    path.write_bytes(csv_bytes([{"object_id": text, "=x": [text]} for text in texts], ("object_id", "=x")))
    return path


def query_result(folder: Path, texts: list[str]) -> Path:
    path = folder / "rows.csv"
    write_rows(("object_id", "=x"), [(text, text) for text in texts], path)
    return path


def export(folder: Path, texts: list[str]) -> Path:
    from tiny_model import tiny_model

    with open_database(folder / "galclass.db") as database:
        Registry(database).register(tiny_model())
        with database.write() as connection:  # as somebody adds them with SQL: `images add` refuses control characters
            connection.execute(
                insert(images), [{"object_id": text, "img": b"no image", "added_at": now()} for text in texts]
            )
        score_pending(database, "galaxy@1")
        return export_predictions(database, folder / "export.csv").path


def catalog(folder: Path, texts: list[str]) -> Path:
    return write_table(pa.table({"object_id": texts, "=x": texts}), folder / "catalog.csv")


@pytest.mark.parametrize("write", [predictions_file, answer_of_the_service, query_result, export, catalog])
def test_every_writer_follows_the_rule_and_the_reader_takes_it_back(tmp_path: Path, write) -> None:
    texts = sorted({*FORMULAS, *PLAIN} - {""})
    path = write(tmp_path, texts)
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert len(rows) == len(texts) + 1
    assert [cell for row in rows for cell in row if is_run(cell)] == []
    found = read_table(path, text_columns=frozenset({"=x"}))
    assert sorted(found["object_id"].to_pylist()) == texts
    assert not [name for name in found.column_names if name.startswith("'")]


@pytest.mark.parametrize(("suffix", "text"), [(".fits", "galaxié"), (".vot", "a\x01b")])
def test_a_text_that_a_format_cannot_hold_is_named(tmp_path: Path, suffix: str, text: str) -> None:
    from galclass.errors import CatalogError

    with pytest.raises(CatalogError, match="column object_id, row 2"):
        write_table(pa.table({"object_id": ["a", text]}), tmp_path / f"t{suffix}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".fits", ".vot", ".parquet", ".csv"])
def test_markup_reads_back_from_every_kind_of_table(tmp_path: Path, suffix: str) -> None:
    texts = ['<img src=x onerror="alert(1)">', "]]><TR>", "&amp;", "=1"]
    write_table(pa.table({"object_id": texts}), tmp_path / f"t{suffix}")
    assert read_table(tmp_path / f"t{suffix}")["object_id"].to_pylist() == texts
