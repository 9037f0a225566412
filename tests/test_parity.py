"""The same image bytes give the same answer from Python, the command line, SQL and HTTP."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from galclass.config import Config, RegisterConfig, load_config
from galclass.morphology import CLASSES
from galclass.scoring import Scorer, shipped_model

ATOL = 1e-5
COUNT = 50


@pytest.fixture(scope="module")
def images(sample_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Fifty real galaxies by file stem."""
    with zipfile.ZipFile(sample_folder / "images_gz2.zip") as archive:
        names = [name for name in sorted(archive.namelist()) if name.endswith(".jpg")][:COUNT]
        return {Path(name).stem: archive.read(name) for name in names}


@pytest.fixture(scope="module")
def from_python(images: dict[str, bytes]) -> dict[str, np.ndarray]:
    """Probabilities by object id from one call of the Python API."""
    predictions = Scorer().score(list(images.values()), object_ids=list(images))
    assert all(prediction.error is None for prediction in predictions)
    return {p.object_id: np.array(p.probabilities) for p in predictions}


@pytest.fixture(scope="module")
def config(images: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A workspace whose database holds the shipped model and the images."""
    from galclass.database import Images, NewImage, Registry, Services, open_database

    workspace = tmp_path_factory.mktemp("parity")
    config = load_config(None, {"workspace": str(workspace), "register.name": RegisterConfig().name})
    with open_database(config.database_url) as database:
        Registry(database).register(shipped_model(), name="galaxy", aliases=("production",))
        Images(database).add(NewImage(object_id, data) for object_id, data in images.items())
        Services(database).publish("galaxy-class", "1.0", "galaxy", 1, description="", by="test")
    return config


def assert_same(got: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    assert set(got) == set(wanted)
    for object_id, probabilities in wanted.items():
        np.testing.assert_allclose(got[object_id], probabilities, atol=ATOL, err_msg=object_id)
        assert got[object_id].argmax() == probabilities.argmax()


@pytest.mark.parametrize("batch", [1, 7, 50])
def test_any_batch_size_gives_the_same(images, from_python, batch: int) -> None:
    scorer, items, got = Scorer(), list(images.items()), {}
    for start in range(0, len(items), batch):
        ids, data = zip(*items[start : start + batch], strict=True)
        got |= {p.object_id: np.array(p.probabilities) for p in scorer.score(list(data), object_ids=list(ids))}
    assert_same(got, from_python)


def test_the_command_line_gives_the_same(images, from_python, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for object_id, data in images.items():
        (folder / f"{object_id}.jpg").write_bytes(data)
    output = tmp_path / "predictions.csv"
    command = [sys.executable, "-c", "from galclass.cli import main; main()", "predict", str(folder)]
    subprocess.run([*command, "--output", str(output)], check=True, capture_output=True)
    with output.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert_same({r["object_id"]: np.array([float(r[f"predicted_{c}"]) for c in CLASSES]) for r in rows}, from_python)


def test_sql_gives_the_same(config: Config, from_python) -> None:
    from galclass.database import open_database, run_sql

    with open_database(config.database_url) as database:
        rows = run_sql(
            database, "select object_id, predict_galaxy_json(img), predict_galaxy_class(img) from galaxy_images"
        ).rows
        records = {row[0]: (json.loads(row[1]), row[2]) for row in rows}
    assert_same({i: in_order(record["probabilities"]) for i, (record, _) in records.items()}, from_python)
    assert all(record["predicted_class"] == name for record, name in records.values())


def test_http_gives_the_same_however_the_image_is_sent(config: Config, images, from_python) -> None:
    import base64

    from fastapi.testclient import TestClient

    from galclass.service.server.app import create_app

    url = "/v1/services/galaxy-class/1.0/predict"
    raw, coded, form = {}, {}, {}
    with TestClient(create_app(config)) as client:
        for object_id, data in images.items():
            raw[object_id] = client.post(url, content=data, headers={"content-type": "image/jpeg"})
            body = {"id": object_id, "img": base64.b64encode(data).decode()}
            coded[object_id] = client.post(url, json=body)
        files = [("file", (f"{object_id}.jpg", data, "image/jpeg")) for object_id, data in images.items()]
        form = {p["object_id"]: p for p in client.post(url, files=files).json()["predictions"]}
    for answers in ({i: r.json() for i, r in raw.items()}, {i: r.json() for i, r in coded.items()}, form):
        assert_same({i: in_order(answer["probabilities"]) for i, answer in answers.items()}, from_python)


def test_http_and_python_find_the_same_similar_galaxies(config: Config, images, tmp_path: Path) -> None:
    from fastapi.testclient import TestClient

    from galclass.prepare.stage import prepare
    from galclass.service.server.app import create_app
    from galclass.similar import find_similar

    for object_id, data in images.items():
        (tmp_path / f"{object_id}.jpg").write_bytes(data)
    lines = ["object_id,label,file", *(f"{object_id},Er,{object_id}.jpg" for object_id in images)]
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    values = {"workspace": str(tmp_path / "ws"), "prepare.images": str(tmp_path), "prepare.processes": 1}
    prepare(load_config(None, values | {"prepare.catalog": str(tmp_path / "labels.csv")}), progress=False)
    own = next(iter(images))
    found = find_similar(tmp_path / f"{own}.jpg", Scorer(), tmp_path / "ws/prepared", count=10)
    url = "/v1/services/galaxy-class/1.0/similar"
    with TestClient(create_app(config)) as client:
        answer = client.post(url, params={"count": 10}, content=images[own], headers={"content-type": "image/jpeg"})
    assert [one["object_id"] for one in answer.json()["similar"]] == [one.object_id for one in found]
    assert [one["similarity"] for one in answer.json()["similar"]] == pytest.approx(
        [one.similarity for one in found], abs=ATOL
    )


def in_order(probabilities: dict[str, float]) -> np.ndarray:
    assert list(probabilities) == list(CLASSES)
    return np.array(list(probabilities.values()))
