"""A service over a model of own classes: records, tables, batches, the catalog and capabilities name these alone."""

from __future__ import annotations

import csv
import io

import pytest
from fastapi.testclient import TestClient
from tiny_model import OWN_CLASSES, tiny_own_model

from galclass.database import Database, Registry, Services, score_pending

SERVICE = "/v1/services/rings/1.0"
COLUMNS = [f"predicted_{name}" for name in OWN_CLASSES]


@pytest.fixture
def published(database: Database) -> None:
    """The service "rings", and stored predictions of its model."""
    Registry(database).register(tiny_own_model(), name="rings")
    Services(database).publish("rings", "1.0", "rings", 1, "Whether there is a ring")
    score_pending(database, "rings")


@pytest.mark.usefixtures("published")
def test_a_prediction_names_the_own_classes(client: TestClient, galaxy: bytes) -> None:
    answer = client.post(f"{SERVICE}/predict", content=galaxy, headers={"Content-Type": "image/jpeg"})
    assert answer.status_code == 200, answer.text
    record = answer.json()
    assert tuple(record["probabilities"]) == OWN_CLASSES
    assert record["predicted_class"] in OWN_CLASSES
    assert record["predicted_group"] is None
    said = client.post(
        f"{SERVICE}/predict", content=galaxy, headers={"Content-Type": "image/jpeg", "Accept": "text/csv"}
    )
    (row,) = csv.DictReader(io.StringIO(said.text))
    assert [name for name in row if name in COLUMNS] == COLUMNS
    assert "predicted_Er" not in row


@pytest.mark.usefixtures("published")
def test_capabilities_and_the_catalog_follow_the_model(client: TestClient) -> None:
    said = client.get(f"{SERVICE}/capabilities").json()
    assert (tuple(said["classes"]), said["groups"]) == (OWN_CLASSES, {})
    query = {"model": "rings@1", "sort": "-probability"}
    rows = client.get("/v1/predictions", params=query).json()["predictions"]
    assert len(rows) == 10
    assert all(row["probability"] == row["probabilities"][row["predicted_class"]] for row in rows)
    chosen = client.get("/v1/predictions", params=query | {"class": rows[0]["predicted_class"]}).json()
    assert chosen["total"] >= 1
    assert client.get("/v1/predictions", params=query | {"class": "Er"}).status_code == 422
    table = client.get("/v1/predictions", params=query, headers={"Accept": "text/csv"}).text
    assert set(COLUMNS) <= set(table.splitlines()[0].split(","))
    exported = client.get("/v1/predictions/export", params=query).text.replace('"', "")
    assert set(COLUMNS) <= set(exported.splitlines()[0].split(","))
    assert "predicted_Er" not in exported.splitlines()[0]
