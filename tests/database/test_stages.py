"""The workflow's stages register and score on a slice of the real sample."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_model import SIZE_PX, tiny_model, tiny_trained_model

from galclass.config import Config, load_config
from galclass.database import Images, Registry, open_database, stages
from galclass.database.model_figures import HELD_OUT, shown_metrics
from galclass.database.publish import publish_stage
from galclass.database.schema import images as stored_images
from galclass.database.stages import score_stage
from galclass.download import download
from galclass.errors import DatabaseError, RegistryError
from galclass.image_files import iter_images
from galclass.image_names import object_id_of
from galclass.prepare.stage import prepare
from galclass.prepare.store import Store
from galclass.scoring.fitted_ids import fitted_ids, ids_sha256
from galclass.tuning.promotion import hashes_of
from galclass.tuning.register import register_stage


@pytest.fixture(scope="module")
def workspace_prepared(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A workspace with sixty prepared galaxies and a tiny model in the place of a trained one."""
    workspace = tmp_path_factory.mktemp("stages")
    settings = {"workspace": str(workspace), "prepare.limit": 60, "prepare.processes": 1, "prepare.size_px": SIZE_PX}
    config = load_config(None, settings)
    download(config, progress=False)
    prepare(config, progress=False)
    (workspace / "training").mkdir()
    (workspace / "training" / "model.onnx").write_bytes(tiny_model())
    (workspace / "evaluation").mkdir()
    (workspace / "evaluation" / "metrics.json").write_text(json.dumps({"accuracy": 0.5}))
    return config


@pytest.fixture
def prepared(workspace_prepared: Config, tmp_path: Path) -> Config:
    """The same with a database of the test's own."""
    return replace(workspace_prepared, database=f"sqlite:///{tmp_path / 'galclass.db'}")


def test_without_a_trained_model_the_next_step_is_told(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="galclass train"):
        register_stage(load_config(None, {"workspace": str(tmp_path)}))


def test_without_prepared_objects_the_next_step_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="galclass prepare"):
        score_stage(load_config(None, {"workspace": str(tmp_path)}))


def test_register_and_score_do_their_work_once(prepared: Config) -> None:
    first, second = register_stage(prepared), register_stage(prepared)
    assert (first.new, second.new, second.model.version) == (True, False, 1)
    assert "galaxy@1 registered" in str(first)
    done = score_stage(prepared)
    assert 5 <= done.scored <= 15
    assert done.rejected == 0
    assert score_stage(prepared).scored == 0
    with open_database(prepared.database_url) as database:
        metrics = Registry(database).get("galaxy").metrics
        assert shown_metrics(metrics) == {"accuracy": 0.5}
        assert 5 <= len(metrics[HELD_OUT]) <= 15
        page = Images(database).list()
    assert {one.frame_px for one in page} == {424}
    assert all(len(one.object_id) == 18 for one in page)


def test_a_model_without_aliases_is_scored_and_published(prepared: Config, tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "model.onnx").write_bytes(tiny_model())
    config = load_config(None, {"workspace": str(tmp_path), "register.aliases": (), "score.images": "none"})
    register_stage(config)
    assert score_stage(config).scored == 0
    published = publish_stage(config).service
    assert (published.model_name, published.model_version) == ("galaxy", 1)
    nothing = replace(config, register=replace(config.register, name="other"))
    with pytest.raises(RegistryError, match="unknown model"):
        publish_stage(nothing)


def test_images_and_frames_that_changed_since_they_were_stored_are_rejects(prepared: Config) -> None:
    register_stage(prepared)
    scored = score_stage(prepared)
    assert score_stage(prepared).complete
    with open_database(prepared.database_url) as database:
        first, second = [one.object_id for one in Images(database).list()][:2]
        with database.write() as connection:
            row = stored_images.update()
            connection.execute(row.where(stored_images.c.object_id == first).values(sha256="0" * 64))
            connection.execute(row.where(stored_images.c.object_id == second).values(frame_px=700))
    summary = score_stage(prepared)
    assert {reject.code for reject in summary.images.rejects} == {"same_id_other_image", "same_id_other_frame"}
    assert (summary.images.already_there, summary.complete) == (scored.scored - 2, False)
    assert f"object_id {second} is stored with frame_px 700, not 424" in str(summary)


def test_only_images_that_may_have_changed_are_read_again(prepared: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    register_stage(prepared)
    score_stage(prepared)
    with open_database(prepared.database_url) as database:
        first, second, third = [one.object_id for one in Images(database).list()][:3]
        with database.write() as connection:
            row = stored_images.update()
            connection.execute(row.where(stored_images.c.object_id == first).values(sha256="0" * 64))
            connection.execute(row.where(stored_images.c.object_id == second).values(frame_px=425))
            connection.execute(row.where(stored_images.c.object_id == third).values(frame_px=426))
    read: list[str] = []

    def spied(*words: Any, **options: Any) -> Iterator[tuple[str, bytes]]:
        for name, data in iter_images(*words, **options):
            read.append(object_id_of(name))
            yield name, data

    monkeypatch.setattr(stages, "iter_images", spied)
    summary = score_stage(prepared)
    assert [reject.code for reject in summary.images.rejects] == ["same_id_other_image", "same_id_other_frame"]
    assert len(read) == 2  # not that of 425 px, which is the same frame


def test_all_prepared_images_can_be_scored(prepared: Config) -> None:
    register_stage(prepared)
    score_stage(replace(prepared, score=replace(prepared.score, images="all")))
    with open_database(prepared.database_url) as database:
        assert Images(database).count() == 60


def test_the_figures_of_another_model_are_not_stored_with_this_one(prepared: Config, tmp_path: Path) -> None:
    workspace = tmp_path / "other"
    for name, text in {"metrics.json": json.dumps({"made_from": {"model_sha256": "0" * 64}}), "card.md": "no"}.items():
        (workspace / "evaluation").mkdir(parents=True, exist_ok=True)
        (workspace / "evaluation" / name).write_text(text)
    (workspace / "training").mkdir()
    (workspace / "training" / "model.onnx").write_bytes(tiny_model())
    config = replace(prepared, workspace=str(workspace))
    first, second = str(register_stage(config)), str(register_stage(config))
    assert f"registered without figures: those in {workspace / 'evaluation'} are of another model" in first
    assert "without figures" not in second
    with open_database(config.database_url) as database:
        record = Registry(database).get("galaxy")
    assert (shown_metrics(record.metrics), record.card) == ({}, "")


def test_objects_that_the_model_was_fitted_to_are_not_held_out(prepared: Config) -> None:
    index = Store.open(prepared.workspace_path / "prepared").index
    ids, splits = index["object_id"].to_pylist(), index["split"].to_pylist()
    test = [one for one, split in zip(ids, splits, strict=True) if split == "test"]
    path = prepared.workspace_path / "training" / "model.onnx"
    try:
        for version, fitted, now, expected in ((1, ["1", "2"], test, test), (2, test[:2], [], test[2:])):
            trained = {"fitted_ids": fitted_ids(fitted), "split_ids_sha256": {"test": ids_sha256(now)}}
            path.write_bytes(tiny_trained_model(**trained))
            register_stage(prepared)
            with open_database(prepared.database_url) as database:
                assert Registry(database).get(f"galaxy@{version}").metrics[HELD_OUT] == hashes_of(expected)
    finally:
        path.write_bytes(tiny_model())


def test_a_later_training_does_not_replace_production_unless_it_is_better_or_told_to(prepared: Config) -> None:
    config = replace(prepared, register=replace(prepared.register, name="later"))
    path = config.workspace_path / "training" / "model.onnx"
    try:
        first = register_stage(config)
        path.write_bytes(tiny_model(1))
        second = register_stage(config)
        assert (first.model.aliases, second.model.aliases) == (("production",), ())
        assert "held-out objects are known that neither it nor later@1 was fitted to (30 needed)" in str(second)
        assert register_stage(config, promote=True).model.aliases == ("production",)
    finally:
        path.write_bytes(tiny_model())


def test_the_demo_has_the_model_of_the_package_beside_its_own(prepared: Config, tmp_path: Path) -> None:
    from galclass.scoring.shipped import shipped_card

    demo = load_config("configs/demo.toml")
    url = f"sqlite:///{tmp_path / 'demo.db'}"
    config = replace(prepared, register=demo.register, score=demo.score, publish=demo.publish, database=url)
    said = str(register_stage(config))
    assert "galaxy@1 is the model in the package" in said
    assert "demo@1 registered" in said
    assert "galaxy" not in str(register_stage(config)).replace("register: demo", "")
    published = str(publish_stage(config))
    assert "galaxy-class 1.0 published, served by galaxy@1" in published
    assert "demo 1.0 published, served by demo@1" in published
    with open_database(url) as database:
        record = Registry(database).get("galaxy")
    assert record.card == shipped_card() != ""
    assert record.metrics["tables"]
