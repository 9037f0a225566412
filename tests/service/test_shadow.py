"""A second version of a service that is asked the same, unseen."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from tiny_model import tiny_model, tiny_own_model

from galclass.cli import cli
from galclass.config import Config
from galclass.database import Database, Registry, Services
from galclass.database import shadows as rows
from galclass.database.shadows import ShadowCounts, ShadowDifference, ShadowPair, ShadowReport, Shadows
from galclass.database.types import now
from galclass.errors import DatabaseError, RegistryError
from galclass.scoring import Scorer
from galclass.service.engine import shadow as engine
from galclass.service.engine import shadow_link
from galclass.service.engine.state import ServiceState
from galclass.service.server.app import create_app

NAME = "galaxy-class"
PAIR = ShadowPair(NAME, "1.0", "1.1")
JPEG = {"Content-Type": "image/jpeg"}


@pytest.fixture(autouse=True)
def no_lower_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a process of low priority takes minutes to start; counts are written soon."""
    monkeypatch.setattr(shadow_link, "NICE", 0)
    monkeypatch.setattr(engine, "WRITE_S", 0.2)


@pytest.fixture
def shadowed(database: Database) -> Database:
    """galaxy-class 1.0 is the latest version, and 1.1, of another model, its shadow."""
    services = Services(database)
    services.publish(NAME, "1.1", "galaxy", 2, aliases=())
    services.alias(NAME, "shadow", "1.1")
    return database


@pytest.fixture
def client(config: Config, shadowed: Database) -> Iterator[TestClient]:
    with TestClient(create_app(config), raise_server_exceptions=False) as client:
        yield client


def state_of(client: TestClient) -> ServiceState:
    found = client.app.state.service  # type: ignore[attr-defined]
    assert isinstance(found, ServiceState)
    return found


def wait_for(ready: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < until, "it took too long"
        time.sleep(0.02)


def report(database: Database, images: int) -> ShadowReport:
    """Wait until something is known of so many images, and return it."""

    def known() -> int:
        found = Shadows(database).reports(NAME)
        return sum(one.counts.compared + one.counts.dropped + one.counts.failed for one in found)

    wait_for(lambda: known() >= images)
    (found,) = Shadows(database).reports(NAME)
    return found


def uploads(galaxies: dict[str, bytes]) -> list[tuple[str, tuple[str, bytes, str]]]:
    return [("image", (f"{name}.jpg", data, "image/jpeg")) for name, data in galaxies.items()]


def test_the_shadow_answers_unseen_and_what_differs_is_counted_and_listed(
    client: TestClient, galaxies: dict[str, bytes], database: Database, config: Config
) -> None:
    files = [*uploads(galaxies), ("image", ("bad.jpg", b"no image", "image/jpeg"))]
    answer = client.post(f"/v1/services/{NAME}/latest/predict", files=files)
    assert {one["model"]["version"] for one in answer.json()["predictions"] if "model" in one} == {1}
    found = report(database, len(galaxies))

    images = list(galaxies.values())
    ours, others = (Scorer(tiny_model(seed)).score(images, object_ids=list(galaxies)) for seed in (0, 1))
    pairs = list(zip(ours, others, strict=True))
    differ = {
        a.object_id: (a.predicted_class, b.predicted_class) for a, b in pairs if a.predicted_class != b.predicted_class
    }
    assert len(differ) > 0
    assert found.pair == PAIR
    assert found.counts == ShadowCounts(
        compared=len(galaxies),  # the faulty image is faulty for both
        same_class=len(galaxies) - len(differ),
        same_group=sum(a.predicted_group == b.predicted_group for a, b in pairs),
        largest_difference=found.counts.largest_difference,
    )
    largest = max(abs(x - y) for a, b in pairs for x, y in zip(a.probabilities, b.probabilities, strict=True))
    assert found.counts.largest_difference == pytest.approx(largest, abs=1e-6)
    assert {one.object_id: (one.predicted_class, one.shadow_class) for one in found.differing} == differ

    metrics = {
        (one.name, one.labels.get("outcome")): one.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for one in family.samples
        if one.labels.get("shadow_version") == "1.1"
    }
    assert metrics["galclass_shadow_difference_count", None] == len(galaxies)
    outcomes = {outcome: value for (name, outcome), value in metrics.items() if name == "galclass_shadow_images_total"}
    assert sum(outcomes.values()) == len(galaxies)
    assert outcomes.get("class", 0) + outcomes.get("group", 0) >= len(differ)

    printed = CliRunner().invoke(cli, ["services", "shadow", NAME, "--workspace", config.workspace])
    assert printed.exit_code == 0, printed.output
    assert f"{NAME} 1.1 is the shadow, served by galaxy@2" in printed.output
    assert f"images compared   {len(galaxies)}" in printed.output
    assert all(name in printed.output for name in differ)


def test_it_is_not_asked_for_what_it_answered_itself_or_after_it_was_taken_away(
    client: TestClient, galaxy: bytes, database: Database
) -> None:
    assert (
        client.post(f"/v1/services/{NAME}/shadow/predict", content=galaxy, headers=JPEG).json()["model"]["version"] == 2
    )
    Services(database).unalias(NAME, "shadow")
    state_of(client).published.forget()
    assert client.post(f"/v1/services/{NAME}/latest/predict", content=galaxy, headers=JPEG).status_code == 200
    Services(database).alias(NAME, "shadow", "1.1")
    state_of(client).published.forget()
    assert client.post(f"/v1/services/{NAME}/1.0/predict", content=galaxy, headers=JPEG).status_code == 200
    assert report(database, 1).counts.compared == 1


def test_what_does_not_fit_into_the_queue_is_dropped_and_counted(
    client: TestClient, galaxies: dict[str, bytes], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "MAX_WAITING", 3)
    go = threading.Event()
    read = state_of(client).shadows._read_model
    monkeypatch.setattr(state_of(client).shadows, "_read_model", lambda model: (go.wait(60), read(model))[1])
    first = client.post(f"/v1/services/{NAME}/latest/predict", content=next(iter(galaxies.values())), headers=JPEG)
    assert first.status_code == 200
    wait_for(lambda: not state_of(client).shadows._jobs)  # the thread loads the model
    assert client.post(f"/v1/services/{NAME}/latest/predict", files=uploads(galaxies)).status_code == 200
    go.set()
    found = report(database, 1 + len(galaxies))
    assert (found.counts.compared, found.counts.dropped) == (4, len(galaxies) - 3)


def test_so_is_what_takes_too_much_memory(
    client: TestClient, galaxy: bytes, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "MAX_WAITING_BYTES", len(galaxy) - 1)
    assert client.post(f"/v1/services/{NAME}/latest/predict", content=galaxy, headers=JPEG).status_code == 200
    assert report(database, 1).counts == ShadowCounts(dropped=1)


def test_a_shadow_that_dies_or_cannot_be_loaded_fails_alone(
    client: TestClient, galaxy: bytes, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    shadows = state_of(client).shadows
    ask = lambda: client.post(f"/v1/services/{NAME}/latest/predict", content=galaxy, headers=JPEG)  # noqa: E731
    assert ask().status_code == 200
    report(database, 1)
    (process,) = shadows._processes.values()
    os.kill(process._child.pid, signal.SIGKILL)
    assert ask().status_code == 200
    assert report(database, 2).counts.failed == 1
    assert ask().status_code == 200  # given up for a while
    assert report(database, 3).counts.failed == 2
    shadows._refused.clear()
    assert ask().status_code == 200
    assert report(database, 4).counts.compared == 2
    monkeypatch.setattr(shadows, "_read_model", lambda _: b"no model")
    shadows._processes.close()
    assert ask().status_code == 200
    assert report(database, 5).counts.failed == 3


def test_a_shadow_that_hangs_is_killed(
    client: TestClient, galaxy: bytes, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = lambda: client.post(f"/v1/services/{NAME}/latest/predict", content=galaxy, headers=JPEG)  # noqa: E731
    assert ask().status_code == 200
    report(database, 1)
    monkeypatch.setattr(shadow_link, "ANSWER_S", 0.2)
    (process,) = state_of(client).shadows._processes.values()
    os.kill(process._child.pid, signal.SIGSTOP)
    assert ask().status_code == 200
    assert report(database, 2).counts.failed == 1
    assert process._child.poll() == -signal.SIGKILL


def test_a_database_that_is_away_gets_the_counts_later(
    client: TestClient, galaxy: bytes, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    shadows = state_of(client).shadows
    add, calls = shadows._shadows.add, []

    def away(*arguments: object) -> None:
        calls.append(arguments)
        if len(calls) == 1:
            raise DatabaseError("it is away")
        add(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(shadows._shadows, "add", away)
    assert client.post(f"/v1/services/{NAME}/latest/predict", content=galaxy, headers=JPEG).status_code == 200
    assert report(database, 1).counts.compared == 1
    assert len(calls) > 1


def test_the_end_of_the_server_counts_what_waits_as_dropped(
    config: Config, shadowed: Database, galaxies: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    with TestClient(create_app(config)) as client:
        read = state_of(client).shadows._read_model
        monkeypatch.setattr(state_of(client).shadows, "_read_model", lambda model: (go.wait(60), read(model))[1])
        assert client.post(f"/v1/services/{NAME}/latest/predict", files=uploads(galaxies)).status_code == 200
        threading.Timer(0.5, go.set).start()
    found = report(shadowed, len(galaxies))
    assert (found.counts.dropped, found.counts.failed) == (len(galaxies) - 1, 1)


def test_what_cannot_be_a_shadow_is_refused(shadowed: Database, config: Config, tmp_path: Path) -> None:
    services = Services(shadowed)
    with pytest.raises(RegistryError, match="it is the latest version"):
        services.alias(NAME, "shadow", "1.0")
    info = Registry(shadowed).register(tiny_own_model(), name="rings", aliases=())
    services.publish(NAME, "2.0", "rings", info.version, aliases=())
    with pytest.raises(RegistryError, match="must have the classes of the latest version"):
        services.alias(NAME, "shadow", "2.0")
    code = {"function": "m:f", "sha256": "0" * 64, "models": {}}
    services.publish(NAME, "3.0", None, None, code=code, aliases=())
    with pytest.raises(RegistryError, match="a function can neither be a shadow"):
        services.alias(NAME, "shadow", "3.0")
    services.publish("code", "1.0", None, None, code=code)
    services.publish("code", "1.1", "galaxy", 1, aliases=())
    with pytest.raises(RegistryError, match="a function can neither"):
        services.alias("code", "shadow", "1.1")
    services.publish("young", "1.0", "galaxy", 1, aliases=())
    with pytest.raises(RegistryError, match="no latest version"):
        services.alias("young", "shadow", "1.0")
    assert services.shadow(NAME) is not None
    assert services.shadow("young") is None
    run = CliRunner().invoke(cli, ["services", "alias", NAME, "shadow", "2.0", "--workspace", config.workspace])
    assert run.exit_code == 1
    assert "must have the classes" in str(run.exception)


def test_other_classes_of_a_later_version_are_not_compared(
    client: TestClient, galaxy: bytes, database: Database
) -> None:
    info = Registry(database).register(tiny_own_model(), name="rings", aliases=())
    Services(database).publish(NAME, "2.0", "rings", info.version)
    state_of(client).published.forget()
    assert client.post(f"/v1/services/{NAME}/latest/predict", content=galaxy, headers=JPEG).status_code == 200
    found = report(database, 1)
    assert (found.pair.version, found.counts) == ("2.0", ShadowCounts(failed=1))


def test_the_alias_is_taken_away_with_a_line_in_the_log(shadowed: Database, config: Config) -> None:
    services = Services(shadowed)
    with pytest.raises(RegistryError, match="in use"):
        services.delete(NAME, "1.1")
    off = ["services", "shadow", NAME, "--off", "--workspace", config.workspace]
    assert CliRunner().invoke(cli, off).output == f"{NAME} 1.1 is no longer a shadow\n"
    again = CliRunner().invoke(cli, off)
    assert again.exit_code == 1
    assert "no such alias" in str(again.exception)
    with pytest.raises(RegistryError, match="every service has this alias"):
        services.unalias(NAME, "latest")
    event = services.log(NAME)[-1]
    assert (event.action, event.alias, event.old_version, event.version) == ("unalias", "shadow", "1.1", None)
    shown = CliRunner().invoke(cli, ["services", "show", NAME, "--workspace", config.workspace])
    assert "unalias shadow: 1.1 -> -" in shown.output
    services.delete(NAME, "1.1")


def _difference(number: int) -> ShadowDifference:
    return ShadowDifference(f"object-{number}", "0" * 64, "Er", "Sb", 0.5, now())


def test_rows_add_up_on_both_databases_and_the_list_is_bounded(
    either: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "MAX_DIFFERENCES", 3)
    found = Shadows(either)
    found.add(PAIR, ShadowCounts(2, 1, 2, 0.5, 3, 1), [_difference(1), _difference(2)])
    found.add(PAIR, ShadowCounts(4, 1, 1, 0.25), [_difference(3), _difference(4), _difference(1), _difference(1)])
    (one,) = found.reports(NAME)
    assert one.counts == ShadowCounts(6, 2, 3, 0.5, 3, 1)
    assert sorted(row.object_id for row in one.differing) == ["object-1", "object-3", "object-4"]
    assert len(found.reports(NAME, most=1)[0].differing) == 1
    assert found.reports("another") == []


def test_a_shadow_that_is_set_anew_counts_anew(shadowed: Database) -> None:
    found, services = Shadows(shadowed), Services(shadowed)
    found.add(PAIR, ShadowCounts(compared=5), [_difference(1)])
    services.alias(NAME, "shadow", "1.1")  # where it is already
    assert found.reports(NAME)[0].counts.compared == 5
    services.unalias(NAME, "shadow")
    assert found.reports(NAME)[0].counts.compared == 5
    services.alias(NAME, "shadow", "1.1")
    assert found.reports(NAME) == []
    found.add(PAIR, ShadowCounts(compared=1), [_difference(1)])
    services.unalias(NAME, "shadow")
    services.delete(NAME, "1.1")
    assert found.reports(NAME) == []


def test_metrics_stay_readable_json_of_the_processes(client: TestClient, galaxy: bytes, database: Database) -> None:
    answer = client.post(f"/v1/services/{NAME}/latest/predict", content=galaxy, headers={**JPEG, "Accept": "text/csv"})
    assert answer.text.splitlines()[1].split(",")[-3] == "1"
    assert report(database, 1).counts.compared == 1
    assert json.loads(client.get(f"/v1/services/{NAME}/shadow").text)["version"] == "1.1"
