"""A model of own classes says the same everywhere: `predict`, service, SQL and `db export`, digit by digit."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient
from tiny_model import tiny_model
from tuning.test_finetune import LABELS, draw, write

from galclass.cli import cli
from galclass.config import load_config
from galclass.database import Database, Images, NewImage, Services, open_database, score_pending
from galclass.database.sql import run_sql
from galclass.scoring.prediction import row_columns
from galclass.service.server.app import create_app

Rows = dict[str, dict[str, Any]]
CLASSES = ("no_ring", "ring")
COLUMNS = list(row_columns(CLASSES))
FRACTIONS = [f"predicted_{name}" for name in CLASSES]


class Fitted:
    """A folder whose images were labelled, fitted, stored and scored, with a client of the published service."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        draw(folder / "images", LABELS)
        (folder / "images" / "torn.png").write_bytes(b"no image")
        (folder / "tiny.onnx").write_bytes(tiny_model())
        unsure = {key: "ring" if n % 4 == 0 else label for n, (key, label) in enumerate(LABELS.items())}
        catalog = write(folder / "rings.csv", unsure)  # so that not every probability is 0 or 1
        words = ("--images", folder / "images", "--model", folder / "tiny.onnx", "--name", "galaxy", "--quiet")
        self.run("finetune", catalog, *words)
        config = load_config(None, {"workspace": str(folder / "ws")})
        self.database: Database = open_database(config.database_url)
        self.pictures = sorted((folder / "images").iterdir())
        Images(self.database).add([NewImage(path.stem, path.read_bytes()) for path in self.pictures])
        score_pending(self.database, "galaxy")
        Services(self.database).publish("rings", "1.0", "galaxy", 1, "")
        self.client = TestClient(create_app(config))

    def run(self, *words: object) -> None:
        done = CliRunner().invoke(cli, [*map(str, words), "--workspace", str(self.folder / "ws")])
        assert done.exit_code in (0, 3), done.output

    def written(self, name: str, *words: object) -> Path:
        """Run a command that writes a file."""
        self.run(*words, self.folder / name)
        return self.folder / name

    def post(self, accept: str) -> bytes:
        files = [("images", (path.name, path.read_bytes(), "image/png")) for path in self.pictures]
        said = self.client.post("/v1/services/rings/1.0/predict", files=files, headers={"Accept": accept})
        assert said.status_code == 200, said.text
        return said.content


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fitted]:
    fitted = Fitted(tmp_path_factory.mktemp("ways"))
    with fitted.client:
        yield fitted
    fitted.database.close()


def from_csv(text: str) -> list[dict[str, Any]]:
    """Rows of CSV in the types of the columns; nothing is None."""
    rows: list[dict[str, Any]] = [dict(row) for row in csv.DictReader(io.StringIO(text))]
    for row in rows:
        row |= {name: float(row[name]) if row[name] else None for name in FRACTIONS}
        row["model_version"] = int(row["model_version"])
    return rows


def from_record(record: dict[str, Any]) -> dict[str, Any]:
    """A JSON record as the row that the tables have."""
    error, model = record.get("error"), record["model"]
    fractions = record["probabilities"] or dict.fromkeys(CLASSES)
    assert tuple(fractions) == CLASSES
    return {
        **{name: record[name] for name in COLUMNS[:3]},
        **{f"predicted_{name}": value for name, value in fractions.items()},
        **{name: "|".join(record[name]) for name in ("prediction_set", "flags")},
        "error": f"{error['code']}: {error['message']}" if error else None,
        **{f"model_{name}": model[name] for name in ("name", "version", "sha256")},
    }


def by_id(rows: Iterable[dict[str, Any]]) -> Rows:
    """What every way must say: all but the time and the path in a fault, nothing always None."""
    kept = [name for name in COLUMNS if name not in ("scored_at", "error")]
    found = {}
    for row in rows:
        fault = (row["error"] or "").partition(":")[0]
        found[Path(row["object_id"]).stem] = {name: row[name] or None for name in kept} | {"error": fault}
    return found


@pytest.fixture(scope="module")
def predicted(fitted: Fitted) -> Path:
    return fitted.written("predict.csv", "predict", fitted.folder / "images", "--model", "galaxy", "--output")


def test_predict_and_service_and_export_have_the_same_columns(fitted: Fitted, predicted: Path) -> None:
    def head(data: bytes) -> list[str]:
        return [name.strip('"') for name in data.decode().splitlines()[0].split(",")]

    export = fitted.written("export.csv", "db", "export", "--model", "galaxy")
    parquet = fitted.written("p.parquet", "predict", fitted.folder / "images", "--model", "galaxy", "--output")
    exported = fitted.written("export.parquet", "db", "export")
    served = pq.read_schema(pa.BufferReader(fitted.post("application/vnd.apache.parquet")))
    assert head(predicted.read_bytes()) == pq.read_schema(parquet).names == ["file", *COLUMNS]
    assert head(fitted.post("text/csv")) == served.names == COLUMNS
    places = ["ra", "dec", "_healpix_29"]
    assert head(export.read_bytes()) == pq.read_schema(exported).names == [*COLUMNS, *places]
    for name in COLUMNS:
        types = {pq.read_schema(path).field(name).type for path in (parquet, exported)} | {served.field(name).type}
        assert len(types) == 1, (name, types)


def test_predict_and_service_and_sql_and_export_have_the_same_values(fitted: Fitted, predicted: Path) -> None:
    expected = by_id(from_csv(predicted.read_text()))
    assert len(expected) == len(LABELS) + 1
    assert len({row["predicted_ring"] for row in expected.values()}) > len(LABELS) // 2
    assert expected["torn"]["error"] == "not_an_image"
    records = json.loads(fitted.post("application/json"))["predictions"]
    assert by_id(map(from_record, records)) == expected
    assert by_id(from_csv(fitted.post("text/csv").decode())) == expected
    parquet = pa.BufferReader(fitted.post("application/vnd.apache.parquet"))
    assert by_id(pq.read_table(parquet).to_pylist()) == expected
    for name in ("e.csv", "e.parquet"):
        path = fitted.written(name, "db", "export")
        rows = from_csv(path.read_text()) if name == "e.csv" else pq.read_table(path).to_pylist()
        assert by_id(rows) == expected
    found = run_sql(fitted.database, "SELECT object_id, predict_galaxy_json(img) FROM galaxy_images")
    spelled = ({**json.loads(text), "object_id": key} for key, text in found.rows)
    assert by_id(map(from_record, spelled)) == expected


def test_the_catalog_has_the_same_values(fitted: Fitted, predicted: Path) -> None:
    expected = by_id(from_csv(predicted.read_text()))
    for address in ("/v1/predictions", "/v1/predictions/export"):
        query = {"model": "galaxy", "page_size": 500} if address == "/v1/predictions" else {"model": "galaxy"}
        said = fitted.client.get(address, params=query, headers={"Accept": "text/csv"})
        assert said.status_code == 200, said.text
        rows = from_csv(said.text)
        shared = [name for name in COLUMNS if name in rows[0]]
        assert set(COLUMNS) == set(shared)
        for row in rows:
            other = expected[row["object_id"]]
            assert {name: row[name] or None for name in shared if name in other and name != "error"} == {
                name: other[name] for name in shared if name in other and name != "error"
            }
