from __future__ import annotations

import json
import sqlite3
import tracemalloc
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from image_builders import bmp, empty_scans
from tiny_model import tiny_model

from galclass.cutouts import LOCAL
from galclass.database import Database, Images, NewImage, Registry, open_database, rows, run_sql, score_pending
from galclass.database.rows import write_rows
from galclass.database.sql import sql_rows
from galclass.errors import DatabaseError, RegistryError
from galclass.morphology import CLASSES
from galclass.scoring import Scorer


@pytest.fixture
def sqlite(tmp_path: Path, galaxies: dict[str, bytes]) -> Database:
    """A SQLite file with a model and seventy images."""
    with open_database(tmp_path / "galclass.db") as database:
        Registry(database).register(tiny_model())
        Images(database).add(NewImage(key, data) for key, data in galaxies.items())
        yield database


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM galaxy_images",
        "CREATE TABLE x (a INTEGER)",
        "UPDATE galaxy_images SET uri = 'x'",
        "DROP TABLE galaxy_images",
    ],
)
def test_a_statement_that_writes_is_refused_unless_asked(filled: Database, statement: str) -> None:
    with pytest.raises(DatabaseError):
        run_sql(filled, statement)
    assert Images(filled).count() == 70
    run_sql(filled, "DELETE FROM galaxy_images", write=True)
    assert Images(filled).count() == 0


def test_only_one_statement_is_run(filled: Database) -> None:
    with pytest.raises(DatabaseError):
        run_sql(filled, "SELECT 1; DELETE FROM galaxy_images")
    assert Images(filled).count() == 70


def test_a_second_statement_cannot_end_the_read_only_transaction(filled: Database) -> None:
    with pytest.raises(DatabaseError):
        run_sql(filled, "SELECT 1; COMMIT; DELETE FROM galaxy_images")
    assert Images(filled).count() == 70


def test_a_per_cent_sign_is_a_per_cent_sign(filled: Database) -> None:
    rows = run_sql(filled, "SELECT object_id FROM galaxy_images WHERE object_id LIKE '100%' AND 7 % 2 = 1").rows
    assert rows
    assert all(object_id.startswith("100") for (object_id,) in rows)


def test_rows_beyond_the_limit_are_told(filled: Database) -> None:
    result = run_sql(filled, "SELECT object_id FROM galaxy_images", limit=10)
    assert (len(result.rows), result.cut, result.columns) == (10, True, ("object_id",))


def test_a_wrong_statement_says_what_the_database_says(filled: Database) -> None:
    with pytest.raises(DatabaseError, match="nonsense"):
        run_sql(filled, "SELECT nonsense FROM galaxy_images")


def test_functions_give_the_scorers_answers(sqlite: Database, galaxies: dict[str, bytes]) -> None:
    rows = run_sql(
        sqlite,
        "SELECT object_id, predict_galaxy_class(img), predict_galaxy_group(img), predict_galaxy_json(img) "
        "FROM galaxy_images",
    ).rows
    found = {row[0]: row[1:] for row in rows}
    for answer in Scorer(tiny_model()).score(list(galaxies.values()), object_ids=list(galaxies)):
        name, group, record = found[answer.object_id]
        assert (name, group) == (answer.predicted_class, answer.predicted_group)
        values = [json.loads(record)["probabilities"][leaf] for leaf in CLASSES]
        np.testing.assert_allclose(values, answer.probabilities, atol=1e-5)


def test_null_gives_null_and_a_bad_image_its_reason(sqlite: Database) -> None:
    (row,) = run_sql(
        sqlite,
        "SELECT predict_galaxy_class(NULL), predict_galaxy_group(NULL), predict_galaxy_json(NULL), "
        "predict_galaxy_class(x'00'), predict_galaxy_group(x'74657874'), predict_galaxy_json(x'')",
    ).rows
    assert row[:5] == (None,) * 5
    assert json.loads(row[5])["error"]["code"] == "empty"


@pytest.mark.parametrize("name", ["class", "group", "json"])
@pytest.mark.parametrize(
    ("arguments", "got"),
    [
        ("5", "got 5"),
        ("5.5", "got a real number"),
        ("'text'", "got text"),
        ("object_id", "got text"),
        ("img, 'many'", "got text"),
        ("img, 424.5", "got a real number"),
        ("img, -1", "got -1"),
        ("img, x'00'", "got a blob"),
    ],
)
def test_a_function_called_with_another_type_says_so_in_a_sentence(
    sqlite: Database, name: str, arguments: str, got: str
) -> None:
    query = f"SELECT predict_galaxy_{name}({arguments}) FROM galaxy_images LIMIT 1"
    with pytest.raises(DatabaseError, match=rf"predict_galaxy_{name} cannot use this.*{got}") as caught:
        run_sql(sqlite, query)
    assert "user-defined" not in str(caught.value)
    with pytest.raises(DatabaseError, match=got), sqlite.read() as connection:
        connection.exec_driver_sql(query).fetchall()


def test_a_function_of_a_plain_connection_leaves_its_reason(sqlite: Database) -> None:
    functions = sqlite.functions
    with closing(sqlite3.connect(sqlite.path)) as connection:
        functions.install(connection)
        with pytest.raises(sqlite3.OperationalError):
            connection.execute("SELECT predict_galaxy_class(5)").fetchall()
    assert "got 5" in str(functions.error)


def test_a_frame_size_that_went_through_floating_point_is_whole(sqlite: Database) -> None:
    query = "SELECT predict_galaxy_json(img, 600), predict_galaxy_json(img, 600.0) FROM galaxy_images LIMIT 1"
    first, second = run_sql(sqlite, query).rows[0]
    assert json.loads(first)["probabilities"] == json.loads(second)["probabilities"]


def test_a_frame_smaller_than_the_image_gives_its_reason(sqlite: Database) -> None:
    query = "SELECT predict_galaxy_class(img, 100), predict_galaxy_json(img, 100) FROM galaxy_images LIMIT 1"
    (row,) = run_sql(sqlite, query).rows
    assert row[0] is None
    assert json.loads(row[1])["error"]["code"] == "frame_too_small"


def test_a_moved_alias_takes_effect_on_open_connections(sqlite: Database) -> None:
    query = "SELECT predict_galaxy_json(img) FROM galaxy_images LIMIT 1"
    versions = []
    for seed in (1, 2, 3, 4):
        Registry(sqlite).register(tiny_model(seed))
        versions.append(json.loads(run_sql(sqlite, query).rows[0][0])["model"]["version"])
    assert versions == [2, 3, 4, 5]


def test_without_a_model_the_reason_is_told(tmp_path: Path) -> None:
    with open_database(tmp_path / "empty.db") as database, pytest.raises(RegistryError, match="unknown model"):
        run_sql(database, "SELECT predict_galaxy_class(x'00')")


def test_another_model_can_answer(sqlite: Database, tmp_path: Path) -> None:
    Registry(sqlite).register(tiny_model(8), name="other")
    with open_database(tmp_path / "galclass.db", model="other@1") as database:
        record = json.loads(run_sql(database, "SELECT predict_galaxy_json(x'00')").rows[0][0])
    assert record["model"]["name"] == "other"


def test_images_that_cost_too_much_or_show_nothing_have_no_class(sqlite: Database) -> None:
    flat = bmp(bytes([7]) * (3 * 64 * 64), 64, 64, 24)
    for data, code in ((empty_scans(1000, 1000, 6000), "too_costly"), (flat, "no_content")):
        (row,) = run_sql(
            sqlite, f"SELECT predict_galaxy_class(x'{data.hex()}'), predict_galaxy_json(x'{data.hex()}')"
        ).rows
        assert row[0] is None
        assert json.loads(row[1])["error"]["code"] == code


def test_the_worker_keeps_to_the_limit_of_decode_work(sqlite: Database) -> None:
    summary = score_pending(sqlite, limits=LOCAL.with_seconds(0.001))
    assert summary.scored == summary.rejected == 70
    assert "raise images.max_decode_s" in summary.rejects[0][1]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_rows_are_written_as_they_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    monkeypatch.setattr(rows, "_CHUNK_BYTES", 2 << 20)
    many = ((number, "x" * (1 << 20)) for number in range(60))
    write_rows(("number",), [(1,)], tmp_path / f"first{suffix}")  # what it imports is not rows
    tracemalloc.start()
    try:
        assert write_rows(("number", "text"), many, tmp_path / f"rows{suffix}") == 60
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()


def test_a_column_has_the_type_of_all_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_CHUNK_BYTES", 0)  # a chunk for each row
    values = [(None, 1, None, {"a": 1}), ("text", 2.5, None, None), (None, None, None, [2])]
    write_rows(("a", "b", "c", "d"), values, tmp_path / "rows.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "rows.parquet")
    assert [str(kind) for kind in table.schema.types] == ["string", "double", "null", "string"]
    assert [tuple(row.values()) for row in table.to_pylist()] == [
        (None, 1.0, None, '{"a": 1}'), ("text", 2.5, None, None), (None, None, None, "[2]"),
    ]  # fmt: skip
    write_rows(("a", "b"), [], tmp_path / "none.parquet")
    assert pyarrow.parquet.read_table(tmp_path / "none.parquet").shape == (0, 2)


def test_values_of_several_types_leave_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for size in (0, 1 << 20):
        monkeypatch.setattr(rows, "_CHUNK_BYTES", size)
        with pytest.raises(DatabaseError, match="several types"):
            write_rows(("a",), [("text",), (1,)], tmp_path / "rows.parquet")
        assert list(tmp_path.iterdir()) == []


def test_a_change_is_undone_when_its_rows_cannot_be_written(filled: Database, tmp_path: Path) -> None:
    statement = "DELETE FROM galaxy_images RETURNING object_id"
    (tmp_path / "file").touch()
    with (
        pytest.raises(OSError, match="file"),
        sql_rows(filled, statement, write=True) as (columns, stream),
    ):
        write_rows(columns, stream, tmp_path / "file" / "rows.csv")
    assert Images(filled).count() > 0
    with sql_rows(filled, statement, write=True) as (columns, stream):
        assert write_rows(columns, stream, tmp_path / "rows.csv") > 0
    assert Images(filled).count() == 0
