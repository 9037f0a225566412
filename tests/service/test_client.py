"""The Python client against a real server."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from service.live import LiveServer, live_server

from galclass.client import Client, ClientError
from galclass.config import load_config
from galclass.database import Tokens, open_database
from galclass.errors import ServiceError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, workspace: Path) -> Path:
    folder = tmp_path_factory.mktemp("live") / "workspace"
    shutil.copytree(workspace, folder)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[LiveServer]:
    with live_server(folder) as server:
        yield server


@pytest.fixture
def admin(server: LiveServer, folder: Path) -> Iterator[Client]:
    database = open_database(load_config(None, {"workspace": str(folder)}).database_url)
    token = Tokens(database).create("admin", "client-test")
    database.close()
    with Client(server.url, token) as client:
        yield client


@pytest.fixture
def anyone(server: LiveServer) -> Iterator[Client]:
    with Client(server.url) as client:
        yield client


def test_a_refusal_carries_the_servers_words(anyone: Client) -> None:
    with pytest.raises(ClientError, match="unknown service") as caught:
        anyone.get_service("nothing")
    assert (caught.value.status, caught.value.code) == (404, "unknown_service")
    with pytest.raises(ClientError, match="token") as caught:
        anyone.publish_service("x", model="galaxy", version="1.0")
    assert caught.value.code == "unauthorized"


def test_a_server_that_is_not_there_is_an_error_of_ours() -> None:
    with Client("http://127.0.0.1:9") as client, pytest.raises(ServiceError, match="cannot be reached"):
        client.list_services()


def test_the_five_calls_of_the_original_and_the_switches(admin: Client) -> None:
    made = admin.publish_service("other", model="galaxy@1", version="1.0", description="first")
    assert repr(made) == "Service('other', '1.0')"
    newer = admin.update_service("other", model="galaxy@2", version="1.1")
    assert (newer.record["description"], newer.record["model"]["version"]) == ("first", 2)
    assert admin.rollback_service("other").record["version"] == "1.0"
    assert admin.move_alias("other", "latest", "1.1").record["version"] == "1.1"
    assert [service.record["version"] for service in admin.list_services("other")] == ["1.0", "1.1"]
    admin.delete_service("other", "1.0")
    admin.delete_service("other", "1.1")
    assert admin.list_services("other") == []


def test_predict_gives_maps_on_request(anyone: Client, galaxies: dict[str, bytes]) -> None:
    service = anyone.get_service("galaxy-class")
    records = service.predict(list(galaxies.values())[:9], saliency=True)
    assert len(records) == 9
    assert all(record["saliency"] for record in records)
    assert "saliency" not in service.predict([next(iter(galaxies.values()))])[0]


def test_predict_takes_bytes_and_paths(anyone: Client, galaxies: dict[str, bytes], tmp_path: Path) -> None:
    service = anyone.get_service("galaxy-class")
    path = tmp_path / "587722981742084144.jpg"
    path.write_bytes(next(iter(galaxies.values())))
    (one,) = service.predict([path])
    assert one["object_id"] == "587722981742084144"
    several = service.predict([*galaxies.values(), b"no image"], object_ids=[*galaxies, "bad"])
    assert [record["object_id"] for record in several] == [*galaxies, "bad"]
    assert several[0]["probabilities"] == one["probabilities"]
    assert several[-1]["error"]["code"] == "not_an_image"
    assert service.predict([b"no image"])[0]["error"]["code"] == "not_an_image"
    assert service.predict([]) == []
    assert len(service.predict(list(galaxies.values()) * 8)) == 80


def test_a_service_describes_itself(anyone: Client) -> None:
    service = anyone.get_service("galaxy-class", "1.0")
    assert service.capabilities()["classes"]["Er"] == "round smooth"
    assert service.openapi()["info"]["title"] == "galaxy-class"


def test_a_batch_gives_results_as_they_come(anyone: Client, galaxies: dict[str, bytes]) -> None:
    batch = anyone.get_service("galaxy-class").batch(list(galaxies.values()), object_ids=list(galaxies))
    with pytest.raises(ServiceError, match="has not been started"):
        batch.status()
    records = list(batch.start().results(poll_s=0.05))
    assert [record["object_id"] for record in records] == list(galaxies)
    assert batch.status()["state"] == "done"
    assert batch.cancel()["state"] == "done"


ODD_IDS = ["survey/123", "J12\\3", ".hidden", "a b", 'quo"te', "ü-größe", "x" * 200]


def test_ids_arrive_as_they_are(anyone: Client, galaxies: dict[str, bytes]) -> None:
    service = anyone.get_service("galaxy-class")
    images = list(galaxies.values())[: len(ODD_IDS)]
    assert [record["object_id"] for record in service.predict(images, object_ids=ODD_IDS)] == ODD_IDS
    batch = service.batch(images, object_ids=ODD_IDS).start()
    assert [record["object_id"] for record in batch.results(poll_s=0.05)] == ODD_IDS
    for object_id, image in zip(ODD_IDS, images, strict=True):
        assert service.predict([image], object_ids=[object_id])[0]["object_id"] == object_id


@pytest.mark.parametrize("count", [0, 1, 3])
def test_as_many_ids_as_images_are_wanted(anyone: Client, galaxies: dict[str, bytes], count: int) -> None:
    images = list(galaxies.values())[:2]
    with pytest.raises(ServiceError, match="than object_ids"):
        anyone.get_service("galaxy-class").predict(images, object_ids=["a", "b", "c"][:count])


def test_a_batch_that_ends_early_is_an_error(anyone: Client, galaxies: dict[str, bytes]) -> None:
    batch = anyone.get_service("galaxy-class").batch(list(galaxies.values()) * 60).start()
    assert batch.cancel()["state"] == "cancelled"
    records = batch.results(poll_s=0.05)
    with pytest.raises(ServiceError, match="the batch is cancelled"):
        list(records)


def test_a_server_that_is_told_to_stop_finishes_and_exits_cleanly(workspace: Path, tmp_path: Path) -> None:
    shutil.copytree(workspace, tmp_path / "workspace")
    with live_server(tmp_path / "workspace", "--workers", "2") as server:
        text = server.log.read_text()
        assert f"The page is at {server.url}/" in text
        assert f"The API docs are at {server.url}/docs" in text
        assert server.stop(signal.SIGINT) in (0, 130)
    assert "Traceback" not in server.log.read_text()
