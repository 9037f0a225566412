"""Training from labelled images in the database."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import psycopg
import pyarrow.parquet as parquet
import pytest
from sqlalchemy import event, text

from galclass.config import Config, load_config
from galclass.database import Database, Images, NewImage, Registry, open_database
from galclass.database.bulk import add_images, new_labels
from galclass.database.labels import NewLabel, add_labels
from galclass.database.positions import read_objects
from galclass.database.schema import images
from galclass.database.training import training_sources
from galclass.errors import DatabaseError
from galclass.pipeline import train_from_database


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load_config(None, {"workspace": str(tmp_path / "workspace")})


def test_without_labels_the_next_step_is_told(filled: Database, config: Config) -> None:
    with pytest.raises(DatabaseError, match="images add PATH --catalog"):
        training_sources(filled, config)


def test_the_newest_label_counts_and_odd_ids_are_kept(database: Database, config: Config) -> None:
    Images(database).add([NewImage("../odd id", b"a", frame_px=424), NewImage("b", b"b"), NewImage("unlabelled", b"c")])
    add_labels(database, [NewLabel("../odd id", "Er", "catalog"), NewLabel("b", "Sc", "catalog")])
    add_labels(database, [NewLabel("../odd id", "Ei", "human", labelled_by="me")])
    first = training_sources(database, config)
    assert [(source.name, source.frame_px) for source in first] == [("database-424-424", 424), ("database", None)]
    table = parquet.read_table(first[0].catalog).to_pylist()
    assert [(row["object_id"], row["label"]) for row in table] == [("../odd id", "Ei")]
    with zipfile.ZipFile(first[0].images) as archive:
        assert archive.read(table[0]["file"]) == b"a"


def test_a_second_run_on_the_same_rows_writes_nothing(database: Database, config: Config) -> None:
    Images(database).add([NewImage("a", b"a")])
    add_labels(database, [NewLabel("a", "Er", "catalog")])
    (first,) = training_sources(database, config)
    before = Path(first.images).stat().st_mtime_ns
    assert training_sources(database, config) == (first,)
    assert Path(first.images).stat().st_mtime_ns == before
    add_labels(database, [NewLabel("a", "Ei", "catalog")])
    training_sources(database, config)
    assert Path(first.images).stat().st_mtime_ns > before


def test_images_replaced_by_hand_and_lost_files_are_written_again(database: Database, config: Config) -> None:
    Images(database).add([NewImage("a", b"a")])
    add_labels(database, [NewLabel("a", "Er", "catalog")])
    for img in (b"b", b"c"):  # the hash is NULL from the first time on
        training_sources(database, config)
        with database.write() as connection:
            connection.execute(images.update().values(img=img))
        (source,) = training_sources(database, config)
        with zipfile.ZipFile(source.images) as archive:
            assert archive.read(archive.namelist()[0]) == img
    for path in (Path(source.images), Path(source.catalog)):
        path.unlink()
        training_sources(database, config)
        assert path.is_file()
    Path(source.images).write_bytes(b"cut off")
    training_sources(database, config)
    assert zipfile.is_zipfile(source.images)


def test_an_archive_and_its_catalog_become_images_and_labels(database: Database, sample_folder: Path) -> None:
    objects = read_objects(sample_folder / "gz2_hart16.csv", sample_folder / "gz2_filename_mapping.csv")
    add_images(database, [sample_folder / "images_gz2.zip"], objects, frame_px=424)
    add_labels(database, new_labels(objects.values(), "gz2_hart16.csv"))
    assert Images(database).count() == 703
    with database.read() as connection:
        assert connection.scalar(text("SELECT count(*) FROM galaxy_labels")) == 703
        label = connection.scalar(text("SELECT label FROM galaxy_labels WHERE object_id = '587722981746540704'"))
    label = json.loads(label) if isinstance(label, str) else label
    assert label["class"] == "Ser"
    assert label["t01_smooth_or_features_a01_smooth_fraction"] == pytest.approx(0.605, abs=1e-3)


@pytest.mark.slow
def test_a_model_is_trained_from_the_database_and_registered(tmp_path: Path, sample_folder: Path) -> None:
    values = {"workspace": str(tmp_path), "prepare.limit": 80, "prepare.size_px": 32, "prepare.processes": 1}
    config = load_config(None, values | {"train.num_epochs": 1, "train.mini_batch_size": 16})
    objects = read_objects(sample_folder / "gz2_hart16.csv", sample_folder / "gz2_filename_mapping.csv")
    with open_database(config.database_url) as database:
        add_images(database, [sample_folder / "images_gz2.zip"], objects, frame_px=424)
        add_labels(database, new_labels(objects.values(), "gz2_hart16.csv"))
    stages = [result.stage for result in train_from_database(config, progress=False)]
    assert stages == ["prepare", "train", "evaluate", "register"]
    with open_database(config.database_url) as database:
        assert Registry(database).get("galaxy").signature is not None


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_images_without_a_hash_are_read_in_chunks(database: Database, config: Config) -> None:
    ids = [f"g{number:03}" for number in range(300)]
    Images(database).add(NewImage(key, key.encode()) for key in ids)
    add_labels(database, [NewLabel(key, "Sc", "catalog") for key in ids])
    (hashed,) = training_sources(database, config)
    before = Path(hashed.images).stat().st_mtime_ns
    with database.write() as connection:
        connection.execute(images.update().values(sha256=None))
    sizes = []

    def note_bytea(_: object, cursor: psycopg.Cursor, *__: object) -> None:
        if any(column.type_code == 17 for column in cursor.description or ()):
            sizes.append(cursor.rowcount)

    event.listen(database.engine, "after_cursor_execute", note_bytea)
    (source,) = training_sources(database, config)
    assert Path(source.images).stat().st_mtime_ns == before
    assert (max(sizes), sum(sizes)) == (256, 300)
