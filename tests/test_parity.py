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
    """A workspace whose database holds the shipped model and the images; no test adds to it."""
    return filled(tmp_path_factory.mktemp("parity"), images)


def filled(workspace: Path, images: dict[str, bytes]) -> Config:
    from galclass.database import Images, NewImage, Registry, Services, open_database

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


def test_a_fits_file_gets_one_answer_everywhere(images, tmp_path: Path) -> None:
    from click.testing import CliRunner
    from fastapi.testclient import TestClient
    from fits_builders import as_file, fluxes

    from galclass.cli import cli
    from galclass.database import Images, open_database, run_sql
    from galclass.prepare.stage import prepare
    from galclass.prepare.store import Store
    from galclass.service.server.app import create_app

    config = filled(tmp_path / "workspace", images)
    data = {f"fits-{stem}": as_file(fluxes(images[stem])) for stem in list(images)[:3]}
    scorer = Scorer()
    wanted = {one.object_id: np.array(one.probabilities) for one in scorer.score([*data.values()], object_ids=[*data])}
    folder = tmp_path / "images"
    folder.mkdir()
    for object_id, content in data.items():
        (folder / f"{object_id}.fits").write_bytes(content)
    common = ["--database", config.database_url]
    output = tmp_path / "predictions.csv"
    assert CliRunner().invoke(cli, ["predict", str(folder), "--output", str(output)]).exit_code == 0
    with output.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert_same({r["object_id"]: np.array([float(r[f"predicted_{c}"]) for c in CLASSES]) for r in rows}, wanted)
    added = CliRunner().invoke(cli, ["images", "add", str(folder), *common])
    assert added.exit_code == 0, added.output
    with open_database(config.database_url) as database:
        assert (Images(database).get(next(iter(data))) or b"").startswith(b"\x89PNG")
        stored = run_sql(database, "select object_id, predict_galaxy_json(img) from galaxy_images").rows
    answers = {row[0]: json.loads(row[1]) for row in stored if row[0] in data}
    assert_same({key: in_order(one["probabilities"]) for key, one in answers.items()}, wanted)
    with TestClient(create_app(config)) as client:
        url = "/v1/services/galaxy-class/1.0/predict"
        sent = {key: client.post(url, content=one, headers={"content-type": "image/fits"}) for key, one in data.items()}
    assert_same({key: in_order(one.json()["probabilities"]) for key, one in sent.items()}, wanted)
    labels = tmp_path / "labels.csv"
    labels.write_text("\n".join(["object_id,label", *(f"{object_id},Er" for object_id in data)]))
    values = {"workspace": str(tmp_path / "ws"), "prepare.images": str(folder), "prepare.catalog": str(labels)}
    prepare(load_config(None, values | {"prepare.processes": 1}), progress=False)
    store = Store.open(tmp_path / "ws/prepared")
    ids = store.index["object_id"].to_pylist()
    made = scorer.predict_cutouts(store.central(store.index["row"].to_numpy()), object_ids=ids)
    assert_same({one.object_id: np.array(one.probabilities) for one in made}, wanted)
