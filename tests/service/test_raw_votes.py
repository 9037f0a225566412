"""Raw votes over HTTP: records, tables, jobs, the catalog, explanations; and services of format 1 as they were."""

from __future__ import annotations

import csv
import io
import json

import pyarrow.parquet
from fastapi.testclient import TestClient
from service.zips import ZIP, wait, zipped
from tiny_model import tiny_raw_model

from galclass.database import Database, Registry, score_pending
from galclass.database.services import Services
from galclass.morphology import QUESTIONS
from galclass.scoring import ROW_COLUMNS, Scorer
from galclass.service.routes import schemas

STEMS = tuple(column for question in QUESTIONS.values() for column in question.columns)
COLUMNS = [f"{stem}_{kind}{bound}" for kind in ("debiased", "raw") for stem in STEMS for bound in ("", "_low", "_high")]
JPEG = {"Content-Type": "image/jpeg"}
URL = "/v1/services/galaxy-class/2.0"


def publish(database: Database) -> None:
    model = Registry(database).register(tiny_raw_model(), aliases=())
    Services(database).publish("galaxy-class", "2.0", "galaxy", model.version)


def test_records_and_tables_have_raw_votes(client: TestClient, database: Database, galaxy: bytes) -> None:
    publish(database)
    (expected,) = Scorer(tiny_raw_model(), version=3).score([galaxy], object_ids=["image"])
    record = client.post(f"{URL}/predict", content=galaxy, headers=JPEG).json()
    assert record["raw_vote_fractions"] == expected.as_json()["raw_vote_fractions"]
    assert record["predicted_class"] == expected.predicted_class
    assert schemas.PredictionRecord.model_validate(record).raw_vote_fractions is not None
    headers = JPEG | {"Accept": "text/csv"}
    text = client.post(f"{URL}/predict", content=galaxy, headers=headers).text
    (row,) = csv.DictReader(io.StringIO(text))
    assert list(row) == [*ROW_COLUMNS, *COLUMNS]
    assert float(row[COLUMNS[-1]]) == expected.raw_vote_fractions[STEMS[-1]][2]
    headers["Accept"] = "application/vnd.apache.parquet"
    data = client.post(f"{URL}/predict", content=galaxy, headers=headers).content
    table = pyarrow.parquet.read_table(io.BytesIO(data))
    assert (table.column_names[-1], str(table.schema.types[-1])) == (COLUMNS[-1], "double")


def test_a_service_of_format_1_answers_as_before(client: TestClient, galaxy: bytes) -> None:
    record = client.post("/v1/services/galaxy-class/1.0/predict", content=galaxy, headers=JPEG).json()
    assert list(record) == [
        *("object_id", "predicted_class", "predicted_group", "probabilities", "prediction_set", "flags"),
        *("vote_fractions", "model"),
    ]
    signature = client.get("/v1/services/galaxy-class/1.0/capabilities").json()["signature"]
    assert (signature["format"], "votes" in signature) == (1, False)


def test_jobs_keep_raw_votes_and_their_tables_do_when_the_service_is_gone(
    client: TestClient, database: Database, galaxy: bytes
) -> None:
    publish(database)
    content = zipped({"bad.jpg": b"no image", "good.jpg": galaxy})
    job = client.post(f"{URL}/batches", content=content, headers=ZIP).json()
    wait(client, job)
    path = f"/v1/jobs/{job['id']}/results"
    bad, good = client.get(path).json()["predictions"]
    assert "raw_vote_fractions" not in bad
    assert len(good["raw_vote_fractions"]) == 37
    for _ in range(2):
        rows = list(csv.DictReader(io.StringIO(client.get(path, headers={"Accept": "text/csv"}).text)))
        assert [list(row) for row in rows] == [[*ROW_COLUMNS, *COLUMNS]] * 2
        assert float(rows[1][COLUMNS[-1]]) == good["raw_vote_fractions"][STEMS[-1]]["high"]
        if Services(database).list("galaxy-class")[-1].version == "2.0":
            Services(database).alias("galaxy-class", "latest", "1.0")
            Services(database).delete("galaxy-class", "2.0")


def test_the_catalog_has_votes_where_asked(client: TestClient, database: Database) -> None:
    before = client.get("/v1/predictions", params={"model": "galaxy@1"}).json()["predictions"]
    assert "vote_fractions" not in before[0]
    publish(database)
    score_pending(database, "galaxy@3")
    asked = {"model": "galaxy@3", "votes": True}
    row = client.get("/v1/predictions", params=asked).json()["predictions"][0]
    assert set(row["raw_vote_fractions"][STEMS[0]]) == {"fraction", "low", "high"}
    none = client.get("/v1/predictions", params={"model": "galaxy@1", "votes": True}).json()["predictions"][0]
    assert (none["vote_fractions"], none["raw_vote_fractions"]) == (None, None)
    text = client.get("/v1/predictions", params=asked, headers={"Accept": "text/csv"}).text
    first = next(csv.DictReader(io.StringIO(text)))
    assert list(first)[-222:] == COLUMNS
    assert float(first[COLUMNS[-1]]) == row["raw_vote_fractions"][STEMS[-1]]["high"]
    plain = client.get("/v1/predictions", params={"model": "galaxy@3"}, headers={"Accept": "text/csv"}).text
    assert "_raw" not in plain.splitlines()[0]


def test_an_explanation_has_the_class_of_the_votes(client: TestClient, database: Database, galaxy: bytes) -> None:
    publish(database)
    told = client.post(f"{URL}/explain", content=galaxy, headers=JPEG).json()
    assert told["predicted_class"] == Scorer(tiny_raw_model()).score([galaxy])[0].predicted_class
    signature = client.get(f"{URL}/capabilities").json()["signature"]
    assert (signature["format"], signature["votes"]["raw"]) == (2, True)
    assert json.dumps(signature)
