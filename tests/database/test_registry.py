from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest
from sqlalchemy import text
from tiny_model import signed, tiny_graph, tiny_model, tiny_signature

from galclass.database import Database, Registry, Services
from galclass.errors import ModelError, RegistryError
from galclass.scoring import Scorer


@pytest.fixture
def registry(database: Database) -> Registry:
    return Registry(database)


@pytest.mark.parametrize("data", [b"", b"nonsense", tiny_graph().SerializeToString()])
def test_what_is_no_model_of_ours_is_not_registered(registry: Registry, data: bytes) -> None:
    with pytest.raises(ModelError):
        registry.register(data)
    assert registry.list() == []


def test_a_model_with_changed_weights_is_not_registered(registry: Registry) -> None:
    tampered = signed(tiny_graph(seed=9), Scorer(tiny_model(seed=1)).signature)
    with pytest.raises(ModelError, match="probe"):
        registry.register(tampered)


@pytest.mark.parametrize("name", ["", "a b", "x'; DROP TABLE galaxy_models; --", "a@b", "é", "a" * 65])
def test_odd_names_are_refused(registry: Registry, name: str) -> None:
    with pytest.raises(RegistryError, match="is not a valid model name"):
        registry.register(tiny_model(), name=name)


def test_versions_count_up_and_production_moves(registry: Registry) -> None:
    first, second = registry.register(tiny_model(1)), registry.register(tiny_model(2))
    assert (first.version, second.version) == (1, 2)
    assert registry.resolve("galaxy") == registry.resolve("galaxy@production") == registry.resolve("galaxy@2")
    assert [info.aliases for info in registry.list()] == [(), ("production",)]


def test_the_same_bytes_are_one_version(registry: Registry) -> None:
    assert registry.register(tiny_model(1)).version == registry.register(tiny_model(1), aliases=("other",)).version == 1
    assert registry.list()[0].aliases == ("other", "production")


def test_what_comes_out_is_what_went_in(registry: Registry, tmp_path: Path) -> None:
    registry.register(tiny_model(1), metrics={"accuracy": 0.9}, card="A tiny model.")
    record = registry.get("galaxy")
    assert record.value == tiny_model(1)
    assert record.sha256 == hashlib.sha256(tiny_model(1)).hexdigest()
    assert (record.metrics, record.card) == ({"accuracy": 0.9}, "A tiny model.")
    assert record.signature == Scorer(tiny_model(1)).signature
    registry.export("galaxy@1", tmp_path / "out" / "galaxy.onnx")
    assert (tmp_path / "out" / "galaxy.onnx").read_bytes() == tiny_model(1)


@pytest.mark.parametrize("reference", ["nothing", "galaxy@7", "galaxy@staging"])
def test_unknown_references_say_what_there_is(registry: Registry, reference: str) -> None:
    registry.register(tiny_model(1))
    with pytest.raises(RegistryError, match="expected"):
        registry.get(reference)


def test_rollback_goes_back_step_by_step(registry: Registry) -> None:
    for seed in (1, 2, 3):
        registry.register(tiny_model(seed))
    assert registry.rollback("galaxy").version == 2
    assert registry.rollback("galaxy").version == 1
    with pytest.raises(RegistryError, match="no earlier version"):
        registry.rollback("galaxy")
    assert [(move.old, move.new) for move in registry.log("galaxy")] == [(None, 1), (1, 2), (2, 3), (3, 2), (2, 1)]


def test_a_model_in_use_is_not_deleted(database: Database, registry: Registry) -> None:
    registry.register(tiny_model(1))
    with pytest.raises(RegistryError, match="alias production"):
        registry.delete("galaxy@1")
    registry.register(tiny_model(2))
    Services(database).publish("galaxy-class", "1.0", "galaxy", 1)
    with pytest.raises(RegistryError, match=r"service galaxy-class@1\.0"):
        registry.delete("galaxy@1")


def test_a_deleted_version_number_is_never_used_again(registry: Registry) -> None:
    registry.register(tiny_model(1))
    registry.register(tiny_model(2), aliases=())
    registry.delete("galaxy@2")
    assert registry.register(tiny_model(3), aliases=()).version == 3
    with pytest.raises(RegistryError):
        registry.get("galaxy@2")


def test_bytes_changed_behind_our_back_are_found(database: Database, registry: Registry) -> None:
    registry.register(tiny_model(1))
    assert registry.verify("galaxy") == pytest.approx(0, abs=1e-6)
    guard = "galaxy_models_are_immutable"
    with database.write() as connection:
        owner = " ON galaxy_models" if database.dialect == "postgresql" else ""
        connection.execute(text(f"DROP TRIGGER {guard}{owner}"))
        connection.execute(text("UPDATE galaxy_models SET value = :value"), {"value": tiny_model(2)})
    with pytest.raises(ModelError, match="differ from those that were registered"):
        registry.verify("galaxy")
    with pytest.raises(ModelError):
        registry.get("galaxy")


def test_a_model_without_probe_is_registered_and_says_so(registry: Registry) -> None:
    registry.register(signed(tiny_graph(4), tiny_signature()))
    assert registry.verify("galaxy") is None


def test_registering_from_several_threads_gives_each_its_number(registry: Registry) -> None:
    models = [tiny_model(seed) for seed in range(10, 16)]
    threads = [threading.Thread(target=registry.register, args=(model,)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [info.version for info in registry.list()] == [1, 2, 3, 4, 5, 6]
